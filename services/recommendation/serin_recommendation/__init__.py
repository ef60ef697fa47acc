"""The recommendation service.

- `data`: interactions with labels, here a synthetic set that is the same in every process.
- `engines`: one protocol; `phase3` (item neighbours, the legacy) and `phase4` (an ensemble).
- `models`, `routes`, `main`: the API around them.
"""
