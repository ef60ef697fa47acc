"""Benches of the traffic on the real cluster: what switching costs, how exact and how fast it is, who stays where.

`probe` sends requests when they are due and keeps what came of each; `place` finds the shop and drives its routers;
`switching` and `sticky` are the benches, `__main__` the command.
"""
