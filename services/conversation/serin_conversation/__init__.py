"""The conversation service.

- `language`: sentences, character n-grams, intents and slots, in English and Korean.
- `memory`: what of a conversation is kept for the next answer; `summary`: what is left of older turns.
- `engines`: one protocol; `phase3` (the last message alone, the legacy) and `phase4` (several turns).
- `store`: sessions and turns in the database; `dialogue`: one turn from beginning to end.
- `models`, `routes`, `main`: the API around them.
"""
