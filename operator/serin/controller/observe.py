"""Puts together what `decide` is told: Deployments from the store, counts from Prometheus, checks while they matter."""

import asyncio
import time
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from serin.api.names import FINALIZER
from serin.api.spec import Service, Spec
from serin.api.status import TERMINAL, Phase, Status
from serin.controller.claims import in_use
from serin.controller.looks import offset, set_back, windows
from serin.controller.measured import Measured, Slot
from serin.controller.store import Kept, Key, Store, key_of, names_of
from serin.controller.targets import Targets
from serin.controller.waits import Waits
from serin.controller.workloads import Workloads
from serin.engine import history, record, run
from serin.engine.goals import judging
from serin.engine.observation import (
    GoalReading,
    History,
    LookResult,
    Observation,
    Problem,
    RouteReading,
    ServiceCounts,
    ServiceObservation,
    Unmeasured,
    Workload,
)
from serin.engine.wording import unix
from serin.kube.deployments import Deployments, outdated, template_hash
from serin.metrics.checks import check, unsupported, unsupported_prometheus
from serin.metrics.goals import check_goals, read_goals
from serin.metrics.presets import unfit
from serin.metrics.source import MetricsSource, Target
from serin.traffic.protocol import Router
from serin.traffic.router import READS_WITHOUT_A_CALL

_CHECK_AGAIN: Final = 10.0
_BARELY: Final = 0.1
"""Of an interval: who is later than that makes up for both looks by one, which is half the work."""
_LONGEST_NAME: Final = 170
"""Of the experiment's name in that of a kept template, which may have 253 characters in all."""
_KEPT_MATTERS: Final = frozenset({Phase.PROMOTING, Phase.BAKING, Phase.ROLLING_BACK})
_COUNTS: Final = frozenset({Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING})


def revision_name(experiment: str, service: str, run_id: str) -> str:
    """The ControllerRevision that keeps control's template of a run."""
    return f"{experiment[:_LONGEST_NAME]}-{service}-{run_id}"


