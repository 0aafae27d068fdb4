"""Who may ask: bearer tokens, each with a name and roles, of which only hashes are compared.

The first start makes one token that may do everything and writes it into the secrets folder (``serving_token``). More
callers are lines in ``serving_tokens.yaml`` beside it::

    - name: crm
      roles: [read]
      sha256: 9f86d081884c7d65...   # printf %s "$TOKEN" | sha256sum
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from enum import StrEnum
from pathlib import Path

import yaml
from pydantic import Field

from tenure.config.settings import Settings, checked
from tenure.errors import WrongInput
from tenure.privacy.secrets import SERVING_TOKEN, make_secret

log = logging.getLogger(__name__)

TOKENS_FILE = "serving_tokens.yaml"
MAX_TOKEN_LENGTH = 1024


class Role(StrEnum):
    READ = "read"  # scores, recommendations, profiles
    OPERATE = "operate"  # what the models are and why they answer


class Caller(Settings):
    """A holder of a token; ``sha256`` is the token's hash, in hex."""

    name: str = Field(min_length=1)
    roles: frozenset[Role]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)

    def may(self, role: Role) -> bool:
        return role in self.roles


class _TokensFile(Settings):
    callers: tuple[Caller, ...]


class Callers:
    """Everyone with a token."""

    def __init__(self, callers: tuple[Caller, ...]) -> None:
        self._callers = callers

    def holder(self, authorization: str | None) -> Caller | None:
        """Whose token an ``Authorization`` header carries, or None. Takes as long for any token."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or len(token) > MAX_TOKEN_LENGTH:
            return None
        shown = _hash(token.strip())
        holders = [caller for caller in self._callers if hmac.compare_digest(caller.sha256, shown)]
        return holders[0] if holders else None


def callers(secrets_folder: str | Path) -> Callers:
    """The callers that the secrets folder names, with a first token made where there is none yet.

    Raises:
        WrongInput: if ``serving_tokens.yaml`` cannot be read as such.
        Refused: if there is no token and none can be written.
    """
    first = Caller(name="first", roles=frozenset(Role), sha256=_hash(make_secret(SERVING_TOKEN, secrets_folder)))
    return Callers((first, *_further(Path(secrets_folder) / TOKENS_FILE)))


def where_the_token_is(secrets_folder: str | Path) -> str:
    """Where the first token is kept, for the log; never the token."""
    variable = f"TENURE_{SERVING_TOKEN.upper()}"
    if os.environ.get(variable):
        return f"the environment variable {variable}"
    return f"the file {(Path(secrets_folder) / SERVING_TOKEN).resolve()}"


def _further(path: Path) -> tuple[Caller, ...]:
    if not path.is_file():
        return ()
    try:
        lines = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise WrongInput(
            f"{path}: not readable as YAML; write '- name:', 'roles:' and 'sha256:' for each token"
        ) from None
    return checked(_TokensFile, {"callers": lines or ()}, where=str(path)).callers


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
