"""Who holds which token, and what is told about it."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from tenure.errors import WrongInput
from tenure.serving.access import Role, callers, where_the_token_is


@pytest.mark.smoke
def test_the_first_start_makes_a_token_that_only_its_owner_reads(tmp_path: Path) -> None:
    holder = callers(tmp_path)
    token = (tmp_path / "serving_token").read_text()
    assert stat.S_IMODE((tmp_path / "serving_token").stat().st_mode) == 0o600
    first = holder.holder(f"Bearer {token}")
    assert first is not None
    assert first.roles == frozenset(Role)
    assert callers(tmp_path).holder(f"bearer {token}") == first


def test_where_the_token_is_can_be_told_without_telling_it(tmp_path: Path) -> None:
    callers(tmp_path)
    said = where_the_token_is(tmp_path)
    assert str(tmp_path / "serving_token") in said
    assert (tmp_path / "serving_token").read_text() not in said


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic dTpw", "Bearer " + "x" * 10_000, "Bearer \udce9"]
)
def test_whoever_shows_no_valid_token_is_nobody(tmp_path: Path, header: str | None) -> None:
    assert callers(tmp_path).holder(header) is None


def test_further_callers_have_their_own_roles_and_only_hashes_are_kept(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"crm-token").hexdigest()
    (tmp_path / "serving_tokens.yaml").write_text(f"- name: crm\n  roles: [read]\n  sha256: {digest}\n")
    crm = callers(tmp_path).holder("Bearer crm-token")
    assert crm is not None
    assert (crm.name, crm.may(Role.READ), crm.may(Role.OPERATE)) == ("crm", True, False)


@pytest.mark.parametrize("text", ["- name: crm\n  roles: [admin]\n  sha256: ab\n", "just words", "{["])
def test_a_tokens_file_that_is_wrong_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "serving_tokens.yaml").write_text(text)
    with pytest.raises(WrongInput, match=r"serving_tokens\.yaml"):
        callers(tmp_path)


def test_a_secrets_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file, no folder")
    with pytest.raises(WrongInput, match=r"no secret serving_token yet, and none can be made in .*: put one there, "):
        callers(tmp_path / "secrets")
