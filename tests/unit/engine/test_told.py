"""What somebody is told who sees only `kubectl describe`: what happened, why, until when, and what comes next."""

import dataclasses

import msgspec
import pytest

from serin.api.names import RETRY
from serin.api.spec import HTTPRouteRef, Spec, Traffic
from serin.api.status import Phase, Status, Transition, VerdictName
from serin.engine.decide import decide
from serin.engine.decision import Decision
from serin.engine.generated import Fault
from serin.engine.observation import Observation, Problem, RouteReading
from serin.engine.phrases import lately
from serin.engine.ratios import kept, low
from serin.engine.wording import sentence, timestamp
from serin.engine.world import World
from serin.stats import Evidence
from tests.unit.engine.worlds import SERVICES, STAGES, reach, run, spec

NOW = 1_700_000_000.0
PATCHED = [{**each, "canary": {"patch": {"spec": {"template": {}}}}} for each in SERVICES]


def _decided(world: World, **seen: object) -> Decision:
    """One decision on what is there, but for these."""
    observed = dataclasses.replace(world.observe(), **seen)  # type: ignore[arg-type]
    decision = decide(world.spec, world.status, observed, world.now)
    world.status = decision.status
    return decision


def _note(decision: Decision, reason: str) -> str:
    return next(each.message for each in decision.events if each.reason == reason)


def _with_route(world: World, weight: float | None) -> Observation:
    """Both services by a route, which has this weight and has been written by somebody else."""
    seen = world.observe()
    edited = RouteReading(weight, False, "edited")
    services = tuple(dataclasses.replace(each, route=edited) for each in seen.services)
    return dataclasses.replace(seen, services=services)


def _scale(world: World, **sizes: int) -> None:
    """Somebody gives Deployments of a service another size, or touches them and leaves it."""
    for role, size in sizes.items():
        pods = getattr(world._pairs["recommendation"], role)
        pods.replicas, pods.generation = size, pods.generation + 1


@pytest.mark.parametrize(
    ("sizes", "says", "who"),
    [
        ({"control": 20}, "the split of recommendation (control from 18 to 20 pods). Serin sets it back; ", "rec"),
        (
            {"control": 12, "canary": 0},
            "the split of recommendation (control from 18 to 12 pods, canary from 2 to 0 pods). Serin sets it back; ",
            "",
        ),
        (
            {"canary": 2},
            "the route or a Deployment of recommendation, but not the split. Serin verifies it again; ",
            "",
        ),
    ],
)
def test_from_which_size_to_which(sizes: dict[str, int], says: str, who: str) -> None:
    """Only what was changed, and whom to ask where one resource alone was."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    _scale(world, **sizes)
    command = f". Who it was: kubectl get -n simulated deployment {who} -o yaml --show-managed-fields" if who else ""
    text = f"somebody else changed {says}what is served until then is not counted{command}"
    assert _note(_decided(world), "SplitChanged") == text


def test_a_size_that_somebody_else_changed_is_said() -> None:
    """By pods the sizes are the split: which they were, and which they are to be."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    _scale(world, canary=9)
    text = (
        "somebody else changed the split of recommendation (canary from 2 to 9 pods). Serin sets it back; what is"
        " served until then is not counted. Who it was: kubectl get -n simulated deployment rec-next -o yaml"
        " --show-managed-fields"
    )
    assert _note(_decided(world), "SplitChanged") == text
    run(world, world.now - world.start + 60)
    assert text in world.status.message, "it is said in the message for a while"


@pytest.mark.parametrize(
    ("weight", "says"),
    [
        (42.0, "recommendation: the canary's share from 10% to 42%; conversation: the canary's share from 10% to 42%"),
        (None, "recommendation: the canary's share from 10% to one that can't be told; conversation"),
    ],
)
def test_a_route_that_somebody_else_changed_is_said(weight: float | None, says: str) -> None:
    """By a route it is the weights, not the pods."""
    routed = spec()
    traffic = Traffic(type="HTTPRoute", http_route=HTTPRouteRef(name="shop"))
    services = tuple(msgspec.structs.replace(each, traffic=traffic) for each in routed.services)
    world = World(msgspec.structs.replace(routed, services=services))
    reach(world, Phase.PROGRESSING, "canary")
    decision = decide(world.spec, world.status, _with_route(world, weight), world.now)
    assert f"({says}" in _note(decision, "SplitChanged")


