"""Errors as RFC 9457 problem documents, one shape for whatever went wrong.

The input is never repeated in an answer or a log: a wrong body may hold what a user wrote.
"""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1

log = structlog.get_logger("problem")


class FieldProblem(BaseModel):
    """One wrong field of a request."""

    field: str = Field(description="Path of the field, for example body.limit", examples=["body.limit"])
    detail: str = Field(description="What to write instead")


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int
    detail: str
    instance: str | None = None
    errors: list[FieldProblem] | None = None


class ProblemError(Exception):
    """A request that ends with a problem document.

    Args:
        status: HTTP status.
        detail: A sentence for the person who calls the API.
        retry_after: Seconds after which the same request may work; sets the header Retry-After.
    """

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


def problem_response(
    status: int,
    detail: str,
    *,
    retry_after: int | None = None,
    errors: list[FieldProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Build the answer of a problem.

    Args:
        status: HTTP status.
        detail: A sentence for the person who calls the API.
        retry_after: Seconds for the header Retry-After.
        errors: Wrong fields, each with what to write instead.
        headers: Further headers.
    """
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors)
    all_headers = dict(headers or {})
    if retry_after is not None:
        all_headers["retry-after"] = str(retry_after)
    return JSONResponse(
        problem.model_dump(exclude_none=True), status_code=status, headers=all_headers, media_type=MEDIA_TYPE
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe problem answers for OpenAPI; the same statuses start as series at 0."""
    return {
        status: {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": HTTPStatus(status).phrase}
        for status in statuses
    }


async def _on_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    return problem_response(error.status, error.detail, retry_after=error.retry_after)


async def _on_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem_response(error.status_code, str(error.detail), headers=dict(error.headers or {}))


async def _on_validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [
        FieldProblem(field=".".join(str(part) for part in found["loc"]), detail=found["msg"])
        for found in error.errors()
    ]
    names = ", ".join(wrong.field for wrong in errors)
    return problem_response(422, f"Correct {names}.", errors=errors)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
