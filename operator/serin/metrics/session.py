"""The connections to one Prometheus: what is sent with each request, and whose certificate is believed.

requests has no setting for a CA that is not a file, nor for a name other than the address's; both are given to
urllib3 by an adapter. There is no way to leave the check out.
"""

import ssl
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import requests
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from serin.metrics.credentials import Access, Credentials

CheckAnswer = Callable[[requests.Response, Credentials], None]
"""Raises for an answer that is not a whole one."""

# The controller retries by looking again; a retry inside would only hide how long it takes. read=False: a read that
# times out is then reported as that, and not as a lost connection.
_RETRY: Final = Retry(0, read=False, raise_on_status=False)

_URL: Final = 6000
"""Characters of a query in an address."""


class _Session(requests.Session):
    """Sends a query that is long as a form: proxies commonly refuse request lines above 8 KiB.

    The library puts it into the address whatever the method is.
    """

    def request(self, method: str, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """As `requests.Session.request`."""
        params = kwargs.get("params") or {}
        query = params.get("query", "")
        # To quote one takes as long as to send it, and makes it longer.
        if len(query) > _URL or len(quote(query)) > _URL:
            kwargs |= {"params": None, "data": params}
            method = "POST"
        return super().request(method, url, *args, **kwargs)


class _Trusting(HTTPAdapter):
    """Believes certificates of one CA alone, or for another name than the address's.

    Args:
        authority: CA certificates in PEM; empty: the usual ones.
        name: for the server name indication and the check; empty: the address's.
    """

    def __init__(self, authority: str, name: str) -> None:
        # Without a CA requests brings its own bundle; with one, nobody else is believed.
        self._context = ssl.create_default_context(cadata=authority) if authority else None
        self._name = name
        super().__init__(max_retries=_RETRY)

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        """Hands both to urllib3."""
        if self._context is not None:
            settings["ssl_context"] = self._context
        if self._name:
            settings |= {"server_hostname": self._name, "assert_hostname": self._name}
        super().init_poolmanager(*args, **settings)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Keeps requests from adding its bundle to the CA."""
        if self._context is None:
            super().cert_verify(conn, url, verify, cert)
        else:
            conn.cert_reqs = "CERT_REQUIRED"


def connected(access: Access, credentials: Credentials, check: CheckAnswer) -> PrometheusConnect:
    """A client of prometheus-api-client that asks as `access` may.

    Args:
        access: whom it asks.
        credentials: those of `access`.
        check: sees each answer before it is read.
    """
    session = _Session()
    # Nothing of the machine's (.netrc, proxies) is sent to an address that a user wrote.
    session.trust_env = False
    session.headers.update(dict(credentials.headers))
    # custom_query returns `data.result` alone: warnings, and so partial results, would look like whole ones.
    session.hooks["response"].append(lambda response, *_args, **_kwargs: check(response, credentials))
    if credentials.headers:
        # Another address would be shown the headers too.
        session.max_redirects = 0
    address = access.ref.address.rstrip("/")
    client = PrometheusConnect(url=address, retry=_RETRY, session=session)
    tls = access.ref.tls
    if tls is not None:
        # In the place of the adapter that the client has just mounted.
        session.mount(address, _Trusting(credentials.authority, tls.server_name or ""))
    return client
