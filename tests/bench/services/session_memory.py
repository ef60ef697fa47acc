"""What a conversation's memory takes and keeps, against its full history: 1,000 conversations of 20 turns.

Runs the Phase 4 engine over labelled synthetic conversations in English and Korean, with the reference load's kind of
messages: a wish, a refinement, facts about people and titles, small talk. Quality is what of the first half is still
known after the last turn: slots in the memory's slots, facts in the window and the summary. The summary's rivals get
the same bytes: the newest sentences, random ones, and TextRank with its usual damping and without the draw to facts.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from serin_conversation import memory as memory_module
from serin_conversation import summary as summary_module
from serin_conversation.engines import Item, MultiTurnConversationEngine, Question
from serin_conversation.language import clip, stored_size
from serin_conversation.memory import MEMORY_BYTES, Memory
from serin_conversation.summary import DAMPING, FACTS_SHARE, SENTENCE_BYTES, summarise
from serin_conversation.synthetic import Conversation, make_conversations

Summarise = Callable[[Sequence[str], int], list[str]]

LIMIT_BYTES: Final = MEMORY_BYTES
_CATALOGUE: Final = tuple(
    Item(f"item-{number:04d}", f"The Quiet Harbour {number}", (genre,), 0.5)
    for number, genre in enumerate(("comedy", "thriller", "drama", "action", "romance", "mystery") * 8)
)
"""Items with ids of the synthetic catalogue's length: what was shown is part of a memory."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One conversation after its last turn.

    Attributes:
        language: What was spoken.
        memory_bytes: Its stored memory.
        history_bytes: Its full history as JSON: role and text of each message and reply.
        slots: Slots of the first half that are still right, and how many there were.
        facts: Facts of the first half that are still there, and how many there were.
        milliseconds: Most processor time that one turn of the engine took.
    """

    language: str
    memory_bytes: int
    history_bytes: int
    slots: tuple[int, int]
    facts: tuple[int, int]
    milliseconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this bench."""
    parser.add_argument("--conversations", type=int, default=1000, help="how many")
    parser.add_argument("--turns", type=int, default=20, help="messages in each, at least 12")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")


def play(conversation: Conversation) -> Outcome:
    """Let Phase 4 answer one conversation, and look at what it remembers."""
    engine = MultiTurnConversationEngine()
    memory = Memory()
    history: list[dict[str, str]] = []
    longest = 0.0
    for message in conversation.messages:
        began = time.thread_time()
        answer = engine.reply(Question(message, memory, conversation.language, _CATALOGUE, asked=True))
        longest = max(longest, time.thread_time() - began)
        assert answer.memory is not None
        memory = answer.memory
        history += [{"role": "user", "text": message}, {"role": "assistant", "text": answer.reply}]
    kept = " ".join((*memory.window, *memory.summary))
    return Outcome(
        language=conversation.language,
        memory_bytes=len(memory.encode().encode()),
        history_bytes=len(json.dumps(history, ensure_ascii=False, separators=(",", ":")).encode()),
        slots=(sum(memory.slots.get(k) == v for k, v in conversation.slots.items()), len(conversation.slots)),
        facts=(sum(word in kept for _, word in conversation.facts), len(conversation.facts)),
        milliseconds=longest * 1000,
    )


def newest(texts: Sequence[str], limit: int) -> list[str]:
    """Keep the newest sentences that fit."""
    return _fill(texts, limit, lambda candidates: range(len(candidates) - 1, -1, -1))


def chance(draw: random.Random) -> Summarise:
    """Keep random sentences that fit."""
    return lambda texts, limit: _fill(texts, limit, lambda found: draw.sample(range(len(found)), len(found)))


def _fill(texts: Sequence[str], limit: int, order: Callable[[list[str]], Any]) -> list[str]:
    candidates = list(dict.fromkeys(clip(text, SENTENCE_BYTES) for text in texts))
    kept: list[int] = []
    left = limit
    for index in order(candidates):
        cost = stored_size(candidates[index]) + 1
        if cost <= left:
            kept.append(index)
            left -= cost
    return [candidates[index] for index in sorted(kept)]


