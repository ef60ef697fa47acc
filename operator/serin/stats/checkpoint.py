"""A state as a short text in status, exact to the last bit.

The record is zlib over a packed header and raw little-endian arrays, in base64. It carries a version and a fingerprint
of the config: a test that goes on under another level, margin or plan of restarts would be neither of the two.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from serin.stats import ratio
from serin.stats.clumps import CLUMPS
from serin.stats.looks import Rule
from serin.stats.state import NOISE, Parts, State

if TYPE_CHECKING:
    from serin.stats.plan import Plan

VERSION = 3
_HEADER = struct.Struct("<BIddIIbBb4qd")
_OTHER = "the checkpoint belongs to other settings (alpha, limits, stages, edges or dispersion)"
_LARGEST = 1 << 20
"""Bytes after decompression that a record may have: far above any real one, far below what could hurt."""


class Record:
    """A state in the checkpoint of the process that counted it. Its text is `str` of it, made where it is written."""

    __slots__ = ("state",)

    def __init__(self, state: State) -> None:
        self.state = state

    def __str__(self) -> str:
        return pack(self.state)

    def __eq__(self, other: object) -> bool:
        """The same state, or the text of the same."""
        if isinstance(other, Record):
            return self.state == other.state
        return str(self) == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"Record({str(self)!r})"


def pack(state: State) -> str:
    """The record of a state."""
    parts = state.parts
    header = _HEADER.pack(
        VERSION,
        state.fingerprint,
        parts.seconds,
        parts.bake_seconds,
        parts.started,
        parts.bake_started,
        parts.primary,
        parts.failed,
        parts.decided,
        *parts.tripped,
        parts.phi,
    )
    counts = np.concatenate([parts.control, parts.canary, parts.bake]).astype("<i8", copy=False)
    arrays = (
        # byte planes: the high bytes of counts and exponents lie side by side, where zlib finds them
        counts.view(np.uint8).reshape(-1, 8).T.tobytes(),
        parts.wealth.astype("<f4", copy=False).view(np.uint8).reshape(-1, 4).T.tobytes(),
        parts.variance.astype("<f4", copy=False).tobytes(),
        parts.noise.astype("<f8", copy=False).tobytes(),
        parts.clumps.astype("<f8", copy=False).tobytes(),
        parts.due.astype("<f8", copy=False).view(np.uint8).reshape(-1, 8).T.tobytes(),
        parts.profile.astype("<f8", copy=False).view(np.uint8).reshape(-1, 8).T.tobytes(),
    )
    # level, method, window, memory: a window of the record's size is set up in half the time of the usual 32 KiB
    deflate = zlib.compressobj(6, zlib.DEFLATED, 12, 5)
    return base64.b64encode(deflate.compress(header + b"".join(arrays)) + deflate.flush()).decode("ascii")


def unpack(plan: Plan, record: str | Record) -> State:
    """The state of a record.

    Raises:
        ValueError: not a record, an unknown version, or a record of another config.
    """
    if isinstance(record, Record):
        if record.state.fingerprint != plan.fingerprint:
            raise ValueError(_OTHER)
        return record.state
    try:
        inflate = zlib.decompressobj()
        raw = inflate.decompress(base64.b64decode(record, validate=True), _LARGEST)
        version, fingerprint, *header = _HEADER.unpack_from(raw)
    except (binascii.Error, zlib.error, struct.error, ValueError) as error:
        raise ValueError("the checkpoint is not a record of a guardrail; the run's evidence starts anew") from error
    if version != VERSION:
        raise ValueError(f"the checkpoint has version {version}, this program reads version {VERSION}")
    if fingerprint != plan.fingerprint:
        raise ValueError(_OTHER)
    cells = plan.thresholds + 1
    wealth = plan.rows * len(plan.columns.excess) * 4
    sizes = (3 * cells * 8, wealth, plan.rows * 4, NOISE * 8, CLUMPS * 8, plan.thresholds * 8, ratio.KNOTS * 8)
    if len(raw) != _HEADER.size + sum(sizes) or not inflate.eof:
        raise ValueError("the checkpoint is cut short or too long; the run's evidence starts anew")
    ends = list(itertools.accumulate(sizes, initial=_HEADER.size))
    pieces = [np.frombuffer(raw, np.uint8, size, end) for size, end in zip(sizes, ends, strict=False)]
    counts = _planes(pieces[0], 8).view("<i8").astype(np.int64, copy=False).reshape(3, cells)
    seconds, bake_seconds, started, bake_started, primary, failed, decided, *tripped, phi = header
    edges = -1 <= primary < plan.thresholds and -1 <= decided < plan.thresholds
    if not (failed < len(Rule) and edges and started <= len(plan.restarts)):
        raise ValueError("the checkpoint is damaged; the run's evidence starts anew")
    bad, total, control_bad, control_total = tripped
    parts = Parts(
        seconds=seconds,
        bake_seconds=bake_seconds,
        started=started,
        bake_started=bake_started,
        primary=primary,
        failed=failed,
        decided=decided,
        tripped=(bad, total, control_bad, control_total),
        phi=phi,
        control=counts[0],
        canary=counts[1],
        bake=counts[2],
        wealth=_planes(pieces[1], 4).view("<f4").astype(np.float32, copy=False).reshape(plan.rows, -1),
        variance=pieces[2].view("<f4").astype(np.float32),
        noise=pieces[3].view("<f8").astype(np.float64),
        clumps=pieces[4].view("<f8").astype(np.float64),
        due=_planes(pieces[5], 8).view("<f8").astype(np.float64, copy=False),
        profile=_planes(pieces[6], 8).view("<f8").astype(np.float64, copy=False),
    )
    return State.of(parts, fingerprint)


def _planes(
    part: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], width: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.ascontiguousarray(part.reshape(width, -1).T).reshape(-1)
