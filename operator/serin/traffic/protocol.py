"""The four verbs of a router: `check`, `read`, `write`, `restore`; and `leads`, for who measures at a gateway.

What is read back is the truth that decisions get; what was written is only a wish.
"""

from typing import Protocol

from serin.api.spec import Service
from serin.engine.leads import Lead
from serin.engine.observation import Problem, RouteReading, Workload


class Router(Protocol):
    """How the traffic of one service is split. All methods may block on the API server; none on Prometheus."""

    def check(self, namespace: str, service: Service, *, mirror: int = 0) -> tuple[Problem, ...]:
        """What would keep this router from working, before any traffic moves.

        Args:
            namespace: of the experiment.
            service: of the experiment.
            mirror: percent of the requests that a stage will copy to the canary; 0 without such a stage.
        """

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
        """The split as it is now, judged against the intended `weight` and `mirror` (percent) of `total` pods.

        `mirror` is None for a run that has copied nothing: what somebody else copies is left alone then.

        Pure for Replicas; a route is read by one call.
        """

    def write(self, namespace: str, service: Service, *, weight: int, total: int, mirror: int | None = None) -> None:
        """Goes one step towards `weight` and `mirror`, at each look until `read` says settled. Compare-and-set.

        Raises:
            serin.kube.errors.KubeError: the API server refused or did not answer; nothing is assumed about the effect.
        """

    def restore(self, namespace: str, service: Service, *, total: int, mirror: int | None = None) -> None:
        """`write` with weight and mirror 0 for a rollback: what makes a planned return gentler must not delay it."""

    def leads(self, namespace: str, service: Service) -> tuple[Lead, ...]:
        """Where the split leads to either variant; empty where pods are the split, and where there is no such route."""
