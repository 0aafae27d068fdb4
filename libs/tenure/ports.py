"""Ports for servers that are about to start."""

from __future__ import annotations

import contextlib
import random
import socket

from tenure.errors import Busy

LISTENING = range(20000, 32768)  # below the ports that Linux gives to outgoing connections, which come and go


def free_port(wanted: int = 0) -> int:
    """``wanted``, or another one where it is taken: one that no outgoing connection takes until somebody listens on it.

    Raises:
        Busy: if none is free.
    """
    for port in (*([wanted] if wanted else []), *random.sample(LISTENING, 100)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed one is free at once
            probe.bind(("127.0.0.1", port))
            return port
    raise Busy("no port is free on 127.0.0.1")
