"""What is in the database, and how it is read and written.

- `tables`: the schema; `migrations` beside this package makes it.
- `repository`: profiles, trends, feedback and what was served, each with as few round trips as can be.
- `served`: notes what was served, many rows at a time, beside the requests.
- `goals`: from which rows the figures of the A/B goals come.
- `bulk`: fills and empties whole tables: seed, load, training.
"""
