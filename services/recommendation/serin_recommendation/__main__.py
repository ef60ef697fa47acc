"""`python -m serin_recommendation [serve|migrate|seed|load|train|evaluate]`; without a command it serves."""

import sys

from serin_recommendation.cli import main

sys.exit(main())
