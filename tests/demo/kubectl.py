"""The cluster through `kubectl`: the demo does what a user would type, and can say so.

The operator's own client is not used here on purpose. What a user sees has to come from outside.
"""

import asyncio
import json
import os
from datetime import UTC, datetime
from typing import Any

from tests.cluster import places

NAMESPACE = "shop"


class KubectlError(RuntimeError):
    """`kubectl` refused; the text is what it said."""


def environment() -> dict[str, str]:
    """Return the process environment that finds the test cluster and its `kubectl`."""
    at = places.from_environment()
    return {**os.environ, "KUBECONFIG": str(at.kubeconfig), "PATH": f"{at.bin}{os.pathsep}{os.environ['PATH']}"}


async def kubectl(*arguments: str, text: str | None = None, wait: float = 60.0) -> str:
    """Run `kubectl` and return what it printed.

    Args:
        arguments: What a user would type after `kubectl`.
        text: Standard input.
        wait: Seconds until it is stopped.

    Raises:
        KubectlError: it failed, or did not end in time.
    """
    process = await asyncio.create_subprocess_exec(
        "kubectl",
        *arguments,
        stdin=asyncio.subprocess.PIPE if text is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        async with asyncio.timeout(wait):
            out, err = await process.communicate(text.encode() if text is not None else None)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise KubectlError(f"kubectl {' '.join(arguments)}: no answer within {wait:g} s") from None
    if process.returncode:
        raise KubectlError(f"kubectl {' '.join(arguments)}: {err.decode().strip() or out.decode().strip()}")
    return out.decode()


async def get(*arguments: str) -> dict[str, Any]:
    """Return what `kubectl get ... -o json` says.

    Raises:
        KubectlError: see `kubectl`.
    """
    found: dict[str, Any] = json.loads(await kubectl("get", *arguments, "-o", "json"))
    return found


async def apply(*objects: dict[str, Any], dry_run: bool = False) -> str:
    """Apply objects, as `kubectl apply -f` does; with `dry_run` the API server judges them and stores nothing.

    Raises:
        KubectlError: the API server refused; its sentence is in the text.
    """
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    extra = ("--dry-run=server",) if dry_run else ()
    return await kubectl("apply", "-f", "-", *extra, text=json.dumps(listed))


def moment(text: str | None) -> datetime | None:
    """Return the time that a status field holds; None when it is empty."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
