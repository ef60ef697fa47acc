"""A stage with `mirror`: the canary is judged by copies of the requests, and no user has seen it when it is bad."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from serin.api.status import Phase, Status, VerdictName
from serin.engine.configs import rate_config
from serin.engine.decide import decide
from serin.engine.decision import Shift
from serin.engine.generated import Fault
from serin.engine.goals.schedule import judged_stage
from serin.engine.record import in_force, recorded
from serin.engine.shown import ERROR_RATE
from serin.engine.world import World
from serin.stats import Dispersion
from tests.unit.engine.worlds import MIRROR, ROUTED, STAGES, reach, run, spec


def world(**more: Any) -> World:
    """Return an experiment that begins with copies."""
    return World(spec(services=ROUTED, stages=[MIRROR, *STAGES]), **more)


def weights(found: World) -> set[tuple[int, int]]:
    """Return weight and mirror of all shifts."""
    return {(act.weight, act.mirror) for _, act in found.acts if isinstance(act, Shift)}


def test_a_good_canary_goes_from_copies_to_shares() -> None:
    """Copies first, without any weight; then each weight without copies."""
    good = world()
    assert run(good).phase is Phase.SUCCEEDED
    assert weights(good) == {(0, 50), (10, 0), (50, 0), (100, 0), (0, 0)}
    assert [each.to for each in good.status.transitions if each.to.startswith("Progressing")] == [
        "Progressing(mirror 50% of the requests copied)",
        "Progressing(canary 10%)",
        "Progressing(ab 50%)",
    ]


def test_control_keeps_its_size_and_its_traffic_while_requests_are_copied() -> None:
    """Users are all with control, and the canary has as many pods as it would need for them."""
    copied = world()
    reach(copied, Phase.PROGRESSING, "mirror")
    for name, pair in copied._pairs.items():
        assert copied.share(name) == 0
        assert pair.canary is not None
        assert (pair.control.replicas, pair.canary.replicas) == (20, 10)
    assert "copies of 50% of the requests" in copied.status.transitions[-1].message


@pytest.mark.parametrize("fault", [Fault(errors=0.3), Fault(latency=0.2)])
def test_a_bad_canary_is_rolled_back_before_any_user_has_it(fault: Fault) -> None:
    """Its answers to the copies are evidence like any other; what is left is a route without copies."""
    bad = world(faults=(fault,))
    assert run(bad).phase is Phase.ROLLED_BACK
    assert weights(bad) == {(0, 50), (0, 0)}
    assert not any(bad.copies.values())
    assert bad.status.stage == "mirror"
    assert bad.status.mirror == 0


def test_counts_are_of_copies_for_the_canary_and_of_all_requests_for_control() -> None:
    """Half of the requests are copied, so the canary has half as many as control, which has them all."""
    copied = world()
    for _ in copied.run(60.0 * 2):
        pass
    assert "copied requests in this stage" in copied.status.message
    found = copied.status.services[0].guardrails[0]
    assert found.control_requests > 1000
    assert found.canary_requests / found.control_requests == pytest.approx(0.5, abs=0.05)


def test_a_pause_says_that_requests_are_copied() -> None:
    """The weight alone would say that the canary has nothing to do."""
    copied = world()
    reach(copied, Phase.PROGRESSING, "mirror")
    copied.spec = msgspec.structs.replace(copied.spec, paused=True)
    assert copied.look().status.phase is Phase.PAUSED
    assert "paused while it gets copies of 50% of the requests" in copied.status.message


def test_who_changes_the_copies_is_told_what_is_wanted() -> None:
    """Somebody takes the filter away: it is set again, and the message does not speak of a share."""
    copied = world()
    reach(copied, Phase.PROGRESSING, "mirror")
    copied.copies["recommendation"] = 0
    copied.look()
    assert copied.status.transitions[-1].reason == "SplitChanged"
    wanted = "(it is to be copies of 50% of the requests, and no share). Serin sets it back"
    assert wanted in copied.status.transitions[-1].message
    assert run(copied).phase is Phase.SUCCEEDED


def test_a_first_share_is_judged_by_its_own_requests() -> None:
    """What copies have shown is gone with them, and minRequests counts from nothing; the day before the run is kept."""
    copied = world()
    reach(copied, Phase.PROGRESSING, "canary")
    assert copied.status.verdict is VerdictName.INSUFFICIENT
    assert all(not service.guardrails for service in copied.status.services)
    assert not [key for key in copied.status.checkpoint if "errorRate" in key]


def test_a_canary_that_dies_under_copies_is_rolled_back() -> None:
    """Nobody is hurt, and nothing would ever be counted: it has failed like one with a share."""
    copied = world()
    reach(copied, Phase.PROGRESSING, "mirror")
    seen = copied.observe()
    dead = tuple(
        replace(each, route=replace(each.route, unserved="the canary has had no ready pod for 20s"))
        for each in seen.services
    )
    after = decide(copied.spec, copied.status, replace(seen, services=dead), copied.now).status
    assert (after.phase, after.reason) == (Phase.ROLLING_BACK, "CanaryNotServing")
    assert (after.weight, after.mirror) == (0, 0)


def test_what_undoes_a_run_exists_whatever_the_next_one_copies() -> None:
    """The services of a run by pods with the stages of a spec that copies: nobody wrote that, and it is in force."""
    status = Status(
        run_id="old",
        phase=Phase.PROGRESSING,
        weight=10,
        services=tuple(recorded(each) for each in spec().services),
    )
    found = in_force(spec(services=ROUTED, stages=[MIRROR, *STAGES]), status, finalizer=True)
    assert found is not None
    assert [each.traffic.type for each in found.services] == ["Replicas", "Replicas"]


def test_alpha_is_divided_between_copies_and_shares() -> None:
    """Each ends with a test of its own."""
    without, with_copies = (rate_config(spec(services=ROUTED, stages=each), ERROR_RATE, Dispersion())
                            for each in (STAGES, [MIRROR, *STAGES]))  # fmt: skip
    assert with_copies.alpha == without.alpha / 2


def test_goals_are_not_judged_on_copies() -> None:
    """Nobody sees the answers to them, so no user behaves otherwise."""
    stage = judged_stage(spec(services=ROUTED, stages=[MIRROR, *STAGES]))
    assert stage is not None
    assert stage.name == "ab"


def test_an_edit_in_the_middle_of_copies_begins_anew_without_them() -> None:
    """The new run's canary gets no request of the old one's: copies end before anything is prepared."""
    edited = world()
    reach(edited, Phase.PROGRESSING, "mirror")
    edited.spec = spec(services=ROUTED, stages=STAGES)
    assert run(edited).phase is Phase.SUCCEEDED
    after = [act for at, act in edited.acts if isinstance(act, Shift) and not act.mirror]
    assert after[0].weight == 0
    assert not any(edited.copies.values())
