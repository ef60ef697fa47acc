"""An extractive summary that stays small while a conversation grows: TextRank over its sentences.

Extractive, since a sentence that the user wrote can't be wrong about what the user wrote.
"""

from collections.abc import Sequence

import numpy as np

from serin_conversation.language import Floats, clip, n_grams, size

SUMMARY_BYTES = 300
SENTENCE_BYTES = 120
_DAMPING = 0.85
_ROUNDS = 20


def text_rank(texts: Sequence[str]) -> Floats:
    """Return how central each text is among the others; shape (texts,), sum 1.

    Source: Mihalcea and Tarau, "TextRank: Bringing Order into Texts" (2004), with the cosine of character n-grams as
    likeness.
    """
    vectors = np.stack([n_grams(text) for text in texts])
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, 0.0)
    outgoing = likeness.sum(1, keepdims=True)
    steps = np.where(outgoing > 0, likeness / np.maximum(outgoing, 1e-9), 1.0 / len(texts))
    rank: Floats = np.full(len(texts), 1.0 / len(texts), np.float32)
    for _ in range(_ROUNDS):
        rank = ((1.0 - _DAMPING) / len(texts) + _DAMPING * (rank @ steps)).astype(np.float32)
    return rank


def summarise(texts: Sequence[str], limit: int = SUMMARY_BYTES) -> list[str]:
    """Choose the most central sentences that fit, in the order in which they were said.

    Args:
        texts: Sentences, oldest first. Repeated ones count once.
        limit: Bytes of UTF-8 that the result may take.

    Returns:
        Sentences of `texts`, each at most SENTENCE_BYTES long.
    """
    candidates = list(dict.fromkeys(clip(text, SENTENCE_BYTES) for text in texts))
    if size(candidates) <= limit:
        return candidates
    kept: list[int] = []
    for index in np.argsort(-text_rank(candidates), kind="stable"):
        if size([candidates[chosen] for chosen in (*kept, int(index))]) <= limit:
            kept.append(int(index))
    return [candidates[index] for index in sorted(kept)]