def survival(conversations: Sequence[Conversation], choose: Summarise, damping: float, facts_share: float) -> float:
    """Return the share of facts that a way to summarise keeps."""
    with (
        mock.patch.object(memory_module, "summarise", choose),
        mock.patch.object(summary_module, "DAMPING", damping),
        mock.patch.object(summary_module, "FACTS_SHARE", facts_share),
    ):
        outcomes = [play(conversation) for conversation in conversations]
    return _share([outcome.facts for outcome in outcomes])


def main(options: argparse.Namespace, console: Console) -> int:
    """Play the conversations and print sizes and quality; exit code 1 when memories are too large."""
    conversations = make_conversations(options.conversations, turns=options.turns)
    outcomes = [
        play(conversation)
        for conversation in track(conversations, "Playing", console=console, disable=not console.is_terminal)
    ]
    console.print(sizes_table(outcomes, options.turns))
    few = conversations[: max(1, len(conversations) // 4)]
    ways: list[tuple[str, Summarise, float, float]] = [
        (f"TextRank drawn to facts, damping {DAMPING:g} (in use)", summarise, DAMPING, FACTS_SHARE),
        ("TextRank drawn to facts, damping 0.85", summarise, 0.85, FACTS_SHARE),
        ("TextRank alone, damping 0.85", summarise, 0.85, 0.0),
        ("the newest sentences", newest, DAMPING, FACTS_SHARE),
        ("random sentences", chance(random.Random(1)), DAMPING, FACTS_SHARE),
    ]
    table = Table(
        title=f"Facts of the first half that are known after the last turn ({len(few)} conversations)",
        title_justify="left",
    )
    table.add_column("summary of the same size")
    table.add_column("kept", justify="right")
    kept: dict[str, float] = {}
    for name, choose, damping, facts_share in ways:
        kept[name] = survival(few, choose, damping, facts_share)
        table.add_row(name, f"{kept[name]:.1%}")
    console.print(table)
    worst = _percentile([outcome.memory_bytes for outcome in outcomes], 95)
    holds = worst <= LIMIT_BYTES
    console.print(
        f"Memory at the 95th percentile: {worst:.0f} bytes, limit {LIMIT_BYTES}: {'holds' if holds else 'FAILS'}"
    )
    if options.json:
        options.json.write_text(json.dumps({"outcomes": [asdict(one) for one in outcomes], "kept": kept}, indent=1))
    return 0 if holds else 1


def sizes_table(outcomes: Sequence[Outcome], turns: int) -> Table:
    """Show sizes and what is kept, by language."""
    table = Table(title=f"{len(outcomes)} conversations of {turns} turns", title_justify="left")
    for name in ("", "memory P50", "P95", "max", "history P50", "P95", "memory/history", "slots kept", "facts kept"):
        table.add_column(name, justify="right" if name else "left")
    for language in ("en", "ko", "all"):
        chosen = [outcome for outcome in outcomes if language in {outcome.language, "all"}]
        if not chosen:
            continue
        memories, histories = [one.memory_bytes for one in chosen], [one.history_bytes for one in chosen]
        table.add_row(
            language,
            *(f"{_percentile(memories, q):.0f}" for q in (50, 95, 100)),
            *(f"{_percentile(histories, q):.0f}" for q in (50, 95)),
            f"{sum(memories) / sum(histories):.1%}",
            f"{_share([one.slots for one in chosen]):.1%}",
            f"{_share([one.facts for one in chosen]):.1%}",
        )
    longest = [one.milliseconds for one in outcomes]
    table.caption = (
        "Bytes. Processor time of the most expensive turn: "
        f"P50 {_percentile(longest, 50):.1f} ms, P95 {_percentile(longest, 95):.1f} ms"
    )
    return table


def _percentile(values: Sequence[float], q: float) -> float:
    return float(np.percentile(values, q))


def _share(parts: Sequence[tuple[int, int]]) -> float:
    return sum(kept for kept, _ in parts) / max(sum(told for _, told in parts), 1)


if __name__ == "__main__":
    parser_ = argparse.ArgumentParser(prog="python -m tests.bench.services.session_memory", description=__doc__)
    add_arguments(parser_)
    raise SystemExit(main(parser_.parse_args(), Console(width=None if sys.stdout.isatty() else 120)))
