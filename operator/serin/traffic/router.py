"""Which router a service has: by its `traffic.type`."""

from typing import TYPE_CHECKING, Final

from serin.api.spec import Service
from serin.engine.leads import Lead
from serin.engine.observation import Problem, RouteReading, Workload
from serin.kube.client import Kube
from serin.traffic import httproute, weights
from serin.traffic.replicas import ReplicasRouter

if TYPE_CHECKING:
    from serin.traffic.protocol import Router

READS_WITHOUT_A_CALL: Final = frozenset({"Replicas"})
"""Types whose `read` needs nothing but the Deployments."""


class Routers:
    """All routers as one. See `serin.traffic.protocol.Router`.

    Args:
        kube: the API client.
    """

    def __init__(self, kube: Kube) -> None:
        self._routers: dict[str, Router] = {
            "Replicas": ReplicasRouter(kube),
            "HTTPRoute": httproute.router(kube),
            "Weights": weights.router(kube),
        }

    def check(self, namespace: str, service: Service, *, mirror: int = 0) -> tuple[Problem, ...]:
        """By the service's router."""
        return self._routers[service.traffic.type].check(namespace, service, mirror=mirror)

    def read(
        self,
        service: Service,
        control: Workload | None,
        canary: Workload | None,
        *,
        weight: int,
        total: int,
        mirror: int | None = None,
        namespace: str = "",
    ) -> RouteReading:
        """By the service's router."""
        router = self._routers[service.traffic.type]
        return router.read(service, control, canary, weight=weight, total=total, mirror=mirror, namespace=namespace)

    def write(self, namespace: str, service: Service, *, weight: int, total: int, mirror: int | None = None) -> None:
        """By the service's router."""
        self._routers[service.traffic.type].write(namespace, service, weight=weight, total=total, mirror=mirror)

    def restore(self, namespace: str, service: Service, *, total: int, mirror: int | None = None) -> None:
        """By the service's router."""
        self._routers[service.traffic.type].restore(namespace, service, total=total, mirror=mirror)

    def leads(self, namespace: str, service: Service) -> tuple[Lead, ...]:
        """By the service's router."""
        return self._routers[service.traffic.type].leads(namespace, service)
