"""The cluster for the whole run, and for each test a shop in which nothing is under way."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.demo import install
from tests.e2e.shop import Shop


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Print past pytest's capture: a test of minutes shows what it waits for."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def out(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n    {line}", end="", flush=True)

    return out


@pytest.fixture(scope="session")
def cluster(say: Callable[[str], None], pytestconfig: pytest.Config) -> None:
    """Bring up the cluster with everything installed; what is there is left alone."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print()
        install.cluster()
    asyncio.run(install.install(say))


@pytest.fixture
async def shop(cluster: None, say: Callable[[str], None]) -> AsyncIterator[Shop]:  # noqa: ARG001
    """Both services at rest with good releases, and at rest again afterwards."""
    found = Shop(say)
    await found.clean()
    yield found
    await found.clean()
