"""Whole rollouts on the real cluster: the ends that a user hopes for and those that a user fears."""

import json
from datetime import UTC, datetime, timedelta

from tests.demo.follow import ended
from tests.demo.install import SERVICES
from tests.demo.kubectl import NAMESPACE, get, kubectl
from tests.e2e.shop import CONTROL_PODS, LENIENT, LONG, Shop

ERRORS = {"SERIN_FAULT_ERROR_SHARE": "0.2"}
SLOW = {"SERIN_FAULT_LATENCY": "200ms"}


async def test_a_good_release_is_promoted(shop: Shop) -> None:
    """A good canary passes its stages and the bake, control gets its template, and no request fails on the way."""
    async with shop.load() as load:
        await shop.start("promoted", guardrails=LENIENT)
        seen = await shop.until("promoted", ended, wait=300)
    assert seen.phase == "Succeeded", seen.status["message"]
    assert seen.condition("Promoted")["status"] == "True"
    assert {"Progressing", "Promoting", "Baking"} <= set(seen.phases)
    await shop.control_alone()
    assert [await shop.engine(service) for service in SERVICES] == ["phase4", "phase4"]
    assert all(guardrail["canaryRequests"] > 0 for _, guardrail in seen.guardrails())
    assert load.report.own_failures == 0, load.report.sentence()


async def test_errors_are_rolled_back(shop: Shop) -> None:
    """A canary that fails requests is taken out, and the status says which value, of how many, by which rule."""
    await shop.clean(ERRORS)
    async with shop.load() as load:
        await shop.start("errors", stages=LONG)
        seen = await shop.until("errors", ended)
        assert seen.phase == "RolledBack", seen.status["message"]
        await shop.control_alone()
    assert seen.condition("RolledBack")["status"] == "True"
    [(service, guardrail)] = seen.guardrails("Failing")
    assert (service, guardrail["name"]) == ("recommendation", "errorRate")
    assert guardrail["rule"]
    assert "%" in guardrail["canary"]
    assert " of " in guardrail["summary"]
    found, restored = seen.at("foundAt"), seen.at("restoredAt")
    assert found is not None
    assert restored is not None
    assert found <= restored
    assert load.report.injected > 0
    assert load.report.own_failures == 0, load.report.sentence()


async def test_latency_is_rolled_back(shop: Shop) -> None:
    """A canary whose P95 is above what it may be is taken out for that, not for errors."""
    await shop.clean(SLOW)
    async with shop.load() as load:
        await shop.start("slow", stages=LONG)
        seen = await shop.until("slow", ended)
        await shop.control_alone()
    assert seen.phase == "RolledBack", seen.status["message"]
    assert [(service, found["name"]) for service, found in seen.guardrails("Failing")] == [
        ("recommendation", "latencyP95")
    ]
    assert load.report.own_failures == 0, load.report.sentence()


async def test_one_bad_service_rolls_both_back(shop: Shop) -> None:
    """Services of one experiment move together: conversation fails, and recommendation goes back with it."""
    await shop.clean(ERRORS, "conversation")
    async with shop.load():
        await shop.start("joint", stages=LONG)
        seen = await shop.until("joint", ended)
        await shop.control_alone()
    assert seen.phase == "RolledBack", seen.status["message"]
    assert {service for service, _ in seen.guardrails("Failing")} == {"conversation"}
    assert [service["weight"] for service in seen.status["services"]] == [0, 0]


async def test_pause_and_resume(shop: Shop) -> None:
    """Paused, nothing moves for longer than the stage lasts; resumed, the stage goes on to the next one."""
    async with shop.load():
        await shop.start("paused", promotion={"approval": "Manual", "bake": "20s"})
        await shop.until("paused", lambda seen: seen.phase == "Progressing" and seen.status["weight"] == 25)
        await shop.patch("paused", paused=True)
        await shop.until("paused", lambda seen: seen.phase == "Paused")
        held = await shop.stays(
            "paused", lambda seen: (seen.phase, seen.status["weight"]) == ("Paused", 25), seconds=40
        )
        assert held.status["stage"] == "canary"
        assert (await shop.replicas())["recommendation-phase4"] == 1
        await shop.patch("paused", paused=False)
        seen = await shop.until("paused", lambda seen: seen.status.get("stage") == "ab")
        assert seen.phase in {"Progressing", "Preparing"}


