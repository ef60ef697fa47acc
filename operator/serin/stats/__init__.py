"""Pure statistics over numbers and numpy arrays; imports nothing else of serin.

Guardrails ask about harm at every look, so they must stay right under continuous looking:

* `start`, `update`, `judge`: the streaming test of one guardrail of one service. `update_all`, `judge_all`: of many
  at once.
* `from_arms`, `from_pods`, `dispersion_of`: what the time before a run says about noise.
* `count_split`, `judge_split`: sample ratio mismatch.
* `encode`, `decode`: its state as a short text, to go on after a restart. `Record`: a state that is one where
  somebody writes it.
* `RateConfig`, `LatencyConfig`, `Dispersion`: what is fixed before a run.
* `Look`, `LatencyLook`: what is counted. `Evidence`, `Verdict`, `Rule`: what is answered, `explained`: as
  a sentence.

The methods are explained in docs/design/statistics.md.
"""

from serin.stats.checkpoint import Record
from serin.stats.config import Dispersion, LatencyConfig, RateConfig
from serin.stats.guardrail import decode, encode, judge, judge_all, start, update, update_all
from serin.stats.history import dispersion_of, from_arms, from_pods
from serin.stats.looks import Evidence, LatencyLook, Look, Rule, Verdict
from serin.stats.srm import SampleRatio, SampleRatioConfig, SampleRatioEvidence, count_split, judge_split
from serin.stats.state import LatencyState, RateState, State
from serin.stats.wording import explained

__all__ = [
    "Dispersion",
    "Evidence",
    "LatencyConfig",
    "LatencyLook",
    "LatencyState",
    "Look",
    "RateConfig",
    "RateState",
    "Record",
    "Rule",
    "SampleRatio",
    "SampleRatioConfig",
    "SampleRatioEvidence",
    "State",
    "Verdict",
    "count_split",
    "decode",
    "dispersion_of",
    "encode",
    "explained",
    "from_arms",
    "from_pods",
    "judge",
    "judge_all",
    "judge_split",
    "start",
    "update",
    "update_all",
]
