"""`serin`, and `kubectl serin` as a plugin: one program, one verb each module."""

import argparse
import sys

from serin.cli import simulate


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb; the exit code is the verb's."""
    parser = argparse.ArgumentParser(prog="serin", description="Canary rollouts of several services at once.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verb = verbs.add_parser(
        "simulate",
        help="what an experiment would do and when, without a cluster",
        description="Exit codes: 0 promoted, 2 bad input, 3 rolled back, 4 neither within three times its plan.",
    )
    simulate.add_arguments(verb)
    verb.set_defaults(run=simulate.main)
    options = parser.parse_args(arguments)
    result: int = options.run(options)
    return result


if __name__ == "__main__":
    sys.exit(main())
