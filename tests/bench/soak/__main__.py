"""`python -m tests.bench.soak weeks|hour`: simulated weeks through `decide`, or a real hour of the real operator."""

import argparse
import sys

from rich.console import Console

from tests.bench.soak import hour, weeks

BENCHES = {"weeks": weeks, "hour": hour}


def main(arguments: list[str] | None = None) -> int:
    """Run a bench and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    commands = parser.add_subparsers(dest="bench", required=True)
    for name, bench in BENCHES.items():
        assert bench.__doc__ is not None
        bench.add_arguments(
            commands.add_parser(
                name,
                help=bench.__doc__.splitlines()[0],
                formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            )
        )
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    return BENCHES[options.bench].main(options, Console(width=None if sys.stdout.isatty() else 110))


if __name__ == "__main__":
    raise SystemExit(main())
