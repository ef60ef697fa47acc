"""Bad input is answered with a sentence that says what to write instead, before any traffic moves."""

import re
from typing import Any

import pytest

from tests.demo.experiment import manifest
from tests.demo.kubectl import NAMESPACE, KubectlError, apply
from tests.e2e.shop import Shop


def stages(*weights: int) -> list[dict[str, Any]]:
    """Return stages of a minute with these weights."""
    return [{"name": f"s{number}", "weight": weight, "duration": "60s"} for number, weight in enumerate(weights)]


def one(control: str = "recommendation", canary: str = "recommendation-phase4") -> dict[str, Any]:
    """Return one service of an experiment."""
    return {"name": "recommendation", "control": {"deployment": control}, "canary": {"deployment": canary}}


REFUSED_BY_THE_API_SERVER = {
    "weight 101": ({"stages": stages(101)}, r"weight.*100"),
    "weights that fall": ({"stages": stages(50, 5)}, r"(?i)rise|rising|higher|larger|greater"),
    "unknown field": ({"analysis": {"intervall": "10s"}}, r"unknown field.*intervall"),
    "same Deployment twice": ({"services": [one(canary="recommendation")]}, r"(?i)deployment"),
}


@pytest.mark.parametrize(("spec", "sentence"), REFUSED_BY_THE_API_SERVER.values(), ids=REFUSED_BY_THE_API_SERVER)
async def test_the_api_server_refuses(shop: Shop, spec: dict[str, Any], sentence: str) -> None:
    """What a schema or a CEL rule can tell is refused by `kubectl apply` itself."""
    with pytest.raises(KubectlError) as refused:
        await apply(manifest("bad", **spec))
    shop.say(str(refused.value))
    assert re.search(sentence, str(refused.value), re.DOTALL)


UNPARSABLE = {"name": "checkout", "good": 'http_requests_total{code="5', "total": "http_requests_total", "max": "1%"}

REFUSED_BY_THE_OPERATOR = {
    "unknown Deployment": ({"services": [one(canary="recommendation-phase5")]}, r"recommendation-phase5"),
    "unparsable PromQL": ({"guardrails": {"custom": [UNPARSABLE]}}, r"guardrails\.custom checkout: good .*PromQL"),
    "no name of a metric": ({"metrics": {"requests": 'http_requests_total{code="5'}}, r"metrics\.requests .*PromQL"),
    "Prometheus that refuses": ({"prometheus": {"address": "http://127.0.0.1:9"}}, r"(?i)127\.0\.0\.1:9"),
    "histogram without the edge": ({"guardrails": {"latencyP95": {"max": "155ms"}}}, r"(?i)0\.155|155ms"),
}


@pytest.mark.parametrize(("spec", "sentence"), REFUSED_BY_THE_OPERATOR.values(), ids=REFUSED_BY_THE_OPERATOR)
async def test_the_operator_refuses(shop: Shop, spec: dict[str, Any], sentence: str) -> None:
    """What only the cluster can tell becomes a condition with a sentence; the canary gets no pod."""
    async with shop.load():
        await shop.start("bad", **spec)
        await _refused(shop, sentence)


async def test_an_hpa_on_a_replica_weighted_deployment(shop: Shop) -> None:
    """An autoscaler would move the weights by itself, so it is named and nothing starts."""
    await apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "recommendation", "namespace": NAMESPACE},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "recommendation"},
                "minReplicas": 4,
                "maxReplicas": 5,
            },
        }
    )
    await shop.start("bad")
    await _refused(shop, r"(?i)HorizontalPodAutoscaler|HPA")


async def test_two_experiments_on_one_deployment(shop: Shop) -> None:
    """The second experiment that wants a Deployment is refused, and names the first."""
    async with shop.load():
        await shop.start("first")
        await shop.until("first", lambda seen: seen.phase not in {"", "Pending"})
        await shop.start("bad")
        seen = await shop.until("bad", lambda seen: seen.condition("Accepted").get("status") == "False", wait=60)
        assert "first" in seen.condition("Accepted")["message"]


async def _refused(shop: Shop, sentence: str) -> None:
    def refused(seen: Any) -> bool:
        conditions = [seen.condition(kind) for kind in ("Accepted", "MetricsAvailable")]
        return any(
            found.get("status") == "False" and re.search(sentence, found["message"], re.DOTALL) for found in conditions
        )

    seen = await shop.until("bad", refused, wait=60)
    assert re.search(sentence, seen.status["message"], re.DOTALL)
    assert seen.status.get("weight", 0) == 0
    await shop.stays("bad", lambda seen: seen.status.get("weight", 0) == 0, seconds=15)
    assert (await shop.replicas())["recommendation-phase4"] == 0
