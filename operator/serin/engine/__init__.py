"""Pure decisions: `decide(spec, status, observation, now)` answers with a `Decision`. No I/O, no clock, no await.

Map: `observation` what is known, `decision` what is answered, `decide` the order of the chains, `rules` the chains
themselves, `evidence` the guardrails' statistics, `wording` the sentences.
"""
