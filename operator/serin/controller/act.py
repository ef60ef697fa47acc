"""Carries out acts, each on what the API server says at that moment. Doing an act twice is doing it once."""

from dataclasses import dataclass
from typing import Any

import structlog

from serin.api.names import API_VERSION, PLURAL
from serin.api.spec import Service, Spec, canary_name
from serin.controller.observe import revision_name
from serin.engine.decision import (
    Act,
    AddFinalizer,
    EnsureCanary,
    KeepTemplate,
    PromoteTemplate,
    RemoveCanary,
    RemoveFinalizer,
    RestoreTemplate,
    Shift,
)
from serin.kube.client import Kube
from serin.kube.deployments import Deployments, promoted_template, template_hash
from serin.kube.status import set_finalizer
from serin.traffic.protocol import Router

_log = structlog.get_logger("serin.act")


@dataclass(slots=True)
class Actor:
    """Does acts; blocks, so it runs in a thread.

    Args:
        kube: the API client.
        deployments: changes Deployments.
        router: changes splits.
    """

    kube: Kube
    deployments: Deployments
    router: Router

    def do(self, act: Act, obj: dict[str, Any], spec: Spec | None, run_id: str) -> None:
        """One act for one experiment, by the spec that is in force; without one there are no acts on services.

        Raises:
            KubeError: it may or may not have happened; the next look sees.
        """
        meta = obj["metadata"]
        # A Shift is asked for at each look until it is seen; the router says when it changes something.
        log = _log.debug if isinstance(act, Shift) else _log.info
        log("act", act=str(act), namespace=meta["namespace"], experiment=meta["name"], run=run_id)
        if isinstance(act, AddFinalizer | RemoveFinalizer):
            fresh = self.kube.get(API_VERSION, PLURAL, meta["namespace"], meta["name"])
            set_finalizer(self.kube, fresh, present=isinstance(act, AddFinalizer))
            return
        if spec is None:
            raise ValueError(f"{act} needs a spec")
        service = spec.service(act.service)
        if isinstance(act, Shift) and act.urgent:
            self.router.restore(meta["namespace"], service, total=act.total, mirror=act.mirror)
        elif isinstance(act, Shift):
            self.router.write(meta["namespace"], service, weight=act.weight, total=act.total, mirror=act.mirror)
        elif isinstance(act, EnsureCanary):
            self.deployments.ensure_canary(meta["namespace"], service, obj)
        elif isinstance(act, RemoveCanary):
            self.deployments.remove_canary(meta["namespace"], canary_name(service), meta["uid"])
            self.deployments.forget_template(meta["namespace"], revision_name(meta["name"], service.name, run_id))
        else:
            self._template(act, obj, service, run_id)

    def _template(
        self, act: KeepTemplate | PromoteTemplate | RestoreTemplate, obj: dict[str, Any], service: Service, run_id: str
    ) -> None:
        namespace = obj["metadata"]["namespace"]
        name = revision_name(obj["metadata"]["name"], service.name, run_id)
        control = self.deployments.find(namespace, service.control.deployment)
        if control is None:
            _log.warning("act without effect: control is gone", act=str(act), namespace=namespace)
            return
        if isinstance(act, KeepTemplate):
            self.deployments.keep_template(namespace, name, control, obj)
            return
        if isinstance(act, RestoreTemplate):
            wanted = self.deployments.kept_template(namespace, name)
        else:
            canary = self.deployments.find(namespace, canary_name(service))
            wanted = promoted_template(control, canary) if canary is not None else None
        if wanted is not None and template_hash(wanted) != template_hash(control["spec"]["template"]):
            self.deployments.set_template(control, wanted)
