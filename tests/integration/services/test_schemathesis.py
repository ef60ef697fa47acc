"""The OpenAPI documents say what the services do: whatever is sent, no 5xx, and nothing that is undocumented.

schemathesis makes requests from a document, right ones and wrong ones and ones that follow from earlier answers, and
holds each answer to it.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOT_ASKED = {
    # That every right request is taken. A key that came with another body before, and a turn that there is not yet, are
    # a 422 that no schema can foresee.
    "recommendation": "positive_data_acceptance",
    # And that GET /conversations/start is a 405: it asks for the conversation "start", whose id is none.
    "conversation": "positive_data_acceptance,unsupported_method",
}
PROGRAM = Path(sys.executable).with_name("schemathesis")


@pytest.mark.parametrize("engine", ["phase3", "phase4"])
@pytest.mark.parametrize("service", ["recommendation", "conversation"])
def test_answers_are_as_documented(start: Any, tmp_path: Path, service: str, engine: str) -> None:
    """Status, headers and body of every answer are documented; right requests are taken, wrong ones refused; no 5xx."""
    # On a busy machine an answer may come late; how late is not what this test is about.
    _, url = start(service, engine=engine, log_level="error", timeout="60s", database_pool_timeout="30s")
    arguments = ["--max-examples", "15", "--seed", "1", "--no-color", "--request-timeout", "60"]
    arguments += ["--exclude-checks", NOT_ASKED[service]]
    done = subprocess.run(
        [PROGRAM, "run", f"{url}/openapi.json", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert "Test cases:" in done.stdout
