"""What Alembic runs: the steps, on the connection that it was given."""

from serin_services.migrations import run_scripts

run_scripts()
