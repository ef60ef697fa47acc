"""Every reason is explained: what it means, and what to do."""

import ast
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
_ARGUMENT = {"Finding": 0, "Problem": 0, "EventNote": 1, "in_phase": 2, "waiting": 1}
"""Where each of these functions takes its reason."""


def reasons_in_code() -> dict[str, set[str]]:
    """Return the files of each reason that the operator can give."""
    found: dict[str, set[str]] = {}
    for file in (ROOT / "operator/serin").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or "cli" in file.parts:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            given = [word.value for word in node.keywords if word.arg == "reason"]
            if name in _ARGUMENT and len(node.args) > _ARGUMENT[name]:
                given.append(node.args[_ARGUMENT[name]])
            for each in given:
                if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value:
                    found.setdefault(each.value, set()).add(file.name)
    return found


def test_every_reason_is_explained_and_none_that_is_not() -> None:
    """A reason without an explanation leaves its reader alone; an explanation without a reason misleads."""
    kinds = yaml.safe_load((ROOT / "docs/reasons.yaml").read_text())
    explained = [each["name"] for kind in kinds.values() for each in kind["reasons"]]
    code = reasons_in_code()
    assert "GuardrailFailing" in code
    assert len(explained) == len(set(explained))
    assert {name: files for name, files in code.items() if name not in explained} == {}
    assert set(explained) - set(code) == set()


def test_the_troubleshooting_page_is_current() -> None:
    """`docs/troubleshooting.md` is what `docs/generate_troubleshooting.py` makes of the rules and reasons now."""
    command = [sys.executable, str(ROOT / "docs/generate_troubleshooting.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
