"""Secrets come from the environment or from files, never from settings, and never reach a log."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from tenure.errors import WrongInput

MEMBER_KEY = "member_key_secret"  # under which shop ids become pseudonyms
SERVING_TOKEN = "serving_token"  # noqa: S105  a name: which callers of the service show


def read_secret(name: str, folder: str | Path) -> str:
    """The secret ``name``: from ``TENURE_<NAME>`` or from the file ``folder/name``.

    Raises:
        WrongInput: if it is in neither place, or the file is empty: what is keyed with nothing, anyone can compute.
    """
    variable = f"TENURE_{name.upper()}"
    if value := os.environ.get(variable):
        return value
    path = Path(folder) / name
    if not path.is_file():
        raise WrongInput(f"no secret {name}: set {variable} or write the file {path}")
    if not (secret := path.read_text(encoding="utf-8").strip()):
        raise WrongInput(f"{path} is empty: write the secret into it, or remove it")
    return secret


def make_secret(name: str, folder: str | Path) -> str:
    """The secret ``name``, made at first use: 256 random bits in a file that only its owner reads."""
    path = Path(folder) / name
    if os.environ.get(f"TENURE_{name.upper()}") or path.exists():
        return read_secret(name, folder)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp's files are their owner's alone. Linked whole into its place: nobody reads half a secret.
    handle, made = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):  # another process made it first
            os.link(made, path)
    finally:
        Path(made).unlink()
    return read_secret(name, folder)
