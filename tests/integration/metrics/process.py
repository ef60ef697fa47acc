"""Runs a real Prometheus on the loopback, with a history that was written down or scraping a real exporter."""

import contextlib
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path

from tests.ports import free_port

BINARIES = Path(os.environ.get("SERIN_CACHE", Path.home() / ".cache" / "serin")) / "bin"


@contextlib.contextmanager
def prometheus(data: Path, config: str, web: str = "", *, scheme: str = "http") -> Iterator[str]:
    """Run Prometheus on `data` until the context ends; its address. `web` is its web.config.file, if it has one."""
    data.mkdir(exist_ok=True)
    file, guard = data.parent / f"{data.name}.yaml", data.parent / f"{data.name}-web.yaml"
    file.write_text(config)
    guard.write_text(web)
    address = f"127.0.0.1:{free_port()}"
    command = [str(BINARIES / "prometheus"), f"--config.file={file}", f"--storage.tsdb.path={data}"]
    command += [f"--web.config.file={guard}", f"--web.listen-address={address}"]
    with (data.parent / f"{data.name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 30
            while not _ready(f"{scheme}://{address}"):
                assert process.poll() is None, f"Prometheus ended; see {log.name}"
                assert time.monotonic() < deadline, "Prometheus was not ready within 30 s"
                time.sleep(0.05)
            yield f"{scheme}://{address}"
        finally:
            process.terminate()
            process.wait(20)


def _ready(address: str) -> bool:
    """Whether it answers, be it that it wants to see a password."""
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE  # whose certificate it has is for the test to say
    try:
        with urllib.request.urlopen(f"{address}/-/ready", timeout=1, context=trust):  # noqa: S310 - the test's own
            return True
    except urllib.error.HTTPError as refusal:
        return refusal.code == HTTPStatus.UNAUTHORIZED
    except OSError:
        return False


@contextlib.contextmanager
def prometheus_of(folder: Path, lines: Iterable[str], config: str = "scrape_configs: []\n") -> Iterator[str]:
    """Run Prometheus on samples that were written down as OpenMetrics, grouped by metric; its address."""
    with (folder / "history.txt").open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.write("# EOF\n")
    command = [str(BINARIES / "promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    command += [str(folder / "history.txt"), str(folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with prometheus(folder / "data", config) as address:
        yield address
