"""What Kubernetes and Prometheus ask a pod; none of it is counted as a request of a user.

Liveness is only "the event loop turns": a restart repairs nothing else. Readiness leaves out what all pods share (the
database, once it was reached): an outage of it would take every pod out and turn a 503 with Retry-After into a refused
connection.
"""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client.exposition import choose_encoder

from serin_services.runtime import RuntimeDependency

router = APIRouter(include_in_schema=False)


@router.get("/livez")
async def livez() -> Response:
    """Answer as long as the event loop turns."""
    return PlainTextResponse("ok")


@router.get("/readyz")
async def readyz(runtime: RuntimeDependency) -> Response:
    """Answer 200 when requests are welcome, otherwise 503 and what is missing."""
    missing = runtime.lifecycle.missing()
    return JSONResponse({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)


@router.get("/metrics")
async def metrics(runtime: RuntimeDependency, accept: Annotated[str, Header()] = "") -> Response:
    """Answer a scrape in the format that the scraper asks for."""
    encode, content_type = choose_encoder(accept)
    return Response(encode(runtime.metrics.registry), headers={"content-type": content_type})
