"""The CRD and `serin.api` are written by hand, twice: this holds each to the other, field by field."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec import NODEFAULT, inspect

from serin.api import names
from serin.api.spec import Spec, parse_spec
from serin.api.status import Status
from serin.api.units import Duration, Share, encode_unit, unit_schema

CRD: dict[str, Any] = yaml.safe_load((Path(__file__).parents[3] / "crds/serin.dev_canaryexperiments.yaml").read_text())
SCHEMA: dict[str, Any] = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]

EXACT = (
    "type",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "minItems",
    "required",
    "fields",
    "values",
)
"""What both sides must say in the same way."""
AT_LEAST = ("minLength", "maxLength", "maxItems")
"""What the CRD may say where Python doesn't: the API server's rules may only read what is bounded."""

Row = tuple[str, dict[str, Any], dict[str, Any]]


def python_schema(kind: inspect.Type) -> dict[str, Any]:
    """Return what a type of `serin.api` demands, in the words of a CRD."""
    match kind:
        case inspect.Metadata():
            return python_schema(kind.type)
        case inspect.UnionType():
            (some,) = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
            return python_schema(some)
        case inspect.StructType():
            return {
                "type": "object",
                "fields": {field.encode_name for field in kind.fields},
                "required": {field.encode_name for field in kind.fields if field.required},
            }
        case inspect.DictType():
            value = (
                python_schema(kind.value_type)["type"] if not isinstance(kind.value_type, inspect.AnyType) else "any"
            )
            return {"type": "object", "fields": set(), "required": set(), "values": value}
        case inspect.VarTupleType():
            return _said({"type": "array", "minItems": kind.min_length, "maxItems": kind.max_length})
    return scalar_schema(kind)


def scalar_schema(kind: inspect.Type) -> dict[str, Any]:
    """Return the same for a type without parts."""
    match kind:
        case inspect.StrType():
            bounds = {"minLength": kind.min_length, "maxLength": kind.max_length, "pattern": kind.pattern}
            return _said({"type": "string", **bounds})
        case inspect.LiteralType():
            return {"type": "string", "enum": set(kind.values)}
        case inspect.EnumType():
            return {"type": "string", "enum": {str(member.value) for member in kind.cls}}
        case inspect.CustomType():
            return unit_schema(kind.cls)
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType() | inspect.FloatType():
            low = kind.ge if kind.ge is not None else kind.gt
            said = {"minimum": low, "maximum": kind.le, "exclusiveMinimum": True if kind.gt is not None else None}
            return _said({"type": "integer" if isinstance(kind, inspect.IntType) else "number", **said})
    raise AssertionError(kind)


def crd_schema(node: dict[str, Any]) -> dict[str, Any]:
    """Return the same of a node of the CRD."""
    found = {key: node[key] for key in (*EXACT, *AT_LEAST) if key in node and key != "required"}
    if "enum" in node:
        found["enum"] = set(node["enum"])
    if node["type"] == "object":
        found |= {"fields": set(node.get("properties", {})), "required": set(node.get("required", ()))}
    if "additionalProperties" in node:
        found["values"] = node["additionalProperties"]["type"]
    if node.get("x-kubernetes-preserve-unknown-fields"):
        found["values"] = "any"
    return found


def rows(path: str, kind: inspect.Type, node: dict[str, Any]) -> list[Row]:
    """Return a row for a type and for each of its fields and items that both sides have."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    found: list[Row] = [(path, python_schema(kind), crd_schema(node))]
    if isinstance(kind, inspect.VarTupleType):
        found += rows(f"{path}[]", kind.item_type, node["items"])
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            inner = node.get("properties", {}).get(field.encode_name)
            if inner is not None:
                found += rows(f"{path}.{field.encode_name}", field.type, inner)
    return found


