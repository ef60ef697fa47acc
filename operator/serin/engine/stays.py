"""What keeps a stage from ending. When none of these finds anything, the next step is taken."""

from typing import Final

from serin.api.spec import Spec
from serin.api.status import GuardrailStatus, Phase, Status, VerdictName
from serin.engine import ratios, wording
from serin.engine.case import Case, Finding, Rule
from serin.engine.goals import judging
from serin.engine.phrases import afterwards, annotate, command, watched, way_back, where
from serin.engine.run import approved
from serin.engine.tested import samples


def stage_time(case: Case) -> Finding | None:
    """A stage lasts its duration, in measured time."""
    if case.stage is None:
        return None
    left = case.stage.duration.seconds - case.status.stage_seconds
    if left <= 0:
        return None
    # The stage ends with a look, and a look is counted half an interval after its end.
    counted = wording.unix(case.status.counted_until) or case.now
    ends = max(case.now, counted + left + case.spec.analysis.interval.seconds / 2)
    begins = ""
    if counted > case.now:
        at = wording.clock(counted, case.now)
        begins = f"; traffic has only just moved, so requests before {at} are not counted"
    whose, inside = "copied requests" if case.status.mirror else "canary requests", "this stage"
    if case.position is Phase.BAKING:
        whose, inside = "requests", "the bake"
    had = sum(samples(case.status.checkpoint, service.name)[1] for service in case.spec.services)
    until = f"until {wording.clock(ends, case.now)} ({wording.length(ends - case.now)} left)"
    # The baking's message begins with what serves; a table has columns for stage and weight.
    which = "" if case.position is Phase.BAKING else f"stage {case.stage.name} ({_share(case.status)}) "
    so_far = f"; {wording.count(had)} {whose} in {inside}"
    warned, why = _warning(case)
    few = ""
    if case.status.verdict is VerdictName.INSUFFICIENT:
        few = f", when {wording.count(case.spec.analysis.min_requests)} {whose} are judged,"
    return Finding(
        "StageRunning",
        f"{which}{until}{begins}{so_far}{judging.so_far(case.status)}{why}; then{few} {afterwards(case)};"
        f" {way_back(case)}",
        brief=f"{warned}{until}{so_far}",
    )


def stage_samples(case: Case) -> Finding | None:
    """A stage with `minSamples` lasts until each variant of each service has as many."""
    if case.stage is None or case.stage.min_samples is None:
        return None
    need = case.stage.min_samples
    if judging.by_users(case.spec, case.stage.name):
        missing = judging.users_missing(case.status, need)
        return None if missing is None else Finding("NeedsSamples", missing)
    for service in case.spec.services:
        have = min(samples(case.status.checkpoint, service.name))
        if have < need:
            text = f"{service.name}: needs {wording.count(need)} requests of each variant, has {wording.count(have)}"
            why, rate = f" (minSamples of stage {case.stage.name})", ""
            if have and case.status.stage_seconds:
                left = (need - have) / have * case.status.stage_seconds
                rate = f"; at this rate until about {wording.clock(case.now + left, case.now)}"
                why += f"{rate} ({wording.length(left)} more)"
            more = f"{why}; then {afterwards(case)}; {way_back(case)}"
            return Finding("NeedsSamples", f"{text}{more}", brief=f"{text}{rate}")
    return None


def enough_evidence(case: Case) -> Finding | None:
    """A step forward needs a verdict: every guardrail judged on at least `minRequests`."""
    if case.status.verdict in {VerdictName.HEALTHY, VerdictName.WARNING} and _all_judged(case):
        return None
    baking, least = case.position is Phase.BAKING, wording.count(case.spec.analysis.min_requests)
    over = f"the {'bake' if baking else 'stage'}'s time is over"
    # In the bake there is no control: what its numbers show is from before.
    if not baking and (unused := _unused(case.status)):
        text = (
            f"{over}, but {unused}. Waiting alone won't help: look at what leads users to it (the Service's selector,"
            f" the route) and at what measures it (label serin.dev/variant, the scrape). Until then it stays"
            f" {where(case)}, without limit, and what has no requests can't be rolled back by a guardrail. When {least}"
            f" canary requests are judged: {afterwards(case)}; {way_back(case)}"
        )
        return Finding("InsufficientTraffic", text, brief=unused)
    few = [
        f"{service.name}: {each.name} on {wording.count(each.canary_requests)}"
        for service in case.status.services
        for each in service.guardrails
        if each.verdict == VerdictName.INSUFFICIENT
    ]
    what = f" ({', '.join(few)})" if few else ""
    brief = f"fewer than {least} {'' if baking else 'canary '}requests were judged"
    return Finding(
        "InsufficientTraffic",
        f"{over}, but {brief}{what}. It waits {where(case)} for traffic, without limit; guardrails still roll back. To"
        f" go on sooner: send traffic, or lower analysis.minRequests (a new run); {way_back(case)}",
        brief=f"waiting for traffic: {brief}",
    )


