"""The routes of the recommendation API.

Rankings are written straight as JSON: FastAPI would validate each once more, which costs as much as to make it.
"""

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel

from serin_recommendation.engines import Ranking, RecommendationEngine
from serin_recommendation.models import (
    BatchRequest,
    BatchResponse,
    EngineVersion,
    FeedbackRequest,
    FeedbackResponse,
    ItemId,
    PersonalizedRequest,
    PersonalizedResponse,
    Ranked,
    RecommendedItem,
    Segment,
    SimilarResponse,
    TrendingItem,
    TrendingResponse,
)
from serin_recommendation.recommender import Question, Recommender, Window
from serin_recommendation.store.repository import FeedbackOf, Told, unknown_items, write_feedback
from serin_recommendation.store.tables import IDEMPOTENCY
from serin_services.assignment import bucket
from serin_services.database import Database
from serin_services.idempotency import IdempotencyKey, once, replay_header
from serin_services.problems import ProblemError, documented
from serin_services.runtime import RuntimeDependency

router = APIRouter(prefix="/api/v2/recommend", tags=["recommendation"])


async def get_engine(request: Request) -> RecommendationEngine:
    """FastAPI dependency: the engine of this process; a test overrides it."""
    engine: RecommendationEngine = request.app.state.engine
    return engine


async def get_recommender(request: Request) -> Recommender:
    """FastAPI dependency: what answers with the engine."""
    recommender: Recommender = request.app.state.recommender
    return recommender


async def get_database(request: Request) -> Database:
    """FastAPI dependency: the database of this process."""
    database: Database = request.app.state.database
    return database


EngineDependency = Annotated[RecommendationEngine, Depends(get_engine)]
RecommenderDependency = Annotated[Recommender, Depends(get_recommender)]
DatabaseDependency = Annotated[Database, Depends(get_database)]
Limit = Annotated[int, Query(ge=1, le=50, description="Number of items")]


@router.post("/personalized", response_model=PersonalizedResponse, responses=documented(413, 422, 500, 503, 504))
async def personalized(
    body: PersonalizedRequest,
    request: Request,
    runtime: RuntimeDependency,
    engine: EngineDependency,
    recommender: RecommenderDependency,
) -> Response:
    """Rank items for one user; a user that nobody knows gets the cold-start answer."""
    question = Question(
        user_id=body.user_id,
        limit=body.limit,
        persona=body.context.persona,
        daypart=body.context.daypart(),
        exclusions=frozenset(body.exclusions),
    )
    served = runtime.assignment.note(request.headers, body.user_id)
    recommendation_id, ranking = await recommender.personalized(question, served, engine)
    return _json(
        PersonalizedResponse(
            user_id=body.user_id,
            items=_items(ranking),
            cold_start=ranking.cold_start,
            missing_parts=list(ranking.missing_parts),
            recommendation_id=recommendation_id,
            engine=EngineVersion(name=engine.name, version=ranking.version),
        )
    )


@router.post("/batch", response_model=BatchResponse, responses=documented(413, 422, 500, 503, 504))
async def batch(body: BatchRequest, engine: EngineDependency, recommender: RecommenderDependency) -> Response:
    """Rank items for up to 100 users; for mailings and the like, so it is not noted as served."""
    persona, daypart = body.context.persona, body.context.daypart()
    questions = [Question(user_id, body.limit, persona, daypart) for user_id in body.user_ids]
    rankings = await recommender.batch(questions, engine)
    return _json(
        BatchResponse(
            results=[
                Ranked(
                    user_id=user_id,
                    items=_items(ranking),
                    cold_start=ranking.cold_start,
                    missing_parts=list(ranking.missing_parts),
                )
                for user_id, ranking in zip(body.user_ids, rankings, strict=True)
            ],
            engine=EngineVersion(name=engine.name, version=rankings[0].version),
        )
    )


@router.get("/similar/{item_id}", response_model=SimilarResponse, responses=documented(404, 422, 500, 503, 504))
async def similar(item_id: Annotated[ItemId, Path()], engine: EngineDependency, limit: Limit = 10) -> Response:
    """Find the items that are most like one; 404 for one that the model does not know."""
    ranking = engine.similar(item_id, limit)
    if ranking is None:
        raise ProblemError(404, "There is no such item.")
    return _json(
        SimilarResponse(
            item_id=item_id,
            items=_items(ranking),
            engine=EngineVersion(name=engine.name, version=ranking.version),
        )
    )


@router.get("/trending", response_model=TrendingResponse, responses=documented(422, 500, 503, 504))
async def trending(
    recommender: RecommenderDependency,
    segment: Annotated[
        Segment, Query(description="all, new (first seen within 7 days), existing, or a persona")
    ] = "all",
    window: Annotated[Window, Query(description="How far back")] = "24h",
    limit: Limit = 10,
) -> Response:
    """Find what a segment of the users watches most within a window; half a minute old at most."""
    trends, fallback = await recommender.trending(segment, window, limit)
    items = [
        TrendingItem(
            rank=rank,
            item_id=trend.item_id,
            title=trend.title,
            genres=list(trend.genres),
            score=round(trend.score, 6),
            interactions=trend.interactions,
        )
        for rank, trend in enumerate(trends, start=1)
    ]
    return _json(TrendingResponse(segment=segment, window=window, items=items, fallback=fallback))


@router.post("/feedback", responses=documented(404, 413, 422, 500, 503, 504))
async def feedback(
    body: FeedbackRequest,
    response: Response,
    runtime: RuntimeDependency,
    recommender: RecommenderDependency,
    database: DatabaseDependency,
    key: IdempotencyKey = None,
) -> FeedbackResponse:
    """Take in what a user did with what they were shown; an event that is known already changes nothing."""
    given = FeedbackOf(
        user_id=body.user_id,
        recommendation_id=body.recommendation_id,
        events=[Told(event.item_id, event.event, event.stars) for event in body.events],
        variant=runtime.settings.variant,
        bucket=bucket(body.user_id),
        at=dt.datetime.now(dt.UTC),
    )
    async with database.transaction() as connection:

        async def work() -> FeedbackResponse:
            unknown = await unknown_items(connection, (event.item_id for event in body.events))
            if unknown:
                places = [place for place, event in enumerate(body.events) if event.item_id in unknown]
                raise ProblemError(404, f"There is no such item: events {', '.join(map(str, places))}.")
            recorded = await write_feedback(connection, given)
            return FeedbackResponse(user_id=body.user_id, recorded=recorded, repeated=len(body.events) - recorded)

        done = await once(
            connection,
            IDEMPOTENCY,
            key=key,
            scope=f"feedback:{body.user_id}",
            body=body,
            answer=FeedbackResponse,
            work=work,
        )
    recommender.forget(body.user_id)
    replay_header(response, done)
    return done.value


def _items(ranking: Ranking) -> list[RecommendedItem]:
    return [
        RecommendedItem(
            rank=rank,
            item_id=ranked.item.item_id,
            title=ranked.item.title,
            genres=list(ranked.item.genres),
            score=round(ranked.score, 6),
            parts={name: round(share, 6) for name, share in ranked.parts.items()},
        )
        for rank, ranked in enumerate(ranking.items, start=1)
    ]


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")