def defaults(path: str, kind: inspect.Type, node: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return, for each field, Python's default and the one that the API server writes, both complete; None: nothing."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    found: list[tuple[str, Any, Any]] = []
    if isinstance(kind, inspect.VarTupleType):
        found += defaults(f"{path}[]", kind.item_type, node["items"])
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            inner = node["properties"][field.encode_name]
            here = f"{path}.{field.encode_name}"
            if field.default is not NODEFAULT:
                ours = everything(field.default)
            else:
                ours = everything(field.default_factory()) if field.default_factory is not NODEFAULT else None
            theirs = completed(inner, inner["default"]) if "default" in inner else None
            # Nothing and an empty list or map are the same to both.
            found.append((here, ours or (ours if isinstance(ours, bool | int | float) else None), theirs))
            found += defaults(here, field.type, inner)
    return found


def everything(value: Any) -> Any:
    """Return a value as JSON with all of its fields, also those that have their default; None where there is none."""
    if isinstance(value, msgspec.Struct):
        fields = {field.encode_name: everything(getattr(value, field.name)) for field in msgspec.structs.fields(value)}
        return {name: inner for name, inner in fields.items() if inner not in (None, [])}
    if isinstance(value, tuple):
        return [everything(item) for item in value]
    return encode_unit(value) if isinstance(value, Duration | Share) else value


def completed(node: dict[str, Any], value: Any) -> Any:
    """Return a value with the defaults that the API server would write into it."""
    if isinstance(value, list):
        return [completed(node["items"], item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, inner in node.get("properties", {}).items():
        if name not in filled and "default" in inner:
            filled[name] = inner["default"]
        if name in filled:
            filled[name] = completed(inner, filled[name])
    return filled


def _said(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if value is not None}


SPEC, STATUS = inspect.type_info(Spec), inspect.type_info(Status)
ROWS = rows("spec", SPEC, SCHEMA["spec"]) + rows("status", STATUS, SCHEMA["status"])


@pytest.mark.parametrize(("python", "crd"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_field_is_the_same_on_both_sides(python: dict[str, Any], crd: dict[str, Any]) -> None:
    """Names, types, enums, patterns, bounds and what is required are the same, in both directions."""
    assert {key: crd.get(key) for key in EXACT} == {key: python.get(key) for key in EXACT}
    assert {key: crd.get(key) for key in AT_LEAST if key in python} == {k: python[k] for k in AT_LEAST if k in python}


def test_every_field_is_compared() -> None:
    """A field that only one side has would not be visited; the sets of names above refuse it, and all are here."""
    paths = {row[0] for row in ROWS}
    assert {"spec.guardrails.latencyP95.max", "spec.services[].canary.patch", "status.step.startedAt"} <= paths
    assert len(paths) == len(ROWS) > 130


@pytest.mark.parametrize(
    ("python", "crd"),
    [row[1:] for row in defaults("spec", SPEC, SCHEMA["spec"])],
    ids=[row[0] for row in defaults("spec", SPEC, SCHEMA["spec"])],
)
def test_a_default_is_the_same_on_both_sides(python: Any, crd: Any) -> None:
    """What Python fills in is what the API server writes."""
    assert python == crd


def test_the_status_has_no_defaults_in_the_crd() -> None:
    """The operator leaves out what has its default: a server that wrote it back would cause a patch at every look."""
    assert "default" not in str(SCHEMA["status"])


def test_a_completed_spec_is_what_python_completes() -> None:
    """The shortest spec means the same to the API server and to a simulation on a laptop."""
    shortest = {"services": [{"name": "a", "control": {"deployment": "a"}, "canary": {"deployment": "b"}}]}
    assert everything(parse_spec(shortest)) == completed(SCHEMA["spec"], shortest)


def test_names() -> None:
    """Group, kind and plural are those of `serin.api.names`; tables show what a person asks first."""
    spec, version = CRD["spec"], CRD["spec"]["versions"][0]
    assert (spec["group"], spec["names"]["kind"], spec["names"]["plural"]) == (names.GROUP, names.KIND, names.PLURAL)
    assert (spec["names"]["shortNames"], spec["names"]["categories"]) == (["cex"], ["all"])
    assert (version["name"], version["subresources"]) == (names.VERSION, {"status": {}})
    columns = [column["name"].upper() for column in version["additionalPrinterColumns"]]
    assert columns == ["PHASE", "STAGE", "WEIGHT", "VERDICT", "MESSAGE", "AGE"]


def described(path: str, node: dict[str, Any]) -> list[str]:
    """Return the fields below `node` that have no description."""
    missing: list[str] = []
    for name, inner in node.get("properties", {}).items():
        missing += [f"{path}.{name}"] if not inner.get("description") else []
        missing += described(f"{path}.{name}", inner) + described(f"{path}.{name}[]", inner.get("items", {}))
    return missing


def test_every_field_explains_itself() -> None:
    """`kubectl explain` answers for every field of spec and status."""
    assert described("spec", SCHEMA["spec"]) + described("status", SCHEMA["status"]) == []


def nulls(path: str, node: Any) -> list[str]:
    """Return the paths at which the file says nothing: a comma that nobody quoted, a value that was forgotten."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path] * (node is None) + [found for key, value in inner for found in nulls(f"{path}.{key}", value)]


def test_the_file_has_no_empty_values() -> None:
    """A description with an unquoted comma would lose its end, and every apply would find a difference."""
    assert nulls("", CRD) == []
