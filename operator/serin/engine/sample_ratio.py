"""Sample ratio mismatch: do control and canary get the share of requests and of users that the weights intend?

A comparison is worth what its split is worth. A mismatch says that the experiment is broken, not that the canary is: it
holds, and a person may go on knowingly. docs/design/engine.md says what is counted, and why nothing of Replicas.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from serin.api.spec import Goal, Service, Spec, Stage
from serin.api.status import Phase, SampleRatioStatus, Status
from serin.engine import run, wording
from serin.engine.goals.schedule import schedule
from serin.engine.observation import GoalReading, LookResult, Observation, ServiceCounts
from serin.stats import SampleRatio, SampleRatioConfig, SampleRatioEvidence, count_split, judge_split

_ALPHA: Final = 0.001
"""Chance that a right split is ever held, over all services, stages and goals of a run."""
_BAND: Final = 0.02
"""A route's share of requests may be off by so much of its weight: retries, and the weights' own granularity."""
_TOGETHER: Final = 100.0
"""Requests of one user within minutes. Where users stay with their variant, so many are one draw."""
_USERS: Final = 500.0
"""Users that a stage's requests can be of, at most. The share of a few who stay is off the weight for good."""
_KEY: Final = "_ratio"
"""In the checkpoint, behind the service or the goal. No name that a user can give has an underscore."""
_ACCEPTED: Final = "_srm"
OF_A_STAGE: Final = (f"/{_KEY}", f"/{_ACCEPTED}")
"""How the keys end that a new stage begins without."""
_STAGE: Final = "$stage"
"""In a goal's query: the time since the stage began."""


State: TypeAlias = Literal["True", "False", "Unknown"]
Said: TypeAlias = tuple[State, str, str]
"""State, reason and message of a condition."""
_NOT_COUNTED: Final[Said] = ("Unknown", "NotCounted", "")


@dataclass(frozen=True, slots=True)
class Judged:
    """The test of one service's requests, or of one goal's users."""

    name: str
    """The service's name, or the goal's with the word before it."""
    unit: str
    evidence: SampleRatioEvidence
    at_most: bool = False
    """Any share up to the weight is right."""

    @property
    def brief(self) -> str:
        """What a table has room for."""
        return f"the canary got {wording.share(self.evidence.observed)} of its {self.unit}, not {self.intended}"

    @property
    def intended(self) -> str:
        """`50%`, or `at most 50%` where some may be of a lower weight."""
        return f"{'at most ' if self.at_most else ''}{wording.share(self.evidence.intended)}"


