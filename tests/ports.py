"""Ports for what a test starts."""

import contextlib
import itertools
import os
import socket
from typing import Final

_NEXT: Final = itertools.count(10_000 + os.getpid() % 200 * 100)
"""Below those that the kernel gives to whoever asks for any (net.ipv4.ip_local_port_range begins at 32768): until a
program listens on its port, nobody else is given it. Each process begins elsewhere."""


def free_ports(count: int) -> list[int]:
    """Return so many ports that nobody listens on, each one only once."""
    found: list[int] = []
    while len(found) < count:
        port = next(_NEXT)
        with contextlib.suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            found.append(port)
    return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    return free_ports(1)[0]
