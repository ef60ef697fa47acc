"""What must not have happened in a trial, and how it should have ended."""

from collections import Counter
from collections.abc import Iterator

from serin.controller.main import LOST_LEASE
from serin.engine.wording import unix
from tests.integration.controller.ledger import Row
from tests.integration.controller.trial import STAGE, Trial


def judged(trial: Trial, reference: Trial) -> Row:
    """What must not have happened in a trial."""
    tried = f"{len(trial.ready)} operator{'s' if trial.operators > 1 else ''}, {trial.seconds:.0f} s"
    holds = trial.said if trial.said.startswith("no measurement") else ""
    row = Row(trial.name, tried, holds or trial.leader.complaints or "nothing", seconds=trial.recovered)
    for kind in ("good", "long"):
        for each in trial.statuses[kind].get("transitions", ()):
            if each["to"] in {"RollingBack", "RolledBack", "Failed"}:
                row.rolled_back.append(f"{trial.name}: {kind}: {each['to']}: {each['message']}")
    row.promoted += [f"{trial.name}: {each}" for each in _unfounded(trial)]
    wanted, once = _effects(reference), _effects(trial)
    row.repeated += [f"{trial.name}: {what}, {count} times more" for what, count in (once - wanted).items()]
    row.repeated += acts_beside(trial)
    return row


def whole(reference: Trial) -> bool:
    """Whether the trial without a fault did what the others are compared with: else nothing could be repeated."""
    once = {
        "POST deployments good-canary",
        "POST controllerrevisions kept",
        "good /spec/template",
        "good /spec/replicas=1",
    }
    return once <= _effects(reference).keys() and bool(reference.leader.writes)


def wrong_end(trial: Trial) -> list[str]:
    """What is not as it would be without the fault."""
    ends = {"good": "Succeeded", "bad": "RolledBack", "long": "Progressing"}
    found = [
        f"{trial.name}: {kind} is {trial.statuses[kind].get('phase')}: {trial.statuses[kind].get('message')}"
        for kind, phase in ends.items()
        if trial.statuses[kind].get("phase") != phase
    ]
    if trial.operators > 1 and LOST_LEASE not in trial.leader.exits:
        found.append(f"{trial.name}: the first leader went on: {trial.leader.exits}")
    return found + [f"{trial.name}: {each.name} threw" for each in trial.ready if "Traceback" in each.log]


def acts_beside(trial: Trial) -> list[str]:
    """Writes of the first leader after another has begun to act."""
    others = [at for each in trial.ready[1:] for at in each.writes]
    late = [at for at in trial.leader.writes if others and at > min(others)]
    return [f"{trial.name}: the first leader wrote {at - min(others):.1f} s after the other began" for at in late]


def _unfounded(trial: Trial) -> Iterator[str]:
    """Steps forward that no measurement allows: the bad one's, too early ones, and requests that nobody has served."""
    for each in trial.statuses["bad"].get("transitions", ()):
        if each["to"] in {"Promoting", "Baking", "Succeeded"}:
            yield f"bad: {each['to']}"
    times: dict[str, float] = {}
    for each in trial.statuses["good"].get("transitions", ()):
        times.setdefault(each["to"], unix(each["time"]))  # entered again after a hold it is the same stage
    entered = next((at for to, at in times.items() if to.startswith("Progressing")), None)
    if entered is not None and "Promoting" in times and times["Promoting"] - entered < STAGE:
        yield f"good: promoted after {times['Promoting'] - entered:.0f} s in a stage of {STAGE:.0f} s"
    for kind, status in trial.statuses.items():
        served = trial.scene.traffic.served[trial.namespace, kind, "canary"]
        for each in (part for service in status.get("services", ()) for part in service.get("guardrails", ())):
            if each.get("canaryRequests", 0) > served:
                yield f"{kind}: {each['canaryRequests']} requests counted, {served} served"


def _effects(trial: Trial) -> Counter[str]:
    """Of all operators together. A finalizer that is set again is a write that changes nothing."""
    found: Counter[str] = Counter()
    for one in trial.ready:
        found.update({what: count for what, count in one.effects.effects.items() if not what.startswith("finalizers")})
    return found
