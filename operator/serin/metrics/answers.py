"""What an answer of Prometheus is worth: a whole result, or a failure with its name and a sentence.

An answer that is not certainly whole is none. The sentences hold no token, header or query, also where a server says
what it was sent.
"""

import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import requests

from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics.credentials import Credentials

_QUOTED: Final = 300
_SAME_TIME: Final = 1.0
"""Seconds that the time of an answer may differ from the one that was asked for; it differs by its rounding alone."""
_SKEW: Final = 60.0
"""Seconds between two clocks that are no reason to doubt either: answers say whole seconds, and some are queued."""
_SECRET: Final = re.compile(r"(?i)(bearer|basic)\s+\S+|(token|password|secret|api_?key)=[^\s&\"']+|//[^/@\s]+@")


class Row(msgspec.Struct, frozen=True, gc=False):
    """One element of an instant vector, as Prometheus writes it: a look at thousands of experiments reads many."""

    labels: dict[str, str] = msgspec.field(name="metric")
    sample: tuple[float, str | float] = msgspec.field(name="value")
    """Unix time and value; the latter is text in Prometheus's own answers, for JSON has no NaN."""

    @property
    def value(self) -> float:
        """The value as a number."""
        return float(self.sample[1])


class _Data(msgspec.Struct):
    kind: str = msgspec.field(name="resultType", default="")
    result: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class _Body(msgspec.Struct):
    """An answer with status 200."""

    status: str = ""
    data: _Data | None = None
    warnings: list[Any] | None = None
    partial: bool = msgspec.field(name="isPartial", default=False)
    """Of VictoriaMetrics, when some of its storage nodes did not answer."""


_BODY: Final = msgspec.json.Decoder(_Body)
_VECTOR: Final = msgspec.json.Decoder(list[Row])


class AnswerError(Exception):
    """Prometheus did answer, but not with a whole result."""

    def __init__(self, failure: MeasurementFailure, words: str) -> None:
        super().__init__(words)
        self.failure = failure
        self.words = words


def shown(address: str) -> str:
    """`address` without user, password and query, for a message."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def classify(error: BaseException, address: str, timeout: float) -> Unmeasured:
    """The one place that names failures; the sentence holds no token, header or query."""
    where = f"Prometheus at {shown(address)}"
    if isinstance(error, AnswerError):
        return Unmeasured(error.failure, f"{where} {error.words}")
    if isinstance(error, (TimeoutError, requests.Timeout)):
        return Unmeasured(MeasurementFailure.TIMEOUT, f"{where} did not answer within {timeout:g} s")
    if isinstance(error, requests.exceptions.JSONDecodeError):
        text = f"{where} did not answer with JSON: is this the address of its API?"
        return Unmeasured(MeasurementFailure.CLIENT_ERROR, text)
    if isinstance(error, requests.exceptions.SSLError):
        return Unmeasured(MeasurementFailure.UNREACHABLE, f"{where} {_distrust(error)}")
    if isinstance(error, requests.TooManyRedirects):
        text = f"{where} sends on to another address, which is not shown credentials: write that address"
        return Unmeasured(MeasurementFailure.CLIENT_ERROR, text)
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        text = f"{shown(address)} is not an address: write one like http://prometheus.monitoring:9090"
        return Unmeasured(MeasurementFailure.CLIENT_ERROR, text)
    if isinstance(error, (requests.RequestException, OSError)):
        text = f"{where} can't be reached ({_cause(error)})"
        return Unmeasured(MeasurementFailure.UNREACHABLE, text)
    return Unmeasured(MeasurementFailure.SERVER_ERROR, f"{where} gave an answer that can't be read")


def _distrust(error: BaseException) -> str:
    text = str(error)
    if re.search(r"(?i)hostname mismatch|doesn't match|IP address mismatch", text):
        return "has a certificate for another name: write that into prometheus.tls.serverName"
    if "expired" in text:
        return "has a certificate that has expired: renew it"
    if re.search(r"(?i)unable to get|self.signed|CERTIFICATE_VERIFY_FAILED", text):
        return "has a certificate of a CA that is not trusted: name the CA in prometheus.tls.caFrom"
    return "can't be spoken to by TLS: is it https?"


def whole(response: requests.Response, credentials: Credentials) -> None:
    """Refuses every answer that is not a whole, successful vector, and gives its connection back."""
    try:
        _refuse(response, credentials.hide)
    except Exception:
        response.close()
        raise


def _refuse(response: requests.Response, hide: Callable[[str], str]) -> None:
    if response.is_redirect:
        return
    status = response.status_code
    if status == HTTPStatus.PARTIAL_CONTENT:
        raise AnswerError(MeasurementFailure.PARTIAL, "gave only a part of the result")
    if not response.ok:
        raise _not_ok(status, _object(response.content), hide)
    result = _result(response.content, hide)
    # The library reads it again: of a look at a thousand experiments once is enough.
    response.json = lambda **_: {"data": {"result": result}}  # type: ignore[method-assign]
    _same_clock(response)


def _object(content: bytes) -> dict[str, Any]:
    """What came with a failure, if it says anything."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def _result(content: bytes, hide: Callable[[str], str]) -> list[Row] | list[dict[str, Any]]:
    """The rows of a vector, or the series of a matrix as they are."""
    try:
        body = _BODY.decode(content)
        if body.warnings:
            said = _words(hide("; ".join(str(each) for each in body.warnings)))
            partial = re.search(r"(?i)partial|unavailable|no store|fetch series|receive series", said)
            failure = MeasurementFailure.PARTIAL if partial else MeasurementFailure.WARNINGS
            raise AnswerError(failure, f"answered with warnings: {said}")
        if body.partial:
            raise AnswerError(MeasurementFailure.PARTIAL, "gave only a part of the result")
        if body.status == "success" and body.data is not None and body.data.kind in {"vector", "matrix"}:
            return _read(body.data)
    except msgspec.ValidationError:
        pass  # JSON, but of something else
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise requests.exceptions.JSONDecodeError("no JSON", "", 0) from error
    raise AnswerError(MeasurementFailure.CLIENT_ERROR, "answered with something else than a vector")


