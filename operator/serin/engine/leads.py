"""Where a route leads to either variant, as the statistics of a gateway name it.

A gateway counts by what it was configured with (a rule, a backend, a Service), and only the route says which of these
is control and which the canary. Routers read it, the metrics turn it into labels.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lead:
    """One backend of a route that leads to a variant.

    Args:
        variant: `control` or `canary`.
        route: name of the route.
        service: name of the Service.
        port: of the Service, as the route writes it; empty where it says none.
        rule: place of the rule in the route, from 0.
        backend: place of the backend in the rule, from 0.
        filtered: it has filters of its own, which makes it a cluster of its own in Envoy.
    """

    variant: str
    route: str
    service: str
    port: str = ""
    rule: int = 0
    backend: int = 0
    filtered: bool = False
