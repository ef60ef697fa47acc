"""`serin`, and `kubectl serin` as a plugin: one program, one verb each line of the table below."""

import argparse
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Final

_EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 the cluster refused or could not be reached, 2 it makes no sense for this experiment,"
    " 4 Serin did not answer in time."
)

_WHOIS_CODES: Final = (
    "Exit codes: 0 the variant is known for each service, 1 the cluster refused or could not be reached, 2 a service is"
    " split by the request."
)


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb. Its module has `add_arguments(parser)` and `main(options) -> exit code`; loaded when used."""

    name: str
    module: str
    help: str
    description: str


VERBS: Final = (
    Verb(
        "simulate",
        "serin.cli.simulate",
        "what an experiment would do and when, without a cluster",
        "Exit codes: 0 promoted, 2 bad input, 3 rolled back, 4 neither within three times its plan.",
    ),
    Verb("whois", "serin.cli.whois", "which variant a user is served by, and why", _WHOIS_CODES),
    Verb(
        "plan",
        "serin.cli.plan",
        "what an experiment can find out, and how long harm would go unseen, before the start",
        "Exit codes: 0 the plan answers its questions, 2 bad input or no traffic known, 5 it does not (see warnings).",
    ),
    Verb("retry", "serin.cli.retry", "try again after a rollback, or from the beginning", _EXIT_CODES),
    Verb("approve", "serin.cli.approve", "let an experiment with Manual approval be promoted", _EXIT_CODES),
    Verb("pause", "serin.cli.switches", "freeze an experiment at its weight; guardrails still roll back", _EXIT_CODES),
    Verb("resume", "serin.cli.switches", "let a paused experiment go on", _EXIT_CODES),
    Verb("abort", "serin.cli.switches", "roll an experiment back now", _EXIT_CODES),
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb; the exit code is the verb's."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="serin", description="Canary rollouts of several services at once.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        one = verbs.add_parser(verb.name, help=verb.help, description=verb.description)
        if given[:1] == [verb.name]:
            module = import_module(verb.module)
            module.add_arguments(one)
            one.set_defaults(run=module.main)
    options = parser.parse_args(given)
    result: int = options.run(options)
    return result


if __name__ == "__main__":
    sys.exit(main())
