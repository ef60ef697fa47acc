"""`--fault`: what is written is what is simulated, and what can't be read is answered with what to write."""

import argparse
import math

import pytest

from serin.cli.faults import EXAMPLE, SPLIT, parse_fault
from serin.engine.generated import Fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("errors=5%", Fault(errors=0.05)),
        ("latency=60ms, from=6h", Fault(latency=0.06, after=21600)),
        ("errors=1%,from=1h,until=90m,on=both", Fault(errors=0.01, after=3600, until=5400, shared=True)),
        (SPLIT, Fault(split=0.2, after=21600)),
        ("split=0%", Fault(split=0.0)),
        (EXAMPLE, Fault(0.05, 0.06, 21600, "recommendation", 28800)),
    ],
)
def test_what_is_written(text: str, fault: Fault) -> None:
    """Units as everywhere; without `until` a fault stays."""
    assert parse_fault(text) == fault
    assert parse_fault("errors=5%").until == math.inf


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5%", "has no ="),
        ("errors=5", "like 0.5% or 10%"),
        ("latency=60", "like 30s"),
        ("errors=5%,on=all", "on=canary or on=both"),
        ("errors=5%,colour=red", "there is no colour"),
        ("from=6h", "neither errors nor latency nor split"),
        ("errors=5%,from=2h,until=1h", "until must be later"),
    ],
)
def test_what_cannot_be_read(text: str, says: str) -> None:
    """A sentence that says what to write."""
    with pytest.raises(argparse.ArgumentTypeError, match="^" + text.replace("=", ".")) as raised:
        parse_fault(text)
    assert says in str(raised.value)
