"""Secrets: where they come from, who may read them, and what is said where one is missing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tenure.errors import Refused, WrongInput
from tenure.privacy.secrets import MEMBER_KEY, make_secret, read_secret


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENURE_MEMBER_KEY_SECRET", raising=False)


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / MEMBER_KEY).write_text("of the file\n")
    assert read_secret(MEMBER_KEY, tmp_path) == "of the file"
    monkeypatch.setenv("TENURE_MEMBER_KEY_SECRET", "of the environment")
    assert read_secret(MEMBER_KEY, tmp_path) == "of the environment"
    assert make_secret(MEMBER_KEY, tmp_path) == "of the environment"


def test_a_secret_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    made = make_secret(MEMBER_KEY, tmp_path / "secrets")
    assert len(bytes.fromhex(made)) == 32
    assert make_secret(MEMBER_KEY, tmp_path / "secrets") == made
    assert stat.S_IMODE((tmp_path / "secrets" / MEMBER_KEY).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == [MEMBER_KEY]


def test_in_the_place_of_a_secret_in_use_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        make_secret(MEMBER_KEY, tmp_path, is_in_use=True)
    assert str(refused.value) == (
        "the secret member_key_secret, which is in use, is gone: set TENURE_MEMBER_KEY_SECRET to the one that the lake "
        f"was made with, or write it into {tmp_path}/member_key_secret; if nobody has it any more, make a new lake "
        "from the landing files (another env.work)"
    )
    assert list(tmp_path.iterdir()) == []


def test_where_no_secret_can_be_made_it_says_how_to_put_one_there(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()  # a folder that only root could write to would not stop a test run by root
    with pytest.raises(
        WrongInput, match=r"none can be made in .*taken.*openssl rand -hex 32.* TENURE_MEMBER_KEY_SECRET"
    ):
        make_secret(MEMBER_KEY, tmp_path / "taken" / "secrets")


def test_two_secrets_differ(tmp_path: Path) -> None:
    assert make_secret("one", tmp_path) != make_secret("another", tmp_path)


def test_a_missing_secret_says_both_places_where_it_may_be_put(tmp_path: Path) -> None:
    with pytest.raises(WrongInput) as refused:
        read_secret(MEMBER_KEY, tmp_path)
    assert str(refused.value) == (
        f"no secret member_key_secret: set TENURE_MEMBER_KEY_SECRET or write the file {tmp_path}/member_key_secret"
    )


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / MEMBER_KEY).write_text("\n")
    for read in (read_secret, make_secret):
        with pytest.raises(WrongInput, match=r"member_key_secret is empty: write the secret into it, or remove it"):
            read(MEMBER_KEY, tmp_path)
