"""A simulated cluster with simulated traffic: the same `decide`, the same statistics, no Kubernetes and no Prometheus.

`serin simulate` shows with it what an experiment would do and when; the tests run whole experiments over it. What it
leaves out is said here: pods become ready after a fixed time, every pod gets the same share of the traffic, and a route
is followed at once.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from serin.api.spec import Service, Spec, canary_name
from serin.api.status import TERMINAL, Status
from serin.engine import record, run
from serin.engine.decide import decide
from serin.engine.decision import (
    Act,
    AddFinalizer,
    Decision,
    EnsureCanary,
    KeepTemplate,
    PromoteTemplate,
    RemoveCanary,
    RemoveFinalizer,
    RestoreTemplate,
    Shift,
)
from serin.engine.generated import Fault, Traffic, combined, variant
from serin.engine.goals import judging
from serin.engine.goals.world import GoalEffect, GoalUsers
from serin.engine.observation import (
    GoalReading,
    LookResult,
    MeasurementFailure,
    Observation,
    RouteReading,
    ServiceCounts,
    ServiceObservation,
    Unmeasured,
    Workload,
)
from serin.engine.split import pods_for
from serin.engine.staying import Staying
from serin.engine.wording import unix


@dataclass(slots=True)
class _Pods:
    """One Deployment."""

    name: str
    template: str
    replicas: int
    generation: int = 1
    ready_at: float = 0.0
    made: bool = False
    """By Serin, from a patch."""


@dataclass(frozen=True, slots=True)
class _Pair:
    control: _Pods
    canary: _Pods | None
    original: str
    """Control's template from before the promotion, when it is kept."""

    @property
    def kept(self) -> bool:
        return bool(self.original)


