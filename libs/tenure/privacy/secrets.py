"""Secrets come from the environment or from files, never from settings, and never reach a log."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from tenure.errors import WrongInput

MEMBER_KEY = "member_key_secret"  # under which shop ids become pseudonyms
SERVING_TOKEN = "serving_token"  # noqa: S105  a name: which callers of the service show


def read_secret(name: str, folder: str | Path) -> str:
    """The secret ``name``: from ``TENURE_<NAME>`` or from the file ``folder/name``.

    Raises:
        WrongInput: if it is in neither place.
    """
    variable = f"TENURE_{name.upper()}"
    if value := os.environ.get(variable):
        return value
    path = Path(folder) / name
    if not path.is_file():
        raise WrongInput(f"no secret {name}: set {variable} or write the file {path}")
    return path.read_text(encoding="utf-8").strip()


def make_secret(name: str, folder: str | Path) -> str:
    """The secret ``name``, made at first use: 256 random bits in a file that only its owner reads."""
    try:
        return read_secret(name, folder)
    except WrongInput:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # another process made it first
            return read_secret(name, folder)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        return read_secret(name, folder)
