"""Reading a spec: what is kept, and the sentences for what cannot be read."""

import json
from typing import Any

import pytest

from serin.api.spec import DEFAULT_STAGES, InvalidSpecError, canary_name, parse_spec, spec_to_json

SERVICE = {"name": "a", "control": {"deployment": "a"}, "canary": {"deployment": "b"}}
ROUTED = {**SERVICE, "traffic": {"type": "HTTPRoute", "httpRoute": {"name": "r"}}}
MIRROR = {"name": "copies", "mirror": 100, "duration": "1h"}
SHARE = {"name": "share", "weight": 5, "duration": "1h"}


def test_the_shortest_spec() -> None:
    """One service is enough; the rest is the default, and is left out when it is written."""
    spec = parse_spec({"services": [SERVICE]})
    assert spec.stages == DEFAULT_STAGES
    assert json.loads(json.dumps(spec_to_json(spec))) == {"services": [SERVICE]}
    assert spec.service("a").control.deployment == "a"
    with pytest.raises(KeyError):
        spec.service("b")


def test_the_canary_is_called_after_control_when_serin_makes_it() -> None:
    """A patch has no name of its own."""
    patched = parse_spec({"services": [{**SERVICE, "canary": {"patch": {"spec": {}}}}]})
    assert canary_name(patched.services[0]) == "a-canary"
    assert canary_name(parse_spec({"services": [SERVICE]}).services[0]) == "b"


@pytest.mark.parametrize(
    ("spec", "path", "what"),
    [
        ({}, "spec", "services"),
        ({"services": []}, "spec.services", "length >= 1"),
        ({"services": [SERVICE], "colour": "red"}, "spec", "colour"),
        (
            {"services": [SERVICE], "stages": [{"name": "x", "weight": 101, "duration": "1h"}]},
            "stages[0].weight",
            "100",
        ),
        (
            {"services": [SERVICE], "stages": [{"name": "x", "weight": 5, "duration": "1y"}]},
            "duration",
            "write it like",
        ),
        (
            {"services": [SERVICE], "stages": [{"name": "x", "duration": "1h"}]},
            "stages[0]",
            "write weight: 1 to 100 for a share of the traffic, or mirror: 1 to 100",
        ),
        ({"services": [ROUTED], "stages": [MIRROR | {"weight": 5}, SHARE]}, "stages[0]", "and not both"),
        ({"services": [ROUTED], "stages": [MIRROR | {"minSamples": 5}, SHARE]}, "stages[0]", "leave it out"),
        ({"services": [ROUTED], "stages": [SHARE, MIRROR]}, "stage copies", "for the first stage"),
        ({"services": [ROUTED], "stages": [MIRROR]}, "stage copies", "before one with a weight"),
        ({"services": [SERVICE], "stages": [MIRROR, SHARE]}, "stage copies", "needs traffic.type HTTPRoute"),
        (
            {"services": [ROUTED], "stages": [MIRROR, SHARE], "metrics": {"preset": "Istio"}},
            "stage copies",
            "write preset: Http",
        ),
        ({"services": [SERVICE], "promotion": {"bake": 60}}, "bake", "needs a unit"),
        ({"services": [SERVICE], "promotion": {"approval": "Perhaps"}}, "spec.promotion.approval", "Perhaps"),
    ],
)
def test_an_unreadable_spec_gets_a_sentence(spec: dict[str, Any], path: str, what: str) -> None:
    """The sentence begins with the field's path and says what is wrong."""
    with pytest.raises(InvalidSpecError) as caught:
        parse_spec(spec)
    assert str(caught.value).startswith("spec")
    assert path in str(caught.value)
    assert what in str(caught.value)
