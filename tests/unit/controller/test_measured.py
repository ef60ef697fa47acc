"""Who is asked for together: all who need the same look, and nobody else."""

from serin.controller.measured import Measured, Slot
from serin.controller.store import Key
from serin.metrics.source import Target

ONE, OTHER = Slot(30.0, 0.0), Slot(30.0, 5.0)


def target(name: str) -> Target:
    """A service."""
    return Target("shop", name, frozenset({"control"}), frozenset({"canary"}))


def names(measured: Measured, slot: Slot, ends_at: float, seconds: float) -> list[str]:
    """The services of a look."""
    return sorted(each.service for each in measured.who(slot, ends_at, seconds))


def put(measured: Measured, name: str, slot: Slot = ONE, until: float = 900.0) -> None:
    """An experiment with one service of its own name."""
    measured.put(Key("shop", name), slot, until, (target(name),))


def test_a_slot_is_asked_for_together() -> None:
    """Those whose looks end at other moments, or have another length, are not in the query."""
    measured = Measured()
    put(measured, "a"), put(measured, "b"), put(measured, "late", OTHER), put(measured, "slow", Slot(60.0, 0.0))
    assert names(measured, ONE, 930.0, 30.0) == ["a", "b"]
    assert names(measured, OTHER, 935.0, 30.0) == ["late"]
    assert names(measured, Slot(60.0, 0.0), 960.0, 60.0) == ["slow"]


def test_who_is_behind_needs_the_newer_looks_too() -> None:
    """A look of one interval is everybody's who is behind it; what is merged is of those who stopped there."""
    measured = Measured()
    put(measured, "current"), put(measured, "behind", until=600.0), put(measured, "ahead", until=930.0)
    assert names(measured, ONE, 930.0, 30.0) == ["behind", "current"]
    assert names(measured, ONE, 900.0, 300.0) == ["behind"]


def test_of_thousands_nobody_is_asked_for_what_a_longer_look_will_have() -> None:
    """Each would be in the query of everybody else, while all of them are behind."""
    measured = Measured()
    for number in range(3000):
        put(measured, f"other-{number}", OTHER, 905.0)
    put(measured, "current"), put(measured, "behind", until=600.0)
    assert names(measured, ONE, 930.0, 30.0) == ["current"]
    assert names(measured, ONE, 930.0, 330.0) == ["behind"]


def test_what_is_asked_ahead_is_of_those_who_are_up_to_date() -> None:
    """Who is behind has older looks to count first, and who is ahead has counted it."""
    measured = Measured()
    put(measured, "current"), put(measured, "behind", until=870.0), put(measured, "ahead", until=930.0)
    put(measured, "late", OTHER)
    assert measured.next(ONE, 930.0) == {Key("shop", "current"): (target("current"),)}


def test_who_is_measured_no_more_is_not_asked_for() -> None:
    """Removed, or moved to another slot by another interval."""
    measured = Measured()
    put(measured, "a"), put(measured, "b")
    measured.remove(Key("shop", "a"))
    measured.remove(Key("shop", "never"))
    assert names(measured, ONE, 930.0, 30.0) == ["b"]
    put(measured, "b", OTHER, 905.0)
    assert names(measured, ONE, 930.0, 30.0) == []
    assert names(measured, OTHER, 935.0, 30.0) == ["b"]
