"""A real Prometheus that wants to see a password, by TLS with a CA of its own; tokens are checked by a proxy before it.

Whatever happens, nothing of what the Secrets hold is in what can be read afterwards.
"""

import asyncio
import base64
import logging
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from serin.api.spec import TLS, PrometheusRef, SecretKeyRef, parse_spec
from serin.engine.observation import MeasurementFailure, ServiceCounts, Unmeasured
from serin.kube.errors import Forbidden, KubeError
from serin.metrics import keeper
from serin.metrics.checks import check
from serin.metrics.source import MetricsSource, Target
from tests.integration.metrics.gate import Gate
from tests.integration.metrics.process import prometheus
from tests.integration.proxy import Forward, Proxy, proxy

USER, PASSWORD = "serin", "word-of-prometheus"
# What `htpasswd -nbB serin word-of-prometheus` prints.
HASH = "$2b$10$abcdefghijklmnopqrstuutqKriUeD56vz.F3vv1Lj8CTxOUO8vju"
NAME = "prometheus.test"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN, NEXT = "first-token-of-the-operator", "second-token-of-the-operator"
SPEC = parse_spec({"services": [{"name": "web", "control": {"deployment": "web"}, "canary": {"patch": {}}}]})


class Secrets:
    """The Secrets of the namespace `shop`."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, str]] = {}
        self.error: KubeError | None = None
        self.version = 0

    def put(self, name: str, **data: str) -> None:
        """Write one."""
        self.version += 1
        self.held[name] = data

    def read(self, namespace: str, name: str) -> dict[str, Any]:
        """Return one, as the API server does."""
        assert namespace == "shop"
        if self.error is not None:
            raise self.error
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self.held[name].items()}
        return {"metadata": {"resourceVersion": str(self.version)}, "data": data}


@pytest.fixture
def secrets() -> Secrets:
    """Give Secrets with the right password and token."""
    made = Secrets()
    made.put("basic", headers=f"Authorization: Basic {BASIC}\n")
    made.put("token", token=TOKEN)
    return made


@pytest.fixture
def source(secrets: Secrets) -> Iterator[MetricsSource]:
    """Give a source that reads them."""
    made = MetricsSource(timeout=3, read_secret=secrets.read)
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a CA and a certificate for `prometheus.test`, by openssl."""
    folder = tmp_path_factory.mktemp("tls")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for name, more in (
        ("ca", ["-x509", "-subj", "/CN=ca", "-addext", "keyUsage=critical,keyCertSign"]),
        ("other", ["-x509", "-subj", "/CN=other", "-addext", "keyUsage=critical,keyCertSign"]),
        ("server", ["-x509", "-CA", "ca.crt", "-CAkey", "ca.key", "-subj", f"/CN={NAME}",
                    "-addext", f"subjectAltName=DNS:{NAME}", "-addext", "basicConstraints=critical,CA:false"]),
    ):  # fmt: skip
        command = ["openssl", "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.crt", *more]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def guarded(authority: Path) -> Iterator[str]:
    """Run Prometheus by TLS, with a password."""
    files = f"tls_server_config: {{cert_file: {authority}/server.crt, key_file: {authority}/server.key}}\n"
    users = f"basic_auth_users: {{{USER}: {HASH}}}\n"
    with prometheus(authority / "data", "scrape_configs: []\n", files + users, scheme="https") as address:
        yield address


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Prometheus as it is by default."""
    with prometheus(tmp_path_factory.mktemp("open") / "data", "scrape_configs: []\n") as address:
        yield address


@pytest.fixture
def gate(open_to_all: str) -> Iterator[tuple[Proxy, Gate]]:
    """Put a gate before a Prometheus."""
    with proxy(open_to_all) as before:
        before.fault = made = Gate(TOKEN)
        yield before, made


def bearer(address: str) -> PrometheusRef:
    """Return an address that is shown the token."""
    return PrometheusRef(address=address, bearer_token_from=SecretKeyRef(name="token", key="token"))


def by_password(address: str, tls: TLS | None) -> PrometheusRef:
    """Return an address that is shown the password."""
    return PrometheusRef(address=address, headers_from=SecretKeyRef(name="basic", key="headers"), tls=tls)


def target(ref: PrometheusRef, namespace: str = "shop") -> Target:
    """Return a service that is measured there."""
    return Target(namespace, "web", frozenset({"control"}), frozenset({"canary"}), prometheus=ref)


async def asked(source: MetricsSource, ref: PrometheusRef) -> object:
    """Return the value of `vector(1)`, or why there is none."""
    rows = await source.instant(ref, "vector(1)", namespace="shop")
    return rows if isinstance(rows, Unmeasured) else rows[0].value


async def test_password_and_ca(source: MetricsSource, secrets: Secrets, authority: Path, guarded: str) -> None:
    """With the CA, the server's name and the password it answers; where one of them is wrong it says which."""
    secrets.put("ca", **{"ca.crt": (authority / "ca.crt").read_text()})
    secrets.put("other", **{"ca.crt": (authority / "other.crt").read_text()})
    ours, theirs = SecretKeyRef(name="ca", key="ca.crt"), SecretKeyRef(name="other", key="ca.crt")
    assert await asked(source, by_password(guarded, TLS(ca_from=ours, server_name=NAME))) == 1
    said = {}
    for what, tls in {
        "no CA": None,
        "its name, no CA": TLS(server_name=NAME),
        "another CA": TLS(ca_from=theirs, server_name=NAME),
        "no name": TLS(ca_from=ours),
        "another name": TLS(ca_from=ours, server_name="other.test"),
    }.items():
        answer = await asked(source, by_password(guarded, tls))
        assert isinstance(answer, Unmeasured), what
        assert answer.failure is MeasurementFailure.UNREACHABLE
        said[what] = answer.message.partition(" has a ")[2]
    assert said["no CA"] == said["its name, no CA"] == said["another CA"]
    assert said["no CA"] == "certificate of a CA that is not trusted: name the CA in prometheus.tls.caFrom"
    assert said["no name"] == said["another name"]
    assert said["no name"] == "certificate for another name: write that into prometheus.tls.serverName"
    history = await source.history(target(by_password(guarded, TLS(ca_from=ours, server_name=NAME))), time.time())
    assert isinstance(history, Unmeasured)
    assert history.failure is MeasurementFailure.EMPTY, "it has answered that it has no such series"


