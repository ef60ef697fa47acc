"""Benefit: is the new version better for users, and does it do no harm to them?

Guardrails are looked at all the time; goals only a planned number of times, so ordinary t-tests with group-sequential
bounds are stronger here. Everything works on counts, sums and sums of squares, one value per user.

* `Moments`, `welch`, `Comparison`: two variants compared, with intervals and effect sizes.
* `bounds`, `spent`, `crossing`: critical values for looks while the data arrives. `repeated_p_value`.
* `GoalRule`, `judge_goal`, `GoalVerdict`, `users_that_decide`: what a comparison means for the rollout.
* `sample_size`, `smallest_effect`, `power_of`, `inflation`, `days_needed`: planning, before the start.
* `BlockSums`, `paired_blocks`, `reweighted`: the same question asked in another way, as a cross-check.
* `holm`, `benjamini_hochberg`, `segments`: many comparisons at once.
* `cohen_h`, `risk_difference`, `common_language`: effects that are reported and decide nothing.

It needs numpy. `scipy.special` is imported when a t-distribution is first asked for; scipy.stats never is.
"""

from serin.stats.goals.blocks import BlockSums, BlockTest, paired_blocks
from serin.stats.goals.effects import RiskDifference, cohen_h, common_language, risk_difference
from serin.stats.goals.moments import Moments
from serin.stats.goals.multiple import Segment, benjamini_hochberg, holm, segments
from serin.stats.goals.power import days_needed, inflation, power_of, sample_size, smallest_effect
from serin.stats.goals.sequential import bounds, crossing, repeated_p_value, spent
from serin.stats.goals.verdict import GoalJudgement, GoalRule, GoalVerdict, judge_goal, users_that_decide
from serin.stats.goals.weekdays import reweighted
from serin.stats.goals.welch import Comparison, welch

__all__ = [
    "BlockSums",
    "BlockTest",
    "Comparison",
    "GoalJudgement",
    "GoalRule",
    "GoalVerdict",
    "Moments",
    "RiskDifference",
    "Segment",
    "benjamini_hochberg",
    "bounds",
    "cohen_h",
    "common_language",
    "crossing",
    "days_needed",
    "holm",
    "inflation",
    "judge_goal",
    "paired_blocks",
    "power_of",
    "repeated_p_value",
    "reweighted",
    "risk_difference",
    "sample_size",
    "segments",
    "smallest_effect",
    "spent",
    "users_that_decide",
    "welch",
]