def _read(data: _Data) -> list[Row] | list[dict[str, Any]]:
    """Of the right kind, so what can't be read in it is the server's mistake, and may pass."""
    try:
        if data.kind == "vector":
            return _VECTOR.decode(data.result)
        return msgspec.json.decode(data.result, type=list[dict[str, Any]])
    except msgspec.ValidationError as error:
        raise AnswerError(MeasurementFailure.SERVER_ERROR, "gave an answer that can't be read") from error


def checked(rows: list[Row], at: float) -> list[Row]:
    """`rows`, which are numbers of the Unix time `at`.

    Raises:
        AnswerError: they are of another time.
        ValueError: a value is no number.
    """
    for row in rows:
        float(row.sample[1])
    if any(abs(each - at) > _SAME_TIME for each in {row.sample[0] for row in rows}):
        raise AnswerError(MeasurementFailure.SERVER_ERROR, "answered for another time: is a cache before it?")
    return rows


def _same_clock(response: requests.Response) -> None:
    """Refuses an answer from another time than this process has: one of two clocks is wrong, or a cache has answered.

    Looks name their time. With a clock that is ahead they would be of a time that has not been, with one that is behind
    the same requests would be counted twice.
    """
    try:
        ahead = time.time() - parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except ValueError:
        return  # it does not say
    if abs(ahead) > _SKEW:
        which = "behind" if ahead > 0 else "ahead of"
        text = f"is {abs(ahead):,.0f} s {which} the operator's clock: set the wrong one of both"
        raise AnswerError(MeasurementFailure.CLOCK, f"{text}, or take the cache between them away")


def _not_ok(status: int, body: dict[str, Any], hide: Callable[[str], str]) -> AnswerError:
    # Prometheus reports its own timeout as 503 with this type.
    if body.get("errorType") == "timeout" or status in {408, 504}:
        return AnswerError(MeasurementFailure.TIMEOUT, "gave the query up after its time limit")
    said = f": {_words(hide(str(body['error'])))}" if body.get("error") else ""
    failure = MeasurementFailure.SERVER_ERROR
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        failure = MeasurementFailure.UNAUTHORIZED
    elif status < HTTPStatus.INTERNAL_SERVER_ERROR:
        failure = MeasurementFailure.CLIENT_ERROR
    return AnswerError(failure, f"answered {status}{said}")


def _words(text: str) -> str:
    return _SECRET.sub("…", " ".join(text.split()))[:_QUOTED]


def _cause(error: BaseException) -> str:
    text = str(error)
    if "NameResolution" in text or "getaddrinfo" in text:
        return "its name is not known to DNS"
    if "refused" in text:
        return "connection refused"
    return "no connection"
