"""The Weights router: two numbers in any resource, by a preset's name or by their JSON pointers."""

from dataclasses import replace
from typing import Any

from serin.api.spec import Service, WeightsRef
from serin.kube.client import Kube
from serin.kube.errors import Invalid
from serin.traffic.pointer import find, parts
from serin.traffic.presets import PRESETS, Address, Preset
from serin.traffic.routes import RouteRouter
from serin.traffic.splits import Backend, Split


class Addresses:
    """Finds the resource that a service names.

    Args:
        kube: asked once for the plural of a kind that no preset knows.
    """

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._plurals: dict[tuple[str, str], str] = {}

    def __call__(self, service: Service) -> Address:
        """The resource of a service.

        Raises:
            ValueError: the service has none; the API server refuses such a spec.
            serin.kube.errors.NotFound: the cluster does not know the kind.
            serin.kube.errors.Invalid: a path is not a JSON pointer; the text is a sentence.
        """
        ref = service.traffic.weights
        if ref is None:
            raise ValueError(f"{service.name}: type Weights needs weights: write weights: {{name: ..., preset: Istio}}")
        if ref.preset is not None:
            preset = PRESETS[ref.preset]
            return Address(replace(preset, api_version=ref.api_version or preset.api_version), ref.name)
        return Address(self._pointed(service, ref), ref.name)

    def _pointed(self, service: Service, ref: WeightsRef) -> Preset:
        api_version, kind = ref.api_version or "", ref.kind or ""
        paths = ref.control_path or "", ref.canary_path or ""
        for field, path in zip(("controlPath", "canaryPath"), paths, strict=True):
            try:
                parts(path)
            except ValueError as error:
                raise Invalid(f"{service.name}: weights.{field}: {error}", 422, "Invalid") from None
        plural = self._plurals.get((api_version, kind)) or self._kube.plural(api_version, kind)
        self._plurals[api_version, kind] = plural
        names = service.control.deployment, service.canary.deployment or ""

        def splits(obj: dict[str, Any], namespace: str) -> tuple[Split, ...]:
            del namespace
            found = tuple(
                Backend(name, path, _number(find(obj, path))) for name, path in zip(names, paths, strict=True)
            )
            # What stands beside the two numbers tells when one of them means somebody else than before.
            return (Split("", _common(*paths), found),)

        return Preset(api_version, kind, plural, splits, encode=_like_before, pointed=True)


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _like_before(obj: dict[str, Any], weights: dict[str, int]) -> dict[str, Any]:
    """Text where text was: an annotation holds nothing else."""
    return {
        path: str(weight) if isinstance(find(obj, path), str) or path.startswith("/metadata/") else weight
        for path, weight in weights.items()
    }


def _common(one: str, other: str) -> str:
    """The pointer to the smallest part that holds both places."""
    shared: list[str] = []
    for left, right in zip(parts(one), parts(other), strict=False):
        if left != right:
            break
        shared.append(left.replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in shared) or "/spec"


def router(kube: Kube) -> RouteRouter:
    """The router over one API server."""
    return RouteRouter(kube, Addresses(kube))