def test_a_canary_that_is_gone_is_no_split_to_set_again() -> None:
    """What is said is the rollback, and nothing that will not happen."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    del world._deployments["rec-next"]
    decision = world.look()
    assert [each.reason for each in decision.events] == ["CanaryDeleted"]
    assert "recommendation: the canary's Deployment rec-next was deleted by somebody else" in decision.status.message
    status = run(world)
    assert status.message.startswith("Failed, and rolled back at ")
    assert status.message.endswith("Create Deployment rec-next again: that is a new run")


def _edit(world: World) -> None:
    world.spec = msgspec.structs.replace(world.spec, stages=world.spec.stages[:1])


def _template(world: World) -> None:
    canary = world._pairs["recommendation"].canary
    assert canary is not None
    canary.template, canary.generation = "newer", canary.generation + 1


_LIMIT = {"errorRate": {"max": "2%"}}
_NEWER = [
    {**SERVICES[0], "canary": {"patch": {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}}},
    PATCHED[1],
]
_CEX = "cex simulated"


@pytest.mark.parametrize(
    ("before", "after", "templated", "generation", "retry", "says", "owner"),
    [
        ({}, {"stages": STAGES[:1]}, False, 2, "", "spec.stages was changed (generation 1 -> 2)", _CEX),
        (
            {},
            {"guardrails": _LIMIT, "stages": STAGES[:1]},
            False,
            3,
            "",
            "spec.stages and spec.guardrails were changed (generation 1 -> 3)",
            _CEX,
        ),
        (
            {"services": PATCHED},
            {"services": _NEWER},
            False,
            2,
            "",
            "spec.services[recommendation].canary.patch was changed (generation 1 -> 2)",
            _CEX,
        ),
        (
            {},
            {},
            True,
            1,
            "",
            "the pod template of recommendation's canary (Deployment rec-next) was changed",
            "deployment rec-next",
        ),
        ({"services": PATCHED}, {}, False, 1, "1", "a retry was asked for", _CEX),
        ({}, {}, False, 1, "1", "a retry was asked for", _CEX),
        ({}, {"stages": STAGES[:1]}, False, 2, "1", "spec.stages was changed and a retry was asked for (gen", _CEX),
    ],
)
def test_why_another_run_began(
    before: dict[str, object],
    after: dict[str, object],
    templated: bool,
    generation: int,
    retry: str,
    says: str,
    owner: str,
) -> None:
    """Which part, of which service; and what shows by whom."""
    world = World(spec(**before))
    reach(world, Phase.PROGRESSING, "canary")
    world.spec = spec(**{**before, **after})
    if templated:
        _template(world)
    decision = _decided(world, generation=generation, annotations={RETRY: retry} if retry else {})
    text = _note(decision, "NewRun")
    assert text.startswith(f"another run began: {says}")
    by = f"; control gets 100% first. By whom: kubectl get -n simulated {owner} -o yaml --show-managed-fields"
    assert text.endswith(by)


@pytest.mark.parametrize(
    ("wanted", "edited", "templated", "generation", "retry", "says"),
    [
        (spec(), True, False, 2, "", "the spec was changed (generation 1 -> 2)"),
        (spec(), False, True, 1, "", "the canary's template was changed"),
        (spec(services=PATCHED), False, False, 1, "1", "a retry was asked for"),
        (spec(), False, False, 1, "1", "the spec or the canary's template was changed, or a retry was asked for"),
    ],
)
def test_why_another_run_began_where_no_parts_are_known(
    wanted: Spec, edited: bool, templated: bool, generation: int, retry: str, says: str
) -> None:
    """An older operator has begun the run: as far as it can be told, and not a list of what it may have been."""
    world = World(wanted)
    reach(world, Phase.PROGRESSING, "canary")
    world.status = msgspec.structs.replace(world.status, run_parts="")
    if edited:
        _edit(world)
    if templated:
        _template(world)
    decision = _decided(world, generation=generation, annotations={RETRY: retry} if retry else {})
    assert _note(decision, "NewRun").startswith(f"another run began: {says}; control gets 100% first. By whom: ")


def test_a_change_in_the_bake_names_what_was_changed() -> None:
    """A rollback for a change says whose it was, and is no warning."""
    world = World(spec())
    reach(world, Phase.BAKING)
    _edit(world)
    decision = _decided(world, generation=2)
    assert decision.status.message.startswith(
        "spec.stages was changed (generation 1 -> 2) while baking: control gets its"
    )
    assert [(each.type, each.reason) for each in decision.events] == [("Normal", "Superseded")]


def test_control_that_was_rolled_leaves_nothing_of_the_old_verdict() -> None:
    """Numbers against the old control are not shown as if they were of the new one, and the message says since when."""
    world = World(spec(), faults=(Fault(errors=0.004),))
    reach(world, Phase.PROGRESSING, "ab")
    for _ in range(5):
        world.now += 10
        world.look()
    assert world.status.services[0].guardrails
    control = world._pairs["recommendation"].control
    control.template, control.generation = "hotfix", control.generation + 1
    decision = world.look()
    assert decision.status.verdict is VerdictName.INSUFFICIENT
    assert [each.guardrails for each in decision.status.services] == [(), ()]
    assert decision.status.first_bad_look == ""
    assert decision.status.stage_started_at == timestamp(world.now)
    run(world, world.now - world.start + 60)
    assert world.status.phase is Phase.PROGRESSING
    assert (
        "somebody else changed the pod template of control (Deployment rec); the stage and its evidence begin again"
        in (world.status.message)
    )


@pytest.mark.parametrize(
    ("reason", "ago", "stage_ago", "said"),
    [
        ("SplitChanged", 599, 30, True),
        ("SplitChanged", 601, 9000, False),
        ("NewRun", 10, 5, True),
        ("NewRun", 601, 590, False),
        ("ControlChanged", 9000, 9000, True),  # it began this stage anew
        ("ControlChanged", 60, 30, False),  # another stage has begun since
        ("StageEntered", 10, 10, False),
    ],
)
def test_how_long_it_is_said_what_others_did(reason: str, ago: float, stage_ago: float, said: bool) -> None:
    """Ten minutes; and for as long as it explains why the stage is where it is."""
    note = Transition(time=timestamp(NOW - ago), to="Progressing", reason=reason, message="it was changed")
    status = Status(transitions=(note,), stage_started_at=timestamp(NOW - stage_ago))
    assert lately(status, NOW).endswith(" UTC it was changed") is said


def test_what_is_refused_says_how_it_goes_on() -> None:
    """Whether anything has moved, and that nobody has to start it again."""
    world = World(spec())
    status = _decided(world, problems=(Problem("Autoscaled", "an autoscaler has it"), Problem("B", "b"))).status
    told = "no traffic has moved; it begins by itself when this is corrected: an autoscaler has it (and 1 more)"
    assert (status.message, status.summary) == (told, "an autoscaler has it")


def test_pods_that_are_awaited_at_the_start_hurt_nobody() -> None:
    """Until when they are waited for, and that control has all of the traffic."""
    world = World(spec(), ready_after=1e9)
    reach(world, Phase.PROGRESSING, "canary", done=False)
    world.now += 60
    world.look()
    seen = world.observe()
    late = tuple(
        dataclasses.replace(
            each, canary=dataclasses.replace(each.canary, unavailable_since=world.now - 30), route=each.route
        )
        if each.canary
        else each
        for each in seen.services
    )
    zero = tuple(dataclasses.replace(each, route=dataclasses.replace(each.route, weight=0.0)) for each in late)
    unknown = tuple(dataclasses.replace(each, route=dataclasses.replace(each.route, weight=None)) for each in late)
    texts = [
        decide(world.spec, world.status, dataclasses.replace(seen, services=services), world.now).status.message
        for services in (zero, unknown)
    ]
    assert "; all traffic is with control meanwhile; if they are not ready by " in texts[0]
    sooner = ", it is rolled back; to correct it sooner: the pod template of Deployment rec-next or "
    assert all(sooner in text for text in texts)
    assert all(
        text.endswith(" (a new run); to roll back: kubectl serin abort -n simulated simulated (spec.abort: true)")
        for text in texts
    )
    assert "all traffic" not in texts[1], "what can't be told is not said"


@pytest.mark.parametrize(
    ("text", "ended"), [("it runs", "it runs."), ("does it run?", "does it run?"), ("it runs.", "it runs.")]
)
def test_a_sentence_has_one_end(text: str, ended: str) -> None:
    """Texts of others are put together, and may have an end already."""
    assert sentence(text) == ended


def _evidence(ratio: float | None, lower: float) -> Evidence:
    blank: dict[str, object] = dict.fromkeys((each.name for each in dataclasses.fields(Evidence)), None)
    return Evidence(**{**blank, "ratio": ratio, "ratio_low": lower})  # type: ignore[arg-type]


def test_the_lower_end_of_a_ratio_is_kept_as_a_number() -> None:
    """It is what tells whether a warning is worth waiting for; nothing is said where there is no ratio."""
    parts = (("errorRate", _evidence(5.7, 1.4)), ("latencyP95", _evidence(None, 0.0)), ("pay", _evidence(9.0, 2.5)))
    record = kept({"shop": parts})
    assert [low(record, "shop", name) for name in ("errorRate", "latencyP95", "pay", "new")] == [1.4, 0.0, 2.5, 0.0]
    assert low({}, "shop", "errorRate") == float("inf"), "an older operator kept none: wait for the next look"


def test_a_promotion_says_what_comes_next() -> None:
    """In a table too: that control takes the template, and how long it is watched."""
    told = {}
    world = World(spec())
    for decision in world.run(3600):
        told.setdefault((decision.status.phase, decision.status.reason), decision.status.summary)
    moving = "every stage has passed: moving all traffic to the canary; then control takes its template"
    assert told[Phase.PROMOTING, "StagesPassed"] == moving
    assert told[Phase.BAKING, "Baking"] == "everything is served by the new version and watched for 1m (bake)"
    assert told[Phase.BAKING, "StageRunning"].startswith("baking: until ")
    assert {phase for phase, reason in told if reason == "Promoted"} == {Phase.SUCCEEDED}, "not before it is over"


def test_nobody_is_blamed_for_a_template_that_the_spec_has() -> None:
    """Where Serin makes the canaries, a run that differs without an edit or a retry is nobody's template."""
    world = World(spec(services=PATCHED))
    reach(world, Phase.PROGRESSING, "canary")
    world.status = msgspec.structs.replace(world.status, run_parts="")
    _edit(world)
    assert "the spec or the canary's template was changed, or a retry" in _note(_decided(world), "NewRun")
