"""Many guardrails in one call are the same guardrails."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serin.stats import (
    Dispersion,
    LatencyConfig,
    LatencyLook,
    Look,
    RateConfig,
    judge,
    judge_all,
    start,
    update,
    update_all,
)
from serin.stats.state import NAMES

if TYPE_CHECKING:
    from serin.stats import State

EDGES = (0.1, 0.15, 0.2)
RATE = RateConfig(0.0125, 0.1, 0.01, 0.005, 100, (600.0, 3600.0))
LATENCY = LatencyConfig(0.0125, 0.05, 0.15, EDGES, 100, (600.0, 3600.0))
CONFIGS: tuple[Any, ...] = (
    RATE,
    dataclasses.replace(RATE, alpha=0.001, dispersion=Dispersion(0.02, 24)),
    dataclasses.replace(RATE, stages=(100.0, 250.0)),
    dataclasses.replace(RATE, max_share=None),
    dataclasses.replace(RATE, worse_than_control=None),
    LATENCY,
    dataclasses.replace(LATENCY, max_seconds=None),
    dataclasses.replace(LATENCY, edges=(0.15, 0.3)),
    # as many edges and limits as a rate has
    dataclasses.replace(LATENCY, edges=(0.15,)),
    dataclasses.replace(RATE, warn_share=None),
)


@st.composite
def looks(draw: st.DrawFn, config: Any) -> Look | LatencyLook:
    """Any look that fits the config."""
    seconds, baking = draw(st.floats(1.0, 4000.0)), draw(st.booleans())
    top = draw(st.sampled_from([3, 200, 10**6]))
    some = st.lists(st.integers(0, top), min_size=4, max_size=4)
    control, canary = ([*itertools.accumulate(draw(some))] for _ in range(2))
    if baking:
        control = [0, 0, 0, 0]
    if isinstance(config, RateConfig):
        return Look(seconds, control[-1], control[0], canary[-1], canary[0], baking)
    n = len(config.edges)
    return LatencyLook(seconds, config.edges, tuple(control[:n]), tuple(canary[:n]), control[-1], canary[-1], baking)


def assert_same(a: State, b: State) -> None:
    """Two states are equal to the last bit."""
    for name in NAMES:
        left, right = getattr(a.parts, name), getattr(b.parts, name)
        if isinstance(left, np.ndarray):
            assert (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
        else:
            assert type(left) is type(right)
            assert left == right


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(1, 5))
def test_one_call_for_all_gives_what_one_by_one_gives(data: st.DataObject, size: int, rounds: int) -> None:
    """Any mix of kinds, settings and phases: the states are equal to the last bit, in the order that was asked."""
    configs = [data.draw(st.sampled_from(CONFIGS)) for _ in range(size)]
    alone = together = [start(config) for config in configs]
    for _ in range(rounds):
        seen = [data.draw(looks(config)) for config in configs]
        alone = [update(config, state, look) for config, state, look in zip(configs, alone, seen, strict=True)]
        together = update_all(list(zip(configs, together, seen, strict=True)))
        for one, other in zip(alone, together, strict=True):
            assert_same(one, other)
        assert judge_all(list(zip(configs, together, strict=True))) == list(map(judge, configs, alone))


def test_many_are_the_same_as_one() -> None:
    """The same in a pass of 257 experiments, where numpy takes its widest paths."""
    rng = np.random.default_rng(3)
    configs = [CONFIGS[i % len(CONFIGS)] for i in range(257)]
    states = [start(config) for config in configs]
    for _ in range(15):
        items = []
        for config, state in zip(configs, states, strict=True):
            counts = [np.cumsum(rng.poisson([300, 5, 3, 2])).tolist() for _ in range(2)]
            if isinstance(config, RateConfig):
                look: Any = Look(40.0, counts[0][-1], counts[0][-1] - counts[0][0], counts[1][0], int(rng.poisson(3)))
            else:
                n = len(config.edges)
                look = LatencyLook(40.0, config.edges, *(tuple(c[:n]) for c in counts), *(c[-1] for c in counts))
            items.append((config, state, look))
        states = update_all(items)
        for (config, state, look), after in zip(items, states, strict=True):
            assert_same(update(config, state, look), after)
        both = zip(configs, states, strict=True)
        assert judge_all([*both]) == [judge(config, state) for config, state in zip(configs, states, strict=True)]


def test_an_empty_pass_and_one_with_a_misfit() -> None:
    """No experiment is no work; one look of the wrong kind refuses the pass before anything is changed."""
    assert update_all([]) == []
    assert judge_all([]) == []
    with pytest.raises(ValueError, match="needs a LatencyLook"):
        update_all([(RATE, start(RATE), Look(5.0, 1, 0, 1, 0)), (LATENCY, start(LATENCY), Look(5.0, 1, 0, 1, 0))])
