"""`python -m tests.bench.traffic switching|sticky|first`: benches of the routers as programs, on the test cluster."""

import argparse
import asyncio
import sys

from rich.console import Console

from tests.bench.traffic import first, sticky, switching
from tests.demo.kubectl import KubectlError

BENCHES = {"switching": switching, "sticky": sticky, "first": first}


def main(arguments: list[str] | None = None) -> int:
    """Run a bench and return its exit code: 0 as promised, 1 not, 2 it could not run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.traffic", description=__doc__)
    commands = parser.add_subparsers(dest="bench", required=True)
    for name, bench in BENCHES.items():
        assert bench.__doc__ is not None
        bench.add_arguments(
            commands.add_parser(
                name, help=bench.__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
            )
        )
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    console = Console(width=None if sys.stdout.isatty() else 110)
    try:
        return asyncio.run(BENCHES[options.bench].run(options, console))
    except (KubectlError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
