"""What is remembered of a goal between two looks, as one short text in the status's checkpoint.

The looks that were taken must survive a crash: a look that is forgotten would be paid for twice. Sums only: blocks and
weekdays take the same room on the thirteenth day as on the first.
"""

import base64
import binascii
import zlib
from functools import lru_cache
from typing import Final

import msgspec

from serin.api.spec import Goal, Spec, Stage
from serin.api.units import encode_unit
from serin.stats.goals import BlockSums, Moments

VERSION: Final = 1
_LARGEST: Final = 1 << 16
NOBODY: Final = Moments(0.0, 0.0, 0.0)
WEEK: Final = 7


class GoalRecord(msgspec.Struct, frozen=True, array_like=True):
    """One goal of one run.

    Attributes:
        settings: of what question; another spec starts again.
        block: index of the last block that was read, -1 before the first.
        fractions: of the stage at the looks taken, ascending. information: at these looks, ascending. statistics: z.
        verdict: of the last look, empty before the first.
        began: measured seconds, control's and the canary's users at the first reading.
        control, canary: sums at the end of the last whole block.
        looked: (control, canary) at the last look, or at the first reading: the same sums again are no news.
        blocks: differences of blocks. skipped: blocks whose sums contradicted each other.
        weekdays: (control, canary) by weekday, Monday first; empty when the stage is shorter than a week.
    """

    version: int
    settings: int
    block: int = -1
    fractions: tuple[float, ...] = ()
    information: tuple[float, ...] = ()
    statistics: tuple[float, ...] = ()
    verdict: str = ""
    began: tuple[float, float, float] | None = None
    control: Moments = NOBODY
    canary: Moments = NOBODY
    looked: tuple[Moments, Moments] = (NOBODY, NOBODY)
    blocks: BlockSums = BlockSums()
    skipped: int = 0
    weekdays: tuple[tuple[Moments, Moments], ...] = ()

    @property
    def final(self) -> bool:
        """True when the last look was taken: all of alpha is spent."""
        return bool(self.fractions) and self.fractions[-1] >= 1.0


def key_of(goal: Goal) -> str:
    """Where the record is in the checkpoint. No guardrail's record has two slashes."""
    return f"goals/{goal.name}/record"


def fresh(spec: Spec, goal: Goal, *, weekdays: bool) -> GoalRecord:
    """The record before the first reading."""
    return GoalRecord(VERSION, _settings(spec, goal), weekdays=((NOBODY, NOBODY),) * WEEK if weekdays else ())


def encode(record: GoalRecord) -> str:
    """The record as ASCII text."""
    return base64.b64encode(zlib.compress(msgspec.msgpack.encode(record), 9)).decode("ascii")


def decode(spec: Spec, goal: Goal, text: str) -> GoalRecord | None:
    """The record that `encode` wrote; None for another version, another question, or a text that is no record."""
    record = _decoded(text)
    wanted = (VERSION, _settings(spec, goal))
    return record if record is not None and (record.version, record.settings) == wanted else None


@lru_cache(maxsize=256)
def _decoded(text: str) -> GoalRecord | None:
    """Rules ask several times at each look, and the text changes about once an hour."""
    try:
        inflate = zlib.decompressobj()
        raw = inflate.decompress(base64.b64decode(text, validate=True), _LARGEST)
        return msgspec.msgpack.decode(raw, type=GoalRecord)
    except (binascii.Error, zlib.error, msgspec.DecodeError, ValueError):
        return None


def _settings(spec: Spec, goal: Goal) -> int:
    return _fingerprint(goal, spec.stages, spec.analysis.alpha, len(spec.goals), len(spec.services))


@lru_cache(maxsize=256)
def _fingerprint(goal: Goal, stages: tuple[Stage, ...], *others: float) -> int:
    """Of what the looks that were taken belong to: another question, other stages or another level start again."""
    question = [msgspec.to_builtins(each, enc_hook=encode_unit) for each in (goal, *stages)]
    return zlib.crc32(msgspec.json.encode([question, others], order="sorted"))
