"""From which rows the figures of the A/B goals come. The sums over users are made by `serin_services.goals`."""

import datetime as dt
from typing import Any, Final

import sqlalchemy as sa

from serin_recommendation.store.served import day_of
from serin_recommendation.store.tables import Feedback, Recommendation, User
from serin_services.goals import Exposures, Goal, GoalPlan, Window

RETURN_DAYS: Final = 7


def plan(window: Window) -> GoalPlan:
    """Return the selects of one window.

    - `satisfaction`: stars, 1 to 5.
    - `accuracy`: of the items of an answer that the user was shown, the share that they clicked or watched to the end.
    - `return_7d`: 1 for a user who came back on one of the seven days after their first, else 0; users whose seven
      days are not over yet are left out.
    """
    served = _select(Recommendation.user_id, Recommendation.variant, Recommendation.served_at.label("at"))
    return GoalPlan(
        Exposures(served, _select(User.user_id, User.first_seen_at.label("first_at"))),
        (
            Goal("satisfaction", _satisfaction(window)),
            Goal("accuracy", _accuracy(window)),
            Goal("return_7d", _return(window)),
        ),
    )


def _select(*columns: Any) -> sa.Select[Any]:
    return sa.select(*columns)


def _told(window: Window) -> Any:
    return sa.and_(Feedback.occurred_at >= window.since, Feedback.occurred_at < window.until)


def _satisfaction(window: Window) -> sa.Select[Any]:
    return _select(Feedback.user_id, Feedback.rating.label("value")).where(_told(window), Feedback.event == "rating")


def _accuracy(window: Window) -> sa.Select[Any]:
    """One row for each item of an answer: 1 when something came of it, else 0."""
    hit = sa.case((Feedback.event.in_(("clicked", "completed")), 1.0), else_=0.0)
    return (
        _select(Feedback.user_id, sa.func.max(hit).label("value"))
        .where(_told(window), Feedback.recommendation_id.is_not(None))
        .group_by(Feedback.user_id, Feedback.recommendation_id, Feedback.item_id)
    )


def _return(window: Window) -> sa.Select[Any]:
    served = sa.and_(Recommendation.served_at >= window.since, Recommendation.served_at < window.until)
    last_first_day = day_of(window.until - dt.timedelta(days=RETURN_DAYS)) - 1
    firsts = (
        sa.select(Recommendation.user_id, sa.func.min(Recommendation.day).label("first_day"))
        .where(served)
        .group_by(Recommendation.user_id)
        .having(sa.func.min(Recommendation.day) <= last_first_day)
        .subquery()
    )
    later = sa.and_(
        Recommendation.user_id == firsts.c.user_id,
        Recommendation.day > firsts.c.first_day,
        Recommendation.day <= firsts.c.first_day + RETURN_DAYS,
        served,
    )
    return _select(firsts.c.user_id, sa.case((sa.exists().where(later), 1.0), else_=0.0).label("value"))
