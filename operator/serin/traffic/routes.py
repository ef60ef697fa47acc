"""The router over a route: numbers in a resource split the traffic, and pods only have to be enough.

Control keeps its full size while traffic is away from it, and the canary gets as many pods as its share needs before it
gets the share. So the way back needs no new pod: control is whole, and the canary's pods go only when the route has
been at 0 for a while. Weights are written by test-and-set, and only the numbers: rules, filters and backends of others
stay as they are.
"""

import math
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from serin.api.spec import Service, canary_name
from serin.engine.leads import Lead
from serin.engine.observation import Problem, RouteReading, Workload
from serin.kube.client import JSON_PATCH, Kube
from serin.kube.deployments import Deployments, workload
from serin.kube.errors import Conflict, Forbidden, Invalid
from serin.traffic.approach import Numbers, following, waits
from serin.traffic.conditions import behind, reports, trouble
from serin.traffic.memory import Memory
from serin.traffic.mirror_problems import copied_elsewhere, mirror_problems
from serin.traffic.mirrors import Copies, mark
from serin.traffic.presets import Address
from serin.traffic.replicas import workloads
from serin.traffic.route_problems import forbidden, is_mixed, kind, mixed, no_backends, pointed_problems
from serin.traffic.route_readings import NOBODY, missing_pods, percent, pods_needed, without_route, without_rule
from serin.traffic.route_source import RouteSource, digest, meant_by, pod_labels
from serin.traffic.scalers import too_small
from serin.traffic.splits import Labels, Pair, kind_of, pairs

_SETTLES: Final = 2.0
"""Seconds from when the controller says that it follows until every proxy does (measured: half a second at most)."""
_SETTLES_UNSEEN: Final = 5.0
"""The same for a resource that does not tell whether it is followed."""
_PATIENCE: Final = 10.0
"""Seconds that a route may lag behind before that is called trouble: the usual lag is far below one."""
_GOES_BACK_AFTER: Final = 30.0
"""Seconds that a return to control waits for control's pods: one that never gets ready must not keep a bad canary."""
_ENDPOINTS_FOLLOW: Final = 2.0
"""Seconds from a ready pod until the proxies know its endpoint: a gateway answers 500 for a backend without one."""
_UNSERVED_FOR: Final = 15.0
"""Seconds without any ready pod after which a canary with traffic is given up: longer than a pod takes to restart."""

_NOTES: Final = "/metadata/annotations"

_log = structlog.get_logger("serin.traffic.routes")


