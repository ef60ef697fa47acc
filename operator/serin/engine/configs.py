"""Which tests an experiment's guardrails are, and how its alpha is split over them (Bonferroni)."""

from serin.api.spec import Spec
from serin.engine.shown import ERROR_RATE, LATENCY
from serin.stats import Dispersion, LatencyConfig, RateConfig


def guardrail_names(spec: Spec) -> tuple[str, ...]:
    """The guardrails of each service, in the order in which they are shown."""
    return (ERROR_RATE, LATENCY, *(custom.name for custom in spec.guardrails.custom))


def rate_config(spec: Spec, name: str, dispersion: Dispersion) -> RateConfig:
    """The test of an error rate or of a custom share; alpha is split over services x guardrails (Bonferroni)."""
    if name == ERROR_RATE:
        rate = spec.guardrails.error_rate
        limits = (rate.worse_than_control.value, rate.max.value, rate.warn.value)
        worse, most, warn = limits[0], limits[1], limits[2]
        return RateConfig(_alpha(spec), worse, most, warn, spec.analysis.min_requests, _stages(spec), dispersion)
    custom = next(each for each in spec.guardrails.custom if each.name == name)
    return RateConfig(
        _alpha(spec),
        custom.worse_than_control.value if custom.worse_than_control else None,
        custom.max.value if custom.max else None,
        None,
        spec.analysis.min_requests,
        _stages(spec),
        dispersion,
    )


def latency_config(
    spec: Spec, edges: tuple[float, ...], dispersion: Dispersion | tuple[Dispersion, ...]
) -> LatencyConfig:
    """The test of P95 on the buckets of one histogram."""
    limits = spec.guardrails.latency_p95
    return LatencyConfig(
        _alpha(spec),
        limits.worse_than_control.value,
        limits.max.seconds,
        edges,
        spec.analysis.min_requests,
        _stages(spec),
        dispersion=dispersion,
    )


def _alpha(spec: Spec) -> float:
    """Of each test. Copies are judged by tests of their own, which end with them."""
    rounds = 2 if any(stage.mirror for stage in spec.stages) else 1
    return spec.analysis.alpha / (rounds * len(spec.services) * len(guardrail_names(spec)) + len(spec.goals))


def _stages(spec: Spec) -> tuple[float, ...]:
    return tuple(stage.duration.seconds for stage in spec.stages)