class _Users(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a goal's users: the test, and the last reading with the step that it was read in."""

    ratio: str
    step: int
    control: int
    canary: int


def count_requests(spec: Spec, status: Status, looks: tuple[LookResult, ...], until: float) -> Status:
    """Adds the requests of the looks that were counted, those that end no later than `until` (Unix seconds).

    The caller gives looks of the verified split only.
    """
    stage = _stage(spec, status)
    if stage is None:
        return status
    config, checkpoint = _of_requests(spec), dict(status.checkpoint)
    for service in spec.services:
        if not _tested(service):
            continue
        state = _state(checkpoint.get(f"{service.name}/{_KEY}", ""))
        for look in looks:
            counts = look.services.get(service.name)
            if look.ends_at <= until and isinstance(counts, ServiceCounts):
                served = {"control": counts.control.requests, "canary": counts.canary.requests}
                state = count_split(config, state, weight=status.weight / 100, **served)
        if state.weight:
            checkpoint[f"{service.name}/{_KEY}"] = state.record()
    return msgspec.structs.replace(status, checkpoint=checkpoint)


def count_users(spec: Spec, status: Status, seen: Observation) -> Status:
    """Adds the users who are new in the readings of goals; who came while the split was moved is left out."""
    plan, stage = schedule(spec), _stage(spec, status)
    step = status.step
    if plan is None or stage != plan.stage or step is None or not step.done or seen.deleting:
        return status
    checkpoint = dict(status.checkpoint)
    for goal in spec.goals:
        reading = seen.goals.get(goal.name)
        if not isinstance(reading, GoalReading) or not _tested(_service(spec, goal)):
            continue
        now = _Users("", step.number, int(reading.control.count), int(reading.canary.count))
        before = _users(checkpoint.get(_key(goal), ""))
        state = _state(before.ratio) if before is not None else SampleRatio()
        if before is not None and before.step == step.number:
            new = {"control": now.control - before.control, "canary": now.canary - before.canary}
            if min(new.values()) >= 0:  # fewer than before: they left the query's window, so who is new can't be told
                state = count_split(_of_users(spec, goal), state, weight=status.weight / 100, **new)
        kept = msgspec.structs.replace(now, ratio=state.record())
        checkpoint[_key(goal)] = msgspec.json.encode(kept).decode()
    return msgspec.structs.replace(status, checkpoint=checkpoint)


def with_acceptance(spec: Spec, status: Status, seen: Observation) -> Status:
    """Keeps a person's decision to go on: the annotation has room for one approval, and the next takes its place."""
    if accepted(status) or mismatch(spec, status) is None or not run.approved(status, seen, approval_of(status)):
        return status
    return msgspec.structs.replace(status, checkpoint={**status.checkpoint, f"{status.stage}/{_ACCEPTED}": "accepted"})


def approval_of(status: Status) -> str:
    """The value of the annotation serin.dev/approve by which a person goes on in spite of a mismatch in this stage."""
    return f"{status.stage}/srm"


def accepted(status: Status) -> bool:
    """Whether a person goes on in this stage knowingly."""
    return f"{status.stage}/{_ACCEPTED}" in status.checkpoint


def mismatch(spec: Spec, status: Status) -> Judged | None:
    """The strongest mismatch of the stage under way, accepted or not."""
    found = [each for each in judged(spec, status) if each.evidence.holds]
    return max(found, key=lambda each: each.evidence.evidence, default=None)


def holds(spec: Spec, status: Status) -> Judged | None:
    """The mismatch that holds the experiment where it is."""
    return None if accepted(status) else mismatch(spec, status)


def sentence(found: Judged) -> str:
    """What was counted of whom, and what was intended."""
    share, n = wording.share(found.evidence.observed), wording.count(found.evidence.users)
    text = f"{found.name}: the canary got {share} of {n} {found.unit}, {found.intended} was intended"
    return f"{text}; evidence {wording.multiple(found.evidence.evidence)} (1 holds)"


def judged(spec: Spec, status: Status) -> Iterator[Judged]:
    """Every test of the stage under way that has counted something."""
    if not any(_tested(service) for service in spec.services):
        return
    stage, plan = _stage(spec, status), schedule(spec)
    if stage is None:
        return
    for service in spec.services:
        state = _state(status.checkpoint.get(f"{service.name}/{_KEY}", ""))
        if _tested(service) and state.weight:
            yield Judged(service.name, "requests", judge_split(_of_requests(spec), state))
    for goal in spec.goals if plan is not None and plan.stage == stage else ():
        kept = _users(status.checkpoint.get(_key(goal), ""))
        state = _state(kept.ratio) if kept is not None else SampleRatio()
        if _tested(_service(spec, goal)) and state.weight:
            config = _of_users(spec, goal)
            yield Judged(f"goal {goal.name}", "new users", judge_split(config, state), config.at_most)


def shown(spec: Spec, status: Status) -> Status:
    """The status with what a reader sees of it. After the stages the last ones' figures stay."""
    if run.position(status) is not Phase.PROGRESSING or not any(_tested(service) for service in spec.services):
        return status
    texts = {each.name: _shown(each) for each in judged(spec, status)}
    services = tuple(msgspec.structs.replace(each, sample_ratio=texts.get(each.name)) for each in status.services)
    goals = tuple(msgspec.structs.replace(each, sample_ratio=texts.get(f"goal {each.name}")) for each in status.goals)
    return msgspec.structs.replace(status, services=services, goals=goals)


def condition(spec: Spec, before: Status, after: Status) -> Said | None:
    """The condition SampleRatioMatches: state, reason, message. None where no router promises a share."""
    if not any(_tested(service) for service in spec.services):
        return None
    if run.position(after) in {Phase.PENDING, Phase.PREPARING}:
        return _NOT_COUNTED
    if run.position(after) is not Phase.PROGRESSING:
        return said_before(before) or _NOT_COUNTED
    if (found := mismatch(spec, after)) is not None:
        return "False", "MismatchAccepted" if accepted(after) else "SampleRatioMismatch", sentence(found)
    counted = any(each.evidence.users for each in judged(spec, after))
    return ("True", "AsIntended", "") if counted else _NOT_COUNTED


def said_before(status: Status) -> Said | None:
    """What the condition said last: after the stages, and while the spec can't be read, that stays."""
    old = next((each for each in status.conditions if each.type == "SampleRatioMatches"), None)
    return None if old is None else (old.status, old.reason, old.message)


def _tested(service: Service) -> bool:
    return service.traffic.type != "Replicas"


def _service(spec: Spec, goal: Goal) -> Service:
    return spec.service(goal.service) if goal.service is not None else spec.services[0]


def _stage(spec: Spec, status: Status) -> Stage | None:
    """The stage under way, if it splits at all."""
    stage = run.stage_of(spec, status) if run.position(status) is Phase.PROGRESSING else None
    return stage if stage is not None and 0 < status.weight < 100 else None  # noqa: PLR2004 - percent


def _alpha(spec: Spec) -> float:
    """Each stage's requests are a test of their own: who stays with a variant is in all of them."""
    services = sum(_tested(service) for service in spec.services)
    goals = sum(_tested(_service(spec, goal)) for goal in spec.goals)
    return _ALPHA / max(1, services * len(spec.stages) + goals)


def _of_requests(spec: Spec) -> SampleRatioConfig:
    return SampleRatioConfig(_alpha(spec), _BAND, phi=_TOGETHER, most=_USERS)


def _of_users(spec: Spec, goal: Goal) -> SampleRatioConfig:
    """Users may have come before the stage and get their figure now, unless the query counts the stage's only."""
    return SampleRatioConfig(_alpha(spec), at_most=goal.count is None or _STAGE not in goal.count)


def _key(goal: Goal) -> str:
    return f"goals/{goal.name}/{_KEY}"


def _state(record: str) -> SampleRatio:
    """What the test goes on from; a record of another version, or one that was edited by hand, starts again."""
    try:
        return SampleRatio.from_record(record)
    except ValueError:
        return SampleRatio()


def _users(text: str) -> _Users | None:
    try:
        return msgspec.json.decode(text, type=_Users)
    except msgspec.MsgspecError:
        return None


def _shown(found: Judged) -> SampleRatioStatus:
    evidence = found.evidence
    return SampleRatioStatus(
        unit=found.unit,
        intended=found.intended,
        observed=wording.share(evidence.observed),
        n=evidence.users,
        evidence=wording.multiple(evidence.evidence),
    )
