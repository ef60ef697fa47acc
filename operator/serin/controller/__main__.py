"""`python -m serin.controller`: the operator."""

import sys

from serin.controller.main import main

sys.exit(main())
