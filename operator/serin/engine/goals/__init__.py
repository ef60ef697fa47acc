"""Benefit: what is asked of users' values, when, and what the answers do to an experiment.

Map: `schedule` when is looked, `record` what is remembered between two looks, `judging` what a reading comes to,
`samples` how far `minSamples` is, `wording` what a reader sees, `world` simulated users. What was read is an
observation like the others (`serin.engine.observation.GoalReading`).
"""
