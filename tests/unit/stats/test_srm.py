"""Sample ratio mismatch: held rarely when the split is right, soon when it is not."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from serin.stats import SampleRatio, SampleRatioConfig, count_split, judge_split
from serin.stats.srm import CONCENTRATION

CONFIG = SampleRatioConfig()


def test_e_value_is_the_integral_over_the_prior() -> None:
    """The closed form equals scipy's numerical integral of the likelihood ratio over the Beta prior."""
    weight, control, canary = 0.05, 180, 20
    prior = stats.beta(CONCENTRATION * weight, CONCENTRATION * (1 - weight))

    def ratio(p: float) -> float:
        log = canary * math.log(p / weight) + control * math.log((1 - p) / (1 - weight))
        return math.exp(log) * float(prior.pdf(p))

    expected, _ = integrate.quad(ratio, 1e-9, 0.6, limit=200)
    state = count_split(CONFIG, SampleRatio(), weight=weight, control=control, canary=canary)
    assert state.largest == pytest.approx(max(0.0, math.log(expected)), abs=1e-6)


@pytest.mark.parametrize("weight", [0.05, 0.5])
def test_mean_is_exactly_one_under_the_intended_split(weight: float) -> None:
    """Summed over all outcomes of 30 users in two weights, the e-value has mean 1: a fair bet, across a change too."""
    total = 0.0
    for first, second in itertools.product(range(16), range(16)):
        state = count_split(CONFIG, SampleRatio(), weight=weight, control=15 - first, canary=first)
        state = count_split(CONFIG, state, weight=0.3, control=0, canary=0)
        state = count_split(CONFIG, state, weight=0.4, control=15 - second, canary=second)
        closed = count_split(CONFIG, state, weight=0.45, control=0, canary=0).closed
        chance = stats.binom.pmf(first, 15, weight) * stats.binom.pmf(second, 15, 0.4)
        total += float(chance) * math.exp(closed)
    assert total == pytest.approx(1.0)


def test_right_splits_are_held_rarely_and_wrong_ones_soon() -> None:
    """1,000 right runs of 500 looks at alpha 0.05: at most 5 % held; 53:47 for 50:50 is held within 20,000 users."""
    rng = np.random.default_rng(1)
    config = SampleRatioConfig(alpha=0.05)
    canary = np.cumsum(rng.binomial(40, 0.5, (300, 500)), axis=1)
    held = 0
    for run in canary.tolist():
        state = SampleRatio()
        for look, before in zip(run, [0, *run], strict=False):
            state = count_split(config, state, weight=0.5, control=40 - (look - before), canary=look - before)
        held += judge_split(config, state).holds
    assert held <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)
    state = SampleRatio()
    for _ in range(200):
        split = int(rng.binomial(100, 0.47))
        state = count_split(CONFIG, state, weight=0.5, control=100 - split, canary=split)
    evidence = judge_split(CONFIG, state)
    assert evidence.holds
    assert evidence.evidence >= 1
    assert evidence.reason == f"the canary got 47% of {evidence.users:,} users, 50% were intended"


def test_requests_may_deviate_within_the_band() -> None:
    """Three million requests at 5.08 % for 5 % are held without a band, not with one of 2 %; 6 % are held anyway."""
    requests = SampleRatioConfig(band=0.02, phi=4.0)
    near = {"weight": 0.05, "control": 2_847_600, "canary": 152_400}
    assert judge_split(CONFIG, count_split(CONFIG, SampleRatio(), **near)).holds  # type: ignore[arg-type]
    assert not judge_split(requests, count_split(requests, SampleRatio(), **near)).holds  # type: ignore[arg-type]
    far = {"weight": 0.05, "control": 2_820_000, "canary": 180_000}
    assert judge_split(requests, count_split(requests, SampleRatio(), **far)).holds  # type: ignore[arg-type]


@given(st.integers(1, 50), st.integers(0, 400), st.integers(0, 400))
def test_requests_of_a_user_count_as_one(each: int, control: int, canary: int) -> None:
    """Users who make as many requests each: with phi as many, the requests' evidence is that of the users."""
    users = count_split(CONFIG, SampleRatio(), weight=0.3, control=control, canary=canary)
    config = SampleRatioConfig(phi=each)
    requests = count_split(config, SampleRatio(), weight=0.3, control=control * each, canary=canary * each)
    assert requests.largest == pytest.approx(users.largest, abs=1e-9)


def test_no_more_users_than_there_can_be() -> None:
    """Beyond `most` more requests are no more evidence: a persistent few users may lie off the weight for ever."""
    config = SampleRatioConfig(phi=100.0, most=500.0)
    near = [count_split(config, SampleRatio(), weight=0.5, control=55 * n, canary=45 * n) for n in (10**3, 10**6)]
    assert near[0].largest == pytest.approx(near[1].largest)
    assert not judge_split(config, near[1]).holds
    assert judge_split(
        config, count_split(config, SampleRatio(), weight=0.5, control=7 * 10**6, canary=3 * 10**6)
    ).holds


def test_users_of_lower_weights_may_be_among_them() -> None:
    """Where the weight is the most that is right, any share below it is, and one above is not."""
    config = SampleRatioConfig(at_most=True)
    held = [
        judge_split(config, count_split(config, SampleRatio(), weight=0.5, control=10_000 - n, canary=n)).holds
        for n in (0, 500, 3000, 5000, 5500)
    ]
    assert held == [False, False, False, False, True]


@given(st.lists(st.tuples(st.sampled_from([0.05, 0.5]), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=8))
def test_records_are_exact(looks: list[tuple[float, int, int]]) -> None:
    """Stopped and resumed at every look, the state is the same to the last bit, and short."""
    whole = resumed = SampleRatio()
    for weight, control, canary in looks:
        whole = count_split(CONFIG, whole, weight=weight, control=control, canary=canary)
        resumed = SampleRatio.from_record(resumed.record())
        resumed = count_split(CONFIG, resumed, weight=weight, control=control, canary=canary)
        assert whole == resumed
        assert len(whole.record()) <= 120


@given(st.floats(0.02, 0.98), st.integers(0, 2000), st.integers(0, 2000))
def test_variants_may_be_relabelled(weight: float, control: int, canary: int) -> None:
    """To call control canary and the other way round changes no evidence."""
    one = count_split(CONFIG, SampleRatio(), weight=weight, control=control, canary=canary)
    other = count_split(CONFIG, SampleRatio(), weight=1 - weight, control=canary, canary=control)
    assert one.largest == pytest.approx(other.largest, abs=1e-6)


@pytest.mark.parametrize("bad", [{"alpha": 0.0}, {"band": 1.0}, {"phi": 0.5}, {"most": 0.0}])
def test_bad_settings(bad: dict[str, float]) -> None:
    """A number out of its range is refused with a sentence."""
    with pytest.raises(ValueError, match="write"):
        SampleRatioConfig(**bad)


def test_bad_input() -> None:
    """Negative counts and foreign records are refused; a weight of 0 or 1 is no split and counts nothing."""
    with pytest.raises(ValueError, match="0 or more"):
        count_split(CONFIG, SampleRatio(), weight=0.5, control=-1, canary=0)
    with pytest.raises(ValueError, match="starts anew"):
        SampleRatio.from_record("2 0 0")
    assert count_split(CONFIG, SampleRatio(), weight=1.0, control=0, canary=100) == SampleRatio()
    assert judge_split(CONFIG, SampleRatio()).observed is None
