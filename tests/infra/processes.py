"""Which processes of this machine belong to a folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def naming(folder: Path) -> list[str]:
    """Every process, but this one, with the folder in its command or in its environment: its id and its command.

    Ray's own processes name no work folder in their command, but all inherit the path of the token that lies in it.
    """
    name = str(folder).encode()
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            command = (process / "cmdline").read_bytes()
            if name in command or name in (process / "environ").read_bytes():
                found.append(f"{process.name} {command.replace(bytes(1), b' ').decode(errors='replace')}")
    return found
