"""Events on an experiment, as `kubectl describe` shows them. An Event that can't be written never stops a rollout."""

import uuid
from datetime import UTC, datetime
from typing import Any

import structlog

from serin.api.names import API_VERSION, KIND
from serin.engine.decision import EventNote
from serin.kube.client import Kube
from serin.kube.errors import KubeError

_LONGEST = 1024
_log = structlog.get_logger("serin.kube.events")


def emit(kube: Kube, obj: dict[str, Any], note: EventNote, instance: str) -> None:
    """Writes one Event; a failure is logged."""
    meta = obj["metadata"]
    now = datetime.now(UTC)
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{uuid.uuid4().hex[:16]}", "namespace": meta["namespace"]},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": note.type,
        "reason": note.reason,
        "note": note.message[:_LONGEST],
        "action": note.reason,
        "reportingController": "serin.dev/operator",
        "reportingInstance": instance[:128],
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
    }
    try:
        kube.create("events.k8s.io/v1", "events", meta["namespace"], body)
    except KubeError as error:
        _log.warning("event not written", experiment=meta["name"], reason=note.reason, error=str(error))