def undecided(case: Case) -> Finding | None:
    """A step forward waits while a guardrail is above `max` and worse than control, until that is shown or gone.

    A stage that is over before the evidence is would else promote what it has just warned of.
    """
    for service in case.status.services:
        for each in service.guardrails:
            if each.verdict == VerdictName.WARNING and each.rule == "max" and _looks_worse(case, service.name, each):
                text = (
                    f"the stage's time is over, but {service.name}'s {each.name} is above its max and worse than"
                    f" control's, which is not shown beyond doubt yet: {each.summary}; waiting until it is, or is gone"
                )
                brief = f"{service.name}: {each.name} {each.canary}, control {each.control}: not decided yet"
                return Finding("GuardrailUndecided", text, brief=brief)
    return None


def goals_judged(case: Case) -> Finding | None:
    """A step forward from the stage of the goals needs the last look at each of them, however long that takes."""
    lost = judging.unmeasured(case.spec, case.status)
    if lost is not None:
        return Finding("NoGoalData", lost)
    waiting = judging.unjudged(case.spec, case.status)
    return None if waiting is None else Finding("JudgingGoals", waiting)


def goals_reached(case: Case) -> Finding | None:
    """All goals together must be what `promoteOn` asks for; where one is not, a person decides."""
    missing = judging.unreached(case.spec, case.status)
    what = judging.approval_of(case.spec)
    if missing is None or approved(case.status, case.seen, what):
        return None
    typed = f"{command(case, 'approve')} --goals"
    return Finding(
        "GoalsInconclusive",
        f"not every goal is reached, so a person decides: {missing}. To promote all the same: {typed}, or"
        f" {annotate(case, f'{what}/{case.status.run_id}')}; {way_back(case)}",
        brief=f"not every goal is reached, so a person decides; to promote: {typed}",
    )


def pods_ready(case: Case) -> Finding | None:
    """A step forward needs the pods of the present step."""
    for service in case.seen.services:
        if not service.route.settled:
            return Finding("PodsNotReady", f"{service.name}: waiting before the next step: {service.route.note}")
    return None


def approval(case: Case) -> Finding | None:
    """`promotion.approval: Manual` waits before full for an approval of this run."""
    last = case.spec.stages[-1].name
    if case.spec.promotion.approval != "Manual" or case.position is not Phase.PROGRESSING or case.stage is None:
        return None
    given = (approved(case.status, case.seen, what) for what in (last, f"{last}/goals"))
    if case.stage.name != last or any(given):
        return None
    typed = command(case, "approve")
    return Finding(
        "WaitingForApproval",
        f"every stage has passed; waiting for approval {where(case)}, without limit; guardrails still roll back. To"
        f" have it promoted{watched(case)}: {typed}, or {annotate(case, f'{last}/{case.status.run_id}')};"
        f" {way_back(case)}",
        brief=f"every stage has passed; waiting for approval: {typed}",
    )


STAYS: Final[tuple[Rule, ...]] = (
    stage_time,
    stage_samples,
    enough_evidence,
    undecided,
    goals_judged,
    goals_reached,
    pods_ready,
    approval,
)


def _share(status: Status) -> str:
    """What the canary gets in a stage."""
    return f"copies of {status.mirror}%" if status.mirror else f"{status.weight}%"


def _warning(case: Case) -> tuple[str, str]:
    """The first guardrail that warns: before a summary, and behind a message with why that alone does not roll back."""
    rate = case.spec.guardrails.error_rate
    for service in case.status.services:
        for each in service.guardrails:
            if each.verdict == VerdictName.WARNING:
                warned = f"{service.name} warns: {each.name} {each.canary}, above {each.rule}, control {each.control}"
                # So few requests may be above max by their count, and no more than above warn by what they show.
                least = f"above max {rate.max} or " if each.rule == "warn" else ""
                why = (
                    f"it is not shown to be {least}worse than control (evidence {each.evidence}, 1 rolls back),"
                    f" so it goes on, and nothing has to be done"
                )
                return f"{warned}; ", f"; {warned}: {why}"
    return "", ""


def _unused(status: Status) -> str:
    """A canary that nobody asks, while control is asked; empty when there is none."""
    for service in status.services:
        for each in service.guardrails:
            if each.verdict == VerdictName.INSUFFICIENT and each.control_requests > 0 and each.canary_requests == 0:
                had = wording.count(each.control_requests)
                return f"{service.name}: the canary has had no request at all, and control {had}"
    return ""


def _looks_worse(case: Case, service: str, guardrail: GuardrailStatus) -> bool:
    """The interval of the ratio to control lies above what is tolerated: below that it would never be decided."""
    tolerated = _tolerated(case.spec).get(guardrail.name)
    return tolerated is not None and ratios.low(case.status.checkpoint, service, guardrail.name) > 1 + tolerated


def _tolerated(spec: Spec) -> dict[str, float]:
    """How much worse than control each guardrail may be, as a share of control's."""
    limits = {
        "errorRate": spec.guardrails.error_rate.worse_than_control,
        "latencyP95": spec.guardrails.latency_p95.worse_than_control,
        **{each.name: each.worse_than_control for each in spec.guardrails.custom},
    }
    return {name: each.value for name, each in limits.items() if each is not None}


def _all_judged(case: Case) -> bool:
    return all(
        service.guardrails and all(each.verdict in {"Healthy", "Warning"} for each in service.guardrails)
        for service in case.status.services
    )
