"""The normal and the t-distribution, without what scipy.stats costs.

The normal one is in the standard library. The others come from scipy.special (27 MiB, where scipy.stats takes 73), and
only when a goal is judged or planned: an operator without goals never loads it.
"""

from __future__ import annotations

import importlib
import math
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64]"

_NORMAL = NormalDist()
_UNRESOLVED = 1e-300
"""A tail below this is 0 soon."""


def z_of(probability: float) -> float:
    """The standard normal quantile of a probability in (0, 1).

    Raises:
        ValueError: the probability is not between 0 and 1.
    """
    return _NORMAL.inv_cdf(probability)


def normal_below(z: float) -> float:
    """P(Z <= z) of a standard normal Z."""
    return _NORMAL.cdf(z)


def normals_below(z: Floats) -> Floats:
    """P(Z <= z), elementwise; any shape."""
    return np.asarray(_special().ndtr(z), dtype=np.float64)


def t_below(t: float, df: float) -> float:
    """P(T <= t) of Student's t with `df` degrees of freedom, > 0."""
    return float(_special().stdtr(df, t))


def t_of(probability: float, df: float) -> float:
    """The quantile of Student's t; accurate in the upper tail too, where 1 - probability would lose digits."""
    if probability > 0.5:  # noqa: PLR2004 - the middle
        return -float(_special().stdtrit(df, 1.0 - probability))
    return float(_special().stdtrit(df, probability))


def t_of_z(z: float, df: float) -> float:
    """The t that is as improbable as the normal z: how a normal critical value is used with few users."""
    return -float(_special().stdtrit(df, normal_below(-z)))


def z_of_t(t: float, df: float) -> float:
    """The inverse of `t_of_z`; the t itself where both are so far out that no digit of the difference matters."""
    beyond = t_below(-abs(t), df)
    return math.copysign(-_NORMAL.inv_cdf(beyond), t) if beyond > _UNRESOLVED else t


@lru_cache(maxsize=1)
def _special() -> Any:
    return importlib.import_module("scipy.special")
