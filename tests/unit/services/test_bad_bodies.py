"""Whatever bytes a client sends, the answer is a 422 problem document that names the field, never a 5xx."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATH = "/api/v2/recommend/personalized"
JSON = {"content-type": "application/json"}

BODIES = {
    "empty": b"",
    "no JSON": b"user_id=u-1",
    "cut off": b'{"user_id": "u-1"',
    "no UTF-8": b'{"user_id": "\xff\xfe"}',
    "too deep": b"[" * 20_000,
    "too deep, closed": b'{"user_id": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "a number of 10,000 digits": b'{"user_id": "u-1", "limit": ' + b"9" * 10_000 + b"}",
    "half a character": b'{"user_id": "\\ud800"}',
    "half a character as a name": b'{"user_id": "u-1", "\\ud800": 1}',
    "no number": b'{"user_id": "u-1", "limit": NaN}',
    "an array": b"[1, 2]",
    "null": b"null",
    "a NUL": b'{"user_id": "u\\u0000"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_malformed_body_is_a_422(recommendation: Any, body: bytes) -> None:
    """Each is told what to write, as a problem document, and nothing of the body comes back."""
    async with recommendation(timeout=60.0) as client:
        response = await client.post(PATH, content=body, headers=JSON)
        after = await client.post(PATH, json={"user_id": "u-1"})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == 422
    assert all(error["field"].startswith("body") for error in problem["errors"])
    assert after.status_code == 200


async def test_a_body_of_many_wrong_fields_has_a_short_answer(recommendation: Any) -> None:
    """Thousands of unknown names don't come back as thousands of errors, and a long name is cut."""
    body = {"user_id": "u-1", **{f"{'x' * 500}{number}": 1 for number in range(100)}}
    async with recommendation(timeout=60.0) as client:
        response = await client.post(PATH, json=body)
    assert response.status_code == 422
    assert len(response.json()["errors"]) == 20
    assert len(response.content) < 8_000


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=st.binary(max_size=200))
async def test_no_bytes_are_an_error_of_the_server(recommendation: Any, body: bytes) -> None:
    """Random bytes are bad input."""
    async with recommendation(timeout=60.0) as client:
        response = await client.post(PATH, content=body, headers=JSON)
    assert response.status_code == 422
