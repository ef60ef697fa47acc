"""Sums over users for the A/B goals, as SQL: count, sum and sum of squares by variant and segment.

The unit that is randomised is the user, so it is the unit that is summed: a user with a hundred ratings is one figure,
their mean. Three numbers a group are all that a test of means needs, and none of them tells about one user.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import CTE, Float, Select, case, cast, distinct, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

NEW_USER_DAYS: Final = 7
"""Whoever was seen for the first time less than so many days before the window's end is `new`, others `existing`."""
CANARY: Final = "canary"


@dataclass(frozen=True, slots=True)
class Window:
    """The time that the sums are about; both in UTC."""

    since: dt.datetime
    until: dt.datetime


@dataclass(frozen=True, slots=True)
class Exposures:
    """Who was served when by which variant.

    Attributes:
        served: SELECT user_id, variant, at: one row for each time that a user was served.
        first_seen: SELECT user_id, first_at: when each user was first seen, also before the window.
    """

    served: Select[Any]
    first_seen: Select[Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to become better.

    Attributes:
        name: Value of the label `goal`.
        values: SELECT user_id, value. A user's figure is the mean of their values; without any they are not counted.
    """

    name: str
    values: Select[Any]


@dataclass(frozen=True, slots=True)
class GoalPlan:
    """What a service computes its sums from, for one window."""

    exposures: Exposures
    goals: Sequence[Goal]


@dataclass(frozen=True, slots=True)
class GoalSums:
    """The sums of one goal over the users of one group."""

    goal: str
    variant: str
    segment: str
    users: int
    total: float
    squares: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is exported.

    Attributes:
        sums: The sums of each goal.
        mixed_users: Users whom both variants served; they count for the one that served them first.
        active_users: Users of the last day by the variant that served them first in it.
        adoption_ratio: Share of the last day's users whom the canary served at least once, 0 to 1; 0 without users.
    """

    sums: tuple[GoalSums, ...] = ()
    mixed_users: int = 0
    active_users: dict[str, int] | None = None
    adoption_ratio: float = 0.0


async def compute(connection: AsyncConnection, plan: GoalPlan, window: Window) -> Figures:
    """Compute the figures of a window: one statement for each goal, two for the users.

    Args:
        connection: A connection that may only read.
        plan: What they are computed from.
        window: Exposures outside of it are left out.
    """
    users = _users(plan.exposures, window)
    sums: list[GoalSums] = []
    for goal in plan.goals:
        rows = await connection.execute(_sums(goal, users))
        sums += [GoalSums(goal.name, row.variant, row.segment, row.users, row.total, row.squares) for row in rows]
    mixed = (await connection.execute(select(func.count()).where(users.c.variants > 1))).scalar_one()
    day = Window(max(window.since, window.until - dt.timedelta(days=1)), window.until)
    recent = _users(plan.exposures, day)
    daily = select(recent.c.variant, func.count().label("users"), func.sum(recent.c.canary).label("canary"))
    rows = (await connection.execute(daily.group_by(recent.c.variant))).all()
    active = sum(row.users for row in rows)
    return Figures(
        sums=tuple(sums),
        mixed_users=mixed,
        active_users={row.variant: row.users for row in rows},
        adoption_ratio=sum(row.canary for row in rows) / active if active else 0.0,
    )


async def began(connection: AsyncConnection, exposures: Exposures, window: Window) -> dt.datetime:
    """Return when the comparison began: when the later of the variants began to serve, within the window.

    Before that moment everybody was control's, and whoever came then would count for it for ever.
    """
    served = exposures.served.subquery()
    first = select(func.min(served.c.at).label("at")).where(served.c.at >= window.since, served.c.at < window.until)
    found = [row.at for row in await connection.execute(first.group_by(served.c.variant))]
    # SQLite forgets the time zone; everything is stored in UTC.
    moments = [moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC) for moment in found]
    return max([window.since, *moments]) if len(moments) > 1 else window.since


def _users(exposures: Exposures, window: Window) -> CTE:
    """One row a user: the variant that served first in the window, the number of variants, and the segment."""
    served = exposures.served.subquery()
    seen = exposures.first_seen.subquery()
    within = (
        select(
            served.c.user_id,
            served.c.variant,
            func.row_number()
            .over(partition_by=served.c.user_id, order_by=(served.c.at, served.c.variant))
            .label("place"),
        )
        .where(served.c.at >= window.since, served.c.at < window.until)
        .cte("within_window")
    )
    newcomer = seen.c.first_at >= window.until - dt.timedelta(days=NEW_USER_DAYS)
    return (
        select(
            within.c.user_id,
            func.max(case((within.c.place == 1, within.c.variant))).label("variant"),
            func.count(distinct(within.c.variant)).label("variants"),
            func.max(case((within.c.variant == CANARY, 1), else_=0)).label("canary"),
            func.max(case((newcomer, "new"), else_="existing")).label("segment"),
        )
        .join(seen, seen.c.user_id == within.c.user_id, isouter=True)
        .group_by(within.c.user_id)
        .cte("served_users")
    )


def _sums(goal: Goal, users: CTE) -> Select[Any]:
    values = goal.values.subquery()
    figures = (
        select(values.c.user_id, func.avg(cast(values.c.value, Float)).label("value"))
        .where(values.c.value.is_not(None))
        .group_by(values.c.user_id)
        .cte("figures")
    )
    return (
        select(
            users.c.variant,
            users.c.segment,
            func.count().label("users"),
            func.sum(figures.c.value).label("total"),
            func.sum(figures.c.value * figures.c.value).label("squares"),
        )
        .join(figures, figures.c.user_id == users.c.user_id)
        .group_by(users.c.variant, users.c.segment)
    )
