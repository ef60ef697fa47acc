"""An extractive summary that stays small while a conversation grows: TextRank over its sentences.

Extractive, since a sentence that the user wrote can't be wrong about what the user wrote. It runs: what leaves the
window is ranked together with the sentences that were kept before, never the whole history again.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from serin_conversation.language import clip, n_grams, slots_of, stored_size
from serin_conversation.lexicon import TELLING

SENTENCE_BYTES: Final = 96
"""Longest sentence of a summary, in bytes of JSON."""
DAMPING: Final = 0.5
"""Share of the walk that follows likeness; the rest is drawn to facts. At the usual 0.85 small talk, which resembles
itself, pushes out what was said once; `make bench-services-sessions` shows how much."""
_TOO_ALIKE: Final = 0.8
"""Of two sentences with a cosine above this, one says it."""
FACTS_SHARE: Final = 2.0
"""How much more a fact draws than a sentence itself."""

_NUMBER = re.compile(r"\d+")
_QUOTED = re.compile(r"[\"“”‘「『《<].+?[\"”’」』》>]")
_NAME = re.compile(r"(?<=[\w,] )[A-Z]\w+")
_TELLS = re.compile("|".join(rf"\b{word}" for word in TELLING), re.IGNORECASE)


def facts(text: str) -> int:
    """Count what a sentence tells that nothing else would: slots, numbers, quoted titles, names, opinions, people."""
    return (
        len(slots_of(text))
        + len(_NUMBER.findall(text))
        + len(_QUOTED.findall(text))
        + len(_NAME.findall(text))
        + len(_TELLS.findall(text))
    )


def text_rank(vectors: npt.NDArray[np.float32], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how central each text is among the others.

    Solved exactly: a summary has some ten sentences, for which a linear system costs less than the iteration.

    Args:
        vectors: One unit vector a text; shape (texts, dimensions).
        weights: How much the walk is drawn to each text, positive; shape (texts,).

    Returns:
        Ranks of sum 1; shape (texts,).

    Source: Mihalcea and Tarau, "TextRank: Bringing Order into Texts" (2004), with the cosine of character n-grams as
    likeness; the weights are those of Kazemi et al., "Biased TextRank" (2020).
    """
    likeness = (vectors @ vectors.T).astype(np.float64)
    np.fill_diagonal(likeness, 0.0)
    outgoing = likeness.sum(1, keepdims=True)
    drawn = weights / weights.sum()
    steps = np.where(outgoing > 0, likeness / np.maximum(outgoing, 1e-12), drawn)
    rank: npt.NDArray[np.float64] = np.linalg.solve(np.eye(len(drawn)) - DAMPING * steps.T, (1.0 - DAMPING) * drawn)
    return rank


def summarise(texts: Sequence[str], limit: int) -> list[str]:
    """Choose the sentences that matter most and fit, in the order in which they were said.

    Args:
        texts: Sentences, oldest first. Repeated ones count once, the first time.
        limit: Bytes of JSON that the result may take, a comma for each included.

    Returns:
        Sentences of `texts`, each at most SENTENCE_BYTES long.
    """
    candidates = list(dict.fromkeys(clip(text, SENTENCE_BYTES) for text in texts))
    costs = [stored_size(text) + 1 for text in candidates]
    if sum(costs) <= limit:
        return candidates
    vectors = np.stack([n_grams(text) for text in candidates])
    weights = 1.0 + FACTS_SHARE * np.array([facts(text) for text in candidates], np.float64)
    left = limit
    kept: list[int] = []
    # Rank for each byte would prefer "yes" to a wish; rank alone may leave a little room, which the next one fills.
    for index in map(int, np.argsort(-text_rank(vectors, weights), kind="stable")):
        repeats = any(float(vectors[index] @ vectors[chosen]) > _TOO_ALIKE for chosen in kept)
        if costs[index] <= left and not repeats:
            kept.append(index)
            left -= costs[index]
    return [candidates[index] for index in sorted(kept)]
