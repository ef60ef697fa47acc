"""By which numbers a rule goes to a weight, so that no proxy is asked for a backend that it does not know.

A controller leaves a backend of weight 0 out of what it tells its proxies. So the first weight adds a backend and leads
requests to it at the same moment, and weight 0 takes it away while requests are still led to it. Envoy, for one, has a
new backend only when it has asked for its endpoints, one round trip after the route that leads there: a request in
between is answered 500. A backend therefore comes and goes with a trace: one request in a million, the finest share
that the Gateway API's weights can say. It is known by the time that a real share comes.

A trace is one of the lowest buckets of the hash too, so the user whom it meets is the canary's at every later weight.
"""

from typing import Final, NamedTuple

from serin.traffic.splits import FULL, Pair

_TRACE: Final = 1


class Numbers(NamedTuple):
    """What is written for the two backends of a rule."""

    canary: int
    control: int


def following(rule: Pair, weight: int, finest: int, *, urgent: bool) -> Numbers:
    """The numbers that come next on the way to `weight` percent for the canary.

    Args:
        rule: as it is written now.
        weight: 0 to 100.
        finest: the largest sum that the resource's weights may have; 100 has no room for a trace.
        urgent: users leave the canary with this very write, whatever the proxies know of control.
    """
    exact = Numbers(weight, FULL - weight)
    if finest <= FULL or rule.others():  # a third backend's share is in the same scale
        return exact
    to_canary, to_control = _traces(finest)
    now = _numbers(rule)
    if weight and not now.canary:
        return to_canary
    if weight < FULL and now.canary and not now.control and not urgent:
        return to_control
    if weight == 0 and now.canary and now != to_canary:
        return to_canary
    if weight == FULL and now.control and now != to_control:
        return to_control
    return exact


def waits(rule: Pair, finest: int, *, urgent: bool) -> bool:
    """True when one of the two has nothing but a trace, so that what comes next is not for before the proxies know it.

    A return that is urgent does not wait for control to be known.
    """
    if finest <= FULL:
        return False
    to_canary, to_control = _traces(finest)
    return _numbers(rule) == to_canary or (_numbers(rule) == to_control and not urgent)


def _traces(finest: int) -> tuple[Numbers, Numbers]:
    return Numbers(_TRACE, finest - _TRACE), Numbers(finest - _TRACE, _TRACE)


def _numbers(rule: Pair) -> Numbers:
    return Numbers(rule.canary.weight or 0, rule.control.weight or 0)
