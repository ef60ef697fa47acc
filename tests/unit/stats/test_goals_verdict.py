"""From intervals to verdicts: every region, both directions, and error rates of whole simulated stages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.stats.goals import (
    Comparison,
    GoalRule,
    GoalVerdict,
    Moments,
    bounds,
    judge_goal,
    users_that_decide,
    welch,
)

SUPERIOR, NON_INFERIOR = GoalVerdict.SUPERIOR, GoalVerdict.NON_INFERIOR
INFERIOR, INCONCLUSIVE = GoalVerdict.INFERIOR, GoalVerdict.INCONCLUSIVE


def comparison(difference: float, users: int = 20_000) -> Comparison:
    """Return a comparison with that difference and standard deviations of 1; 20,000 users have an error of 0.01."""
    control = Moments(users, 0.0, float(users - 1))
    canary = Moments(users, users * difference, users - 1 + users * difference**2)
    found = welch(control, canary)
    assert found is not None
    assert found.error == pytest.approx(math.sqrt(2 / users), rel=1e-6)
    return found


@pytest.mark.parametrize(
    ("difference", "margin", "verdict"),
    [
        (0.15, 0.1, SUPERIOR),
        (0.05, 0.1, NON_INFERIOR),  # better, but by less than what matters
        (0.0, 0.1, NON_INFERIOR),
        (-0.05, 0.1, NON_INFERIOR),  # worse, but by less than what matters
        (-0.09, 0.1, INCONCLUSIVE),  # worse for sure, perhaps by as much as matters, perhaps not
        (-0.2, 0.1, INFERIOR),
        (0.0, 0.0, INCONCLUSIVE),
        (0.05, 0.0, SUPERIOR),
        (-0.05, 0.0, INFERIOR),
        (0.0, 0.015, INCONCLUSIVE),
        (-0.012, 0.015, INCONCLUSIVE),
    ],
)
@pytest.mark.parametrize("increase", [True, False])
def test_regions(difference: float, margin: float, verdict: GoalVerdict, increase: bool) -> None:
    """Where the interval lies between the margin and zero decides; a decrease is the mirror image."""
    rule = GoalRule(margin, increase=increase)
    found = judge_goal(rule, comparison(difference if increase else -difference), 2.0, 2.3)
    assert found.verdict is verdict
    assert found.low < (difference if increase else -difference) < found.high


def test_promotion() -> None:
    """A proven gain promotes everybody; a proven absence of loss only those who asked for no more."""
    assert GoalRule(0.1, superior=True).promotes(SUPERIOR)
    assert GoalRule(0.1).promotes(SUPERIOR)
    assert GoalRule(0.1).promotes(NON_INFERIOR)
    assert not GoalRule(0.1, superior=True).promotes(NON_INFERIOR)
    assert not any(GoalRule(0.1).promotes(each) for each in (INFERIOR, INCONCLUSIVE))


def test_the_rollback_has_a_limit_of_its_own() -> None:
    """Worse at the level of claims, and not at that of rollbacks: a person decides."""
    assert judge_goal(GoalRule(0.0), comparison(-0.022), 2.0, 2.5).verdict is INCONCLUSIVE
    assert judge_goal(GoalRule(0.0), comparison(-0.5), 2.0, math.inf).verdict is INCONCLUSIVE


@given(
    st.floats(-0.5, 0.5),
    st.sampled_from([0.0, 0.02, 0.1]),
    st.floats(1.5, 5.0),
    st.floats(0.0, 2.0),
    st.booleans(),
)
def test_more_evidence_never_turns_a_verdict_around(
    difference: float, margin: float, critical: float, extra: float, superior: bool
) -> None:
    """A larger gain is never judged worse, and a stricter look never proves more."""
    order = (INFERIOR, INCONCLUSIVE, NON_INFERIOR, SUPERIOR)
    rule = GoalRule(margin, superior=superior)

    def judged(gain: float, z: float) -> GoalVerdict:
        return judge_goal(rule, comparison(gain, 400), z, z).verdict

    assert order.index(judged(difference + 0.1, critical)) >= order.index(judged(difference, critical))
    strict = judged(difference, critical + extra)
    assert strict in {INCONCLUSIVE, NON_INFERIOR, judged(difference, critical)}


def stage(random: np.random.Generator, effect: float, rule: GoalRule, days: int = 13) -> list[GoalVerdict]:
    """Return the verdicts of a stage of daily looks at 200 users a day and variant."""
    sums = np.zeros((2, 3))
    verdicts, fractions, information = [], [], []
    for day in range(1, days + 1):
        for variant, mean in enumerate((0.0, effect)):
            values = random.normal(mean, 1.0, 200)
            sums[variant] += (200, values.sum(), (values**2).sum())
        found = welch(Moments(*map(float, sums[0])), Moments(*map(float, sums[1])))
        assert found is not None
        fractions.append(day / days)
        information.append(found.information)
        limits = bounds(fractions, 0.05, information=information)
        rollback = bounds(fractions, 0.01, information=information, sides=1)
        verdicts.append(judge_goal(rule, found, limits[-1], rollback[-1]).verdict)
    return verdicts


def test_a_healthy_canary_over_a_stage() -> None:
    """No difference and margin 0: superior in 2.5 % at the most, rolled back in 1 % at the most, over all looks."""
    random = np.random.default_rng(21)
    runs = [stage(random, 0.0, GoalRule(0.0)) for _ in range(150)]
    better = np.mean([SUPERIOR in verdicts for verdicts in runs])
    worse = np.mean([INFERIOR in verdicts for verdicts in runs])
    assert better <= 0.025 + 3 * math.sqrt(0.025 / 150)
    assert worse <= 0.01 + 3 * math.sqrt(0.01 / 150)


def test_a_canary_at_the_margin_is_seldom_promoted() -> None:
    """A canary that is worse by exactly the margin passes the last look as non-inferior in 2.5 % at the most."""
    random = np.random.default_rng(22)
    last = [stage(random, -0.1, GoalRule(0.1))[-1] for _ in range(200)]
    promoted = np.mean([verdict in {SUPERIOR, NON_INFERIOR} for verdict in last])
    assert promoted <= 0.025 + 3 * math.sqrt(0.025 / 200)


def test_a_harmful_canary_is_found() -> None:
    """Worse by 0.15 standard deviations: rolled back before the stage ends, nearly always."""
    random = np.random.default_rng(23)
    runs = [stage(random, -0.15, GoalRule(0.0)) for _ in range(60)]
    assert np.mean([INFERIOR in verdicts for verdicts in runs]) > 0.95


@pytest.mark.parametrize(
    ("rule", "difference", "verdict"),
    [
        (GoalRule(0.1), 0.0, NON_INFERIOR),
        (GoalRule(0.1), -0.09, NON_INFERIOR),
        (GoalRule(0.1), -0.2, INFERIOR),
        (GoalRule(0.1, superior=True), 0.2, SUPERIOR),
        (GoalRule(0.1, superior=True), 0.05, NON_INFERIOR),
        (GoalRule(0.1, superior=True), -0.01, NON_INFERIOR),
        (GoalRule(0.1, increase=False), 0.09, NON_INFERIOR),
    ],
)
def test_users_that_decide(rule: GoalRule, difference: float, verdict: GoalVerdict) -> None:
    """What the present difference points to; with that many users the verdict comes in 80 of 100 experiments."""
    now = comparison(difference, 200)
    found = users_that_decide(rule, now, 1.96)
    assert found is not None
    assert found[0] is verdict
    count = found[1]
    random = np.random.default_rng(30)
    error = math.sqrt(2 / count)
    reached = []
    for estimate in random.normal(difference, error, 400):
        judged = judge_goal(rule, comparison(float(estimate), count), 1.96, 1.96).verdict
        reached.append(judged is verdict or (verdict is NON_INFERIOR and judged is SUPERIOR))
    # A margin within reach of "no worse" also turns some Inferior into NonInferior, and back.
    assert np.mean(reached) == pytest.approx(0.8, abs=0.07)


def test_on_the_line_no_number_decides() -> None:
    """A difference that is exactly none, asked for a gain: no number of users would decide."""
    assert users_that_decide(GoalRule(0.0, superior=True), comparison(0.0), 2.0) is None


def test_a_margin_has_no_sign() -> None:
    """The direction says which way is better."""
    with pytest.raises(ValueError, match="direction says which way"):
        GoalRule(-0.1)
