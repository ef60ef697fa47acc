"""Runs a real Prometheus on the loopback, with a history that was written down or scraping a real exporter."""

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

BINARIES = Path(os.environ.get("SERIN_CACHE", Path.home() / ".cache" / "serin")) / "bin"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def prometheus(data: Path, config: str) -> Iterator[str]:
    """Run Prometheus on `data` until the context ends; its address."""
    data.mkdir(exist_ok=True)
    file = data.parent / f"{data.name}.yaml"
    file.write_text(config)
    address = f"127.0.0.1:{free_port()}"
    command = [str(BINARIES / "prometheus"), f"--config.file={file}", f"--storage.tsdb.path={data}"]
    with (data.parent / f"{data.name}.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 30
            while True:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/-/ready", timeout=1):
                    break
                assert process.poll() is None, f"Prometheus ended; see {log.name}"
                assert time.monotonic() < deadline, "Prometheus was not ready within 30 s"
                time.sleep(0.05)
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(20)
