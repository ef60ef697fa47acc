"""The operator's own test of the sample ratio, over users that were served once each."""

from collections import Counter
from collections.abc import Sequence

from serin.stats import SampleRatio, SampleRatioConfig, SampleRatioEvidence, count_split, judge_split


def sample_ratio(served: Sequence[str], weight: int) -> SampleRatioEvidence:
    """Return the verdict on who served each user, when `weight` percent were meant for the canary."""
    counts, config = Counter(served), SampleRatioConfig()
    canary, control = counts["canary"], counts["control"]
    return judge_split(config, count_split(config, SampleRatio(), weight=weight / 100, control=control, canary=canary))
