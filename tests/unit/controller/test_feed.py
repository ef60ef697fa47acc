"""Looks that are fed before they are due: only of experiments whose record and spec are known."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from serin.api.status import Phase
from serin.controller.memory import Memory
from serin.controller.reconcile import Reconciler
from serin.controller.store import Key, Store
from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.engine.together import feed_each, first_look
from serin.engine.world import World
from tests.unit.engine.worlds import reach, spec

KNOWN, UNKNOWN, AWAY, EARLY = (Key("shop", name) for name in ("known", "unknown", "away", "early"))


def test_only_what_will_be_counted_is_fed() -> None:
    """Not what a restart has to read first, nor what Prometheus could not say, nor before a stage counts."""
    world, nobody = World(spec()), None
    before = world.status
    reach(world, Phase.PROGRESSING, "ab")
    world.now += 40.0
    look = world.observe().looks[0]
    away = Unmeasured(MeasurementFailure.UNREACHABLE, "away")
    with ThreadPoolExecutor() as executor:
        made = Reconciler(nobody, Store(), nobody, nobody, nobody, executor, "me")  # type: ignore[arg-type]
        for key, status in {KNOWN: world.status, AWAY: world.status, EARLY: before}.items():
            made._memory[key] = Memory(b"", status, 0.0, "1")
            made._specs[key] = ("uid", 1), world.spec
        lost = replace(look, services=dict.fromkeys(look.services, away))
        made.feed({KNOWN: look, UNKNOWN: look, AWAY: lost, EARLY: look})
    assert list(made._fed) == [KNOWN]
    assert made._fed[KNOWN].first.look == look


def test_one_that_can_never_be_judged_does_not_cost_the_others_theirs() -> None:
    """Its guardrail has an edge that its histogram hasn't; it comes again with every look."""
    worlds = [World(spec(guardrails={"latencyP95": {"max": "123ms"}})), World(spec(), seed=1), World(spec(), seed=2)]
    firsts = []
    for world in worlds:
        reach(world, Phase.PROGRESSING, "canary")
        world.now += 40.0
        firsts.append(first_look(world.spec, world.status, world.observe().looks[0]))
    assert [each is None for each in feed_each([each for each in firsts if each is not None])] == [True, False, False]
