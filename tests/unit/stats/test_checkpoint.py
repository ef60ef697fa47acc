"""A checkpoint is exact, small, and refuses what it does not fit."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
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
    Record,
    decode,
    encode,
    judge,
    start,
    update,
)
from serin.stats.state import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serin.stats import State

EDGES = (0.01, 0.025, 0.05, 0.075, 0.085, 0.095, 0.105, 0.12, 0.135, 0.145, 0.15, 0.165, 0.2, 0.3, 0.5, 1.0, 2.5)
STAGES = (86400.0, 1123200.0)
RATE = RateConfig(0.0125, 0.1, 0.01, 0.005, 100, STAGES)
LATENCY = LatencyConfig(0.0125, 0.05, 0.15, EDGES, 100, STAGES)


@st.composite
def rate_looks(draw: st.DrawFn) -> Look:
    """Any possible look of the error guardrail."""
    control, canary = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**5))
    baking = draw(st.booleans())
    control = 0 if baking else control
    bad = draw(st.integers(0, control)), draw(st.integers(0, canary))
    return Look(draw(st.floats(1.0, 5000.0)), control, bad[0], canary, bad[1], baking)


@st.composite
def latency_looks(draw: st.DrawFn) -> LatencyLook:
    """Any possible look of the latency guardrail."""
    some = st.lists(st.integers(0, 10**5), min_size=len(EDGES) + 1, max_size=len(EDGES) + 1)
    arms = [tuple(itertools.accumulate(draw(some))) for _ in range(2)]
    return LatencyLook(draw(st.floats(1.0, 5000.0)), EDGES, arms[0][:-1], arms[1][:-1], arms[0][-1], arms[1][-1])


def assert_same(a: State, b: State) -> None:
    """Two states are equal to the last bit."""
    for name in NAMES:
        left, right = getattr(a.parts, name), getattr(b.parts, name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            assert left.tobytes() == right.tobytes()
        else:
            assert left == right


@settings(max_examples=60, deadline=None)
@given(st.lists(rate_looks(), max_size=12), st.data())
def test_rate_goes_on_bit_for_bit(looks: list[Look], data: st.DataObject) -> None:
    """Stopped and resumed anywhere, the error guardrail is the same to the last bit as one that never stopped."""
    stop = data.draw(st.integers(0, len(looks)))
    whole = resumed = start(RATE)
    for i, look in enumerate(looks):
        if i == stop:
            resumed = decode(RATE, encode(resumed))
        whole, resumed = update(RATE, whole, look), update(RATE, resumed, look)
        assert_same(whole, resumed)
        assert judge(RATE, whole) == judge(RATE, resumed)
    assert_same(whole, decode(RATE, encode(whole)))


@settings(max_examples=30, deadline=None)
@given(st.lists(latency_looks(), min_size=1, max_size=6))
def test_latency_goes_on_bit_for_bit(looks: list[LatencyLook]) -> None:
    """The same of latency, resumed at every look, with and without a max."""
    for config in (LATENCY, dataclasses.replace(LATENCY, max_seconds=None)):
        whole = resumed = start(config)
        for look in looks:
            resumed = decode(config, encode(resumed))
            whole, resumed = update(config, whole, look), update(config, resumed, look)
            assert_same(whole, resumed)
            assert judge(config, whole) == judge(config, resumed)


def noise(config: Any) -> Iterator[Any]:
    """Looks of heavy, irregular traffic, first with control, then baking: the state with the most to say."""
    rng = np.random.default_rng(1)
    for i in range(400):
        baking = i > 300
        control, canary = int(rng.poisson(0 if baking else 300_000)), int(rng.poisson(150_000))
        if isinstance(config, RateConfig):
            yield Look(
                30.0, control, int(rng.binomial(control, 0.003)), canary, int(rng.binomial(canary, 0.003)), baking
            )
        else:
            fast = [tuple(np.sort(rng.integers(0, n + 1, len(EDGES))).tolist()) for n in (control, canary)]
            yield LatencyLook(30.0, EDGES, fast[0], fast[1], control, canary, baking)


def test_both_guardrails_of_a_service_fit_in_four_kilobytes() -> None:
    """Errors and latency with the project's 17 edges, after heavy traffic: at most 4,096 characters together."""
    size = 0
    for config in (RATE, LATENCY):
        state = start(config)
        for look in noise(config):
            state = update(config, state, look)
        size += len(encode(state))
    assert size <= 4096


@pytest.mark.parametrize("record", ["", "x", "!!", "QUJD", base64.b64encode(zlib.compress(b"abc")).decode(), "é"])
def test_what_is_not_a_record_is_refused(record: str) -> None:
    """Anything else in the status field gives a sentence, not a traceback of another kind."""
    with pytest.raises(ValueError, match="not a record of a guardrail"):
        decode(RATE, record)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(RATE, alpha=0.01),
        dataclasses.replace(RATE, stages=(60.0,)),
        dataclasses.replace(RATE, dispersion=Dispersion(0.01, 24)),
        LATENCY,
    ],
)
def test_a_record_of_other_settings_is_refused(other: Any) -> None:
    """A test can't go on at another level, plan, dispersion, or as another test."""
    with pytest.raises(ValueError, match="belongs to other settings"):
        decode(other, encode(start(RATE)))
    with pytest.raises(ValueError, match="belongs to other settings"):
        decode(other, Record(start(RATE)))


def test_an_unknown_version_and_a_damaged_record_are_refused() -> None:
    """A record of a later program, a shortened and a lengthened one are named as such."""
    raw = zlib.decompress(base64.b64decode(encode(start(RATE))))

    def record(changed: bytes) -> str:
        return base64.b64encode(zlib.compress(changed)).decode()

    with pytest.raises(ValueError, match="version 9"):
        decode(RATE, record(b"\x09" + raw[1:]))
    for changed in (raw[:-1], raw + b"\0"):
        with pytest.raises(ValueError, match="too long"):
            decode(RATE, record(changed))
    with pytest.raises(ValueError, match="too long"):
        decode(RATE, record(raw + bytes(1 << 21)))


def test_import_needs_no_scipy() -> None:
    """The hot path stays free of scipy, which costs 95 MiB."""
    code = "import sys, serin.stats; sys.exit('scipy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode
        == 0
    )


def test_a_record_that_is_not_written_yet_is_what_will_be_written() -> None:
    """It goes on as its text does, is equal to it, and is the text where somebody writes it."""
    first, second = start(RATE), update(RATE, start(RATE), next(noise(RATE)))
    assert decode(RATE, Record(second)) == decode(RATE, str(Record(second))) == second
    assert Record(second) == Record(second) == encode(second)
    assert Record(second) != Record(first)
    assert Record(second) != encode(first)
    assert len({Record(second), encode(second)}) == 1
    assert msgspec.json.decode(msgspec.json.encode({"a": Record(second)}, enc_hook=str)) == {"a": encode(second)}
