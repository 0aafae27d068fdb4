"""Settings: what is wrong with one is said in a sentence, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenure.config.env import Env
from tenure.config.settings import Settings, load
from tenure.errors import WrongInput


class Oven(Settings):
    degrees: int
    env: Env


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    (tmp_path / "env.yaml").write_text("work: bakery\n")
    path = tmp_path / "oven.yaml"
    path.write_text(f"degrees: 180\nenv: {tmp_path}/env.yaml\n")
    return path


def test_a_setting_on_the_command_line_wins_over_the_file(yaml: Path) -> None:
    assert load(Oven, yaml, ["degrees=200", "env.spark_master=local[2]"]).degrees == 200


def test_an_unknown_key_is_refused_with_the_nearest_known_one(yaml: Path) -> None:
    yaml.write_text(yaml.read_text() + "degree: 190\n")
    with pytest.raises(WrongInput, match=r"unknown key 'degree'; did you mean 'degrees'\?"):
        load(Oven, yaml)


def test_an_unknown_key_in_a_nested_group_is_refused_too(yaml: Path) -> None:
    with pytest.raises(WrongInput, match=r"unknown key 'env.spark_mastr'; did you mean 'spark_master'\?"):
        load(Oven, yaml, ["env.spark_mastr=local"])


def test_a_wrong_value_is_named_with_its_file_and_key(yaml: Path) -> None:
    with pytest.raises(WrongInput, match=r"oven\.yaml: degrees: .*integer"):
        load(Oven, yaml, ["degrees=hot"])


def test_a_missing_file_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match=r"none\.yaml: no such file"):
        load(Oven, tmp_path / "none.yaml")


def test_settings_do_not_change_once_they_are_loaded(yaml: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(Oven, yaml).degrees = 1  # type: ignore[misc]


def test_a_relative_folder_is_taken_from_where_the_command_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = Env(work="bakery")
    monkeypatch.chdir("/")
    assert env.lake_root == f"{tmp_path}/bakery/lake"
    assert env.registry_root == f"{tmp_path}/bakery/registry"
    assert env.secrets_folder == f"{tmp_path}/bakery/secrets"


def test_a_url_stays_as_it_is() -> None:
    env = Env(work="/mnt/tenure", lake="s3a://shop/lake", registry="http://mlflow:5000")
    assert (env.lake_root, env.registry_root) == ("s3a://shop/lake", "http://mlflow:5000")
