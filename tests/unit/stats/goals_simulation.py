"""What a stage with goals comes to, by true effect: run it as a script for the table of docs/goals.md.

PYTHONPATH=operator python tests/unit/stats/goals_simulation.py [RUNS]

A stage of 13 daily looks at 250 new users a day and variant, values with a standard deviation of 1, margin 0.1, alpha
0.05; Inferior at a one-sided level of 0.01, as with two services, two guardrails each, and one goal.
"""

import math
import sys

import numpy as np

from serin.stats.goals import GoalRule, GoalVerdict, Moments, bounds, judge_goal, welch

LOOKS = 13
USERS = 250
EFFECTS = (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15)
CRITICAL = bounds([look / LOOKS for look in range(1, LOOKS + 1)], 0.05)
ROLLBACK = bounds([look / LOOKS for look in range(1, LOOKS + 1)], 0.01, sides=1)


def stage(random: np.random.Generator, effect: float, rule: GoalRule) -> tuple[GoalVerdict, int]:
    """Return the verdict of the look that ended the stage, and the number of that look."""
    verdict, users = GoalVerdict.INCONCLUSIVE, Moments(0, 0, 0)
    control, canary = users, users
    for look in range(1, LOOKS + 1):
        control, canary = control + _day(random, 0.0), canary + _day(random, effect)
        comparison = welch(control, canary)
        assert comparison is not None
        verdict = judge_goal(rule, comparison, CRITICAL[look - 1], ROLLBACK[look - 1]).verdict
        if verdict is GoalVerdict.INFERIOR:
            return verdict, look
    return verdict, LOOKS


def _day(random: np.random.Generator, mean: float) -> Moments:
    average = mean + random.normal() / math.sqrt(USERS)
    return Moments(USERS, USERS * average, USERS * average**2 + random.chisquare(USERS - 1))


def row(effect: float, rule: GoalRule, runs: int, seed: int) -> str:
    """Return one line of the table, in per cent with the Monte-Carlo error of the first column."""
    random = np.random.default_rng(seed)
    ends = [stage(random, effect, rule) for _ in range(runs)]
    promoted = sum(rule.promotes(verdict) for verdict, _ in ends) / runs
    back = [look for verdict, look in ends if verdict is GoalVerdict.INFERIOR]
    person = 1 - promoted - len(back) / runs
    error = 100 * math.sqrt(max(promoted * (1 - promoted), 1 / runs) / runs)
    day = f"{np.median(back):g}" if len(back) > runs / 100 else "-"
    shares = f"{100 * promoted:.1f} ± {error:.1f} | {100 * len(back) / runs:.1f} | {100 * person:.1f}"
    return f"| {effect:+g} | {shares} | {day} |"


def main() -> None:
    """Print both tables."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    for name, rule in (("NonInferior", GoalRule(0.1)), ("Superior", GoalRule(0.1, superior=True))):
        print(f"\npromoteOn: {name}, minimumEffect 0.1; {runs} stages each, %\n")
        print("| true effect | promoted | rolled back | a person decides | median day of the rollback |")
        print("|---|---|---|---|---|")
        for seed, effect in enumerate(EFFECTS):
            print(row(effect, rule, runs, seed), flush=True)


if __name__ == "__main__":
    main()
