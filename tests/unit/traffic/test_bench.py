"""The bench's own arithmetic: a wrong reading of the answers would prove anything."""

import math

import pytest

from tests.bench.traffic.probe import Answer
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
