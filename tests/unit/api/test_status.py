"""Status: what is read back, and the patch between two of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.api.status import Phase, Status, Step, merge_patch, parse_status, status_to_json

LEAVES = st.integers() | st.text(max_size=3) | st.booleans() | st.lists(st.integers(), max_size=2)
OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), LEAVES | inner, max_size=3),
    max_leaves=8,
)


def apply(target: Any, patch: Any) -> Any:
    """Return `target` patched as RFC 7396 describes it, the pseudocode of its section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


@given(OBJECTS, OBJECTS)
def test_a_patch_turns_the_one_into_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Applied by the rules of the RFC, the patch gives `after`, whatever both are."""
    assert apply(before, merge_patch(before, after)) == after


@given(OBJECTS)
def test_nothing_changed_is_an_empty_patch(value: dict[str, Any]) -> None:
    """Equal statuses cost no write."""
    assert merge_patch(value, value) == {}


def test_a_status_survives_the_api_server() -> None:
    """What is written is read back the same; defaults are left out, but for those that have a column."""
    status = Status(phase=Phase.PROGRESSING, weight=5, step=Step(number=1, action="weight", started_at="t"))
    assert parse_status(status_to_json(status)) == status
    assert status_to_json(Status()) == {"phase": "Pending", "weight": 0}


@pytest.mark.parametrize(
    "broken", [{"checkpoint": {"a/b": 5}}, None, {}, {"phase": "Nonsense"}, {"weight": "many"}, [], "text"]
)
def test_an_unreadable_status_is_a_fresh_one(broken: object) -> None:
    """A status that somebody broke by hand does not stop the operator."""
    assert parse_status(broken) == Status()


def test_fields_of_a_newer_operator_are_ignored() -> None:
    """After a downgrade the known fields are still read."""
    assert parse_status({"weight": 5, "later": 1}) == Status(weight=5)
