"""Calls to the API server: JSON in, JSON out.

The generated models of the kubernetes package cost more time than the calls themselves and drop fields that they do not
know, so only its configuration, authentication and connection pool are used.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from serin.kube.errors import KubeError, NotFound, Unavailable, error_for

MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY: Final = "application/apply-patch+yaml"
STRATEGIC: Final = "application/strategic-merge-patch+json"

_TIMEOUT: Final = (3.0, 10.0)
"""(connect, read) in seconds: longer than any healthy answer, shorter than a look."""

_REFUSED: Final = 400

PAGE: Final = 200
"""Objects of a page of a list. A Deployment takes ten times as much memory while it is read as when it is kept."""

Observer = Callable[[str, str, int, float], None]


class Kube:
    """The API server.

    Args:
        api: a configured client of the kubernetes package.
        on_call: told (verb, plural, HTTP status, seconds) after each call.
    """

    def __init__(self, api: client.ApiClient, on_call: Observer | None = None) -> None:
        self._api = api
        self.on_call = on_call

    @classmethod
    def connect(cls) -> "Kube":
        """In the cluster with the pod's account, elsewhere with the kubeconfig."""
        try:
            config.load_incluster_config()
        except config.ConfigException:
            config.load_kube_config()
        settings = client.Configuration.get_default_copy()
        settings.retries = urllib3.Retry(0)
        settings.connection_pool_maxsize = 32
        return cls(client.ApiClient(settings))

    def get(self, api_version: str, plural: str, namespace: str | None, name: str) -> dict[str, Any]:
        """One object."""
        return self._call("GET", _path(api_version, plural, namespace, name), plural)

    def list(
        self,
        api_version: str,
        plural: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        limit: int = PAGE,
    ) -> list[dict[str, Any]]:
        """All objects, page by page."""
        pages = self.pages(api_version, plural, namespace, label_selector=label_selector, limit=limit)
        return [obj for page in pages for obj in page]

    def pages(
        self,
        api_version: str,
        plural: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        limit: int = PAGE,
    ) -> Iterator[Sequence[dict[str, Any]]]:
        """All objects, a page at a time: of many, no more than a page is in memory."""
        token = ""
        while True:
            query = [("limit", str(limit))]
            query += [("labelSelector", label_selector)] if label_selector else []
            query += [("continue", token)] if token else []
            page = self._call("GET", _path(api_version, plural, namespace), plural, query=query, verb="LIST")
            yield page.get("items") or []
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return

    def plural(self, api_version: str, kind: str) -> str:
        """What paths call a kind.

        Raises:
            NotFound: the cluster does not know the kind.
        """
        for each in self._call("GET", _path(api_version, "", None).rstrip("/"), "apis").get("resources", ()):
            if each["kind"] == kind and "/" not in each["name"]:
                return str(each["name"])
        raise NotFound(f"the cluster knows no kind {kind} in {api_version}", 404, "NotFound")

    def create(self, api_version: str, plural: str, namespace: str | None, body: dict[str, Any]) -> dict[str, Any]:
        """A new object; AlreadyExists is a Conflict."""
        return self._call("POST", _path(api_version, plural, namespace), plural, body=body)

    def patch(
        self,
        api_version: str,
        plural: str,
        namespace: str | None,
        name: str,
        body: object,
        content_type: str = MERGE,
        subresource: str = "",
        *,
        trial: bool = False,
    ) -> dict[str, Any]:
        """The object after the patch; with `trial` only what it would be."""
        path = _path(api_version, plural, namespace, name) + (f"/{subresource}" if subresource else "")
        query = (("dryRun", "All"),) if trial else ()
        return self._call("PATCH", path, plural, body=body, content_type=content_type, query=query)

    def delete(
        self, api_version: str, plural: str, namespace: str | None, name: str, *, uid: str | None = None
    ) -> dict[str, Any]:
        """Deletes in the background; with `uid`, only that very object."""
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        return self._call("DELETE", _path(api_version, plural, namespace, name), plural, body=body)

    def close(self) -> None:
        """Gives the connections back."""
        self._api.close()

    def _call(
        self,
        method: str,
        path: str,
        plural: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        query: Sequence[tuple[str, str]] = (),
        verb: str = "",
    ) -> dict[str, Any]:
        begun, status = time.monotonic(), 0
        try:
            response = self._api.call_api(
                *self._api.param_serialize(
                    method=method,
                    resource_path=path,
                    query_params=[*query],
                    header_params={"Accept": "application/json", "Content-Type": content_type},
                    body=body,
                    auth_settings=["BearerToken"],
                ),
                _request_timeout=_TIMEOUT,
            )
            status, data = int(response.status), response.read()
            if status >= _REFUSED:
                raise _refusal(status, data)
            answer: dict[str, Any] = msgspec.json.decode(data)
        except ApiException as error:
            status = int(error.status or 0)
            raise _refusal(status, error.body) from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Unavailable(f"the API server did not answer {method} {plural}: {type(error).__name__}") from None
        finally:
            if self.on_call is not None:
                self.on_call(verb or method, plural, status, time.monotonic() - begun)
        return answer


def _path(api_version: str, plural: str, namespace: str | None, name: str = "") -> str:
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{scope}/{plural}" + (f"/{name}" if name else "")


def _refusal(status: int, body: object) -> KubeError:
    try:
        text = json.loads(body) if isinstance(body, str | bytes) else {}
    except ValueError:
        text = {}
    if not isinstance(text, dict):  # a proxy's answer
        text = {}
    reason, message = text.get("reason") or "", text.get("message") or ""
    return error_for(status, reason, message or f"the API server answered {status}")
