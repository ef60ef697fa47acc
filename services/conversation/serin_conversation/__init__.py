"""The conversation service.

- `lexicon`: examples and words, data alone; `language`: sentences, n-grams, intents and slots from them.
- `memory`: what of a conversation is kept for the next answer; `summary`: what is left of older turns.
- `engines`: one protocol; `phase3` (the last message alone, the legacy) and `phase4` (several turns, recommendations).
- `recommendations`: asks the other service; `dialogue`: one turn from beginning to end.
- `schema`, `migrations`, `store`: sessions, turns and feedback in the database; `goals`: what the A/B goals come from.
- `models`, `views`, `routes`, `main`: the API around them; `commands`, `seed`, `synthetic`: the command line.
"""
