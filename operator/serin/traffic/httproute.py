"""The HTTPRoute router: weights of the Gateway API's `backendRefs`.

Which backend is whose follows from the Services (`splits`), whether the Gateway follows from the route's conditions
(`conditions`). Without `httpRoute.rule` every rule that leads to both variants is set, so that the sticky rule and the
one for requests without a user stay together.
"""

from serin.api.spec import Service
from serin.kube.client import Kube
from serin.traffic.presets import HTTP_ROUTE, Address
from serin.traffic.routes import RouteRouter


def address(service: Service) -> Address:
    """The HTTPRoute of a service.

    Raises:
        ValueError: the service has none; the API server refuses such a spec.
    """
    ref = service.traffic.http_route
    if ref is None:
        raise ValueError(f"{service.name}: type HTTPRoute needs httpRoute: write httpRoute: {{name: ...}}")
    return Address(HTTP_ROUTE, ref.name, ref.rule)


def router(kube: Kube) -> RouteRouter:
    """The router over one API server."""
    return RouteRouter(kube, address)
