"""A free port is free when the server comes to it, too."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tenure import ports
from tenure.errors import Busy


def test_no_outgoing_connection_takes_a_free_port():
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert {ports.free_port() for _ in range(20)} <= set(ports.LISTENING)
    assert max(ports.LISTENING) < outgoing


def test_a_port_at_which_somebody_listens_is_passed_over(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports.free_port()))
        taken.listen()
        is_taken = taken.getsockname()[1]
        assert ports.free_port(is_taken) != is_taken
        monkeypatch.setattr(ports.random, "sample", lambda known, many: [is_taken])
        with pytest.raises(Busy):
            ports.free_port()
