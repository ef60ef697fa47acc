"""What was measured of a goal at one moment: sums over the users of both variants, so far.

A module of its own, so that the metrics can make it and the decisions can read it without knowing each other.
"""

from dataclasses import dataclass, field

from serin.stats.goals import Moments


@dataclass(frozen=True, slots=True)
class GoalReading:
    """The users of one goal.

    Args:
        control: control's users.
        canary: the canary's users.
        at: Unix time in seconds for which the sums hold.
        segments: (control, canary) by the segment's name; empty when the goal has none.
    """

    control: Moments
    canary: Moments
    at: float
    segments: dict[str, tuple[Moments, Moments]] = field(default_factory=dict)
