"""The bench's own arithmetic: a wrong reading of the answers would prove anything."""

import math
from typing import Any

import pytest

from tests.bench.traffic.place import moves
from tests.bench.traffic.probe import Answer
from tests.bench.traffic.ratio import sample_ratio
from tests.bench.traffic.switching import taken_after


def answers(*variants: str) -> list[Answer]:
    """Return answers, a hundredth of a second apart from 10 s on."""
    return [Answer(10 + at / 100, variant, "") for at, variant in enumerate(variants)]


def test_a_change_is_taken_when_the_rest_is_at_it() -> None:
    """The time counts to the first request after which 99 % are right, not to the first lucky one."""
    mixed = answers(*(["control"] * 5 + ["canary"] + ["control"] * 4 + ["canary"] * 200))
    assert taken_after(mixed, "canary", 10.0) == pytest.approx(0.10)


def test_one_late_request_in_a_hundred_is_allowed() -> None:
    """99 % is what is asked for; two of a hundred are too many."""
    one = answers(*(["canary"] * 60 + ["control"] + ["canary"] * 60))
    assert taken_after(one, "canary", 10.0) == pytest.approx(0.0)
    two = answers(*(["canary"] * 40 + ["control"] * 2 + ["canary"] * 40))
    assert taken_after(two, "canary", 10.0) == pytest.approx(0.42)


def test_a_change_that_never_comes_is_infinite() -> None:
    """Too few requests, or none at the new weight, are no measurement."""
    assert taken_after(answers(*["control"] * 100), "canary", 10.0) == math.inf
    assert taken_after(answers(*["canary"] * 5), "canary", 10.0) == math.inf


def patch(canary: int, control: int) -> list[dict[str, Any]]:
    """Return a patch of a route's weights, as the router writes it."""
    values = {"/spec/rules/0/backendRefs/0/weight": canary, "/spec/rules/0/backendRefs/1/weight": control}
    test = {"op": "test", "path": "/metadata/generation", "value": 7}
    return [test, *({"op": "add", "path": path, "value": value} for path, value in values.items())]


def test_a_change_begins_with_the_write_that_moves_requests() -> None:
    """On the way to 0 that is the one that leaves a trace, and on the way to 5 % it is not the trace."""
    assert moves(0, patch(1, 999_999))
    assert moves(100, patch(999_999, 1))
    assert moves(5, patch(5, 95))
    assert not moves(5, patch(1, 999_999))
    assert not moves(0, patch(999_999, 1))
    assert not moves(0, [{"op": "add", "path": "/spec/replicas", "value": 0}])


def test_the_sample_ratio_is_the_operators() -> None:
    """A quarter of 4,000 is a quarter; 30 % of them is none."""
    assert not sample_ratio(["canary"] * 1000 + ["control"] * 3000, 25).holds
    assert sample_ratio(["canary"] * 1200 + ["control"] * 2800, 25).holds
