"""Settings: what is wrong with one is said in a sentence, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field
from tests.entry_points import ROOT

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings, load
from tenure.config.source import Source
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


@pytest.mark.smoke
def test_a_setting_on_the_command_line_wins_over_the_file(yaml: Path) -> None:
    assert load(Oven, yaml, ["degrees=200", "env.spark_master=local[2]"]).degrees == 200


def test_an_unknown_key_is_refused_with_the_nearest_known_one(yaml: Path) -> None:
    yaml.write_text(yaml.read_text() + "degree: 190\n")
    with pytest.raises(WrongInput, match=r"unknown key 'degree'; did you mean 'degrees'\?"):
        load(Oven, yaml)


def test_an_unknown_key_in_a_nested_group_is_refused_too(yaml: Path) -> None:
    with pytest.raises(WrongInput, match=r"unknown key 'env.spark_mastr'; did you mean 'env.spark_master'\?"):
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


class Tray(Settings):
    holds: str
    shelf: int = 1


class ByTemperature(Settings):
    reaches: int
    sensor: str


class ByMinutes(Settings):
    minutes: int = Field(gt=0)


class Bakery(Settings):
    trays: dict[str, Tray]
    spare: tuple[Tray, ...] = ()
    done: ByTemperature | ByMinutes
    env: Env


@pytest.fixture
def bakery(tmp_path: Path) -> Path:
    path = tmp_path / "bakery.yaml"
    path.write_text("trays: {rolls: {holds: rolls}}\nspare: [{holds: air}]\ndone: {minutes: 20}\nenv: {work: here}\n")
    return path


def refusal(path: Path, *overrides: str) -> str:
    """What is said, without the file's name; one sentence on one line."""
    with pytest.raises(WrongInput) as refused:
        load(Bakery, path, overrides)
    assert "\n" not in str(refused.value)
    return str(refused.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("right", "typo", "sentence"),
    [
        ("{holds: rolls}", "{hold: rolls}", "unknown key 'trays.rolls.hold'; did you mean 'trays.rolls.holds'?"),
        ("{holds: air}", "{holds: air, shlf: 2}", "unknown key 'spare.0.shlf'; did you mean 'spare.0.shelf'?"),
        ("{minutes: 20}", "{minuts: 20}", "unknown key 'done.minuts'; did you mean 'done.minutes'?"),
        ("{minutes: 20}", "{reaches: 90, sensr: top}", "unknown key 'done.sensr'; did you mean 'done.sensor'?"),
        ("{minutes: 20}", "{minutes: 0}", "done.minutes: Input should be greater than 0"),
    ],
)
def test_what_is_wrong_in_a_dict_a_tuple_or_a_choice_is_said_in_one_sentence(
    bakery: Path, right: str, typo: str, sentence: str
) -> None:
    bakery.write_text(bakery.read_text().replace(right, typo))
    assert refusal(bakery) == sentence


def test_the_command_line_reaches_into_dicts_and_tuples(bakery: Path) -> None:
    found = load(Bakery, bakery, ["trays.rolls.shelf=3", "spare.0.shelf=4", "done.minutes=5", "trays.new={holds: x}"])
    assert (found.trays["rolls"].shelf, found.spare[0].shelf) == (3, 4)
    assert (found.trays["rolls"].holds, found.done, found.trays["new"].holds) == ("rolls", ByMinutes(minutes=5), "x")


def test_the_command_line_is_corrected_within_dicts_and_tuples_too(bakery: Path) -> None:
    assert refusal(bakery, "trays.rolls.shlf=3").endswith("'trays.rolls.shlf'; did you mean 'trays.rolls.shelf'?")
    assert refusal(bakery, "trays.rols.shelf=3").endswith("unknown key 'trays.rols'; did you mean 'trays.rolls'?")
    assert refusal(bakery, "spare.7.shelf=3").endswith("'spare.7' is none of the places 0 to 0")


def test_a_setting_of_spark_keeps_the_dots_of_its_name(bakery: Path) -> None:
    env = load(Bakery, bakery, ["env.spark_conf.spark.ui.enabled=true"]).env
    assert env.spark_conf == {"spark.ui.enabled": "true"}


def test_the_encoding_that_a_landing_asks_for_can_be_said_on_the_command_line() -> None:
    source = load(Source, ROOT / "conf/sources/online_retail.yaml", ["feeds.orders.encoding=ISO-8859-1"])
    assert (source.feeds["orders"].encoding, source.feeds["products"].encoding) == ("ISO-8859-1", "UTF-8")


def test_a_value_that_is_no_yaml_is_refused(bakery: Path) -> None:
    assert refusal(bakery, "env.work=[a").startswith("--set env.work=[a: the value is no YAML")


def test_a_file_that_is_no_yaml_is_named_with_its_line(bakery: Path) -> None:
    bakery.write_text("trays:\n  a: [\n")
    assert refusal(bakery).startswith("not readable as YAML: line 3: ")


@pytest.mark.parametrize("path", [".", "unreadable.yaml"])
def test_a_command_refuses_a_file_that_it_cannot_read(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unreadable.yaml").symlink_to("unreadable.yaml")  # root reads everything but a link to itself
    with pytest.raises(SystemExit) as ended:
        command(Bakery, lambda settings: None, says="", config="x.yaml", argv=["--config", path])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{path} is a folder" in said or f"{path}: cannot be read (Too many levels of symbolic links)" in said
