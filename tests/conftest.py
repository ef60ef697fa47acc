"""What all tests share: how hypothesis searches.

In CI the examples are the same each time, so that a red run says something about the change; on a laptop the search
goes on with new ones. No deadline anywhere, and no check of how fast examples are made: the time of one example says
more about the machine than about the code.
"""

import os
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

_AT_ANY_SPEED: Any = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("laptop", **_AT_ANY_SPEED)
settings.register_profile("ci", derandomize=True, **_AT_ANY_SPEED)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")

_configure = structlog.configure


def _without_cache(**options: Any) -> None:
    """Configure logs as asked, but let no logger keep a stream: the one of a test is closed after it."""
    _configure(**{**options, "cache_logger_on_first_use": False})


def pytest_configure() -> None:
    """Whoever configures logs in this process does so for one test."""
    structlog.configure = _without_cache


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Give the next test logs that nobody has configured."""
    del item
    structlog.reset_defaults()
