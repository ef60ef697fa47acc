"""Writes docs/reference.md from the CRD, so that the two cannot differ.

python docs/generate_reference.py            writes it
python docs/generate_reference.py --check    exits 1 when it is not what the CRD says
"""
# ruff: noqa: INP001 - a script, not a package

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pages import write_or_check

from serin.controller.instruments import METRICS

ROOT = Path(__file__).resolve().parents[1]
CRD = ROOT / "crds/serin.dev_canaryexperiments.yaml"
PAGE = ROOT / "docs/reference.md"

HEAD = """\
# Reference

Every field of a `CanaryExperiment`, made from `crds/serin.dev_canaryexperiments.yaml` by `docs/generate_reference.py`.
The same is in the cluster: `kubectl explain cex.spec --recursive`. Examples: `manifests/examples/`.

`[]` stands for an item of a list. A duration is written like `30s`, `1h30m` or `13d`, a share like `0.5%`.

The API server refuses what this page rules out; what only the operator can know is condition `Accepted=False`, before
any traffic moves ([troubleshooting](troubleshooting.md)). What `metrics` and `prometheus` mean: [metrics](metrics.md).
"""


def page(crd: dict[str, Any]) -> str:
    """Return the whole page for a CRD."""
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    parts = [HEAD]
    for name in ("spec", "status"):
        parts.append(f"## {name}\n\n{schema[name]['description']}\n")
        parts.append("| field | type | default | meaning |\n|---|---|---|---|")
        parts[-1] += "".join(f"\n| {' | '.join(row)} |" for row in rows("", schema[name])) + "\n"
    parts.append("## What is refused\n\n| field | sentence |\n|---|---|")
    parts[-1] += "".join(f"\n| `{path}` | `{_cell(text)}` |" for path, text in rules("spec", schema["spec"])) + "\n"
    parts.append(metrics())
    return "\n".join(parts)


def metrics() -> str:
    """Return the section on the operator's own metrics."""
    found = ["## Metrics of the operator\n"]
    found.append("On port 8080, path `/metrics`. Alerts on them: `manifests/monitoring/serin-rules.yml`.")
    found.append("A dashboard for Grafana: `manifests/monitoring/dashboards/serin-operator.json`.\n")
    found.append("| metric | type | labels | meaning |\n|---|---|---|---|")
    for collector in vars(METRICS).values():
        (family,) = collector.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in collector._labelnames)  # noqa: SLF001 - it has no public name
        found[-1] += f"\n| `{name}` | {family.type} | {labels} | {_cell(family.documentation)} |"
    return "\n".join(found) + "\n"


def rows(path: str, node: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row of the table for each field below a node, parents first."""
    required = node.get("required", ())
    for name, inner in node.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        default = "required" if name in required else _default(inner)
        yield f"`{here}`", _kind(inner), default, _cell(inner.get("description", "") + _bounds(inner))
        yield from rows(here, inner)
        yield from rows(f"{here}[]", inner.get("items", {}))


def rules(path: str, node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the sentence of each rule that a node and what is below it have."""
    yield from ((path, rule["message"]) for rule in node.get("x-kubernetes-validations", ()))
    for name, inner in node.get("properties", {}).items():
        yield from rules(f"{path}.{name}", inner)
    if "items" in node:
        yield from rules(f"{path}[]", node["items"])


def _kind(node: dict[str, Any]) -> str:
    if "enum" in node:
        return " ".join(f"`{value}`" for value in node["enum"])
    if node["type"] == "string" and "ms)?$" in node.get("pattern", ""):
        return "duration"
    if node["type"] == "string" and node.get("pattern", "").endswith("%$"):
        return "share"
    if node["type"] == "array":
        return "list"
    return str(node["type"])


def _default(node: dict[str, Any]) -> str:
    default = node.get("default")
    # An empty object only means that the defaults of its fields hold.
    return "" if default is None or isinstance(default, dict) else f"`{json.dumps(default)}`"


def _bounds(node: dict[str, Any]) -> str:
    if "minimum" not in node:
        return ""
    low = "more than " if node.get("exclusiveMinimum") else "at least "
    high = f", at most {node['maximum']}" if "maximum" in node else ""
    return f" ({low}{node['minimum']}{high})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it; return the exit code."""
    otherwise = "docs/reference.md is not what the CRD says: run python docs/generate_reference.py"
    return write_or_check(PAGE, page(yaml.safe_load(CRD.read_text())), arguments, otherwise)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
