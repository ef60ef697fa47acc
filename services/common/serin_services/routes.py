"""Which route a request is for, known before FastAPI routes it.

Metrics need the template of a route for every answer, also for one that is shed or made to fail before FastAPI sees
the request. A path as label would give each conversation a series of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.types import Scope

from serin_services.idempotency import IDEMPOTENCY_KEY

UNMATCHED = "unmatched"
"""Template of a request that no route answers."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class MatchedRoute:
    """What is known of a request from its path and method.

    Attributes:
        template: Path with its parameters' names, or `unmatched`.
        method: HTTP method, or `OTHER` (a client may send any word; labels must stay few).
        counted: Whether users wait for it: probes and scrapes are not, they would dilute the error rate.
        statuses: Documented status codes.
        writes: Whether it writes what users do: such a route takes an Idempotency-Key.
    """

    template: str
    method: str
    counted: bool
    statuses: tuple[int, ...] = ()
    writes: bool = False


class RouteTable:
    """The routes of an application, matched by path and method.

    Args:
        api: Routers whose routes users call; they are counted.
        silent: Routers of probes, scrapes and health; they are not.
    """

    def __init__(self, api: Iterable[APIRouter], silent: Iterable[APIRouter] = ()) -> None:
        self._routes: list[tuple[APIRoute, MatchedRoute]] = []
        for routers, counted in ((api, True), (silent, False)):
            for router in routers:
                for route in router.routes:
                    if isinstance(route, APIRoute):
                        self._routes.extend(
                            (route, _describe(route, method, counted)) for method in route.methods or ()
                        )

    def counted(self) -> tuple[MatchedRoute, ...]:
        """Return the routes whose series must exist before the first request."""
        return tuple(matched for _, matched in self._routes if matched.counted)

    def match(self, scope: Scope) -> MatchedRoute:
        """Return the route of an HTTP scope; a wrong method keeps the path's template."""
        path, method = scope["path"], scope["method"]
        wrong_method: MatchedRoute | None = None
        for route, matched in self._routes:
            if route.path_regex.match(path):
                if matched.method == method:
                    return matched
                wrong_method = matched
        known = method if method in _METHODS else "OTHER"
        if wrong_method is not None:
            return MatchedRoute(wrong_method.template, known, wrong_method.counted)
        return MatchedRoute(UNMATCHED, known, counted=True)


def _describe(route: APIRoute, method: str, counted: bool) -> MatchedRoute:
    documented = {int(code) for code in route.responses if str(code).isdigit()}
    statuses = tuple(sorted({route.status_code or 200, 500, *documented}))
    writes = any(each.alias == IDEMPOTENCY_KEY for each in route.dependant.header_params)
    return MatchedRoute(route.path, method, counted, statuses, writes)
