"""What `decide` is told: one frozen picture of the cluster and of the measurements.

Everything that the controller found out is here, and nothing that it could not find out is guessed: an absent
Deployment is None, a failed measurement is an `Unmeasured` with its kind. The routers and the metrics produce these.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from serin.stats.goals import Moments

NOT_SCHEDULED: Final = "not scheduled: "
"""How the trouble of pods begins for which the scheduler finds no node; its words follow."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment as the API server shows it."""

    name: str
    uid: str
    generation: int
    observed_generation: int
    replicas: int
    """`spec.replicas`, 1 where it is absent (the Deployment default)."""
    current: int
    """`status.replicas`: pods that exist, also those of an old template."""
    updated: int
    ready: int
    available: int
    template_hash: str
    """Of the pod template, without what rollouts add to it (`kubectl rollout restart` still counts as a change)."""
    deadline_exceeded: bool = False
    """Condition `Progressing=False` with reason `ProgressDeadlineExceeded`."""
    deadline: float = 600.0
    """`spec.progressDeadlineSeconds`, 600 where it is absent (the Deployment default)."""
    unavailable_since: float | None = None
    """Unix time since when condition `Available` is False: fewer pods are ready than the Deployment promises."""
    deleting: bool = False
    controller: str = ""
    """uid of the owner that controls it; empty for a Deployment of the user's."""
    trouble: str = ""
    """A sentence from its pods or conditions that says why it is not ready, if known (image, quota, crash)."""

    @property
    def unscheduled(self) -> str:
        """What the scheduler says of its pods; empty where they have a node, or nobody has asked yet."""
        return self.trouble.removeprefix(NOT_SCHEDULED) if self.trouble.startswith(NOT_SCHEDULED) else ""

    @property
    def rolled_out(self) -> bool:
        """Every pod is of the present template and ready, and none is left over."""
        return (
            self.observed_generation >= self.generation
            and self.updated == self.replicas == self.current
            and self.ready == self.replicas
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the user must correct, as a condition says it."""

    reason: str
    """One CamelCase word, for example `DeploymentNotFound`."""
    message: str
    """A sentence that says what to write instead."""


@dataclass(frozen=True, slots=True)
class RouteReading:
    """What a router read: the truth about the split."""

    weight: float | None
    """The canary's share in percent that the traffic really has; None when it can't be told."""
    settled: bool
    """True when the last written weight is in force and nothing moves any more."""
    token: str
    """Changes whenever the split may have changed (generations, resourceVersion of a route)."""
    note: str = ""
    """What it waits for, or what the granularity of the split is, as a sentence fragment."""
    trouble: str = ""
    """Why what was written is not in force, where waiting alone won't help: the experiment holds and says it."""
    unfollowed: str = ""
    """The route, as `kubectl describe` names it, that is not in force as it is written."""
    behind: bool = False
    """Its controller has not seen what is written, so nobody is led by it; else it has, and says no."""
    unserved: str = ""
    """Why those whom the split leads to the canary get no answer at all; no measurement of the canary's shows that."""


@dataclass(frozen=True, slots=True)
class ServiceObservation:
    """One service of the experiment as it is now."""

    name: str
    control: Workload | None
    canary: Workload | None
    route: RouteReading
    kept_template: bool = False
    """Control's template from before the promotion is kept and can be restored."""
    original_template: str = ""
    """Hash of the kept template; empty when none is kept."""
    canary_outdated: bool = False
    """The canary that Serin made is not what control's template and the patch mean now."""
    canary_template: str = ""
    """Hash of the template that the canary has or will have; what promotion gives to control."""


class MeasurementFailure(StrEnum):
    """Why a look has no counts. None of these is healthy, and none is failing."""

    EMPTY = "Empty"
    NAN = "NaN"
    WARNINGS = "Warnings"
    PARTIAL = "Partial"
    CLIENT_ERROR = "ClientError"
    SERVER_ERROR = "ServerError"
    TIMEOUT = "Timeout"
    UNREACHABLE = "Unreachable"
    UNAUTHORIZED = "Unauthorized"
    CLOCK = "Clock"
    GAP = "Gap"

    @property
    def passes(self) -> bool:
        """True when asking for the same look again may give its counts."""
        return self in {
            MeasurementFailure.SERVER_ERROR,
            MeasurementFailure.TIMEOUT,
            MeasurementFailure.UNREACHABLE,
            MeasurementFailure.UNAUTHORIZED,
            MeasurementFailure.CLOCK,
        }


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A look, or one service of it, that gave nothing to count."""

    failure: MeasurementFailure
    message: str


@dataclass(frozen=True, slots=True)
class VariantCounts:
    """What one variant of one service did during one look: integers, summed over its pods."""

    requests: int
    errors: int
    edges: tuple[float, ...] = ()
    """Upper bounds of the histogram's buckets in seconds, ascending, without +Inf."""
    within: tuple[int, ...] = ()
    """Requests at or below each edge (cumulative), as long as `edges`."""
    timed: int = 0
    """Requests in the histogram altogether (its +Inf bucket)."""
    custom: tuple[tuple[str, int, int], ...] = ()
    """(name, total, bad) of each custom guardrail."""


@dataclass(frozen=True, slots=True)
class ServiceCounts:
    """Both variants of one service during one look."""

    control: VariantCounts
    canary: VariantCounts


@dataclass(frozen=True, slots=True)
class LookResult:
    """One look: the counts of `seconds` that end at `ends_at`."""

    ends_at: float
    """Unix time, aligned to the interval."""
    seconds: float
    services: dict[str, ServiceCounts | Unmeasured]
    """By the service's name; every service of the experiment has an entry."""


@dataclass(frozen=True, slots=True)
class GoalReading:
    """The users of one goal.

    Args:
        control: control's users.
        canary: the canary's users.
        at: Unix time in seconds for which the sums hold.
        segments: (control, canary) by the segment's name; empty when the goal has none.
    """

    control: Moments
    canary: Moments
    at: float
    segments: dict[str, tuple[Moments, Moments]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HistoryBlock:
    """Twenty minutes of control before the run, its pods split in two halves; a pair has a value for each."""

    requests: tuple[int, int]
    errors: tuple[int, int]
    within: tuple[tuple[int, ...], tuple[int, ...]]
    """Requests within each edge, cumulative."""
    timed: tuple[int, int]


@dataclass(frozen=True, slots=True)
class History:
    """What control did before the run: how much two halves of one version differ beyond chance."""

    seconds: float
    """Length of a block."""
    edges: tuple[float, ...]
    """In seconds, ascending, without +Inf."""
    blocks: tuple[HistoryBlock, ...]
    """Oldest first; those in which a half had no request are left out."""

    @property
    def hours(self) -> float:
        """How much there is."""
        return len(self.blocks) * self.seconds / 3600


@dataclass(frozen=True, slots=True)
class Observation:
    """All that `decide` knows beside spec, status and the time."""

    uid: str
    namespace: str
    name: str
    generation: int
    deleting: bool = False
    finalizer: bool = False
    annotations: dict[str, str] = field(default_factory=dict)
    services: tuple[ServiceObservation, ...] = ()
    problems: tuple[Problem, ...] = ()
    """What checks of the cluster, the routers and Prometheus found; before traffic moves any of them means
    Accepted=False."""
    looks: tuple[LookResult, ...] = ()
    """Looks since `status.countedUntil`, oldest first."""
    goals: dict[str, GoalReading | Unmeasured] = field(default_factory=dict)
    """By the goal's name; empty when they were not to be read now."""
    history: dict[str, History | Unmeasured] = field(default_factory=dict)
    """By service, while it is needed: once a run, before its first stage."""

    def service(self, name: str) -> ServiceObservation:
        """The service called `name`.

        Raises:
            KeyError: it was not observed.
        """
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)