async def test_without_credentials(source: MetricsSource, gate: tuple[Proxy, Gate]) -> None:
    """A Prometheus that wants to see something: the sentence says where to name it, before any traffic moves."""
    (problem,) = await check(source, target(PrometheusRef(address=gate[0].address)), SPEC)
    assert problem.reason == "PrometheusUnauthorized"
    assert "answered 401" in problem.message
    assert "name a Secret with what it wants to see in prometheus.bearerTokenFrom or headersFrom" in problem.message


async def test_a_token_is_rotated(
    source: MetricsSource, secrets: Secrets, gate: tuple[Proxy, Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old token is refused, the Secret has the new one: the same query is answered, and nobody has restarted."""
    ref = bearer(gate[0].address)
    assert await asked(source, ref) == 1
    gate[1].right = NEXT
    monkeypatch.setattr(keeper, "_REFUSED_SECONDS", 0.0)
    refused = await asked(source, ref)
    assert isinstance(refused, Unmeasured)
    assert refused.failure is MeasurementFailure.UNAUTHORIZED
    assert refused.failure.passes, "the look is asked for again when somebody has corrected the Secret"
    assert "correct what it is shown, prometheus.bearerTokenFrom (Secret shop/token)" in refused.message
    secrets.put("token", token=NEXT)
    assert await asyncio.gather(*(asked(source, ref) for _ in range(6))) == [1] * 6
    before = len(gate[1].shown)
    assert await asked(source, ref) == 1
    assert len(gate[1].shown) == before + 1, "the new one is the first that is tried from now on"


async def test_a_secret_that_goes_is_no_measurement(secrets: Secrets, gate: tuple[Proxy, Gate]) -> None:
    """In the middle of a run: looks are Unmeasured and say what to apply; with the right back they are answered."""
    source = MetricsSource(timeout=3, read_secret=secrets.read, kept=0.0)
    one = target(bearer(gate[0].address))
    try:
        first = await source.look(one, [one], 1_000_000, 30)
        assert isinstance(first, Unmeasured)
        assert first.failure is MeasurementFailure.EMPTY
        secrets.error = Forbidden('User "system:serviceaccount:serin-system:serin" cannot get', 403)
        for _ in range(2):
            look = await source.look(one, [one], 1_000_030, 30)
            assert isinstance(look, Unmeasured)
            assert look.failure is MeasurementFailure.UNAUTHORIZED
            assert "kubectl -n shop create role serin-reads-token" in look.message
        assert (await check(source, one, SPEC))[0].reason == "CredentialsUnusable"
        secrets.error = None
        last = await source.look(one, [one], 1_000_030, 30)
        assert isinstance(last, Unmeasured)
        assert last.failure is MeasurementFailure.EMPTY
    finally:
        source.close()


async def test_who_shares_an_answer(source: MetricsSource, gate: tuple[Proxy, Gate]) -> None:
    """A look of one namespace does not answer another's that names a Secret of the same name, nor one without any."""
    mine = target(bearer(gate[0].address))
    others = [target(mine.prometheus, "other"), replace(mine, prometheus=PrometheusRef(address=gate[0].address))]
    await source.look(mine, [mine, *others], 1_000_000, 30)
    (look,) = source._shared.values()
    assert [shared.targets for shared in look.parts] == [{mine}]


async def test_no_other_address_is_shown_anything(
    source: MetricsSource, gate: tuple[Proxy, Gate], open_to_all: str
) -> None:
    """A server that sends on to another address does not get the token there."""
    with proxy(open_to_all) as elsewhere:
        elsewhere.fault = other = Gate(TOKEN)

        async def redirect(request: web.Request, _forward: Forward) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(f"{elsewhere.address}{request.path_qs}")

        gate[0].fault = redirect
        answer = await asked(source, bearer(gate[0].address))
    assert isinstance(answer, Unmeasured)
    assert "sends on to another address" in answer.message
    assert other.shown == []


async def test_nothing_is_told(
    source: MetricsSource,
    secrets: Secrets,
    gate: tuple[Proxy, Gate],
    guarded: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every failure once, with all logs on: neither token nor password nor CA is in a sentence, a log or an output."""
    caplog.set_level(logging.DEBUG)
    gate[1].right = "nobody's"
    injected = "has a\r\nline-end-of-a-token"
    secrets.put("bad", token=injected, headers="Authorization: Basic bad\r\nX: header-of-mine")
    said: list[object] = []
    for ref in (
        bearer(gate[0].address),
        bearer("http://127.0.0.1:1"),
        bearer("http://prometheus.invalid"),
        by_password(guarded, None),
        by_password(gate[0].address, None),
        PrometheusRef(address=guarded, bearer_token_from=SecretKeyRef(name="bad", key="token")),
        PrometheusRef(address=guarded, headers_from=SecretKeyRef(name="bad", key="headers")),
        PrometheusRef(address=guarded, tls=TLS(ca_from=SecretKeyRef(name="token", key="token"))),
    ):
        look = await source.look(one := target(ref), [one], 1_000_000, 30)
        assert not isinstance(look, ServiceCounts)
        said += [look, *await check(source, one, SPEC), source._client._clients, source._client._keeper.__dict__.keys()]
    output = capfd.readouterr()
    told = "\n".join([repr(said), caplog.text, output.out, output.err])
    assert "answered 401" in told
    assert "line 1 is no header" in told
    for secret in (TOKEN, TOKEN[:20], BASIC, BASIC[:20], PASSWORD, "line-end-of-a-token", "header-of-mine"):
        assert secret not in told
