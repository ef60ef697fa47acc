"""The situations: how each is brought about, when it is there, and what a reader should find out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from serin.api.names import API_VERSION, PLURAL
from serin.kube.client import JSON_PATCH
from tests.bench.describes.stage import GATEWAY_API, Seen, Stage, counting, noted, phase, said
from tests.integration.controller.process import until
from tests.integration.proxy import refuses

Do = Callable[[Stage], Any]
_SCRAPED: Final = 3.0
"""Seconds until Prometheus knows a shop that has just opened."""


def _shop(stage: Stage) -> None:
    stage.scene.open(stage.name, size=4)


@dataclass(frozen=True)
class Situation:
    """One situation.

    Attributes:
        truth: What happened, for whoever compares with what the reader says.
        begin: Makes what it begins with.
        steps: When this is seen, that is done; one after the other.
        there: When this is seen, it is there.
        rest: Seconds to wait then, for what shows only after a while.
    """

    truth: str
    begin: Do
    there: Seen
    steps: tuple[tuple[Seen, Do], ...] = ()
    rest: float = 7.0


def begun(*before: Do, **spec: Any) -> Do:
    """A shop, what else is to be done, and the experiment."""

    def begin(stage: Stage) -> None:
        _shop(stage)
        for each in before:
            each(stage)
        time.sleep(_SCRAPED)
        stage.start(**spec)

    return begin


def serves(variant: str, **how: Any) -> Do:
    """A version serves like this."""
    return lambda stage: stage.serves(variant, **how)


def edit(**spec: Any) -> Do:
    """Somebody edits the experiment."""
    return lambda stage: stage.edit(**spec)


def _routed(stage: Stage) -> None:
    stage.route()
    time.sleep(_SCRAPED)
    stage.start(services=[stage.routed()])


def _autoscaled(stage: Stage) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    body = {"metadata": {"name": "shop-load"}, "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9}}
    stage.scene.create("autoscaling/v2", "horizontalpodautoscalers", stage.name, body)


def _route_edited(stage: Stage) -> None:
    patch = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 90}]
    patch += [{"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 10}]
    stage.kube.patch(GATEWAY_API, "httproutes", stage.name, "shop", patch, JSON_PATCH)


def _route_ignored(stage: Stage) -> None:
    """Somebody has edited the route, and its gateway does not look at it any more."""
    stage.gateway.ignored.add(stage.name)
    patch = [{"op": "add", "path": "/spec/hostnames", "value": ["shop.example"]}]
    stage.kube.patch(GATEWAY_API, "httproutes", stage.name, "shop", patch, JSON_PATCH)


def _other(stage: Stage) -> None:
    """Another experiment has begun on the same Deployment."""
    stage.start(name="checkout-5")
    until(lambda: stage.status("checkout-5").get("phase") == "Progressing", f"{stage.name}: the other has begun", 240)


def _no_room(stage: Stage) -> None:
    """Control's new pods find no node, and the release is bad."""
    stage.scene.full.add(stage.name)
    stage.serves("canary", errors=0.5)


def _deleted_without_room(stage: Stage) -> None:
    """Control's new pods find no node, and somebody deletes the experiment."""
    stage.scene.full.add(stage.name)
    stage.kube.delete(API_VERSION, PLURAL, stage.name, stage.name)


def _failing_prometheus(stage: Stage) -> None:
    stage.proxy.fault = refuses(503)


def _nothing(stage: Stage) -> None:
    del stage


def _deadline(stage: Stage) -> None:
    stage.deployment(progressDeadlineSeconds=12)


SHORT: Final = [{"name": "half", "weight": 50, "duration": "5s"}]
QUICK: Final = {"stages": SHORT, "promotion": {"bake": "5s"}}
TWO: Final = [{"name": "tenth", "weight": 10, "duration": "5s"}, {"name": "half", "weight": 50, "duration": "13d"}]

