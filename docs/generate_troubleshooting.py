"""Writes docs/troubleshooting.md from docs/reasons.yaml and from the rules of the engine, so that they cannot differ.

python docs/generate_troubleshooting.py            writes it
python docs/generate_troubleshooting.py --check    exits 1 when it is not what they say
"""
# ruff: noqa: INP001 - a script, not a package

import inspect
import sys
from pathlib import Path
from typing import Any

import yaml
from pages import write_or_check

from serin.engine.rules import HOLDS, ROLLS_BACK, STAYS, Rule

ROOT = Path(__file__).resolve().parents[1]
REASONS = ROOT / "docs/reasons.yaml"
PAGE = ROOT / "docs/troubleshooting.md"

HEAD = """\
# Troubleshooting

`kubectl describe cex NAME` answers "why": `Message` is the present sentence, `Reason` the word to look up here, and
`Transitions` how it came to it. This page is made from the rules of the engine and from `docs/reasons.yaml` by
`docs/generate_troubleshooting.py`.

## Why did it roll back?

`Status.Message` begins with when and why: the service, the value, of how many requests, control's value, the ratio with
its interval, the rule and how far the evidence is beyond its limit. `Status.Services[].Guardrails[]` has the same for
every guardrail, also for those that did not decide. `Found At` and `Restored At` say how long it took.

A rollback is one-way within a run. Correct the canary (its new template is a new run), or ask for another run of the
same: `kubectl serin retry NAME`.

## Why is it stuck?

| what `kubectl get cex` shows | look at |
|---|---|
| Pending | condition `Accepted`: what to correct |
| Preparing, and nothing moves | `Message`: which pods are not ready, and why |
| Progressing, past its time | `Message`: samples, evidence or pods that are missing |
| Holding | `Message`: which measurement is missing, or which approval |
| RollingBack, and nothing moves | `Message`: which pods or which route it waits for, and what to do about it |
| any phase, `Message` does not change for minutes | does an operator lead? `kubectl -n serin-system get pods,lease` |
| it can't be deleted | the finalizer waits until control has all of the traffic; `Message` says for which pods |

Condition `Stalled=True` means that somebody should look: it will not go on by itself, or a step takes longer than ten
minutes, a way back longer than one or for want of room or of a route's controller. After an end that failed it stays
True, as kstatus has it; its message then says that nothing is under way.

## The policy, in its order

At each look the first rule that finds something decides.
"""

CHAINS: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("What rolls back, before anything else is considered", ROLLS_BACK),
    ("What freezes it where it is", HOLDS),
    ("What keeps a stage from ending", STAYS),
)


def page(reasons: dict[str, Any]) -> str:
    """Return the whole page."""
    parts = [HEAD]
    for title, chain in CHAINS:
        lines = [f"{number}. {_first_paragraph(rule)}" for number, rule in enumerate(chain, 1)]
        parts.append(f"### {title}\n\n" + "\n".join(lines) + "\n")
    parts.append("## Reasons\n\nIn conditions, transitions and Events.\n")
    for kind in reasons.values():
        rows = [f"| `{each['name']}` | {each['meaning']} | {each.get('action', '')} |" for each in kind["reasons"]]
        table = "\n".join(["| reason | what it means | what to do |", "|---|---|---|", *rows])
        parts.append(f"### {kind['title']}\n\n{kind['text']}\n\n{table}\n")
    return "\n".join(parts)


def _first_paragraph(rule: Rule) -> str:
    text = inspect.getdoc(rule) or ""
    return " ".join(text.split("\n\n")[0].split())


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it; return the exit code."""
    otherwise = "docs/troubleshooting.md is not current: run python docs/generate_troubleshooting.py"
    return write_or_check(PAGE, page(yaml.safe_load(REASONS.read_text())), arguments, otherwise)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
