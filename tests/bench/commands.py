"""Benches of one package as commands of one program: each module has `add_arguments` and `main`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from rich.console import Console


def parsed(
    prog: str, text: str | None, benches: Mapping[str, ModuleType], arguments: Sequence[str] | None
) -> tuple[argparse.Namespace, Console]:
    """Return what was asked for (`bench` is its name), and where to print it."""
    parser = argparse.ArgumentParser(prog=prog, description=text)
    commands = parser.add_subparsers(dest="bench", required=True)
    for name, bench in benches.items():
        assert bench.__doc__ is not None
        bench.add_arguments(
            commands.add_parser(
                name,
                help=bench.__doc__.splitlines()[0],
                formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            )
        )
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    return options, Console(width=None if sys.stdout.isatty() else 110)
