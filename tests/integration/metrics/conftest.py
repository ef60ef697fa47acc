"""What all tests of the measurements share."""

from collections.abc import AsyncIterator

import pytest

from serin.metrics.source import MetricsSource


@pytest.fixture
async def source() -> AsyncIterator[MetricsSource]:
    """A source with a short patience."""
    made = MetricsSource(timeout=3)
    yield made
    made.close()
