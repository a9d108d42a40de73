"""Socket: the address to listen on, or a sentence about why not."""

from __future__ import annotations

import socket

from soundfit.errors import UsageError

__all__ = ["open_socket"]


def open_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket.

    Raises:
        UsageError: no such address, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP: asyncio sets TCP_NODELAY only on such, and without it the kernel holds back each answer's
    # second packet for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UsageError(
            "The server listens on a free port of this machine",
            received=f"{host}:{port}: {error.strerror or error}",
            fix="choose another --port (or --host)",
        ) from error
    return listening
