"""The policy: what rolls back, what holds, what lets a step go on, each an ordered tuple of small functions.

A rule is asked with one `Case` and answers with a `Finding` or None; the first finding of a chain counts. The tuples
are the documentation of the policy, and docs are generated from the rules' docstrings.
"""

from serin.engine.case import Case, Finding, Rule, first
from serin.engine.holds import HOLDS
from serin.engine.rollbacks import ROLLS_BACK
from serin.engine.stays import STAYS

__all__ = ["HOLDS", "ROLLS_BACK", "STAYS", "Case", "Finding", "Rule", "first"]
