"""What freezes an experiment where it is. None of it promotes, and none of it rolls back."""

from typing import Final

from serin.api.status import VerdictName
from serin.engine import sample_ratio, wording
from serin.engine.case import Case, Finding, Rule
from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.engine.phrases import annotate, command, described, resume, way_back, where


def paused(case: Case) -> Finding | None:
    """`spec.paused: true` freezes the weight; guardrails still roll back."""
    if not case.spec.paused:
        return None
    brief = f"paused {where(case)} by spec.paused; guardrails still roll back"
    return Finding("Paused", f"{brief}, the stage's clock stands. {resume(case)}; {way_back(case)}", brief=brief)


def no_control(case: Case) -> Finding | None:
    """Without control's Deployment there is nothing to compare with and nothing to return to."""
    for service in case.seen.services:
        if service.control is None:
            return Finding("ControlMissing", f"{service.name}: control's Deployment is gone; holding until it is back")
    return None


def no_measurement(case: Case) -> Finding | None:
    """A look that could not be taken holds, for as long as it lasts."""
    if case.counted.unmeasured:
        return _unmeasured(case, case.counted.unmeasured[0])
    # Whatever wakes the controller between two looks, the last look decides: without data it holds until the next.
    if case.status.verdict is not VerdictName.NO_DATA:
        return None
    if case.status.reason == "NoMeasurement":
        return Finding("NoMeasurement", case.status.message, brief=case.status.summary)
    return _unmeasured(case, "the last look had no data")


def route_not_followed(case: Case) -> Finding | None:
    """A route that is gone, or that its controller does not follow, holds: the split is not what was written."""
    for service in case.seen.services:
        if service.route.trouble:
            text = f"{service.name}: {service.route.trouble}"
            counts = case.status.step is not None and case.status.step.done
            rolls = "Guardrails still roll back" if counts else "Nothing is counted"
            reaches = look = ""
            if found := service.route.unfollowed:
                reaches = (
                    f", and a rollback {'reaches nobody' if service.route.behind else 'may not reach everybody'} yet"
                )
                rolls += " and change the route, which users have when its controller follows" if counts else ""
                look = f". To see what the controller says (Status): {described(case, found)}"
            more = (
                f"Held {where(case)} until that has changed, without limit: which split users have is not sure"
                f"{reaches}. {rolls}{look}; {way_back(case)}"
            )
            return Finding("RouteNotFollowed", f"{wording.sentence(text)} {more}", brief=text)
    return None


def sample_ratio_mismatch(case: Case) -> Finding | None:
    """A split that is shown not to be the intended one holds, until a person goes on knowingly or a new run begins."""
    found = sample_ratio.holds(case.spec, case.status)
    if found is None:
        return None
    what, text = sample_ratio.approval_of(case.status), sample_ratio.sentence(found)
    typed = f"{command(case, 'approve')} --srm"
    return Finding(
        "SampleRatioMismatch",
        f"the split is not the intended one, so no comparison can be trusted: {text}. No step, and no rollback for it;"
        f" guardrails still roll back. To go on in this stage all the same: {typed}, or"
        f" {annotate(case, f'{what}/{case.status.run_id}')}; {way_back(case)}",
        brief=f"{found.name}: {found.brief}",
    )


HOLDS: Final[tuple[Rule, ...]] = (paused, no_control, route_not_followed, no_measurement, sample_ratio_mismatch)


def _unmeasured(case: Case, why: str) -> Finding:
    since = next((each for each in case.status.conditions if each.type == "MetricsAvailable"), None)
    begun = wording.unix(since.last_transition_time) if since is not None and since.status == "False" else case.now
    text = (
        f"no measurement since {wording.clock(begun, case.now)}: {wording.sentence(why)}{_pods(case)} Until there is"
        f" one, however long that takes: no step and no rollback {where(case)}, the stage's clock stands, and"
        f" guardrails show what was before{_unguarded(case)}. It goes on by itself; {way_back(case)}"
    )
    return Finding("NoMeasurement", text, brief=f"no measurement {where(case)}: {why}")


def _unguarded(case: Case) -> str:
    """What it means for people, which "no rollback" leaves to the reader."""
    return ", so nothing guards the canary's users meanwhile" if case.status.weight > 0 else ""


def _pods(case: Case) -> str:
    """Where series are missing: what the API server says of the pods, so that nobody looks at the wrong place."""
    last = case.seen.looks[-1].services if case.seen.looks else {}
    for service in case.seen.services:
        found, pods = last.get(service.name), [each for each in (service.control, service.canary) if each is not None]
        if not isinstance(found, Unmeasured) or found.failure not in {MeasurementFailure.EMPTY, MeasurementFailure.GAP}:
            continue
        few = ", ".join(
            f"{each.ready} of {each.replicas} of {each.name}" for each in pods if each.ready < each.replicas
        )
        return f" Pods that are ready: {few}." if few else " All of its pods are ready, by the API server."
    return ""