SITUATIONS: Final[tuple[Situation, ...]] = (
    Situation("good: in its second stage, healthy, goes on by itself in 13 days", begun(stages=TWO), counting, rest=25),
    Situation(
        "warned: 4 % of both versions' requests fail, above max (1 %): not rolled back, as control suffers too",
        begun(serves("canary", errors=0.04), serves("control", errors=0.04)),
        lambda status: status.get("verdict") == "Warning",
    ),
    Situation(
        "holding for no data: the canary's pods are not scraped any more; holds at 50 % until they are",
        begun(),
        phase("Holding"),
        ((counting, lambda stage: stage.scene.traffic.forget(stage.name, "shop", "canary")),),
    ),
    Situation(
        "holding for too little traffic: the stage is over, but there were next to no canary requests",
        begun(serves("canary", requests=0), analysis={"interval": "5s", "minRequests": 2000}, **QUICK),
        phase("Holding", reason="InsufficientTraffic"),
    ),
    Situation(
        "Prometheus is down: holds at 50 %, goes on by itself when it answers; see to Prometheus",
        begun(),
        phase("Holding"),
        ((counting, lambda stage: stage.proxy.vanish()),),
        rest=12,
    ),
    Situation(
        "waits for approval: every stage has passed, promotion.approval is Manual; approve or abort",
        begun(stages=SHORT, promotion={"approval": "Manual"}),
        phase("Holding", reason="WaitingForApproval"),
    ),
    Situation(
        "paused by spec.paused in the stage; guardrails still roll back; resume",
        begun(),
        phase("Paused"),
        ((counting, edit(paused=True)),),
    ),
    Situation(
        "aborted by spec.abort: rolled back as asked, the canary was healthy",
        begun(),
        phase("RolledBack"),
        ((counting, edit(abort=True)),),
    ),
    Situation(
        "rolled back on errors: 5 % of the canary's requests fail, control's 0.2 %",
        begun(serves("control", errors=0.002)),
        phase("RolledBack"),
        ((counting, serves("canary", errors=0.05)),),
    ),
    Situation(
        "rolled back on latency: many canary requests take over 150 ms, control's do not",
        begun(),
        phase("RolledBack"),
        ((counting, serves("canary", slow=0.3)),),
    ),
    Situation(
        "rolled back on the SLA (max): 9 % of the canary's requests fail, more than max 1 %; control has 0.9 %",
        begun(
            serves("control", errors=0.009),
            serves("canary", errors=0.09),
            guardrails={"errorRate": {"warn": "0.5%", "max": "1%", "worseThanControl": "1000%"}},
        ),
        phase("RolledBack"),
    ),
    Situation(
        "rolled back by the breaker: all requests of the canary fail at once",
        begun(),
        phase("RolledBack"),
        ((counting, serves("canary", errors=1.0)),),
    ),
    Situation(
        "image pull error: the canary's pods can't start as their image is not there; no users yet, waits",
        begun(image="registry.example/shop:r71"),
        said("image"),
        rest=3,
    ),
    Situation(
        "failed: the canary crashes at its start, its progress deadline is over; control has everything back",
        begun(_deadline, image="shop:r72"),
        phase("Failed"),
    ),
    Situation(
        "refused: a HorizontalPodAutoscaler scales control, whose size is the split",
        begun(_autoscaled),
        phase("Pending", reason="Autoscaled"),
    ),
    Situation(
        "refused: control's Deployment does not exist (a typo in its name)",
        begun(
            services=[{"name": "shop", "control": {"deployment": "shpo"}, "canary": {"deployment": "shop"}}],
        ),
        phase("Pending", reason="DeploymentNotFound"),
    ),
    Situation(
        "refused: latencyP95.max is 120 ms and the histogram has no bucket there",
        begun(guardrails={"latencyP95": {"max": "120ms", "worseThanControl": "5%"}}),
        phase("Pending", reason="HistogramEdgeMissing"),
    ),
    Situation(
        "control was rolled by somebody else in the stage: evidence and stage have started again",
        begun(),
        counting,
        (
            (counting, lambda stage: stage.image("shop:1-hotfix")),
            (noted("ControlChanged"), _nothing),
        ),
    ),
    Situation(
        "the size of control was changed by somebody else (GitOps?): Serin set it again and counts from then on",
        begun(),
        counting,
        ((counting, lambda stage: stage.deployment(replicas=7)), (noted("SplitChanged"), _nothing)),
        rest=2,
    ),
    Situation(
        "the route's weights were edited by somebody else: Serin set them again and counts from then on",
        _routed,
        counting,
        ((counting, _route_edited), (noted("SplitChanged"), _nothing)),
        rest=2,
    ),
    Situation(
        "the gateway does not follow the route any more after somebody edited it: holds at 50 %",
        _routed,
        phase("Holding", reason="RouteNotFollowed"),
        ((counting, _route_ignored),),
    ),
    Situation(
        "the spec was changed in the stage (another guardrail): traffic went back to control, a new run has begun",
        begun(),
        counting,
        (
            (counting, edit(guardrails={"errorRate": {"warn": "0.5%", "max": "2%", "worseThanControl": "20%"}})),
            (noted("NewRun"), _nothing),
        ),
    ),
    Situation(
        "baking: promoted, the new version serves everything and is watched for an hour",
        begun(stages=SHORT),
        phase("Baking"),
        rest=20,
    ),
    Situation("succeeded: promoted and baked, nothing to do", begun(**QUICK), phase("Succeeded")),
    Situation(
        "rolled back in the bake: all of the new version's requests fail after the promotion",
        begun(stages=SHORT),
        phase("RolledBack"),
        ((phase("Baking"), serves("control", errors=0.6)),),
    ),
    Situation(
        "failed: somebody deleted the canary's Deployment in the stage",
        begun(),
        phase("Failed"),
        ((counting, lambda stage: stage.kube.delete("apps/v1", "deployments", stage.name, "shop-canary")),),
    ),
    Situation(
        "refused: another experiment (checkout-5) has control's Deployment",
        begun(_other),
        phase("Pending", reason="DeploymentInUse"),
    ),
    Situation(
        "rolling back and waiting: control's pods can't be scheduled (no CPU), the canary serves until they can",
        begun(),
        phase("RollingBack"),
        ((counting, _no_room),),
        rest=45,
    ),
    Situation(
        "being deleted: the finalizer waits for control's pods, which can't be scheduled",
        begun(),
        phase("RollingBack"),
        ((counting, _deleted_without_room),),
        rest=45,
    ),
    Situation(
        "the canary's template was changed while it was being promoted or baked: superseded, a new run has begun",
        begun(stages=SHORT),
        noted("NewRun"),
        ((phase("Baking"), lambda stage: stage.edit(services=[stage.service("shop:3")])),),
    ),
    Situation(
        "needs samples: the stage's time is over and it has fewer than minSamples; says about how long",
        begun(stages=[{"name": "half", "weight": 50, "duration": "5s", "minSamples": 50_000}]),
        said("needs"),
    ),
    Situation(
        "Prometheus answers with an error: no step and no rollback, holds",
        begun(),
        phase("Holding"),
        ((counting, _failing_prometheus),),
        rest=12,
    ),
)
