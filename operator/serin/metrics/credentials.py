"""What Prometheus is shown and whom Serin trusts: token, headers and CA, from keys of Secrets in the own namespace.

Secrets are material to be careful with: nothing here is in a message, a log or a `repr`, and whatever goes into a
request is checked first, for a line end in a header would be a second header.
"""

import base64
import binascii
import contextlib
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from serin.api.spec import PrometheusRef, SecretKeyRef

BOUND: Final = "serin.dev/prometheus-address"
"""Annotation of a Secret: the only addresses, separated by spaces, that what it holds is sent to."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""A bearer token (RFC 6750, section 2.1)."""
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A header's name (RFC 9110, section 5.6.2)."""
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_NOT_YOURS: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"})
"""Headers that say where a request goes and where it ends."""
_SHORTEST: Final = 4
"""Characters from which a part of a secret is hidden; shorter ones would black out ordinary words."""
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Access:
    """One Prometheus as one namespace may ask it. Who has the same Access shares its answers, and nobody else."""

    ref: PrometheusRef
    namespace: str = ""
    """Where the Secrets are; empty when none is named, so that everybody shares a Prometheus without credentials."""

    @property
    def keys(self) -> tuple[tuple[str, SecretKeyRef], ...]:
        """(field of `prometheus`, key of a Secret) of each that is named."""
        authority = self.ref.tls.ca_from if self.ref.tls is not None else None
        fields = (
            ("bearerTokenFrom", self.ref.bearer_token_from),
            ("headersFrom", self.ref.headers_from),
            ("tls.caFrom", authority),
        )
        return tuple((field, key) for field, key in fields if key is not None)


def access(ref: PrometheusRef, namespace: str) -> Access:
    """The Access of an experiment in `namespace`."""
    tls = ref.tls is not None and ref.tls.ca_from is not None
    named = tls or ref.bearer_token_from is not None or ref.headers_from is not None
    return Access(ref, namespace if named else "")


class CredentialsError(Exception):
    """Credentials that can't be used; the text is a sentence for the user and holds nothing secret."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a request carries, and whom it trusts.

    Args:
        version: which Secrets it is from, as resourceVersions; changes with each of them.
        headers: (name, value).
        authority: CA certificates in PEM; empty: the usual ones.
    """

    version: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    authority: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.version!r})"

    def hide(self, text: str) -> str:
        """`text` without anything of these credentials: a server may say what it was sent."""
        parts = {part for _, value in self.headers for part in _parts(value) if len(part) >= _SHORTEST}
        for part in sorted(parts, key=len, reverse=True):
            text = text.replace(part, "…")
        return text


def _parts(value: str) -> Iterator[str]:
    """What of a header's value would tell something: the whole, each word, and a user's password."""
    yield value
    yield from value.split()
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            yield from base64.b64decode(encoded, validate=True).decode().split(":", 1)


NONE: Final = Credentials()


def mistake(ref: PrometheusRef) -> str:
    """What is wrong with `prometheus` as it is written, as a sentence; empty when nothing is."""
    parts = urlsplit(ref.address)
    if ref.tls is not None and parts.scheme != "https":
        return "prometheus.tls is about https, and prometheus.address begins with http://: correct one of the two"
    if Access(ref).keys and parts.username is not None:
        text = "prometheus.address has a user in it, and Secrets are named too"
        return f"{text}: leave the user out, and write `Authorization: Basic ...` into the key of headersFrom"
    return ""


def credentials(access: Access, secrets: Mapping[str, dict[str, Any]]) -> Credentials:
    """The credentials of `access` from its Secrets, by name.

    Raises:
        CredentialsError: one of them does not hold what it should.
    """
    headers: dict[str, str] = {}
    authority = ""
    for field, ref in access.keys:
        secret = secrets[ref.name]
        _may_go(access, ref, secret)
        text, where = _text(field, ref, secret, access.namespace), _where(field, ref, access.namespace)
        if field == "bearerTokenFrom":
            headers["Authorization"] = f"Bearer {_token(text, where)}"
        elif field == "headersFrom":
            _add(headers, text, where)
        else:
            authority = _authority(text, where)
    versions = {name: secret["metadata"].get("resourceVersion", "") for name, secret in secrets.items()}
    version = " ".join(f"{access.namespace}/{name}@{number}" for name, number in sorted(versions.items()))
    return Credentials(version, tuple(headers.items()), authority)


def _where(field: str, ref: SecretKeyRef, namespace: str) -> str:
    return f"prometheus.{field}: key {ref.key} of Secret {namespace}/{ref.name}"


def _may_go(access: Access, ref: SecretKeyRef, secret: dict[str, Any]) -> None:
    """Whoever writes an experiment chooses an address; whoever has the Secret may choose where it goes at most."""
    bound = (secret["metadata"].get("annotations") or {}).get(BOUND)
    if bound is None or _origin(access.ref.address) in {_origin(each) for each in bound.split()}:
        return
    text = f"Secret {access.namespace}/{ref.name} is not for the address in prometheus.address"
    raise CredentialsError(f"{text}: its annotation {BOUND} says which it is for")


def _origin(address: str) -> tuple[str, str, int | None]:
    parts: SplitResult = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, parts.hostname or "", port or _PORTS.get(parts.scheme)


def _text(field: str, ref: SecretKeyRef, secret: dict[str, Any], namespace: str) -> str:
    data = secret.get("data") or {}
    where = _where(field, ref, namespace)
    if ref.key not in data:
        raise CredentialsError(f"{where} is not there (it has: {', '.join(sorted(data)) or 'nothing'}): add the key")
    try:
        return base64.b64decode(data[ref.key], validate=True).decode()
    except (binascii.Error, ValueError):
        raise CredentialsError(f"{where} is not text: write it as UTF-8") from None


def _token(text: str, where: str) -> str:
    # A file that `kubectl create secret --from-file` took ends with a line end, which nobody meant.
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        hint = "write the token alone, without `Bearer`, spaces or line ends in it"
        raise CredentialsError(f"{where} is no bearer token: {hint}")
    return token


def _add(headers: dict[str, str], text: str, where: str) -> None:
    """One `Name: value` a line; a sentence about a line names its number alone, for the line may be all secret."""
    known = {name.lower() for name in headers}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip(" "):
            continue
        name, colon, rest = line.partition(":")
        value = rest.strip(" ")
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            hint = "write one `Name: value` a line, in ASCII, without carriage returns"
            raise CredentialsError(f"{where}: line {number} is no header: {hint}")
        if name.lower() in _NOT_YOURS:
            raise CredentialsError(f"{where}: line {number} sets {name}, which Serin sets: leave it out")
        if name.lower() in known:
            hint = "keep one of them (bearerTokenFrom sets Authorization)"
            raise CredentialsError(f"{where}: line {number} sets {name} a second time: {hint}")
        known.add(name.lower())
        headers[name] = value


def _authority(text: str, where: str) -> str:
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        raise CredentialsError(
            f"{where} is no certificate: write the CA's in PEM (-----BEGIN CERTIFICATE-----)"
        ) from None
    return text
