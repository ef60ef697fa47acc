"""`--fault errors=5%,latency=60ms,from=6h,until=8h,service=x,on=canary`: what goes wrong in a simulation, and when.

`--fault split=20%` is a route that gives the canary another share than its weight.
"""

import argparse
import math

from serin.api.units import Duration, Share
from serin.engine.generated import Fault

EXAMPLE = "errors=5%,latency=60ms,from=6h,until=8h,service=recommendation,on=canary"
SPLIT = "split=20%,from=6h"


def parse_fault(text: str) -> Fault:
    """A fault as it is written on the command line; `on=both` is an incident that control has too.

    Raises:
        argparse.ArgumentTypeError: it can't be read; the text is a sentence that says what to write.
    """
    given = dict(_pairs(text))
    try:
        fault = Fault(
            errors=Share(given.pop("errors", "0%")).value,
            latency=Duration(given.pop("latency", "0s")).seconds,
            after=Duration(given.pop("from", "0s")).seconds,
            until=Duration(given.pop("until")).seconds if "until" in given else math.inf,
            service=given.pop("service", ""),
            shared=_shared(given.pop("on", "canary")),
            split=Share(given.pop("split")).value if "split" in given else None,
        )
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None
    if given:
        raise argparse.ArgumentTypeError(f"{text}: there is no {next(iter(given))}: write it like {EXAMPLE}")
    if not fault.errors and not fault.latency and fault.split is None:
        text = f"{text}: says neither errors nor latency nor split: write it like {EXAMPLE}, or {SPLIT}"
        raise argparse.ArgumentTypeError(text)
    if fault.until <= fault.after:
        raise argparse.ArgumentTypeError(f"{text}: until must be later than from")
    return fault


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for part in text.split(","):
        key, sign, value = part.partition("=")
        if not sign:
            raise argparse.ArgumentTypeError(f"{text}: {part} has no =: write it like {EXAMPLE}")
        pairs.append((key.strip(), value.strip()))
    return pairs


def _shared(on: str) -> bool:
    if on not in {"canary", "both"}:
        raise ValueError(f"on={on}: write on=canary or on=both")
    return on == "both"
