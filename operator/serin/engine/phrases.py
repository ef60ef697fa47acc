"""Halves of sentences that several messages end with: where it stands, what comes next, what a person can do."""

from typing import Final

from serin.api.names import APPROVE
from serin.api.spec import Spec
from serin.api.status import Phase, Status
from serin.engine.case import Case
from serin.engine.observation import Observation
from serin.engine.run import next_stage
from serin.engine.wording import clock, unix

_FEW: Final = 2
"""Canaries that a sentence can name."""
_A_WHILE: Final = 600.0
"""Seconds for which it is said what somebody else did."""


def where(case: Case) -> str:
    """The weight, or what is copied; in the bake there is no split."""
    if case.status.mirror:
        return f"while it gets copies of {case.status.mirror}% of the requests"
    return "in the bake" if case.position is Phase.BAKING else f"at {case.status.weight}%"


def command(case: Case, verb: str) -> str:
    """What a person types; with the namespace, for it is read in an alert as often as in the namespace's shell."""
    return f"kubectl serin {verb} -n {case.seen.namespace} {case.seen.name}"


def annotate(case: Case, value: str) -> str:
    """The same approval without the plugin."""
    return f"kubectl annotate --overwrite -n {case.seen.namespace} cex {case.seen.name} {APPROVE}={value}"


def described(case: Case, what: str) -> str:
    """How a person sees what a controller says of a resource."""
    return f"kubectl describe -n {case.seen.namespace} {what}"


def who(seen: Observation, what: str = "") -> str:
    """How a person sees who wrote a field last: the experiment's, unless `what` is another resource."""
    return f"kubectl get -n {seen.namespace} {what or f'cex {seen.name}'} -o yaml --show-managed-fields"


def way_back(case: Case) -> str:
    """How a person rolls back."""
    return f"to roll back: {command(case, 'abort')} (spec.abort: true)"


def correct(spec: Spec) -> str:
    """Where a person corrects a canary."""
    places = [
        f"the pod template of Deployment {each.canary.deployment}"
        if each.canary.deployment is not None
        else f"spec.services[{each.name}].canary.patch"
        for each in spec.services
    ]
    return " or ".join(places) if len(places) <= _FEW else "the canary that is at fault"


def resume(case: Case) -> str:
    """How a person ends a pause."""
    return f"To go on: {command(case, 'resume')} (spec.paused: false)"


def afterwards(case: Case) -> str:
    """What comes when the stage is over."""
    if case.position is Phase.BAKING or case.stage is None:
        return "it has succeeded (until then guardrails still roll back)"
    if (later := next_stage(case.spec, case.stage)) is not None:
        return f"{later.weight}% ({later.name})"
    if case.spec.promotion.approval == "Manual":
        return "it waits for an approval"
    return f"it is promoted{watched(case)}"


def watched(case: Case) -> str:
    """What follows a promotion."""
    bake = case.spec.promotion.bake
    return f" and watched for {bake} (bake)" if bake.seconds > 0 else ""


def lately(status: Status, now: float) -> str:
    """What somebody else did a moment ago, to put behind a message; empty when nothing happened.

    A transition alone is overlooked, as the phase stays the same. What began the stage anew is said until its end.
    """
    for each in reversed(status.transitions):
        at = unix(each.time)
        anew = each.reason == "ControlChanged" and at >= unix(status.stage_started_at)
        if anew or (each.reason in {"SplitChanged", "NewRun"} and now - at < _A_WHILE):
            return f". At {clock(at, now)} {each.message}"
    return ""
