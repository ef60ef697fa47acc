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
_UNREADABLE = 400
_MOST_FIELDS = 20
"""More wrong fields than these help nobody, and a body can have thousands."""
_LONGEST_NAME = 64

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
    if error.status_code == _UNREADABLE and error.__cause__ is not None:
        # FastAPI's answer to a body that is no text, or too deep for the parser: bad input like any other.
        return _unreadable()
    return problem_response(error.status_code, str(error.detail), headers=dict(error.headers or {}))


async def _on_validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return _unreadable()
    errors = [FieldProblem(field=_path(one["loc"]), detail=_printable(one["msg"])) for one in found[:_MOST_FIELDS]]
    names = ", ".join(wrong.field for wrong in errors)
    return problem_response(422, f"Correct {names}.", errors=errors)


def _unreadable() -> JSONResponse:
    return problem_response(
        422, "The body is no JSON text in UTF-8.", errors=[FieldProblem(field="body", detail="Write valid JSON")]
    )


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(_printable(str(part))[:_LONGEST_NAME] for part in location)


def _printable(text: str) -> str:
    # JSON may hold half of a character ("\ud800") as the name of a field; it can't be written in UTF-8 again.
    return text.encode(errors="replace").decode()


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
