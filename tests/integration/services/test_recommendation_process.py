"""The recommendation service as a process: its first start, a new model, a broken one, an outage, and its log."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from serin_recommendation.model import load, newest, save
from tests.bench.services.processes import Postgres

API = "/api/v2/recommend"
PATIENT = {f"budget_{part}": "10s" for part in ("collaborative", "content", "persona")}
"""Budgets of the ensemble's parts that a busy machine keeps, where whole answers are compared."""


def ask(url: str, user: str = "u-0042", **more: Any) -> httpx.Response:
    """Ask for a ranking."""
    return httpx.post(f"{url}{API}/personalized", json={"user_id": user, **more}, timeout=10)


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def launch(start: Any, **settings: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a process that may train and seed first, and wait until it is ready, however busy the machine is."""
    process, url = start("recommendation", wait=False, **settings)
    until(lambda: process.poll() is not None or ready(url), 180.0)
    assert process.poll() is None, "the process has ended"
    return process, url


def ready(url: str) -> bool:
    """Return whether a process answers and is ready."""
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def health(url: str) -> dict[str, Any]:
    """Return the service's own account."""
    found: dict[str, Any] = httpx.get(f"{url}/api/v2/health", timeout=10).json()
    return found


@pytest.mark.parametrize("engine", ["phase3", "phase4"])
def test_a_first_start_needs_nothing(start: Any, tmp_path: Path, engine: str) -> None:
    """With an empty folder and no database a laptop's process trains, migrates and seeds by itself."""
    _, url = launch(start, engine=engine, model_dir=str(tmp_path / "none"))
    answer = ask(url).json()
    assert not answer["cold_start"]
    assert len(answer["items"]) == 10
    assert newest(tmp_path / "none") is not None


def test_a_new_model_serves_without_a_restart(start: Any, models: Path, tmp_path: Path) -> None:
    """Under requests: a version that is written into the folder serves within a poll; a corrupt one is refused."""
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    version = newest(folder)
    assert version is not None
    model = load(folder, version)
    _, url = launch(start, engine="phase4", model_dir=str(folder), model_poll="100ms")
    assert ask(url).json()["engine"]["version"].endswith(version)
    new = save(folder, replace(model, made_at=model.made_at + 60), {})
    until(lambda: bool(ask(url).json()["engine"]["version"].endswith(new)))
    # Written under another name and moved, as a copy from elsewhere would be; then the pointer.
    shutil.copytree(folder / new, folder / "99999999T000000-broken00")
    factors = folder / "99999999T000000-broken00" / "factors.npy"
    factors.write_bytes(factors.read_bytes()[:-100])
    (folder / "pointer").write_text('{"version": "99999999T000000-broken00"}')
    (folder / "pointer").replace(folder / "current.json")
    until(lambda: health(url)["model"]["refused"] is not None)
    assert "factors.npy" in health(url)["model"]["refused"]
    answer = ask(url)
    assert (answer.status_code, len(answer.json()["items"])) == (200, 10)
    assert answer.json()["engine"]["version"].endswith(new)


def test_an_outage_is_a_503_and_ends_by_itself(start: Any, postgres: Postgres) -> None:
    """Without PostgreSQL who is cached is served, others get 503 with Retry-After; then all is as before."""
    _, url = launch(start, engine="phase4", database_url=postgres.url, seed="always")
    body = {"user_id": "u-0001", "events": [{"item_id": "item-0001", "event": "clicked"}]}
    assert not ask(url, "u-0001").json()["cold_start"]
    postgres.stop()
    refused = ask(url, "u-0002")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.headers["content-type"] == "application/problem+json"
    assert ask(url, "u-0001").status_code == 200
    assert httpx.post(f"{url}{API}/feedback", json=body, timeout=10).status_code == 503
    assert httpx.get(f"{url}{API}/similar/item-0007").status_code == 200
    assert health(url)["status"] == "degraded"
    postgres.start()
    until(lambda: ask(url, "u-0002").status_code == 200)
    assert httpx.post(f"{url}{API}/feedback", json=body, timeout=10).status_code == 200


def test_pods_that_start_together_seed_once(start: Any, postgres_url: str) -> None:
    """Three processes on an empty PostgreSQL: one migrates and one seeds, and all know the same users."""
    started = [
        start("recommendation", wait=False, engine=engine, database_url=postgres_url, seed="always", **PATIENT)
        for engine in ("phase3", "phase4", "phase4")
    ]
    for process, url in started:
        until(lambda url=url: ready(url), 180.0)  # type: ignore[misc]
        assert process.poll() is None
        assert not ask(url).json()["cold_start"]
    assert ask(started[1][1], limit=5).json()["items"] == ask(started[2][1], limit=5).json()["items"]


def test_the_log_has_a_hash_and_no_user(start: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever is asked, with every line written: a hash of the user, and neither an id nor what they saw."""
    process, url = launch(start, engine="phase4", log_level="debug", drain="0s")
    headers = {"x-user-id": "u-0042"}
    events = [{"item_id": "item-0123", "event": "clicked"}, {"item_id": "item-9876", "event": "clicked"}]
    with httpx.Client(base_url=url, headers=headers, timeout=10) as client:
        client.post(f"{API}/personalized", json={"user_id": "u-0042", "exclusions": ["item-0123"]})
        assert client.post(f"{API}/feedback", json={"user_id": "u-0042", "events": events}).status_code == 404
        client.post(f"{API}/batch", json={"user_ids": ["u-0042", "u-0043"]})
        client.post(f"{API}/personalized", json={"user_id": "u-0042", "limit": "item-9876"})
    process.terminate()
    process.wait(20)
    written = "".join(capfd.readouterr())
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    asked = [line for line in lines if line.get("event") == "request" and line["route"].startswith(API)]
    assert len(asked) == 4
    assert {line["user"] for line in asked} != {None}
    assert len({line["user"] for line in asked}) == 1
    for secret in ("u-0042", "u-0043", "item-0123", "item-9876"):
        assert secret not in written
