"""One look at one experiment: observe, decide, intend, act, report."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog

from serin.api.names import API_VERSION, FINALIZER, PLURAL
from serin.api.spec import InvalidSpecError, Spec, parse_spec
from serin.api.status import Phase, Status, merge_patch, parse_status, status_to_json
from serin.controller.act import Actor
from serin.controller.beginners import Beginners, begins
from serin.controller.instruments import METRICS
from serin.controller.looks import following, next_end
from serin.controller.measured import Slot
from serin.controller.memory import Memory, digest
from serin.controller.observe import Observer, slot_of
from serin.controller.scheduler import jittered
from serin.controller.store import Key, Store, key_of, names_of
from serin.controller.together import Together
from serin.engine import run
from serin.engine.decision import Decision
from serin.engine.observation import LookResult
from serin.engine.record import in_force
from serin.engine.tested import Fed, First
from serin.engine.together import feed_each, first_look
from serin.engine.wording import unix
from serin.kube.client import Kube
from serin.kube.errors import Conflict, NotFound
from serin.kube.events import emit
from serin.kube.lease import LeaderLease
from serin.kube.status import patch_status

_CHECKPOINT: Final = 60.0
_SHORT_CHECKPOINT: Final = 15.0
_SHORT: Final = 15.0
"""Seconds of an interval below which somebody watches, and counts that are a minute old look like a standstill."""
_EACH: Final = 2.0
"""Seconds of checkpoint interval that each experiment adds, so that together they write once in two seconds."""
_SELDOM: Final = 1800.0
"""The longest checkpoint interval: what a restart reads again from Prometheus stays well within an hour."""
_WHOLE: Final = 0.5
"""Seconds by which the ends of two looks may miss the interval: statuses keep whole seconds."""
_COUNTS: Final = frozenset({Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING})

_log = structlog.get_logger("serin.reconcile")


@dataclass(slots=True)
class Reconciler:
    """Joins the parts.

    Args:
        kube: the API client.
        store: what is watched.
        observer: makes observations.
        actor: does acts.
        lease: leadership; without it nothing is done.
        executor: for calls that block.
        identity: of this process, for Events.
        plan: told which slot is looked at next, so that it is asked for ahead; None: each look asks for itself.
        queue: whose turn it is among those on their way into a first stage.
    """

    kube: Kube
    store: Store
    observer: Observer
    actor: Actor
    lease: LeaderLease
    executor: Executor
    identity: str
    plan: Callable[[Slot, float], None] | None = None
    queue: Beginners = field(default_factory=Beginners)
    _memory: dict[Key, Memory] = field(default_factory=dict)
    _specs: dict[Key, tuple[tuple[str, int], Spec | InvalidSpecError]] = field(default_factory=dict)
    _last_look: dict[Key, tuple[float, float]] = field(default_factory=dict)
    """(end, when it was counted) of each experiment's last look, in Unix time."""
    _together: Together = field(default_factory=Together)
    _acting: set[Key] = field(default_factory=set)
    """Those that have something to do in the cluster."""
    _fed: dict[Key, Fed] = field(default_factory=dict)
    """The next look of each experiment, fed beforehand, until it is counted."""

    async def reconcile(self, key: Key) -> float | None:
        """One turn; the seconds until the next, None when the experiment is gone."""
        obj = self.store.experiments.get(key)
        if obj is None:
            self._forget(key)
            return None
        if not self.lease.held():
            return 1.0
        asked = self._spec(key, obj)
        status = self._status(key, obj)
        turn = partial(self._turn, key, obj, asked, status)
        if isinstance(asked, Spec) and begins(obj, asked, status):
            return await self.queue.turn(key, asked.prometheus.address, turn)
        return await turn()

    async def _turn(self, key: Key, obj: dict[str, Any], asked: Spec | InvalidSpecError, status: Status) -> float:
        """Observe, decide, intend, act, report."""
        begun, now = time.monotonic(), time.time()
        spec = in_force(asked, status, finalizer=_has_finalizer(obj))
        readable = asked if isinstance(asked, Spec) else None
        measurable = readable if spec is asked else None
        self._measure(key, obj, measurable, status)
        with METRICS.part("observe"):
            observation = await self.observer.observe(obj, spec, status, now, asked=spec is asked)
        # A turn between two looks leaves it for the one that it is of.
        fed = self._fed.pop(key, None) if observation.looks else None
        decision = await self._together.decide(asked, status, observation, now, fed)
        self._looked(key, readable, observation.looks)
        self._measure(key, obj, measurable, decision.status)
        METRICS.decided(decision)
        if decision.acts or run.position(decision.status) is Phase.ROLLING_BACK:
            self._acting.add(key)
        else:
            self._acting.discard(key)
        with METRICS.part("write"):
            written = await self._intend(key, obj, decision, checkpoint(readable, len(self.store.experiments)))
        if written is None:
            return 0.2
        with METRICS.part("report"):
            await self._report(written, decision)
        with METRICS.part("act"):
            await self._act(written, spec, decision)
        METRICS.reconciled(time.monotonic() - begun)
        return self._next(written, decision, readable, now, counted=status.counted_until)

    def _looked(self, key: Key, spec: Spec | None, looks: tuple[LookResult, ...]) -> None:
        """Says how late the looks are, and how long after the last ones."""
        if spec is None or not looks:
            return
        now, interval = time.time(), spec.analysis.interval.seconds
        METRICS.looked(looks, interval, now)
        last = self._last_look.get(key)
        # After a step a look is left out, and after a restart many are made up for: neither is a gap.
        if last is not None and len(looks) == 1 and abs(looks[0].ends_at - last[0] - interval) < _WHOLE:
            METRICS.gap.observe((now - last[1]) / interval)
        self._last_look[key] = looks[-1].ends_at, now

    def _spec(self, key: Key, obj: dict[str, Any]) -> Spec | InvalidSpecError:
        """The spec, read once for each generation."""
        meta = obj["metadata"]
        version = meta["uid"], meta.get("generation", 0)
        known = self._specs.get(key)
        if known is None or known[0] != version or not version[1]:
            try:
                known = version, parse_spec(obj.get("spec"))
            except InvalidSpecError as error:
                known = version, error
            self._specs[key] = known
        return known[1]

    def _status(self, key: Key, obj: dict[str, Any]) -> Status:
        """What was decided last: from memory while the written status is the one that it was built on."""
        memory = self._memory.get(key)
        if memory is not None and memory.fits(obj):
            return memory.status
        return parse_status(obj.get("status") or {})

    async def _intend(self, key: Key, obj: dict[str, Any], decision: Decision, every: float) -> dict[str, Any] | None:
        """Writes the status before anything is done; None when somebody else was faster."""
        memory, now = self._memory.get(key), time.monotonic()
        # After a start the first checkpoints are spread: all at once would be a burst of writes.
        last = memory.at if memory is not None else now - random.random() * every  # noqa: S311 - keeps no secret
        matters = bool(decision.significant or decision.acts)
        after: dict[str, Any] = {}
        patch: dict[str, Any] = {}
        if matters or now - last >= every:
            after, last = status_to_json(decision.status), now
            patch = merge_patch(obj.get("status") or {}, after)
        if patch:
            meta = obj["metadata"]
            try:
                obj = await self._call(
                    patch_status, self.kube, meta["namespace"], meta["name"], patch, meta["resourceVersion"]
                )
            except (Conflict, NotFound):
                await self._refresh(key, meta)
                return None
            METRICS.writes.labels("change" if matters else "checkpoint").inc()
            self.store.experiments.put(obj)
            self._kept(obj, after)
        version = obj["metadata"]["resourceVersion"]
        same = memory is not None and memory.version == version
        written = memory.written if memory is not None and same else digest(obj.get("status") or {})
        self._memory[key] = Memory(written, decision.status, last, version)
        METRICS.looked_at.set(len(self._memory))
        return obj

    def _kept(self, obj: dict[str, Any], written: dict[str, Any]) -> None:
        """Notices a CRD that is older than this operator, by the fields that it drops."""
        kept = obj.get("status") or {}
        pruned = not written.keys() <= kept.keys()
        if pruned and not self.observer.pruned:
            _log.warning("the CRD drops parts of the status", fields=sorted(written.keys() - kept.keys()))
        self.observer.pruned = pruned

    async def _act(self, obj: dict[str, Any], spec: Spec | None, decision: Decision) -> None:
        if not decision.acts:
            return
        for act in decision.acts:
            if not self.lease.held():
                return
            try:
                await self._call(self.actor.do, act, obj, spec, decision.status.run_id)
            except (Conflict, NotFound) as error:
                _log.info("act refused, looking again", act=type(act).__name__, error=str(error))
                break
        await self._see(obj, spec)

    async def _see(self, obj: dict[str, Any], spec: Spec | None) -> None:
        """Reads back what was acted on: a watch may be late, and a decision on the past would repeat itself."""
        namespace = obj["metadata"]["namespace"]
        for service in spec.services if spec is not None else ():
            for name in names_of(service):
                found = await self._call(self.actor.deployments.find, namespace, name)
                known = self.store.deployments.get(Key(namespace, name))
                if found is not None:
                    self.store.deployments.put(found)
                elif known is not None:
                    self.store.deployments.remove(known)
        await self._refresh(Key(namespace, obj["metadata"]["name"]), obj["metadata"])

    async def _refresh(self, key: Key, meta: dict[str, Any]) -> None:
        try:
            fresh = await self._call(self.kube.get, API_VERSION, PLURAL, key.namespace, key.name)
        except NotFound:
            known = self.store.experiments.get(key)
            if known is not None and known["metadata"]["uid"] == meta["uid"]:
                self.store.experiments.remove(known)
            return
        self.store.experiments.put(fresh)

    async def _report(self, obj: dict[str, Any], decision: Decision) -> None:
        for note in decision.events:
            _log.info(
                "event",
                namespace=obj["metadata"]["namespace"],
                experiment=obj["metadata"]["name"],
                reason=note.reason,
                message=note.message,
            )
            await self._call(emit, self.kube, obj, note, self.identity)

    def register(self, obj: dict[str, Any]) -> float:
        """Notes what an experiment is measured by, before its first turn: they all come at once after a start.

        Returns the same number for those whose looks end at the same moments.
        """
        spec, status = self._spec(key_of(obj), obj), parse_status(obj.get("status") or {})
        if run.position(status) is Phase.ROLLING_BACK or "deletionTimestamp" in obj["metadata"]:
            self._acting.add(key_of(obj))
        if not isinstance(spec, Spec) or in_force(spec, status, finalizer=_has_finalizer(obj)) is not spec:
            return 0.0
        self._measure(key_of(obj), obj, spec, status)
        return slot_of(obj, spec).offset

    def urgent(self, key: Key) -> bool:
        """Whether an experiment has something to do in the cluster: it must not wait for others' measurements."""
        return key in self._acting

    def feed(self, looks: Mapping[Key, LookResult]) -> None:
        """Feeds looks that are about to be due to their tests: the larger part of each decision.

        What an experiment has by then may differ, and then it is of no use.
        """
        begun = time.monotonic()
        firsts: dict[Key, First] = {}
        for key, look in looks.items():
            memory, known = self._memory.get(key), self._specs.get(key)
            if memory is not None and known is not None and isinstance(known[1], Spec):
                first = first_look(known[1], memory.status, look)
                if first is not None:
                    firsts[key] = first
        found = zip(firsts, feed_each(list(firsts.values())), strict=True)
        self._fed |= {key: fed for key, fed in found if fed is not None}
        if firsts:
            METRICS.took("feed", (time.monotonic() - begun) / len(firsts), len(firsts))

    def _measure(self, key: Key, obj: dict[str, Any], spec: Spec | None, status: Status) -> None:
        """Keeps the list of who is measured by what, for the shared queries."""
        counts = run.position(status) in _COUNTS and status.counted_until
        if spec is None or not counts or "deletionTimestamp" in obj["metadata"]:
            self.observer.measured.remove(key)
            self._fed.pop(key, None)
            return
        targets = tuple(self.observer.targets.of(obj, spec, service, status) for service in spec.services)
        self.observer.measured.put(key, slot_of(obj, spec), unix(status.counted_until), targets)

    def _next(self, obj: dict[str, Any], decision: Decision, spec: Spec | None, now: float, counted: str) -> float:
        """Seconds until the next turn; what was `counted` before this one, which began at `now`, tells what is next."""
        if decision.acts:
            return min(1.0, decision.wake_after)
        phase = run.position(decision.status)
        if spec is not None and phase in _COUNTS and decision.status.counted_until:
            slot, after = slot_of(obj, spec), time.time()
            if self.plan is not None:
                self.plan(slot, after)
            # A look that became due during this turn is due at once; one that failed is asked again with the next.
            moved = decision.status.counted_until != counted
            ends_at = following(unix(decision.status.counted_until), *slot) if moved else next_end(now, *slot)
            return max(0.0, min(ends_at + slot.interval / 2 - after, decision.wake_after))
        return jittered(decision.wake_after)

    def _forget(self, key: Key) -> None:
        self._memory.pop(key, None)
        self._specs.pop(key, None)
        self._last_look.pop(key, None)
        self._fed.pop(key, None)
        self._acting.discard(key)
        METRICS.looked_at.set(len(self._memory))
        self.observer.measured.remove(key)
        self.observer.forget(key)

    async def _call(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.executor, partial(function, *args))


def checkpoint(spec: Spec | None, experiments: int) -> float:
    """Seconds between two writes of a status in which only counts moved on."""
    short = spec is not None and spec.analysis.interval.seconds < _SHORT
    return max(_SHORT_CHECKPOINT if short else _CHECKPOINT, min(_EACH * experiments, _SELDOM))


def _has_finalizer(obj: dict[str, Any]) -> bool:
    return FINALIZER in obj["metadata"].get("finalizers", ())
