"""Alembic scripts of the recommendation service's tables; `python -m serin_recommendation migrate` runs them."""
