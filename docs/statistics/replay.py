"""Feed the guardrails look by look from a file, and read what they decide.

    python docs/statistics/replay.py errors.csv             # n_c,e_c,n_t,e_t
    python docs/statistics/replay.py latency.csv            # n_c,n_t,c_0.05,c_0.15,...,t_0.05,t_0.15,...
    python docs/statistics/replay.py new.csv --history old.csv --seconds 30

A line is a look: requests (n) and bad ones (e) of control (c) and canary (t); or, for latency, requests that took at
most the seconds in the column's name (cumulative, as Prometheus has them). The history is a file of the same columns,
in which both arms ran one version. Without it the cautious default is used. Every look gives one line; the exit code
is 1 if the canary is rolled back.
"""  # noqa: INP001 - a script

import argparse
import csv
import sys
from collections.abc import Iterator

from serin.stats import (
    Dispersion,
    LatencyConfig,
    LatencyLook,
    Look,
    RateConfig,
    Verdict,
    explained,
    from_arms,
    judge,
    start,
    update,
)


def looks(path: str, seconds: float) -> Iterator[Look | LatencyLook]:
    """The looks of a file."""
    with open(path, newline="", encoding="utf-8") as file:  # noqa: PTH123 - a script of few imports
        for row in csv.DictReader(file):
            n_c, n_t = int(row["n_c"]), int(row["n_t"])
            edges = sorted(float(name[2:]) for name in row if name.startswith("c_"))
            if not edges:
                yield Look(seconds, n_c, int(row["e_c"]), n_t, int(row["e_t"]))
                continue
            fast = [tuple(int(row[f"{arm}_{edge:g}"]) for edge in edges) for arm in "ct"]
            yield LatencyLook(seconds, tuple(edges), fast[0], fast[1], n_c, n_t)


def noise(path: str | None, seconds: float) -> Dispersion | tuple[Dispersion, ...]:
    """How much the arms of a history differ; the cautious default without one."""
    past = list(looks(path, seconds)) if path else []
    n_c, n_t = [look.control_total for look in past], [look.canary_total for look in past]
    if not past:
        return Dispersion()
    if isinstance(past[0], LatencyLook):
        slow = [
            [[n - fast for fast in each] for n, each in zip(totals, counts, strict=True)]
            for totals, counts in ((n_c, [look.control for look in past]), (n_t, [look.canary for look in past]))
        ]
        return from_arms(n_c, slow[0], n_t, slow[1], seconds=seconds, latency=True)
    bad = [look.control_bad for look in past], [look.canary_bad for look in past]
    return from_arms(n_c, bad[0], n_t, bad[1], seconds=seconds)


def main() -> int:
    """Replay a file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--history", help="a file of the same columns in which both arms ran one version")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a look (30)")
    parser.add_argument("--planned", type=float, default=21600.0, help="planned seconds of the stage (21600)")
    parser.add_argument("--alpha", type=float, default=0.05, help="chance of a false rollback (0.05)")
    parser.add_argument("--margin", type=float, default=0.1, help="worseThanControl as a fraction (0.1)")
    parser.add_argument("--max", type=float, help="largest bad share, or largest P95 in seconds (not judged)")
    parser.add_argument("--min-requests", type=int, default=100, help="canary requests before a verdict (100)")
    asked = parser.parse_args()
    dispersion = noise(asked.history, asked.seconds)
    config, state = None, None
    for number, look in enumerate(looks(asked.file, asked.seconds), start=1):
        if config is None:
            stages = (asked.planned,)
            if isinstance(look, LatencyLook):
                limits = asked.alpha, asked.margin, asked.max, look.edges, asked.min_requests, stages
                config = LatencyConfig(*limits, dispersion=dispersion)
            else:
                limits = asked.alpha, asked.margin, asked.max, None, asked.min_requests, stages
                config = RateConfig(*limits, dispersion=dispersion)
            state = start(config)
        state = update(config, state, look)
        found = judge(config, state)
        print(f"{number}\t{found.verdict}\t{found.rule}\t{found.evidence:.4g}\t{explained(found)}")  # noqa: T201 - it prints
        if found.verdict is Verdict.FAILING:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
