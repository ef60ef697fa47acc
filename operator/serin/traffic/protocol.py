"""The four verbs of a router: `check`, `read`, `write`, `restore`; and `leads`, for who measures at a gateway.

What is read back is the truth that decisions get; what was written is only a wish.
"""

from typing import Protocol

from serin.api.spec import Service
from serin.engine.leads import Lead
from serin.engine.observation import Problem, RouteReading, Workload


class Router(Protocol):
    """How the traffic of one service is split. All methods may block on the API server; none on Prometheus."""

    def check(self, namespace: str, service: Service) -> tuple[Problem, ...]:
        """What would keep this router from working, before any traffic moves."""

    def read(
        self,
        service: Service,
        control: Workload | None,
        canary: Workload | None,
        *,
        weight: int,
        total: int,
        namespace: str = "",
    ) -> RouteReading:
        """The split as it is now, judged against the intended `weight` (percent) of `total` pods.

        Pure for Replicas; a route is read by one call.
        """

    def write(self, namespace: str, service: Service, *, weight: int, total: int) -> None:
        """Goes one step towards `weight`; called at each look until `read` says settled. Compare-and-set, idempotent.

        Raises:
            serin.kube.errors.KubeError: the API server refused or did not answer; nothing is assumed about the effect.
        """

    def restore(self, namespace: str, service: Service, *, total: int) -> None:
        """`write` with weight 0 for a rollback: whatever makes a planned return gentler must not delay this one."""

    def leads(self, namespace: str, service: Service) -> tuple[Lead, ...]:
        """Where the split leads to either variant; empty where pods are the split, and where there is no such route."""
