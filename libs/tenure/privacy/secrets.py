"""Secrets come from the environment or from files, never from settings, and never reach a log."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from tenure.errors import Refused, WrongInput

MEMBER_KEY = "member_key_secret"  # under which shop ids become pseudonyms
SERVING_TOKEN = "serving_token"  # noqa: S105  a name: which callers of the service show


def how_to_put_back(name: str, folder: str | Path) -> str:
    """What to do where a secret is gone or another one."""
    return (
        f"set {_variable(name)} to the one that the lake was made with, or write it into {Path(folder) / name}; if "
        "nobody has it any more, make a new lake from the landing files (another env.work)"
    )


def read_secret(name: str, folder: str | Path) -> str:
    """The secret ``name``: from ``TENURE_<NAME>`` or from the file ``folder/name``.

    Raises:
        WrongInput: if it is in neither place, or the file is empty: what is keyed with nothing, anyone can compute.
    """
    if value := os.environ.get(_variable(name)):
        return value
    path = Path(folder) / name
    if not path.is_file():
        raise WrongInput(f"no secret {name}: set {_variable(name)} or write the file {path}")
    if not (secret := path.read_text(encoding="utf-8").strip()):
        raise WrongInput(f"{path} is empty: write the secret into it, or remove it")
    return secret


def make_secret(name: str, folder: str | Path, *, is_in_use: bool = False) -> str:
    """The secret ``name``, made at first use: 256 random bits in a file that only its owner reads.

    Raises:
        Refused: if it is nowhere though it ``is_in_use``: another one would not tell what this one told.
        WrongInput: if none can be made where it is looked for.
    """
    path = Path(folder) / name
    if os.environ.get(_variable(name)) or path.exists():
        return read_secret(name, folder)
    if is_in_use:
        raise Refused(f"the secret {name}, which is in use, is gone: {how_to_put_back(name, folder)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_once(path, secrets.token_hex(32))
    except OSError as error:
        raise WrongInput(
            f"there is no secret {name} yet, and none can be made in {path.parent} ({error.strerror}): put one there, "
            f"as `openssl rand -hex 32` makes it, or into the variable {_variable(name)}"
        ) from None
    return read_secret(name, folder)


def _write_once(path: Path, secret: str) -> None:
    """A file that only its owner reads. It is linked whole into its place: nobody reads half a secret, and of two
    processes one makes it."""
    handle, made = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secret)
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
    finally:
        Path(made).unlink()


def _variable(name: str) -> str:
    return f"TENURE_{name.upper()}"
