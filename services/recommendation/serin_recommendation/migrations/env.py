"""Alembic runs this file; what it does is the same for every service."""

from serin_services.migrations import run_scripts

run_scripts()
