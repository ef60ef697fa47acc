"""What Flagger and Argo Rollouts cost, measured elsewhere and before: this program does not run them.

Flagger v1.44 (gatewayapi provider) and Argo Rollouts v1.9 and v1.10 (replica canary with background analysis), each
alone on etcd, kube-apiserver v1.34.3 and a controller-manager with simulated pods, one service and one Prometheus
metric a canary, every 30 s, for 245 s after settling, on 2 cores that other work used too.
"""

from dataclasses import dataclass
from typing import Final

SOURCE: Final = (
    "Flagger v1.44 and Argo Rollouts v1.9/1.10: measured elsewhere, each alone on etcd and kube-apiserver v1.34.3 with"
    " simulated pods, 245 s, 2 cores shared with other work; one service and one metric a canary"
)


@dataclass(frozen=True, slots=True)
class Peer:
    """Figures of one peer at one N.

    Attributes:
        requests: to the API server, per second.
        queries: to Prometheus, per second.
        cpu: cores.
        rss: MiB.
        gap: between two looks at one canary, seconds: P50, P99.
        apiserver: cores.
    """

    requests: float
    queries: float
    cpu: float
    rss: float
    gap: tuple[float, float]
    apiserver: float


PEERS: Final[dict[int, dict[str, Peer]]] = {
    20: {
        "Flagger": Peer(11.1, 0.69, 0.008, 68, (30.2, 30.9), 0.06),
        "Argo Rollouts": Peer(1.1, 0.65, 0.007, 99, (30.0, 30.2), 0.05),
    },
    100: {
        "Flagger": Peer(59.2, 3.3, 0.056, 75, (29.9, 33.1), 0.20),
        "Argo Rollouts": Peer(3.9, 3.3, 0.019, 118, (30.0, 30.4), 0.08),
    },
    300: {
        "Flagger": Peer(157.7, 9.8, 0.177, 93, (30.1, 36.3), 0.57),
        "Argo Rollouts": Peer(19.3, 10.1, 0.186, 168, (30.0, 30.8), 0.19),
    },
}
READY_200_MORE: Final = {"Flagger": 106.0, "Argo Rollouts": 40.0}
"""Seconds until 200 more canaries were ready."""
