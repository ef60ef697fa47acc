"""Pure decisions: `decide(spec, status, observation, now)` answers with a `Decision`. No I/O, no clock, no await.

Map: `observation` what is known, `decision` what is answered, `decide` the order of the chains, `rules` the chains of
`rollbacks`, `holds` and `stays`, `phases` what each phase does, `restoring` the way back, `run` what belongs to a run,
`evidence` the guardrails' statistics, `goals` benefit, `split` pods of a weight, `changes` what others changed,
`conditions` what Kubernetes tools read, `phrases` and `wording` the sentences, `world` a simulated cluster.
"""
