"""What goes into a request comes from Secrets that anybody may have written, and nothing of it may come out again."""

import base64
import traceback
from typing import Any

import pytest

from serin.api.spec import TLS, PrometheusRef, SecretKeyRef
from serin.metrics.credentials import BOUND, Credentials, CredentialsError, access, credentials, mistake

TOKEN, ADDRESS = "eyJhbGciOi.J9-_~+/==", "https://prometheus.example:9090/path"


def secret(annotation: str = "", **data: str | bytes) -> dict[str, Any]:
    """Return a Secret."""
    encoded = {
        key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
        for key, value in data.items()
    }
    annotations = {BOUND: annotation} if annotation else {}
    return {"metadata": {"resourceVersion": "7", "annotations": annotations}, "data": encoded}


def key(name: str) -> SecretKeyRef:
    """Return a reference to a key of the Secret `s`."""
    return SecretKeyRef(name="s", key=name)


def shown(ref: PrometheusRef, found: dict[str, Any]) -> Credentials:
    """Return the credentials of an experiment in `shop`."""
    return credentials(access(ref, "shop"), {"s": found})


def refused(ref: PrometheusRef, found: dict[str, Any]) -> str:
    """Return the sentence that refuses them, which is all that may be said."""
    with pytest.raises(CredentialsError) as caught:
        shown(ref, found)
    return "".join(traceback.format_exception(caught.value)).partition("CredentialsError: ")[2]


def test_token_and_headers() -> None:
    """A token becomes the Authorization header without its file's line end; headers are one a line."""
    ref = PrometheusRef(address=ADDRESS, bearer_token_from=key("token"), headers_from=key("headers"))
    made = shown(ref, secret(token=f"{TOKEN}\n", headers="X-Scope-OrgID: shop\n\nX-Two:  a b \n"))
    assert dict(made.headers) == {"Authorization": f"Bearer {TOKEN}", "X-Scope-OrgID": "shop", "X-Two": "a b"}
    assert made.version == "shop/s@7"


@pytest.mark.parametrize(
    "token", ["", "Bearer abcdef", "abc def", "abc\r\nX-Evil: 1", "abc\ndef", "ab\0c", "naïve", "=abc"]
)
def test_what_is_no_token(token: str) -> None:
    """Anything that could end the header, or is not a token, is refused without being repeated."""
    said = refused(PrometheusRef(address=ADDRESS, bearer_token_from=key("token")), secret(token=token))
    assert "prometheus.bearerTokenFrom: key token of Secret shop/s is no bearer token" in said
    assert not token or token not in said


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ("X-A: secret1\rX-Evil: 1", "line 1 is no header"),
        ("X-A: secret1\r\nX-B: 2", "line 1 is no header"),
        ("X-Ok: 1\nsecret1", "line 2 is no header"),
        ("X A: secret1", "line 1 is no header"),
        (": secret1", "line 1 is no header"),
        ("X-A:", "line 1 is no header"),
        (" X-A: secret1", "line 1 is no header"),
        ("X-A: secret1\0", "line 1 is no header"),
        ("X-A: sécret1", "line 1 is no header"),
        ("X-A: secret1\n x-folded", "line 2 is no header"),
        ("Host: secret1", "sets Host, which Serin sets"),
        ("transfer-encoding: chunked", "which Serin sets"),
        ("X-A: 1\nx-a: secret1", "sets x-a a second time"),
    ],
)
def test_what_is_no_header(headers: str, says: str) -> None:
    """A line that is not `Name: value` is refused by its number; a second header can't be smuggled into one."""
    said = refused(PrometheusRef(address=ADDRESS, headers_from=key("headers")), secret(headers=headers))
    assert says in said
    assert "secret1" not in said


def test_two_authorizations() -> None:
    """A token and a header of the same name contradict each other."""
    ref = PrometheusRef(address=ADDRESS, bearer_token_from=key("token"), headers_from=key("headers"))
    assert "bearerTokenFrom sets Authorization" in refused(
        ref, secret(token=TOKEN, headers="authorization: Basic abcdef")
    )


def test_what_is_not_there() -> None:
    """A key that is absent is named beside those that there are; what is no text, and no certificate, is refused."""
    ref = PrometheusRef(address=ADDRESS, bearer_token_from=key("token"))
    assert "is not there (it has: other)" in refused(ref, secret(other="x"))
    assert "is not text" in refused(ref, secret(token=b"\xff\xfe"))
    authority = PrometheusRef(address=ADDRESS, tls=TLS(ca_from=key("ca.crt")))
    assert "is no certificate: write the CA's in PEM" in refused(authority, secret(**{"ca.crt": "secret1"}))


@pytest.mark.parametrize(
    ("bound", "goes"),
    [
        ("https://prometheus.example:9090", True),
        ("https://other https://PROMETHEUS.example:9090/x", True),
        ("https://prometheus.example", False),
        ("http://prometheus.example:9090", False),
        ("https://prometheus.example.evil:9090", False),
        ("https://prometheus.example:x", False),
    ],
)
def test_a_secret_may_say_where_it_goes(bound: str, goes: bool) -> None:
    """Whoever has the Secret binds it to addresses: scheme, host and port must be the same."""
    ref = PrometheusRef(address=ADDRESS, bearer_token_from=key("token"))
    if goes:
        assert shown(ref, secret(bound, token=TOKEN)).headers
    else:
        assert f"its annotation {BOUND} says which it is for" in refused(ref, secret(bound, token=TOKEN))


def test_nothing_is_told() -> None:
    """Neither `repr` nor an error of the server's gives the token, the password or a header away."""
    password = base64.b64encode(b"me:word").decode()
    ref = PrometheusRef(address=ADDRESS, bearer_token_from=key("token"), headers_from=key("headers"))
    made = shown(ref, secret(token=TOKEN, headers=f"X-Key: {password}"))
    told = repr(made) + made.hide(f"no {TOKEN}; {password}; Bearer {TOKEN}")
    assert TOKEN not in told
    assert password not in told
    basic = shown(PrometheusRef(address=ADDRESS, headers_from=key("h")), secret(h=f"Authorization: Basic {password}"))
    assert basic.hide(f"me may not; it showed {password}, which is word") == "me may not; it showed …, which is …"


def test_who_shares() -> None:
    """Without credentials everybody has the same Access; with them only the same namespace with the same keys."""
    open_to_all, named = PrometheusRef(address=ADDRESS), PrometheusRef(address=ADDRESS, headers_from=key("h"))
    assert access(open_to_all, "a") == access(open_to_all, "b")
    assert access(named, "a") == access(named, "a")
    assert access(named, "a") != access(named, "b")
    assert access(named, "a") != access(PrometheusRef(address=ADDRESS, headers_from=key("i")), "a")


def test_what_contradicts_itself() -> None:
    """TLS settings for http, and a user in the address beside a Secret, get a sentence before anything is asked."""
    assert "is about https" in mistake(PrometheusRef(address="http://a", tls=TLS(server_name="b")))
    assert "has a user in it" in mistake(PrometheusRef(address="https://me:you@a", headers_from=key("h")))
    assert mistake(PrometheusRef(address="https://a", tls=TLS(server_name="b"), headers_from=key("h"))) == ""
