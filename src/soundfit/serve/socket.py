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
    listening = socket.socket(family, socket.SOCK_STREAM)
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