async def test_abort(shop: Shop) -> None:
    """`spec.abort` rolls back at once, and nobody is blamed for it."""
    async with shop.load() as load:
        await shop.start("aborted", stages=LONG)
        await shop.until("aborted", lambda seen: seen.phase == "Progressing" and seen.status["weight"] == 25)
        await shop.patch("aborted", abort=True)
        seen = await shop.until("aborted", ended, wait=90)
        await shop.control_alone()
    assert seen.phase == "RolledBack"
    assert seen.guardrails("Failing") == []
    assert "abort" in seen.status["message"].lower()
    assert load.report.own_failures == 0, load.report.sentence()


async def test_deletion_in_the_middle(shop: Shop) -> None:
    """A deleted experiment gives control 100 % first, then goes; the user's Deployments stay."""
    async with shop.load() as load:
        await shop.start("deleted", stages=LONG)
        await shop.until("deleted", lambda seen: seen.phase == "Progressing" and seen.status["weight"] == 25)
        await kubectl("-n", NAMESPACE, "delete", "cex", "deleted", wait=120)
        assert (await get("-n", NAMESPACE, "cex"))["items"] == []
        await shop.control_alone(wait=5)
    assert (await shop.replicas())["recommendation-phase4"] == 0
    assert load.report.own_failures == 0, load.report.sentence()


async def test_operator_killed_in_the_middle(shop: Shop) -> None:
    """Killed in a stage and while it promotes, the operator goes on: no stage is lost, no effect happens twice."""
    began = datetime.now(UTC) - timedelta(seconds=2)
    async with shop.load() as load:
        await shop.start("killed", guardrails=LENIENT)
        await shop.until("killed", lambda seen: seen.phase == "Progressing" and seen.status["weight"] == 25)
        await shop.kill_operator()
        await shop.until("killed", lambda seen: seen.phase == "Promoting" or ended(seen), wait=240)
        await shop.kill_operator()
        seen = await shop.until("killed", ended, wait=240)
        await shop.control_alone()
    assert seen.phase == "Succeeded", seen.status["message"]
    moves = ["Progressing(canary 25%)", "Progressing(ab 50%)", "Promoting", "Baking", "Succeeded"]
    transitions = [transition["to"] for transition in seen.status["transitions"]]
    assert [move for move in transitions if move in moves] == moves, transitions
    told = [message.partition(":")[0] for _, message, count in await shop.events("killed", began) for _ in range(count)]
    assert {move: told.count(move) for move in moves} == dict.fromkeys(moves, 1), told
    assert load.report.own_failures == 0, load.report.sentence()


async def test_prometheus_stopped_for_three_looks(shop: Shop) -> None:
    """Without measurements the experiment holds and says so; it goes on when they are back; nothing is rolled back."""
    async with shop.load():
        await shop.start("outage", promotion={"approval": "Manual", "bake": "20s"})
        await shop.until("outage", lambda seen: seen.phase == "Progressing" and seen.status["weight"] == 25)
        try:
            await shop.prometheus(0)
            held = await shop.until("outage", lambda seen: seen.phase == "Holding", wait=90)
            assert held.condition("MetricsAvailable")["status"] == "False"
            await shop.stays(
                "outage",
                lambda seen: (seen.phase, seen.status["stage"], seen.status["weight"]) == ("Holding", "canary", 25),
                seconds=30,
            )
        finally:
            await shop.prometheus(1)
        seen = await shop.until("outage", lambda seen: seen.status.get("stage") == "ab", wait=150)
    assert "RolledBack" not in json.dumps(seen.status.get("transitions", []))
    assert (await shop.replicas())["recommendation"] <= CONTROL_PODS
