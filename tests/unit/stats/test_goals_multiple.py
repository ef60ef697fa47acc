"""Many comparisons at once: against statsmodels, and what must hold for any p-values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from serin.stats.goals import Moments, benjamini_hochberg, holm, segments

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(p_values)
def test_the_same_as_statsmodels(raw: list[float]) -> None:
    """Holm and Benjamini-Hochberg against their other implementation."""
    assert holm(raw) == pytest.approx(list(multipletests(raw, method="holm")[1]), abs=1e-12)
    assert benjamini_hochberg(raw) == pytest.approx(list(multipletests(raw, method="fdr_bh")[1]), abs=1e-12)


@given(p_values, st.randoms())
def test_order_does_not_matter(raw: list[float], random: object) -> None:
    """Each goal gets the same answer wherever it stands in the list."""
    order = list(range(len(raw)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = [raw[index] for index in order]
    for method in (holm, benjamini_hochberg):
        adjusted = method(raw)
        assert method(shuffled) == pytest.approx([adjusted[index] for index in order])
        assert all(own >= before * (1 - 1e-12) for own, before in zip(adjusted, raw, strict=True))


def test_none_and_nonsense() -> None:
    """No p-values give none; what is no probability is refused."""
    assert holm([]) == benjamini_hochberg([]) == []
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.1, float("nan")])
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg([1.1])


def test_holm_keeps_its_promise() -> None:
    """Ten goals without any effect: a claim is made in one experiment of twenty at the most."""
    random = np.random.default_rng(2)
    claims = [min(holm(list(random.uniform(size=10)))) <= 0.05 for _ in range(1000)]
    assert np.mean(claims) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_segments_are_exploratory() -> None:
    """Every segment says so; the ones with too few users have no p-value and cost the others nothing."""
    new = Moments(100, 300, 1000), Moments(100, 340, 1256)
    existing = Moments(400, 1200, 4000), Moments(400, 1204, 4024)
    found = segments({"new": new, "existing": existing, "odd": (Moments(1, 1, 1), Moments(0, 0, 0))})
    assert [each.name for each in found] == ["existing", "new", "odd"]
    assert all(each.exploratory for each in found)
    assert found[2].comparison is None
    assert found[2].adjusted is None
    raw = [each.comparison.p for each in found if each.comparison is not None]
    assert [each.adjusted for each in found[:2]] == pytest.approx(benjamini_hochberg(raw))
