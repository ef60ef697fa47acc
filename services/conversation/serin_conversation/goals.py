"""What the A/B goals of conversations are computed from, as SQL.

- `satisfaction`: ratings, 1 to 5.
- `session_duration_seconds`: from the start of a conversation to its end, or to what was said last.
- `completion`: 1 for a conversation that ended with `completed`, 0 for one that ended without or was left alone.
- `return_7d`: 1 for a user who began another conversation within 7 days after their first one, 0 for one who did not.

What is not decided yet is left out: a conversation that goes on has no duration, and a user whose 7 days are not over
has not failed to return. (Who has returned early is left out until then too, or those who return would be counted
sooner than those who do not.)
"""

import datetime as dt
from typing import Any, Final

from sqlalchemy import Float, Select, and_, case, exists, func, literal, or_, select, union_all
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from serin_conversation.schema import feedback, sessions, turns
from serin_services.goals import Exposures, Goal, GoalPlan, Window

IDLE: Final = dt.timedelta(minutes=30)
"""A conversation in which nothing was said for so long is over."""
RETURN_WITHIN: Final = dt.timedelta(days=7)
ANOTHER_VISIT: Final = dt.timedelta(hours=8)
"""Somebody who begins another conversation sooner is still there, and has not returned."""


class Seconds(GenericFunction[float]):
    """A moment as seconds since 1970; the two databases say it differently."""

    type = Float()
    inherit_cache = True
    name = "epoch_seconds"


@compiles(Seconds, "postgresql")
def _postgresql(element: Seconds, compiler: SQLCompiler, **options: Any) -> str:
    return f"extract(epoch FROM {compiler.process(element.clauses, **options)})"


@compiles(Seconds, "sqlite")
def _sqlite(element: Seconds, compiler: SQLCompiler, **options: Any) -> str:
    return f"((julianday({compiler.process(element.clauses, **options)}) - 2440587.5) * 86400.0)"


def plan(window: Window) -> GoalPlan:
    """Return the selects of all goals for a window."""
    return GoalPlan(
        exposures=_exposures(window),
        goals=(
            Goal("satisfaction", _satisfaction(window)),
            Goal("session_duration_seconds", _duration(window)),
            Goal("completion", _completion(window)),
            Goal("return_7d", _return(window)),
        ),
    )


def _exposures(window: Window) -> Exposures:
    """Starts and turns: whoever answered either of them has served the user."""
    began = select(sessions.c.user_id, sessions.c.variant, sessions.c.started_at.label("at")).where(
        sessions.c.started_at >= window.since, sessions.c.started_at < window.until
    )
    said = (
        select(sessions.c.user_id, turns.c.variant, turns.c.said_at)
        .join(sessions, sessions.c.id == turns.c.session_id)
        .where(turns.c.said_at >= window.since, turns.c.said_at < window.until)
    )
    served = union_all(began, said).subquery()
    return Exposures(
        # An empty variant is a session of a release that did not note it; its turns say who served.
        served=select(served).where(served.c.variant != ""),
        first_seen=select(sessions.c.user_id, func.min(sessions.c.started_at).label("first_at")).group_by(
            sessions.c.user_id
        ),
    )


def _satisfaction(window: Window) -> Select[Any]:
    return (
        select(sessions.c.user_id, feedback.c.rating.label("value"))
        .join(sessions, sessions.c.id == feedback.c.session_id)
        .where(feedback.c.given_at >= window.since, feedback.c.given_at < window.until)
    )


def _over(window: Window) -> Any:
    """Conversations of the window that are over."""
    return and_(
        sessions.c.started_at >= window.since,
        sessions.c.started_at < window.until,
        sessions.c.turns > 0,
        or_(sessions.c.ended_at.is_not(None), sessions.c.last_at < window.until - IDLE),
    )


def _duration(window: Window) -> Select[Any]:
    over_at = func.coalesce(sessions.c.ended_at, sessions.c.last_at)
    value = Seconds(over_at) - Seconds(sessions.c.started_at)
    return select(sessions.c.user_id, value.label("value")).where(_over(window))


def _completion(window: Window) -> Select[Any]:
    value = case((sessions.c.completed.is_(True), 1.0), else_=0.0)
    return select(sessions.c.user_id, value.label("value")).where(_over(window))


def _return(window: Window) -> Select[Any]:
    first = (
        select(sessions.c.user_id, func.min(sessions.c.started_at).label("at"))
        .where(sessions.c.started_at >= window.since, sessions.c.started_at < window.until)
        .group_by(sessions.c.user_id)
        .subquery()
    )
    gap = Seconds(sessions.c.started_at) - Seconds(first.c.at)
    returned = exists(
        select(literal(1)).where(
            sessions.c.user_id == first.c.user_id,
            sessions.c.started_at > first.c.at,
            gap >= ANOTHER_VISIT.total_seconds(),
            gap <= RETURN_WITHIN.total_seconds(),
        )
    )
    return select(first.c.user_id, case((returned, 1.0), else_=0.0).label("value")).where(
        first.c.at <= window.until - RETURN_WITHIN
    )
