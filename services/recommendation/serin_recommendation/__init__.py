"""The recommendation service.

- `data`: interactions as arrays; `synthetic` makes a labelled set, `movielens` reads one.
- `model`: a trained model in a versioned folder; `training`: makes and measures it.
- `engines`: one protocol; `phase3` (item neighbours, the legacy) and `phase4` (an ensemble).
- `store`: the database; `migrations`: its schema.
- `recommender`: look up, rank, note; `models`, `routes`, `main`: the API around it; `start`: what a first start needs.
- `cli`: the commands `serve`, `migrate`, `seed`, `load`, `train`, `evaluate`.
"""
