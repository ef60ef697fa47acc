"""The operator itself: watches, looks at each experiment in its time, and carries out what `decide` answers.

Map: `main` start and stop, `handlers` kopf's watches, `store` the latest objects, `sync` lists beside the watches,
`scheduler` whose turn it is, `observe` the picture for a decision, `waits` pods that are late, `claims` who may
have a Deployment, `act` its effects, `reconcile` the five lines that join them, `instruments` the operator's own
metrics, `health` probes and their page.
"""
