"""Durations and shares: what is read, what is kept, what is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.api.units import DURATION_PATTERN, SHARE_PATTERN, Duration, Share, decode_unit, encode_unit

UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
COUNTS = st.tuples(*[st.none() | st.integers(0, 999)] * 5).filter(lambda counts: any(c is not None for c in counts))


@given(COUNTS)
def test_a_duration_is_the_sum_of_its_parts(counts: tuple[int | None, ...]) -> None:
    """Every combination of units, largest first, is read, and the text is kept as written."""
    pairs = [(count, unit, size) for count, (unit, size) in zip(counts, UNITS, strict=True) if count is not None]
    text = "".join(f"{count}{unit}" for count, unit, _ in pairs)
    duration = Duration(text)
    assert duration.seconds == pytest.approx(sum(count * size for count, _, size in pairs) / 1000)
    assert str(duration) == encode_unit(duration) == text
    assert re.search(DURATION_PATTERN, text)


@given(st.decimals(0, 1000, places=3, allow_nan=False))
def test_a_share_is_a_hundredth_of_its_number(number: object) -> None:
    """The percentage that was written is the value times 100."""
    share = Share(f"{number}%")
    assert share.value * 100 == pytest.approx(float(str(number)))
    assert re.search(SHARE_PATTERN, str(share))


@given(st.text(max_size=12))
def test_a_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    """No text does anything but be read or raise a ValueError that shows how to write it."""
    for kind, example in ((Duration, "1h30m"), (Share, "0.5%")):
        try:
            kind(text)
        except ValueError as error:
            assert example in str(error)  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize("text", ["", "5", "1w", "1.5h", "30m1h", "-5s", " 5s", "5 s", "5min"])
def test_what_is_not_a_duration(text: str) -> None:
    """A missing, unknown or misplaced unit is refused."""
    with pytest.raises(ValueError, match="is not a duration: write it like 30s"):
        Duration(text)


@pytest.mark.parametrize("text", ["", "1", "0.01", "%", "-1%", ".5%", "1 %", "1%%"])
def test_what_is_not_a_share(text: str) -> None:
    """A number without its sign is refused: it could mean one percent or all of it."""
    with pytest.raises(ValueError, match="is not a share: write it as a percentage"):
        Share(text)


def test_equality_is_of_the_value() -> None:
    """The same length in other words is equal, and has the same hash."""
    assert Duration("24h") == Duration("1d")
    assert hash(Duration("24h")) == hash(Duration("1d"))
    assert Share("10%") == Share("10.0%") != Share("1%")
    assert Duration("1s") != "1s"


@pytest.mark.parametrize("kind", [Duration, Share])
def test_a_number_needs_a_unit(kind: type) -> None:
    """YAML's plain 30 is refused with a sentence."""
    with pytest.raises(ValueError, match="needs a unit: write a string like 30s"):
        decode_unit(kind, 30)
