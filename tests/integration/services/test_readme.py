"""`make services` and the README's curl lines, run as they are printed."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.__main__ import SERVICES, Local, curl_lines
from tests.ports import free_ports


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[dict[str, int]]:
    """Start what `make services` starts, on free ports, and give them."""
    found = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    local = Local(tmp_path, found, "phase4")
    try:
        local.start()
        yield found
    finally:
        local.stop()


def test_the_readmes_lines_work_as_printed(ports: dict[str, int], tmp_path: Path) -> None:
    """Each line answers with a 2xx and JSON. The lines are not changed: curl is told where the printed ports are."""
    redirects = [f'connect-to = "localhost:{port}:127.0.0.1:{ports[name]}"' for name, port in SERVICES.items()]
    # `fail` turns an HTTP error into an exit code; `write-out` puts each answer on a line of its own.
    (tmp_path / ".curlrc").write_text("\n".join([*redirects, "fail", 'write-out = "\\n"']))
    lines = curl_lines()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        env={"PATH": os.environ["PATH"], "CURL_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line]
    shown = [line for line in lines.splitlines() if line.startswith("curl ")]
    assert len(answers) == len(shown) == 11
    assert len(answers[0]["items"]) == 3
    assert [answer["status"] for answer in answers[-2:]] == ["ok", "ok"]
