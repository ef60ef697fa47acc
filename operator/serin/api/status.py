"""`status` of a CanaryExperiment in Python: flat and short, because `kubectl describe` prints all of it.

Two kinds of fields live here. What a person reads (phase, message, values) and what the operator needs to go on after a
crash (`runId`, `step`, `countedUntil`, `checkpoint`). Both are written by one patch, so that they never disagree.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import msgspec


class Phase(StrEnum):
    """Where an experiment is."""

    PENDING = "Pending"
    PREPARING = "Preparing"
    PROGRESSING = "Progressing"
    PROMOTING = "Promoting"
    BAKING = "Baking"
    SUCCEEDED = "Succeeded"
    PAUSED = "Paused"
    HOLDING = "Holding"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"


TERMINAL = frozenset({Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.FAILED})
"""Phases that a run does not leave; a new run does."""


class VerdictName(StrEnum):
    """What the guardrails say, all services together."""

    NONE = "None"
    INSUFFICIENT = "Insufficient"
    HEALTHY = "Healthy"
    WARNING = "Warning"
    FAILING = "Failing"
    NO_DATA = "NoData"


class _Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What every part of the status shares. Unknown fields are ignored: a newer operator may have written them."""


class Condition(_Struct, frozen=True):
    """As `metav1.Condition`."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int = 0


class Transition(_Struct, frozen=True):
    """One change of phase, stage or verdict, with the reason that caused it."""

    time: str
    to: str
    reason: str
    message: str


class SampleRatioStatus(_Struct, frozen=True):
    """Whether a split is the intended one: of a service's requests, or of a goal's users. Shares are texts: `4.9%`."""

    unit: str
    """What was counted: `requests` or `new users`."""
    intended: str
    observed: str
    n: int = 0
    """Counted in this stage, both variants."""
    evidence: str = ""
    """Against the intended split, as a multiple of what holds."""


class GuardrailStatus(_Struct, frozen=True):
    """One guardrail of one service. Values are texts for people: `4.9%`, `131ms`."""

    name: str
    verdict: str
    summary: str
    rule: str = ""
    canary: str = ""
    control: str = ""
    canary_requests: int = 0
    control_requests: int = 0
    ratio: str = ""
    effect: str = ""
    """How large the difference is, for people; nothing is decided by it."""
    evidence: str = ""


class GoalStatus(_Struct, frozen=True):
    """One goal, as its last look found it. Values are texts for people; the users are those of the last reading."""

    name: str
    verdict: str
    """Superior, NonInferior, Inferior or Inconclusive; Waiting before the first look."""
    summary: str
    control: str = ""
    canary: str = ""
    control_users: int = 0
    canary_users: int = 0
    difference: str = ""
    relative: str = ""
    effect: str = ""
    p: str = ""
    looks: str = ""
    segments: str = ""
    cross_check: str = ""
    sample_ratio: SampleRatioStatus | None = None
    """Of its users; None where no router promises a share."""
    note: str = ""
    """Why the last reading was not judged; empty when it was, or needed not to be."""


class SamplesStatus(_Struct, frozen=True):
    """How far the stage with `minSamples` is: the fewest users that any goal has."""

    unit: str
    control: int = 0
    canary: int = 0
    need: int = 0
    eta: str = ""


class ServiceStatus(_Struct, frozen=True):
    """One service: what is intended, what is observed, what was measured."""

    name: str
    weight: int = 0
    observed_weight: float | None = None
    ready: str = ""
    guardrails: tuple[GuardrailStatus, ...] = ()
    history: str = ""
    """What is known of the noise between equal versions, and from how many hours."""
    sample_ratio: SampleRatioStatus | None = None
    """Of its requests; None where no router promises a share."""
    control: str = ""
    canary: str = ""
    """The Deployments of the run: whatever the spec says later, these are the ones that get their state back."""
    traffic: dict[str, Any] = {}
    """How the run splits traffic, as in `spec`; empty for Replicas, whose Deployments say it all."""
    replicas: int = 0
    """Control's size before the run, which it gets back."""
    copied: bool = False
    """Whether the run may have had requests copied to the canary: nothing of that may be left behind."""
    control_template: str = ""
    """Hash of control's pod template, to notice that somebody else rolled it."""
    route_token: str = ""
    """What the router read when the counts were last taken; a change means that the traffic may have moved."""


