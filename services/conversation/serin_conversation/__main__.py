"""`python -m serin_conversation [serve | migrate | seed]`; without a command it serves."""

import sys

from serin_conversation.commands import main

sys.exit(main())
