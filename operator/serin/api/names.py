"""The names that Serin writes into a cluster, in one place: a rename here is a breaking change for users."""

from typing import Final

GROUP: Final = "serin.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "CanaryExperiment"
PLURAL: Final = "canaryexperiments"

FIELD_MANAGER: Final = "serin"
FINALIZER: Final = "serin.dev/restore"
"""Held only while traffic may be away from control: deleting the experiment then waits until control has 100 %."""

APPROVE: Final = "serin.dev/approve"
RETRY: Final = "serin.dev/retry"

MIRROR: Final = "serin.dev/mirror"
"""On a route: `canary Deployment=Service`, with commas between, for each Service to which Serin copies."""

VARIANT_LABEL: Final = "serin.dev/variant"
"""On pods: `control` or `canary`. Prometheus turns it into the label `variant`."""
EXPERIMENT_LABEL: Final = "serin.dev/experiment"
"""On objects that Serin made: the experiment's name."""
MANAGED_BY: Final = ("app.kubernetes.io/managed-by", "serin")

CONTROL: Final = "control"
CANARY: Final = "canary"
