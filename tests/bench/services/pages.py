"""Refreshes the answers in docs/services: each page's curl lines are run, as printed, against the real services.

A request that somebody typed into a page by hand is wrong sooner or later. Here a page has a block `sh` with a curl
line, and behind it a block `http` with the answer, which this program writes. An id in an answer that a later line of
the same page uses is replaced by the new one there.

    python -m tests.bench.services.pages            # start both services, run all pages, write the answers
    python -m tests.bench.services.pages --check    # the same, but only say which pages are out of date
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.services.processes import ROOT
from tests.local.__main__ import SERVICES, Local
from tests.ports import free_port

PAGES: Final = ROOT / "docs" / "services"
WIDTH: Final = 116
SHOWN_HEADERS: Final = ("content-type", "location", "idempotency-replayed", "retry-after")
_EXAMPLE = re.compile(r"```sh\n(?P<line>curl .*?)```\n\n```http\n(?P<answer>.*?)```\n", re.DOTALL)
_ID = re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a curl line got: the status line, the headers that are shown, and the body."""

    status: str
    headers: dict[str, str]
    body: Any

    def text(self) -> str:
        """Return it as a page shows it."""
        head = [self.status, *(f"{name}: {self.headers[name]}" for name in SHOWN_HEADERS if name in self.headers)]
        return "\n".join(head) + "\n\n" + pretty(self.body) + "\n"

    @classmethod
    def parse(cls, text: str) -> "Answer":
        """Read one from curl's output, or from a page.

        Raises:
            ValueError: It is no answer with JSON.
        """
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        status, *lines = head.splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(status, headers, json.loads(body))


def pretty(value: Any, indent: int = 0, before: int = 0) -> str:
    """Return JSON in which everything that fits on a line is on one."""
    plain = json.dumps(value, ensure_ascii=False)
    if indent + before + len(plain) <= WIDTH or not isinstance(value, dict | list) or not value:
        return plain
    margin = " " * (indent + 2)
    if isinstance(value, dict):
        keys = [(json.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items()]
        inside = [margin + key + pretty(item, indent + 2, len(key)) for key, item in keys]
        return "{\n" + ",\n".join(inside) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(margin + pretty(item, indent + 2) for item in value) + "\n" + " " * indent + "]"


def shape(value: Any) -> Any:
    """Return what an answer looks like whatever it says: names and types; lists by their first element."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def run(line: str, folder: Path) -> Answer:
    """Run a curl line.

    Raises:
        RuntimeError: curl or its answer failed.
    """
    environment = {"PATH": os.environ["PATH"], "CURL_HOME": str(folder), "HOME": str(folder)}
    done = subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode} of: {line}\n{done.stderr}")
    return Answer.parse(done.stdout)


def renew(text: str, folder: Path) -> tuple[str, bool]:
    """Run all examples of a page.

    Returns:
        The page with the answers of now, and whether those that it had are of the same shape.
    """
    ids: dict[str, str] = {}
    same = True

    def replace(match: re.Match[str]) -> str:
        nonlocal same
        line = _ID.sub(lambda found: ids.get(found[0], found[0]), match["line"])
        new = run(line, folder)
        try:
            old: Answer | None = Answer.parse(match["answer"])
        except ValueError:
            old = None
        if old is None or (old.status, shape(old.body)) != (new.status, shape(new.body)):
            same = False
        # Ids in the same order stand for each other.
        ids.update(zip(_ID.findall(match["answer"]), _ID.findall(new.text()), strict=False))
        return f"```sh\n{line}```\n\n```http\n{new.text()}```\n"

    return _EXAMPLE.sub(replace, text), same


def curl_home(folder: Path, ports: dict[str, int]) -> None:
    """Tell curl where the ports that the pages name really are, and to print headers."""
    redirects = [f'connect-to = "localhost:{port}:127.0.0.1:{ports[name]}"' for name, port in SERVICES.items()]
    (folder / ".curlrc").write_text("\n".join([*redirects, "include", "silent", "show-error"]))


def main(arguments: list[str] | None = None) -> int:
    """Return 0; 1 when a page is out of date (with --check) or an example failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, help="pages; default all of docs/services")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when an answer changed shape")
    options = parser.parse_args(arguments)
    pages = [page.absolute() for page in options.pages] or sorted(PAGES.glob("*.md"))
    ports = {service: free_port() for service in SERVICES}
    failed = False
    with tempfile.TemporaryDirectory(prefix="serin-pages-") as name:
        folder = Path(name)
        local = Local(folder / "services", ports, "phase4")
        curl_home(folder, ports)
        try:
            local.start()
            for page in pages:
                before = page.read_text(encoding="utf-8")
                after, same = renew(before, folder)
                if not options.check:
                    page.write_text(after, encoding="utf-8")
                stale = options.check and not same
                failed |= stale
                print(f"{page.relative_to(ROOT)}: {'OUT OF DATE' if stale else 'ok'}")
        except RuntimeError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            local.stop()
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