@dataclass(slots=True)
class _Checked:
    at: float
    generation: int
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class Observer:
    """Observes for decisions.

    Args:
        store: what is watched.
        deployments: for objects that are not watched.
        router: reads and checks splits.
        source: measures.
        executor: for calls that block.
    """

    store: Store
    deployments: Deployments
    router: Router
    source: MetricsSource
    executor: Executor
    _checked: dict[Key, _Checked] = field(default_factory=dict)
    _waits: Waits = field(default_factory=Waits)
    _workloads: Workloads = field(default_factory=Workloads)
    pruned: bool = False
    """Told by the reconciler: the last status that was written came back without all of its fields."""

    async def observe(
        self, obj: dict[str, Any], spec: Spec | None, status: Status, now: float, *, asked: bool
    ) -> Observation:
        """The picture of one experiment at `now`, by the spec that is in force; without one it has no services.

        Where that is not what the user asks for (`asked` is False), something is on its way back: it needs no checks
        and no measurements.
        """
        meta = obj["metadata"]
        if spec is not None and asked:
            # Before the split: whoever edits the route in between changes the split's token, and the look is left out.
            await self.targets.read(obj, spec, partial(self._call, self.router.leads))
        services = await self._services(obj, spec, status) if spec is not None else ()
        looks: tuple[LookResult, ...] = ()
        readings: dict[str, GoalReading | Unmeasured] = {}
        problems: tuple[Problem, ...] = ()
        before: dict[str, History | Unmeasured] = {}
        if spec is not None and asked and "deletionTimestamp" not in meta:
            problems = await self._problems(obj, spec, status)
            # An abort needs no measurement, and must not wait for a Prometheus that does not answer.
            if not spec.abort:
                before = await self._history(obj, spec, status, now)
                looks = await self._looks(obj, spec, status, now)
                readings = await self._goals(meta["namespace"], spec, status, now)
        return Observation(
            uid=meta["uid"],
            namespace=meta["namespace"],
            name=meta["name"],
            generation=meta.get("generation", 0),
            deleting="deletionTimestamp" in meta,
            finalizer=FINALIZER in meta.get("finalizers", ()),
            annotations=meta.get("annotations") or {},
            services=services,
            problems=problems,
            looks=looks,
            goals=readings,
            history=before,
        )

    def forget(self, key: Key) -> None:
        """Drops what is remembered of an experiment."""
        self._checked.pop(key, None)
        self.targets.forget(key)
        known = set(self.store.deployments.uids().values())
        self._waits.forget(known)
        self._workloads.forget(known)

    async def _call(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.executor, partial(function, *args))

    async def _services(self, obj: dict[str, Any], spec: Spec, status: Status) -> tuple[ServiceObservation, ...]:
        namespace = obj["metadata"]["namespace"]
        found = []
        for service in spec.services:
            control, canary = (self.store.deployments.kept(Key(namespace, name)) for name in names_of(service))
            kept = None
            if run.position(status) in _KEPT_MATTERS and status.run_id:
                name = revision_name(obj["metadata"]["name"], service.name, status.run_id)
                kept = await self._call(self.deployments.kept_template, namespace, name)
            workloads = await self._seen(status, control), await self._seen(status, canary)
            total = run.split_total(service, status) or _size(obj, service, status, workloads)
            read = partial(
                self.router.read,
                service,
                *workloads,
                weight=status.weight,
                total=total,
                mirror=run.copies(status, service.name),
                namespace=namespace,
            )
            route = read() if service.traffic.type in READS_WITHOUT_A_CALL else await self._call(read)
            found.append(self._service(service, status, workloads, route, control, canary, kept))
        return tuple(found)

    async def _seen(self, status: Status, obj: Kept | None) -> Workload | None:
        """A Deployment; while something waits for it, with what its pods say."""
        if status.phase in TERMINAL or status.phase is Phase.PENDING:
            return self._workloads.of(obj)
        ask = partial(self._call, self.deployments.trouble)
        return await self._waits.explained(self._workloads.of(obj), obj, ask)

    def _service(
        self,
        service: Service,
        status: Status,
        workloads: tuple[Workload | None, Workload | None],
        route: RouteReading,
        raw_control: Kept | None,
        raw_canary: Kept | None,
        kept: dict[str, Any] | None,
    ) -> ServiceObservation:
        control, canary = workloads
        return ServiceObservation(
            name=service.name,
            control=control,
            canary=canary,
            route=route,
            kept_template=kept is not None,
            original_template=template_hash(kept) if kept is not None else "",
            canary_outdated=_outdated(service, status, raw_control, raw_canary),
            canary_template=self._workloads.promoted(raw_control, raw_canary),
        )

    async def _problems(self, obj: dict[str, Any], spec: Spec, status: Status) -> tuple[Problem, ...]:
        """Checks that cost calls, while no traffic has moved; a while apart, until there is nothing to say."""
        if run.position(status) not in {Phase.PENDING, Phase.PREPARING} and status.phase not in TERMINAL:
            return ()
        refused = (*_unsupported(spec), *in_use(self.store, obj), *self._pruned())
        if refused or status.phase in TERMINAL or spec.abort:
            return refused
        key, generation = key_of(obj), obj["metadata"].get("generation", 0)
        known = self._checked.get(key)
        if known is not None and known.generation == generation:
            fresh = time.monotonic() - known.at < _CHECK_AGAIN
            if fresh or (not known.problems and status.phase is Phase.PREPARING):
                return known.problems
        problems: list[Problem] = []
        mirror = max(each.mirror or 0 for each in spec.stages)
        for service in spec.services:
            found = await self._call(partial(self.router.check, obj["metadata"]["namespace"], service, mirror=mirror))
            problems += found or await self._check(obj, spec, service, status)
        if not problems:
            problems += await check_goals(self.source, spec, obj["metadata"]["namespace"])
        self._checked[key] = _Checked(time.monotonic(), generation, tuple(problems))
        return tuple(problems)

    async def _check(self, obj: dict[str, Any], spec: Spec, service: Service, status: Status) -> tuple[Problem, ...]:
        """What is wrong with the measurements of a service."""
        untold = self.targets.problem(obj, spec, service)
        if untold is not None:
            return (untold,)
        return await check(self.source, self.targets.of(obj, spec, service, status), spec)

    def _pruned(self) -> tuple[Problem, ...]:
        """What the API server drops of the status is not there after a crash: no traffic moves on such a record."""
        if not self.pruned:
            return ()
        text = "the CRD in this cluster is older than the operator and drops parts of the status: kubectl apply -k crds"
        return (Problem("CRDOutdated", text),)

    async def _looks(self, obj: dict[str, Any], spec: Spec, status: Status, now: float) -> tuple[LookResult, ...]:
        if run.position(status) not in _COUNTS or not status.counted_until:
            return ()
        names = [service.name for service in spec.services]
        if (lost := set_back(unix(status.counted_until), now, spec.analysis.interval.seconds, names)) is not None:
            return (lost,)
        found = []
        slot, until = slot_of(obj, spec), unix(status.counted_until)
        due = windows(until, now, *slot, len(self.measured))
        if not due:
            return ()
        targets = {service.name: self.targets.of(obj, spec, service, status) for service in spec.services}
        single, overdue = (until + slot.interval, slot.interval), now - (until + 2.5 * slot.interval)
        # Where thousands look by turns, another look may have become due while the answer to this one came.
        barely = due[0][1] > slot.interval and overdue < _BARELY * slot.interval
        if barely and all(self.source.asked(each, *single) for each in targets.values()):
            due = [single]
        for ends_at, seconds in due:
            counts = await self._counts(list(targets.values()), slot, ends_at, seconds)
            found.append(LookResult(ends_at, seconds, dict(zip(targets, counts, strict=True))))
            if any(isinstance(each, Unmeasured) and each.failure.passes for each in counts):
                break
        return tuple(found)

    async def _counts(
        self, targets: list[Target], slot: Slot, ends_at: float, seconds: float
    ) -> list[ServiceCounts | Unmeasured]:
        """What a look counted at each of `targets`: mostly it was asked for ahead, and there is nothing to wait for."""
        there = [self.source.answered(each, ends_at, seconds) for each in targets]
        known = [each for each in there if each is not None]
        if len(known) == len(targets):
            return known
        asked = (
            self.source.look(each, self.measured.who(slot, ends_at, seconds), ends_at, seconds) for each in targets
        )
        return await asyncio.gather(*asked)

    async def _history(
        self, obj: dict[str, Any], spec: Spec, status: Status, now: float
    ) -> dict[str, History | Unmeasured]:
        """Control's day before the run, once a run: the first stage does not begin without having asked for it."""
        if run.position(status) is not Phase.PREPARING:
            return {}
        wanted = [each for each in spec.services if history.key(each.name) not in status.checkpoint]
        targets = (self.targets.of(obj, spec, each, status) for each in wanted)
        found = await asyncio.gather(*(self.source.history(each, now) for each in targets))
        return {each.name: one for each, one in zip(wanted, found, strict=True)}

    async def _goals(
        self, namespace: str, spec: Spec, status: Status, now: float
    ) -> dict[str, GoalReading | Unmeasured]:
        """Sums over users, about once an hour: only when the engine has a use for them."""
        if not judging.due(spec, status):
            return {}
        return await read_goals(self.source, spec, namespace, now, now - unix(status.stage_started_at))

    targets: Targets = field(default_factory=Targets)
    measured: Measured = field(default_factory=Measured)
    """Kept by the reconciler: what each experiment is measured by at present."""


def slot_of(obj: dict[str, Any], spec: Spec) -> Slot:
    """When the looks of an experiment end."""
    interval = spec.analysis.interval.seconds
    return Slot(interval, offset(obj["metadata"]["uid"], interval))


def _size(
    obj: dict[str, Any], service: Service, status: Status, workloads: tuple[Workload | None, Workload | None]
) -> int:
    known = next((each for each in status.services if each.name == service.name), None)
    return record.size(known, *workloads, finalizer=FINALIZER in obj["metadata"].get("finalizers", ()))


def _outdated(service: Service, status: Status, control: Kept | None, canary: Kept | None) -> bool:
    """Asked only before traffic moves: later control may have the canary's template already."""
    if service.canary.patch is None or control is None or canary is None:
        return False
    return run.position(status) is Phase.PREPARING and outdated(control.read(), canary.read(), service.canary.patch)


def _unsupported(spec: Spec) -> tuple[Problem, ...]:
    """What contradicts itself as it is written, before anything is asked."""
    found = [unfit(service, service.metrics or spec.metrics) for service in spec.services]
    found += [unsupported(service.metrics or spec.metrics) for service in spec.services]
    found.append(unsupported_prometheus(spec.prometheus))
    return tuple(problem for problem in found if problem is not None)
