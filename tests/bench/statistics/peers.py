"""What other tools decide by, on the same streams. Each answers with the look of the rollback, counted from 1.

Sources: Flagger's `analysis` with interval 1m, a threshold of 1 % and 10 failed checks in total; Argo Rollouts'
AnalysisTemplate with interval 5m, failureLimit 3; Kayenta's NetflixACAJudge (Mann-Whitney at 98 %, tolerance 0.25) once
an hour on all minutes so far, its growing lookback; Lindon and Malek 2022, "Anytime-valid inference for multinomial
count data".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln
from scipy.stats import t as student

from tests.bench.statistics.streams import LOOK, WEIGHT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.bench.statistics.streams import Stream

Runs = "NDArray[np.float64]"
ALPHA = 0.05
Z = 1.959963984540054
"""Two-sided 5 %; of its two sides only a worse canary rolls back."""


def first(hits: NDArray[np.bool_], every: int = 1) -> NDArray[np.float64]:
    """The look of the first hit of each run; `hits` has shape (checks, runs)."""
    return np.where(hits.any(axis=0), (hits.argmax(axis=0) + 1.0) * every, np.inf)


def z_test(stream: Stream) -> NDArray[np.float64]:
    """Two proportions, pooled, on all counts so far, at every look."""
    n_c, e_c, n_t, e_t = (np.cumsum(each, axis=0).astype(float) for each in _counts(stream))
    pooled = (e_c + e_t) / np.maximum(n_c + n_t, 1)
    error = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(n_c, 1) + 1 / np.maximum(n_t, 1)))
    difference = e_t / np.maximum(n_t, 1) - e_c / np.maximum(n_c, 1)
    return first((error > 0) & (difference > Z * error))


def welch(stream: Stream) -> NDArray[np.float64]:
    """Welch's t-test of the looks' error rates so far, at every look from the tenth."""
    n_c, e_c, n_t, e_t = _counts(stream)
    looks = np.arange(1.0, len(n_c) + 1)[:, None]
    means, errors = [], []
    for bad, total in ((e_c, n_c), (e_t, n_t)):
        rate = bad / np.maximum(total, 1)
        mean = np.cumsum(rate, axis=0) / looks
        spread = np.maximum(np.cumsum(rate**2, axis=0) - looks * mean**2, 0) / np.maximum(looks - 1, 1)
        means.append(mean)
        errors.append(spread / looks)
    both = errors[0] + errors[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = both**2 / ((errors[0] ** 2 + errors[1] ** 2) / np.maximum(looks - 1, 1))
        statistic = (means[1] - means[0]) / np.sqrt(both)
        limit = student.ppf(1 - ALPHA / 2, np.maximum(np.nan_to_num(freedom, nan=1.0), 1.0))
    return first((looks >= 10) & (both > 0) & (statistic > limit))


def flagger(stream: Stream) -> NDArray[np.float64]:
    """Each minute more than 1 % of the canary's requests, ten such minutes in total. No traffic fails a check too."""
    rate = _rate(stream, 60)
    return first(np.cumsum(~(rate <= 0.01), axis=0) >= 10, round(60 / LOOK))


def argo(stream: Stream) -> NDArray[np.float64]:
    """Each five minutes more than 1 %; the fourth failure ends the rollout (failureLimit 3)."""
    rate = _rate(stream, 300)
    return first(np.cumsum(rate > 0.01, axis=0) > 3, round(300 / LOOK))


def kayenta(stream: Stream) -> NDArray[np.float64]:
    """Once an hour, on the error rates of all minutes so far: Mann-Whitney's interval of their shift."""
    canary, control = _rate(stream, 60), _rate(stream, 60, canary=False)
    hours = len(canary) // 60
    hits = np.zeros((hours, canary.shape[1]), dtype=bool)
    for hour in range(hours):
        n = 60 * (hour + 1)
        pairs, part = n * n, slice(0, n)
        rank = math.floor(pairs / 2 - 2.3263478740408408 * math.sqrt(pairs * (2 * n + 1) / 12))
        middle = pairs // 2
        width = max(1, 2_000_000 // pairs)
        for begin in range(0, canary.shape[1], width):
            some = slice(begin, begin + width)
            shift = (canary[part, None, some] - control[None, part, some]).reshape(pairs, -1).T
            ordered = np.partition(np.nan_to_num(shift), (rank, middle), axis=1)
            hits[hour, some] = ordered[:, rank] > 0.25 * np.abs(ordered[:, middle])
    return first(hits, round(3600 / LOOK))


def lindon_malek(stream: Stream) -> NDArray[np.float64]:
    """The split of the errors against the intended weight: Dirichlet-multinomial mixture, at every look."""
    _, e_c, _, e_t = (np.cumsum(each, axis=0).astype(float) for each in _counts(stream))
    log_e = gammaln(2 * PRIOR) - gammaln(2 * PRIOR + e_c + e_t)
    for counts, share in ((e_c, 1 - WEIGHT), (e_t, WEIGHT)):
        log_e = log_e + gammaln(PRIOR + counts) - gammaln(PRIOR) - counts * math.log(share)
    worse = e_t * (1 - WEIGHT) > e_c * WEIGHT
    return first((log_e >= -math.log(ALPHA)) & worse)


PRIOR = 1.0
"""Of each part of the Dirichlet prior: uniform."""


def _counts(stream: Stream) -> tuple[NDArray[np.int64], ...]:
    return stream.control_total, stream.control_bad, stream.canary_total, stream.canary_bad


def _rate(stream: Stream, seconds: int, *, canary: bool = True) -> NDArray[np.float64]:
    """Error rate over each interval, shape (intervals, runs); nan without traffic."""
    width = round(seconds / LOOK)
    pair = (stream.canary_total, stream.canary_bad) if canary else (stream.control_total, stream.control_bad)
    total, bad = (each.reshape(-1, width, each.shape[1]).sum(axis=1) for each in pair)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, bad / np.maximum(total, 1), np.nan)


PEERS = {
    "z-test at every look": z_test,
    "Welch at every look": welch,
    "Flagger's rule": flagger,
    "Argo's rule": argo,
    "Kayenta's judge, hourly": kayenta,
    "Lindon-Malek": lindon_malek,
}
