"""Rows become counts only when they can be nothing else."""

import math

import pytest

from serin.api.spec import CustomGuardrail
from serin.engine.observation import MeasurementFailure, ServiceCounts, Unmeasured
from serin.metrics.answers import Row
from serin.metrics.rows import Answer, Target, service_counts

CONTROL, CANARY = ("ns", "web", "control"), ("ns", "web", "canary")
GUARDRAIL = CustomGuardrail(name="checkout", good="ok_total", total="all_total")


def target(**changes: object) -> Target:
    """A service with one custom guardrail."""
    fields = {"custom": (), **changes}
    return Target("ns", "web", frozenset({"control", "web"}), frozenset({"canary", "web-canary"}), **fields)  # type: ignore[arg-type]


def answer() -> Answer:
    """A look in which everything was measured."""
    made = Answer()
    made.codes[CONTROL] = {"200": 90.0, "500": 4.0, "503": 6.0}
    made.codes[CANARY] = {"200": 10.0}
    made.buckets[CONTROL] = {0.1: 80.0, 0.15: 95.0, math.inf: 100.0}
    made.buckets[CANARY] = {0.1: 9.0, 0.15: 10.0, math.inf: 10.0}
    made.before = {CONTROL, CANARY}
    return made


def failed(answer: Answer, target: Target) -> Unmeasured:
    """The failure of a look that must not be counted."""
    result = service_counts(target, answer, 30)
    assert isinstance(result, Unmeasured), result
    return result


def test_everything_measured_is_counted() -> None:
    """Requests are summed over codes, errors are 5xx, and no error series beside requests is zero errors."""
    counts = service_counts(target(), answer(), 30)
    assert isinstance(counts, ServiceCounts)
    assert (counts.control.requests, counts.control.errors) == (100, 10)
    assert (counts.canary.requests, counts.canary.errors) == (10, 0)
    assert counts.control.edges == counts.canary.edges == (0.1, 0.15)
    assert (counts.control.within, counts.control.timed) == ((80, 95), 100)


def test_both_names_of_a_variant_are_added() -> None:
    """The role and the Deployment's name may label different pods of one variant."""
    made = answer()
    made.codes["ns", "web", "web-canary"] = {"200": 5.0, "500": 1.0}
    counts = service_counts(target(), made, 30)
    assert isinstance(counts, ServiceCounts)
    assert (counts.canary.requests, counts.canary.errors) == (16, 1)


@pytest.mark.parametrize("variant", [CONTROL, CANARY])
def test_a_variant_that_was_seen_before_and_is_not_now_is_a_gap(variant: tuple[str, str, str]) -> None:
    """Scrapes that stopped are not zero requests."""
    made = answer()
    del made.codes[variant]
    assert failed(made, target()).failure is MeasurementFailure.GAP


def test_a_canary_without_series_is_empty_and_named() -> None:
    """The sentence names the labels that were looked for."""
    made = answer()
    del made.codes[CANARY]
    made.before.remove(CANARY)
    result = failed(made, target())
    assert result.failure is MeasurementFailure.EMPTY
    assert 'namespace="ns",service="web",variant=~"canary|web-canary"' in result.message


def test_control_unseen_before_the_look_is_a_gap() -> None:
    """Without baselines a look would count lifetimes."""
    made = answer()
    made.before.remove(CONTROL)
    assert failed(made, target()).failure is MeasurementFailure.GAP


def test_requests_without_a_code_are_refused() -> None:
    """A missing code label would otherwise read as no errors."""
    made = answer()
    made.codes[CANARY] = {"": 10.0}
    assert "metrics.labels.code" in failed(made, target()).message


@pytest.mark.parametrize("value", [math.nan, math.inf, 3.7, -1.0])
def test_what_is_no_count_is_refused(value: float) -> None:
    """Counts are whole and not negative."""
    made = answer()
    made.codes[CANARY]["200"] = value
    assert failed(made, target()).failure is MeasurementFailure.NAN


def test_a_canary_that_only_fails_counts_without_a_histogram() -> None:
    """Untimed errors must be able to roll back."""
    made = answer()
    made.codes[CANARY] = {"500": 10.0}
    del made.buckets[CANARY]
    counts = service_counts(target(), made, 30)
    assert isinstance(counts, ServiceCounts)
    assert (counts.canary.errors, counts.canary.timed, counts.canary.within) == (10, 0, (0, 0))


def test_answered_requests_without_a_histogram_are_refused() -> None:
    """A canary whose latency is not measured must not pass."""
    made = answer()
    del made.buckets[CANARY]
    assert failed(made, target()).failure is MeasurementFailure.EMPTY


def test_a_wanted_edge_that_is_missing_is_refused() -> None:
    """A judged edge that disappears is not silently left out."""
    assert "0.2" in failed(answer(), target(edges=(0.15, 0.2))).message


def test_contradicting_buckets_are_refused() -> None:
    """More requests within an edge than altogether is a restart in the middle of the look."""
    made = answer()
    made.buckets[CANARY][0.15] = 11.0
    assert failed(made, target()).failure is MeasurementFailure.GAP


def test_rows_of_one_edge_in_two_forms_are_added() -> None:
    """`1` and `1.0` come from pods of different client libraries."""
    made = Answer()
    labels = {"namespace": "ns", "service": "web", "variant": "control"}
    made.take(target().naming, [Row({**labels, "le": le}, (0.0, "2")) for le in ("1", "1.0")])
    assert made.sums[CONTROL] == {1.0: 4.0}


def test_custom_counts() -> None:
    """Bad is total minus good; a variant without `good` is all bad as long as the other one has it."""
    made = answer()
    made.custom = {"ok_total": {CONTROL: 9.0}, "all_total": {CONTROL: 10.0, CANARY: 3.0}}
    counts = service_counts(target(custom=(GUARDRAIL,)), made, 30)
    assert isinstance(counts, ServiceCounts)
    assert counts.control.custom == (("checkout", 10, 1),)
    assert counts.canary.custom == (("checkout", 3, 3),)


@pytest.mark.parametrize(
    ("good", "failure"),
    [
        ({}, MeasurementFailure.EMPTY),
        ({CONTROL: 11.0}, MeasurementFailure.NAN),
        (Unmeasured(MeasurementFailure.TIMEOUT, "late"), MeasurementFailure.TIMEOUT),
    ],
)
def test_custom_counts_that_can_not_be_true(good: object, failure: MeasurementFailure) -> None:
    """A wrong selector or a failed query never counts as bad."""
    made = answer()
    made.custom = {"ok_total": good, "all_total": {CONTROL: 10.0}}  # type: ignore[dict-item]
    assert failed(made, target(custom=(GUARDRAIL,))).failure is failure
