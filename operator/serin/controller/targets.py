"""How each service is measured: by the names of its pods, or by what its route's gateway calls them.

A gateway's series are told apart by places in a route, so a route that changes changes whose they are: they are read
again at every look. Who else is measured in the same query goes by what was read last.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from serin.api.names import CANARY, CONTROL
from serin.api.spec import Service, Spec, canary_name
from serin.api.status import Phase, Status
from serin.controller.store import Key, key_of, names_of
from serin.engine import run
from serin.engine.leads import Lead
from serin.engine.observation import Problem
from serin.metrics.presets import Values, needs_leads, sides, untold
from serin.metrics.source import Target

Ask = Callable[[str, Service], Awaitable[tuple[Lead, ...]]]
"""Given a namespace and a service, where its route leads."""


class Targets:
    """What is asked of Prometheus for a service, and what was last read of its route."""

    def __init__(self) -> None:
        self._leads: dict[Key, dict[str, tuple[Lead, ...]]] = {}
        self._named: dict[Key, tuple[Spec, dict[tuple[str, str], Target]]] = {}

    async def read(self, obj: dict[str, Any], spec: Spec, ask: Ask) -> None:
        """Looks at the routes of those that are measured at a gateway; the others cost nothing."""
        told = {
            each.name: await ask(obj["metadata"]["namespace"], each)
            for each in spec.services
            if needs_leads(each.metrics or spec.metrics)
        }
        if told:
            self._leads[key_of(obj)] = told
        else:
            self._leads.pop(key_of(obj), None)

    def forget(self, key: Key) -> None:
        """Drops what was read of an experiment's routes."""
        self._leads.pop(key, None)
        self._named.pop(key, None)

    def of(self, obj: dict[str, Any], spec: Spec, service: Service, status: Status) -> Target:
        """In a bake, or a promotion that is paused, only the side that serves is asked for."""
        side = ""
        if run.position(status) in {Phase.PROMOTING, Phase.BAKING}:
            side = CONTROL if status.weight == 0 else CANARY
        # Http goes by the names, which change with the spec alone: it is asked three times for each look at thousands.
        if (service.metrics or spec.metrics).preset != "Http":
            return self._made(obj, spec, service, side)
        key = key_of(obj)
        known = self._named.get(key)
        if known is None or known[0] is not spec:
            known = self._named[key] = spec, {}
        found = known[1].get((service.name, side))
        if found is None:
            found = known[1][service.name, side] = self._made(obj, spec, service, side)
        return found

    def _made(self, obj: dict[str, Any], spec: Spec, service: Service, side: str) -> Target:
        """The target of a service; `side` is the only one that serves, if there is one alone."""
        control, canary = names_of(service)
        control_names, canary_names = frozenset({CONTROL, control}), frozenset({CANARY, canary})
        metrics, namespace = service.metrics or spec.metrics, obj["metadata"]["namespace"]
        named = metrics.preset == "Http"
        nobody: frozenset[Values] = frozenset()
        ours, theirs = (
            (nobody, nobody) if named else sides(metrics, namespace, service, canary, self._told(obj, service))
        )
        if side == CONTROL:
            canary_names, theirs = frozenset(), frozenset()
        elif side == CANARY:
            control_names, canary_names, ours, theirs = canary_names, frozenset(), theirs, frozenset()
        return Target(
            namespace=namespace,
            service=service.name,
            control_names=control_names,
            canary_names=canary_names,
            custom=spec.guardrails.custom,
            metrics=metrics,
            prometheus=spec.prometheus,
            sides=None if named else (ours, theirs),
        )

    def problem(self, obj: dict[str, Any], spec: Spec, service: Service) -> Problem | None:
        """Why the route does not tell whose series are whose, before traffic moves."""
        metrics, told = service.metrics or spec.metrics, self._told(obj, service)
        both = sides(metrics, obj["metadata"]["namespace"], service, canary_name(service), told)
        return None if all(both) else untold(service.name, metrics, told)

    def _told(self, obj: dict[str, Any], service: Service) -> tuple[Lead, ...]:
        return self._leads.get(key_of(obj), {}).get(service.name, ())