class RouteRouter:
    """See `serin.traffic.protocol.Router`.

    Args:
        kube: the API client.
        address: finds the resource of a service.
        clock: seconds that only go forward.
    """

    def __init__(
        self, kube: Kube, address: Callable[[Service], Address], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kube = kube
        self._deployments = Deployments(kube)
        self._source = RouteSource(kube, address, clock)
        self._memory = Memory(clock)

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
        """The split that the route says, in force or not; one call."""
        # Sizes may grow as they like; one that is too small is a change that has to be set right.
        busy = max(weight, mirror or 0)
        wants = total, pods_needed(busy, total)
        pods = "/".join(
            f"{each.uid[:8]}:{each.template_hash}{'<' * (each.replicas < want)}" if each else "-"
            for each, want in zip((control, canary), wants, strict=True)
        )
        notes = missing_pods(control, canary, busy, total)
        try:
            address, route = self._source.find(namespace, service)
        except (Forbidden, Invalid) as error:
            text = f"the route can't be read: {error}"
            return RouteReading(None, settled=False, token=f"-/{pods}", note=text, trouble=text)
        if address is None or route is None:
            return without_route(str(address or "its kind of route"), busy, notes, pods)
        rules, sentences, left = self._source.rules(namespace, service, address, route, fresh=False)
        copies = Copies(canary_name(service), mirror, rules)
        token = f"{digest(route, rules, canary_name(service))}/{pods}"
        if not rules:
            left = left or not copies.in_force(route)
            return without_rule(address, busy, notes, token, sentences, left=left)
        shares = [each.weight() for each in rules]
        share = None if None in shares else max(each for each in shares if each is not None)
        lag = trouble(route) or (copied_elsewhere(address, copies.foreign(route)) if busy else "")
        if lag:
            notes.insert(0, lag)
        if not all(each.written(weight) for each in rules):
            notes.insert(0, f"{address} gives the canary {percent(share)} and goes to {weight}%")
        elif not copies.in_force(route):
            now = percent(copies.share(route))
            notes.insert(0, f"{address} copies {now} of the requests to the canary and goes to {mirror or 0}%")
        elif not lag and (left_to := self._settles(namespace, service, route, token)) > 0:
            done = f"copies {mirror}% of the requests" if mirror else f"is at {weight}%"
            notes.insert(0, f"{address} {done}; its proxies get {math.ceil(left_to)}s to follow")
        since = self._memory.held(namespace, service.name, "lag", lag)
        return RouteReading(
            weight=share,
            settled=not notes,
            token=token,
            note=", ".join(notes),
            trouble=lag if lag and since >= _PATIENCE else "",
            unfollowed=str(address) if trouble(route) and since >= _PATIENCE else "",
            behind=behind(route),
            unserved=self._unserved(namespace, service, address, canary, share, copies.share(route)),
        )

    def _unserved(
        self,
        namespace: str,
        service: Service,
        address: Address,
        canary: Workload | None,
        share: float | None,
        copied: float,
    ) -> str:
        """Where pods are the split, one that dies takes its share with it; a route goes on leading users there."""
        dead = bool(share or copied) and (canary is None or canary.ready == 0)
        lasted = self._memory.held(namespace, service.name, "dead", "dead" if dead else "")
        if lasted < _UNSERVED_FOR:
            return ""
        gives = f"copies {percent(copied)} of the requests to it" if copied else f"gives it {percent(share)}"
        return f"the canary has had no ready pod for {lasted:.0f}s, and {address} {gives}"

    def write(self, namespace: str, service: Service, *, weight: int, total: int, mirror: int | None = None) -> None:
        """One step: pods that will be needed, then the numbers, then pods that are needed no more."""
        self._step(namespace, service, weight, total, mirror=mirror)

    def restore(self, namespace: str, service: Service, *, total: int, mirror: int | None = None) -> None:
        """All traffic to control, and no copy to the canary, with the first write."""
        self._step(namespace, service, 0, total, mirror=mirror, urgent=True)

    def leads(self, namespace: str, service: Service) -> tuple[Lead, ...]:
        """Where the route leads; nothing where it can't be read, which `read` says."""
        try:
            return self._source.leads(namespace, service)
        except (Forbidden, Invalid):
            return ()

    def _step(
        self, namespace: str, service: Service, weight: int, total: int, *, mirror: int | None, urgent: bool = False
    ) -> None:
        names, needed = (service.control.deployment, canary_name(service)), pods_needed(max(weight, mirror or 0), total)
        control, canary = (self._deployments.find(namespace, name) for name in names)
        seen = workload(control), workload(canary)
        if control is not None and (seen[0] or NOBODY).replicas < total:
            self._deployments.scale(control, total)
        if canary is not None and (seen[1] or NOBODY).replicas < needed:
            self._deployments.scale(canary, needed)
        address, route = self._source.find(namespace, service)
        if address is not None and route is not None:
            rules = self._source.rules(namespace, service, address, route, fresh=True)[0]
            copies = Copies(names[1], mirror, rules).changes(route)
            if copies or not all(each.written(weight) for each in rules):
                numbers = self._next(namespace, service, address, route, rules, weight, urgent=urgent)
                if numbers and not self._may_move(namespace, service, route, rules, seen, weight, total):
                    numbers = {}
                # Copies end at once; before they begin the canary is as able to serve as for a share.
                if mirror and not self._can_carry(namespace, service, route, seen[1] or NOBODY, mirror, total):
                    copies = []
                if numbers or copies:
                    self._set(namespace, address, route, numbers, copies)
                return
        at_rest = address is None or self._at_rest(namespace, service, address, route)
        if needed == 0 and canary is not None and (seen[1] or NOBODY).replicas and at_rest:
            self._deployments.scale(canary, 0)

    def _next(
        self,
        namespace: str,
        service: Service,
        address: Address,
        route: dict[str, Any],
        rules: tuple[Pair, ...],
        weight: int,
        *,
        urgent: bool,
    ) -> dict[Pair, Numbers]:
        """The numbers that come next, of the rules that are not at the weight and need not wait."""
        open_ones = [each for each in rules if not each.written(weight)]
        if not open_ones:
            return {}
        known, finest = self._is_known(namespace, service, route, rules, weight), address.preset.finest
        return {
            each: following(each, weight, finest, urgent=urgent)
            for each in open_ones
            if known or not waits(each, finest, urgent=urgent)
        }

    def check(self, namespace: str, service: Service, *, mirror: int = 0) -> tuple[Problem, ...]:
        """What is wrong with the Deployments, the route, its rule or its Services, in sentences."""
        objects, problems = workloads(self._deployments, namespace, service)
        if len(objects) < 2:  # noqa: PLR2004 - control and canary
            return tuple(problems)
        problems += too_small(self._kube, namespace, service, objects["control"]["spec"].get("replicas", 1))
        try:
            address, route = self._source.find(namespace, service)
        except Forbidden as error:
            return (*problems, Problem("RouteForbidden", forbidden(service, error)))
        except Invalid as error:
            return (*problems, Problem("RouteInvalid", str(error)))
        if address is None or route is None:
            what = str(address) if address is not None else f"kind {kind(service)} in this cluster, so no such route"
            text = f"{service.name}: no {what} in {namespace}: create it, or correct traffic"
            return (*problems, Problem("RouteNotFound", text))
        if address.preset.pointed:
            return (*problems, *pointed_problems(service, address, route))
        splits = address.preset.splits(route, namespace)
        chosen = meant_by(address, splits)
        if address.rule is not None and not chosen:
            there = ", ".join(each.name for each in splits if each.name) or "none has a name"
            text = f"{service.name}: {address} has no rule {address.rule}: write one of its own ({there})"
            return (*problems, Problem("RuleNotFound", text))
        selectors = self._source.selectors(namespace)
        labels = Labels(*(pod_labels(objects[role]) for role in ("control", "canary")))
        found, sentences = pairs(chosen, selectors, labels, rest=address.preset.rest)
        problems += [Problem("BackendAmbiguous", f"{service.name}: {address}: {text}") for text in sentences]
        unknown = any(kind_of(each.service, selectors, labels) == "missing" for rule in found for each in rule.named())
        if unknown or not (found or sentences):
            problems.append(Problem("NoSuchBackends", no_backends(service, address, chosen, selectors, labels)))
        problems += [mixed(service, address, each) for each in found if is_mixed(each)]
        if found and (text := trouble(route)):
            problems.append(Problem("RouteNotFollowed", f"{service.name}: {text}"))
        return (*problems, *mirror_problems(self._kube, service, address, route, found, mirror))

    def _may_move(
        self,
        namespace: str,
        service: Service,
        route: dict[str, Any],
        rules: tuple[Pair, ...],
        seen: tuple[Workload | None, Workload | None],
        weight: int,
        total: int,
    ) -> bool:
        """Whether those who will get the traffic can carry it, and whether somebody will follow."""
        control, canary = (each or NOBODY for each in seen)
        share = max((each.weight() or 0.0 for each in rules), default=0.0)
        if weight > share:
            self._memory.held(namespace, service.name, "back", "")
            return self._can_carry(namespace, service, route, canary, weight, total)
        # Control is whole, or has all but a trace already, or the canary can't carry what it has.
        if control.ready >= total or round(share) == 0 or canary.ready < max(1, pods_needed(round(share), total)):
            self._memory.held(namespace, service.name, "back", "")
            return True
        return self._memory.held(namespace, service.name, "back", f"{weight}") >= _GOES_BACK_AFTER

    def _can_carry(
        self, namespace: str, service: Service, route: dict[str, Any], canary: Workload, busy: int, total: int
    ) -> bool:
        """Whether the canary's pods are ready for `busy` percent and known as such, and somebody follows the route."""
        ready = canary.ready >= pods_needed(busy, total)
        lasted = self._memory.held(namespace, service.name, "ready", f"ready at {busy}%" if ready else "")
        return ready and lasted >= _ENDPOINTS_FOLLOW and not trouble(route)

    def _is_known(
        self, namespace: str, service: Service, route: dict[str, Any], rules: tuple[Pair, ...], weight: int
    ) -> bool:
        """Whether the proxies have had the present numbers for long enough.

        A way back does not wait for a rule that somebody else changes again and again, nor for a controller that says
        no. It does wait for one that is away: all but a trace has left by then, and when that controller comes back,
        its proxies go from what they had to what is written in one step. That must not take the backend away under
        them.
        """
        present, quiet = digest(route, rules, canary_name(service)), _SETTLES if reports(route) else _SETTLES_UNSEEN
        followed = self._memory.held(namespace, service.name, "followed", "" if trouble(route) else present)
        # By the numbers alone, not by what else is in the rule; from when they were seen.
        numbers = [(each.canary.weight, each.control.weight) for each in rules]
        written = self._memory.held(namespace, service.name, "written", "" if behind(route) else str(numbers))
        return followed >= quiet or (weight == 0 and written >= _PATIENCE)

    def _set(
        self,
        namespace: str,
        address: Address,
        route: dict[str, Any],
        numbers: dict[Pair, Numbers],
        copies: list[dict[str, Any]],
    ) -> None:
        wanted: dict[str, Any] = {}
        for each, (canary, control) in numbers.items():
            wanted[each.canary.path] = canary
            if each.control.path:
                wanted[each.control.path] = control
        if address.preset.encode is not None:
            wanted = address.preset.encode(route, wanted)
        meta = route["metadata"]
        changed = [*({"op": "add", "path": at, "value": to} for at, to in wanted.items()), *copies]
        # The status moves resourceVersion with each report of a controller; the generation moves with the spec alone,
        # and so not with an annotation.
        notes = any(at.startswith("/metadata/") for at in wanted) or any(each["path"] == _NOTES for each in copies)
        fence = "resourceVersion" if notes else "generation"
        patch = [{"op": "test", "path": f"/metadata/{name}", "value": meta[name]} for name in ("uid", fence)]
        patch += changed
        weights = [f"{canary}/{control}" for canary, control in numbers.values()]
        _log.info("weights", namespace=namespace, route=str(address), canary_control=weights, mirrors=len(copies))
        preset = address.preset
        try:
            self._kube.patch(preset.api_version, preset.plural, namespace, address.name, patch, JSON_PATCH)
        except Invalid as error:
            # The API server answers a test that fails with 422, as it does a value that is not acceptable.
            now = self._source.get(namespace, address)
            moved = now is None or any(now["metadata"][name] != meta[name] for name in ("uid", fence))
            if moved or (now is not None and mark(now) != mark(route)):
                raise Conflict(f"{address} changed since it was read", 409, "Conflict") from error
            raise

    def _at_rest(self, namespace: str, service: Service, address: Address, route: dict[str, Any] | None) -> bool:
        """True when nobody is led to the canary any more, and that for long enough for what was under way."""
        if route is None:
            return True
        rules, _, left = self._source.rules(namespace, service, address, route, fresh=False)
        if not rules:
            return not left
        # `read` marks the moment from which the route was seen at 0 and followed.
        marked, lasted = self._memory.last(namespace, service.name, "settles")
        quiet = _SETTLES if reports(route) else _SETTLES_UNSEEN
        same = marked.startswith(digest(route, rules, canary_name(service)))
        return not trouble(route) and same and lasted >= quiet

    def _settles(self, namespace: str, service: Service, route: dict[str, Any], token: str) -> float:
        """Seconds that the proxies still get."""
        quiet = _SETTLES if reports(route) else _SETTLES_UNSEEN
        return quiet - self._memory.held(namespace, service.name, "settles", token)
