"""What a run is made of, a character for each part, so that the next run can say which part was changed.

`runId` is one hash of all parts: it tells that something was changed, and not what. A status of every experiment has no
room for what was; six bits of a hash for each part are enough to tell that it is another one, but for one change in 64,
which is then said in general words.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Final

from serin.api.names import RETRY
from serin.api.spec import Service, Spec, canary_name, spec_to_json
from serin.api.status import Status
from serin.engine.observation import Observation

_FIELDS: Final = ("stages", "promotion", "guardrails", "goals", "analysis", "metrics", "prometheus")
"""Of the spec, in the order of their characters: another one is added behind the last."""
_HEAD: Final = len(_FIELDS) + 1
"""The fields and the retry; behind them each service has two characters, in the order of their names."""


@dataclass(frozen=True, slots=True)
class Change:
    """A part that is another one than it was.

    Attributes:
        what: the part as a clause names it; empty for a retry.
        owner: the resource that has it, as kubectl names it; empty for the experiment itself.
    """

    what: str
    owner: str = ""


def parts_of(spec: Spec, seen: Observation) -> str:
    """The parts of the run that the cluster asks for now; together they are what `run_id` is made of."""
    wanted = spec_to_json(spec)
    head = [wanted.get(name) for name in _FIELDS] + [seen.annotations.get(RETRY, "")]
    services = sorted(spec.services, key=lambda each: each.name)
    written = {each["name"]: each for each in wanted["services"]}
    both = [part for each in services for part in (_rest(written[each.name]), _release(each, written[each.name], seen))]
    return "".join(_character(each) for each in (*head, *both))


def changed(status: Status, spec: Spec, seen: Observation) -> tuple[Change, ...]:
    """What is not as it was when the run of `status` began; empty where that can't be told."""
    names, old, new = sorted(each.name for each in status.services), status.run_parts, parts_of(spec, seen)
    if len(old) != _HEAD + 2 * len(names):  # of an older operator, or edited by hand
        return ()
    found = [Change(f"spec.{name}") for name, *two in zip(_FIELDS, old, new, strict=False) if two[0] != two[1]]
    had, has = _by_service(names, old), _by_service(sorted(each.name for each in spec.services), new)
    if had.keys() != has.keys():
        found.append(Change("spec.services"))
    for service in sorted(spec.services, key=lambda each: each.name):
        before, now = had.get(service.name), has[service.name]
        if before is not None and before[0] != now[0]:
            found.append(Change(f"spec.services[{service.name}]"))
        elif before is not None and before[1] != now[1]:
            found.append(_another_release(service))
    if old[_HEAD - 1] != new[_HEAD - 1]:
        found.append(Change(""))
    return tuple(found)


def clause(found: tuple[Change, ...]) -> str:
    """The changes as a clause: `spec.guardrails and spec.stages were changed`."""
    named = [each.what for each in found if each.what]
    text = f"{' and '.join(named)} {'was' if len(named) == 1 else 'were'} changed" if named else ""
    retried = "a retry was asked for" if len(named) < len(found) else ""
    return " and ".join(part for part in (text, retried) if part)


def _another_release(service: Service) -> Change:
    if service.canary.patch is not None:
        return Change(f"spec.services[{service.name}].canary.patch")
    name = canary_name(service)
    return Change(f"the pod template of {service.name}'s canary (Deployment {name})", f"deployment {name}")


def _by_service(names: list[str], parts: str) -> dict[str, str]:
    return {name: parts[_HEAD + 2 * index : _HEAD + 2 * index + 2] for index, name in enumerate(names)}


def _rest(service: dict[str, object]) -> object:
    """A service without what makes its release."""
    canary = service.get("canary")
    kept = {key: each for key, each in canary.items() if key != "patch"} if isinstance(canary, dict) else canary
    return {**service, "canary": kept}


def _release(service: Service, written: dict[str, object], seen: Observation) -> object:
    if service.canary.patch is not None:
        return written["canary"]
    found = next((each.canary for each in seen.services if each.name == service.name), None)
    return found.template_hash if found is not None else ""


def _character(part: object) -> str:
    """Six bits of a hash."""
    digest = hashlib.sha256(json.dumps(part, sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest)[:1].decode()