class Step(_Struct, frozen=True):
    """The effect that is under way: written before it is done, closed after it has been seen."""

    number: int
    action: str
    started_at: str
    weight: int = 0
    mirror: int = 0
    done: bool = False


if TYPE_CHECKING:
    Checkpoint = dict[str, Any]
else:
    Checkpoint = dict[str, str]
"""Texts in the cluster. What this process has counted may be something else, whose `str` is that text: it is made where
somebody writes it."""


class Status(_Struct, frozen=True):
    """The whole of `status`."""

    observed_generation: int = 0
    phase: Phase = Phase.PENDING
    resumes_to: Phase | None = None
    """Where a Paused or Holding experiment goes on."""
    stage: str = ""
    weight: int = 0
    mirror: int = 0
    """Percent of the requests of which the canary is to get a copy."""
    verdict: VerdictName = VerdictName.NONE
    message: str = ""
    summary: str = ""
    """The message in the width of a table."""
    reason: str = ""
    """Why the phase is what it is, as one CamelCase word."""
    run_id: str = ""
    run_parts: str = ""
    """What the run is made of, a character for each part: what is changed later can be named by it."""
    started_at: str = ""
    stage_started_at: str = ""
    stage_seconds: float = 0.0
    """Measured time in the stage: an outage of the metrics makes the stage longer, not the evidence thinner."""
    counted_until: str = ""
    """Traffic up to here has been counted or deliberately left out."""
    ended_at: str = ""
    first_bad_look: str = ""
    """The end of the look at which a guardrail first looked worse than it may, in the spell that led to the verdict."""
    found_at: str = ""
    restored_at: str = ""
    """When control had 100 % again."""
    stale_approval: str = ""
    """The annotation `serin.dev/approve` as this run found it: an approval of an earlier run is none of this one."""
    services: tuple[ServiceStatus, ...] = ()
    goals: tuple[GoalStatus, ...] = ()
    samples: SamplesStatus | None = None
    conditions: tuple[Condition, ...] = ()
    transitions: tuple[Transition, ...] = ()
    step: Step | None = None
    checkpoint: Checkpoint = {}
    """Sufficient statistics by `service/guardrail`. Other keys have an underscore, which no name has."""

    @property
    def sample_ratios(self) -> tuple[tuple[str, SampleRatioStatus], ...]:
        """Those that are tested, by the name of the service or the goal."""
        named = [(each.name, each.sample_ratio) for each in self.services]
        named += [(each.name, each.sample_ratio) for each in self.goals]
        return tuple((name, found) for name, found in named if found is not None)


def parse_status(status: object) -> Status:
    """Reads `status` as the API server gives it; an absent or unreadable one is a fresh one.

    A status that cannot be read (edited by hand, written by another version) must not stop a rollback. The next look
    rebuilds it from the cluster: weights are read from the router, evidence starts again from nothing.
    """
    try:
        return msgspec.convert(status or {}, Status)
    except (msgspec.ValidationError, ValueError):
        return Status()


def status_to_json(status: Status) -> dict[str, Any]:
    """The inverse of `parse_status`, as the API server gives it back: lists, no tuples; columns always."""
    texts = {key: str(each) for key, each in status.checkpoint.items()}
    result: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(msgspec.structs.replace(status, checkpoint=texts)))
    for service, each in zip(result.get("services", ()), status.services, strict=True):
        service["weight"] = each.weight
    return {**result, "phase": str(status.phase), "weight": status.weight}


def merge_patch(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7396) that turns `before` into `after`; empty when they are equal."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = merge_patch(old, value)
            if inner:
                patch[key] = inner
        elif key not in before or old != value:
            patch[key] = value
    return patch
