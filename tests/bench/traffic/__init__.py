"""Benches of the traffic on the real cluster: what switching costs, how exact and how fast it is, who stays where.

`probe` sends requests when they are due and keeps what came of each; `place` finds the shop and drives its routers;
`switching`, `sticky` and `first` are the benches, `__main__` the command.
"""