@dataclass(slots=True)
class World:
    """The cluster that an experiment runs in.

    Args:
        spec: the experiment; `paused` and `abort` may be changed between looks by replacing it.
        traffic: what users do.
        faults: what is wrong with the canary.
        outages: (from, until) in seconds after the start in which Prometheus does not answer.
        replicas: size of each control Deployment.
        ready_after: seconds until a new pod is ready.
        seed: of all random numbers.
        goals: what the users of each goal are like, by its name.
        sticky: users whom routes keep on their variant, some of them far more active than others; 0: each request is
            split by itself. Each service has as many of its own.
    """

    spec: Spec
    traffic: Traffic = field(default_factory=Traffic)
    faults: tuple[Fault, ...] = ()
    outages: tuple[tuple[float, float], ...] = ()
    replicas: int = 20
    ready_after: float = 5.0
    seed: int = 1
    goals: dict[str, GoalEffect] = field(default_factory=dict)
    sticky: int = 0
    look_seconds: float = 0.0
    start: float = 1_700_000_000.0
    now: float = field(init=False)
    status: Status = field(init=False)
    finalizer: bool = field(init=False, default=False)
    deleting: bool = field(init=False, default=False)
    annotations: dict[str, str] = field(init=False, default_factory=dict)
    acts: list[tuple[float, Act]] = field(init=False, default_factory=list)
    _deployments: dict[str, _Pods] = field(init=False, default_factory=dict)
    _kept: dict[tuple[str, str], str] = field(init=False, default_factory=dict)
    """Templates that were kept, by run and service."""
    copies: dict[str, int] = field(init=False, default_factory=dict)
    """Percent of a service's requests of which its canary gets a copy."""
    _random: np.random.Generator = field(init=False)
    _users: GoalUsers = field(init=False)
    _staying: dict[str, Staying] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Builds the Deployments."""
        self.now = self.start
        self.status = Status()
        self._random = np.random.default_rng(self.seed)
        self._users = GoalUsers(self.goals, self.seed, self.start)
        for service in self.spec.services:
            if self.sticky and service.traffic.type != "Replicas":
                self._staying[service.name] = Staying.drawn(self.sticky, (self.seed, 11, len(self._staying)))
            self.add(service.control.deployment, "old", self.replicas)
            if service.canary.patch is None:
                self.add(canary_name(service), "new", 0)

    def add(self, name: str, template: str, replicas: int) -> None:
        """A Deployment of the user's."""
        self._deployments[name] = _Pods(name, template, replicas)

    def run(self, until: float, on_decision: Callable[[float, Decision], None] | None = None) -> Iterator[Decision]:
        """Looks until the run has ended or `until` seconds have passed; yields each decision."""
        while self.now - self.start < until:
            decision = self.look()
            if on_decision is not None:
                on_decision(self.now - self.start, decision)
            yield decision
            if decision.status.phase in TERMINAL and not decision.acts and not self.finalizer:
                return
            self.now += max(0.5, min(decision.wake_after, self._interval))

    def look(self) -> Decision:
        """One reconcile: observe, decide, write, act."""
        seen = self.observe()
        decision = decide(self.spec, self.status, seen, self.now)
        self.status = decision.status
        for act in decision.acts:
            self.do(act)
        return decision

    def observe(self) -> Observation:
        """What the controller would see now."""
        return Observation(
            uid="simulated",
            namespace="simulated",
            name="simulated",
            generation=1,
            deleting=self.deleting,
            finalizer=self.finalizer,
            annotations=dict(self.annotations),
            services=tuple(self._service(service) for service in self._in_force.services),
            looks=self._looks(),
            goals=self._goals(),
        )

    def do(self, act: Act) -> None:
        """Changes the cluster as the routers and the API client would."""
        self.acts.append((self.now - self.start, act))
        if isinstance(act, AddFinalizer | RemoveFinalizer):
            self.finalizer = isinstance(act, AddFinalizer)
            return
        pair = self._pairs[act.service]
        if isinstance(act, Shift):
            self._shift(pair, act)
            if not act.mirror or (pair.canary is not None and self._ready(pair.canary)):
                self.copies[act.service] = act.mirror or 0
        elif isinstance(act, EnsureCanary):
            name = f"{pair.control.name}-canary"
            self._deployments.setdefault(name, _Pods(name, "new", 0, made=True))
        elif isinstance(act, KeepTemplate):
            self._kept.setdefault((self.status.run_id, act.service), pair.control.template)
        elif isinstance(act, PromoteTemplate):
            self._roll(pair.control, pair.canary.template if pair.canary is not None else pair.control.template)
        elif isinstance(act, RestoreTemplate):
            self._roll(pair.control, pair.original)
        elif isinstance(act, RemoveCanary):
            self._remove(pair, act.service)

    def share(self, service: str) -> float:
        """The canary's share of the traffic, from 0 to 1: its part of the ready pods, or what a route says."""
        pair = self._pairs[service]
        canary = self._ready(pair.canary) if pair.canary is not None else 0
        total = canary + self._ready(pair.control)
        if self._in_force.service(service).traffic.type != "Replicas" and canary and self._ready(pair.control):
            return self.status.weight / 100
        return canary / total if total else 0.0

    def served(self, service: str) -> float:
        """The canary's share of the requests, from 0 to 1: what the split comes to with its users and faults."""
        share, at = self.share(service), self.now - self.start
        wrong = next((each.split for each in self.faults if each.split is not None and each.active(service, at)), None)
        if wrong is not None and 0 < share < 1:
            return wrong
        staying = self._staying.get(service)
        return share if staying is None else staying.share(share)

    @property
    def _in_force(self) -> Spec:
        return record.in_force(self.spec, self.status, finalizer=self.finalizer) or self.spec

    @property
    def _pairs(self) -> dict[str, _Pair]:
        """Control and canary of each service."""
        return {
            each.name: _Pair(
                self._deployments[each.control.deployment],
                self._deployments.get(canary_name(each)),
                self._kept.get((self.status.run_id, each.name), ""),
            )
            for each in self._in_force.services
        }

    def _goals(self) -> dict[str, GoalReading | Unmeasured]:
        if not judging.due(self.spec, self.status):
            return {}
        first = self.spec.services[0].name
        return {
            goal.name: self._users.read(goal.name, self.now, partial(self.served, goal.service or first))
            for goal in self.spec.goals
        }

    @property
    def _interval(self) -> float:
        return self.look_seconds or self.spec.analysis.interval.seconds

    def _remove(self, pair: _Pair, name: str) -> None:
        self._kept.pop((self.status.run_id, name), None)
        if pair.canary is not None and pair.canary.made:
            del self._deployments[pair.canary.name]
        elif pair.canary is not None and pair.canary.replicas:
            self._scale(pair.canary, 0)

    def _shift(self, pair: _Pair, act: Shift) -> None:
        control, canary = _sizes(act.weight, act.mirror or 0, act.total)
        if pair.canary is None:
            self._scale(pair.control, control)
            return
        grows, shrinks = (pair.canary, pair.control) if act.weight or act.mirror else (pair.control, pair.canary)
        sizes = {id(pair.canary): canary, id(pair.control): control}
        if pair.control.replicas < control:
            grows, shrinks = pair.control, pair.canary
        self._scale(grows, sizes[id(grows)])
        if self._ready(grows) == grows.replicas:
            self._scale(shrinks, sizes[id(shrinks)])

    def _scale(self, pods: _Pods, replicas: int) -> None:
        if pods.replicas != replicas:
            grown = replicas > pods.replicas
            pods.replicas = replicas
            pods.generation += 1
            pods.ready_at = self.now + self.ready_after if grown else self.now

    def _roll(self, pods: _Pods, template: str) -> None:
        if pods.template != template:
            pods.template = template
            pods.generation += 1
            pods.ready_at = self.now + (self.ready_after if pods.replicas else 0.0)

    def _ready(self, pods: _Pods) -> int:
        return pods.replicas if self.now >= pods.ready_at else 0

    def _service(self, service: Service) -> ServiceObservation:
        pair = self._pairs[service.name]
        known, seen = next((each for each in self.status.services if each.name == service.name), None), self._workload
        workloads = seen(pair.control), seen(pair.canary) if pair.canary is not None else None
        total = run.split_total(service, self.status) or record.size(known, *workloads, finalizer=self.finalizer)
        control, canary = _sizes(self.status.weight, self.status.mirror, total)
        have = pair.canary.replicas if pair.canary is not None else 0
        ready = self._ready(pair.control) == control and (self._ready(pair.canary) if pair.canary else 0) == canary
        generation = pair.canary.generation if pair.canary is not None else 0
        return ServiceObservation(
            name=service.name,
            control=workloads[0],
            canary=workloads[1],
            route=RouteReading(
                weight=100 * self.share(service.name),
                settled=ready
                and (pair.control.replicas, have) == (control, canary)
                and self.copies.get(service.name, 0) == self.status.mirror,
                token=f"{pair.control.generation}/{generation}/{self.copies.get(service.name, 0)}",
            ),
            kept_template=pair.kept,
            original_template=pair.original,
            canary_template=pair.canary.template if pair.canary is not None else "",
        )

    def _workload(self, pods: _Pods) -> Workload:
        ready = self._ready(pods)
        return Workload(
            name=pods.name,
            uid=pods.name,
            generation=pods.generation,
            observed_generation=pods.generation,
            replicas=pods.replicas,
            current=pods.replicas,
            updated=pods.replicas,
            ready=ready,
            available=ready,
            template_hash=pods.template,
        )

    def _looks(self) -> tuple[LookResult, ...]:
        until = unix(self.status.counted_until)
        interval = self._interval
        if not until or self.now - until < interval:
            return ()
        count = int((self.now - until) // interval)
        return tuple(self._look(until + (index + 1) * interval, interval) for index in range(min(count, 20)))

    def _look(self, ends_at: float, seconds: float) -> LookResult:
        at = ends_at - self.start
        if any(begin <= self.now - self.start < end for begin, end in self.outages):
            gone = Unmeasured(MeasurementFailure.UNREACHABLE, "Prometheus does not answer (simulated outage)")
            return LookResult(ends_at, seconds, {service.name: gone for service in self._in_force.services})
        return LookResult(
            ends_at, seconds, {each.name: self._counts(each.name, at, seconds) for each in self._in_force.services}
        )

    def _counts(self, name: str, at: float, seconds: float) -> ServiceCounts:
        pair = self._pairs[name]
        requests = int(self._random.poisson(self.traffic.rate * seconds))
        canary = int(self._random.binomial(requests, self.served(name)))
        new_control = pair.control.template == "new"
        control = requests - canary
        if (copies := self.copies.get(name, 0)) and pair.canary is not None and self._ready(pair.canary):
            canary += int(self._random.binomial(control, copies / 100))
        return ServiceCounts(
            control=variant(self._random, self.traffic, control, self._fault(name, at, new=new_control)),
            canary=variant(self._random, self.traffic, canary, self._fault(name, at, new=True)),
        )

    def _fault(self, name: str, at: float, *, new: bool) -> tuple[float, float]:
        """(error share, added latency) of a version at a time."""
        return combined([each for each in self.faults if (new or each.shared) and each.active(name, at)], self.traffic)


def _sizes(weight: int, mirror: int, total: int) -> tuple[int, int]:
    """(control, canary) pods; one that gets copies has as many as for a share of that size, beside a whole control."""
    return (total, math.ceil(mirror * total / 100)) if mirror else pods_for(weight, total)
