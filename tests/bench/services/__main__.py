"""`python -m tests.bench.services latency|memory|indexes|sessions`: the benches of the services as programs."""

import argparse
import sys

from rich.console import Console

from tests.bench.services import indexes, latency, memory, session_memory
from tests.bench.services.processes import NoPostgresError

BENCHES = {"latency": latency, "memory": memory, "indexes": indexes, "sessions": session_memory}


def main(arguments: list[str] | None = None) -> int:
    """Run a bench and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.services", description=__doc__)
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
    console = Console(width=None if sys.stdout.isatty() else 110)
    try:
        return BENCHES[options.bench].main(options, console)
    except (NoPostgresError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
