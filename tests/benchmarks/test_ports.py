"""Ports of services that benchmarks start."""

from __future__ import annotations

import socket
from pathlib import Path

from benchmarks import ports


def test_a_free_port_is_one_that_no_outgoing_connection_takes_and_nobody_listens_at(monkeypatch):
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports.free_port()))
        taken.listen()
        is_taken = taken.getsockname()[1]
        monkeypatch.setattr(ports.random, "sample", lambda known, many: [is_taken, is_taken - 1, is_taken - 2])
        assert is_taken - 2 <= ports.free_port() < is_taken < outgoing
