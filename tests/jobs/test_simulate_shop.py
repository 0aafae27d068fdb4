from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tenure.config.settings import checked, read_yaml
from tenure.config.source import Source
from tenure.contracts.landing import RAW_TABLES_AHEAD
from tenure.contracts.truth import TRUTH_TABLES
from tenure.lake.schema import arrow
from tenure.simulation.settings import FEEDS

ROOT = Path(__file__).parents[2]


def simulate_shop(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "jobs/simulate_shop.py", "--set", "processes=1", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    run = simulate_shop(
        *("--members", "300", "--days", "90", "--start", "2025-03-01", "--seed", "5", "--faults"),
        *("--set", f"folder={folder}", "--set", "fraud.takeover_a_day=0.002"),
        *("--set", "truth.first_as_of=56"),  # so that its horizon ends in time
    )
    assert run.returncode == 0, run.stderr
    assert "best AUC" in run.stdout
    last = run.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"[\d,]+ rows of all feeds landed in [\d.]+ s, [\d,]+ rows/s; at most [\d,]+ MiB of memory in one process", last
    ), last
    return folder


@pytest.mark.smoke
def test_every_feed_lands_by_day(folder: Path) -> None:
    assert {path.name for path in (folder / "landing").iterdir()} == set(FEEDS)
    days = sorted(path.name for path in (folder / "landing" / "orders").iterdir())
    assert (days[0], days[-1], len(days)) == ("2025-03-01", "2025-05-29", 90)


def test_flags_are_what_the_folder_notes(folder: Path) -> None:
    settings = json.loads((folder / "simulation.json").read_text(encoding="utf-8"))["settings"]
    assert (settings["members"], settings["days"], settings["start"]) == (300, 90, "2025-03-01")
    assert (settings["seed"], settings["faults"]["strength"]) == (5, 1.0)


def test_truth_tables_are_as_their_contracts_say(folder: Path) -> None:
    for table in TRUTH_TABLES:
        files = sorted((folder / "truth" / table.name).rglob("*.parquet"))
        assert files, table.name
        assert pq.read_schema(files[0]).equals(arrow(table)), table.name


SQL = {"as", "bigint", "boolean", "cast", "date", "double", "round", "string"}
UNREAD = {
    "orders.export_id",  # by which the truth names a row
    *("campaigns.contact_cost", "campaigns.coupon", "members.channel", "members.invited_by", "products.price"),
}


def test_the_source_finds_files_and_columns_for_every_feed(folder: Path) -> None:
    source = checked(Source, read_yaml(ROOT / "conf/sources/simulated.yaml"), "simulated.yaml")
    unread = set()
    for name, feed in source.feeds.items():
        files = [file for glob in feed.files for file in (folder / "landing").glob(glob)]
        assert files, name
        landed, read = set(pq.read_schema(files[0]).names), set()
        for column, expression in feed.columns.items():
            named = set(re.findall(r"[a-z_]+", expression)) - SQL
            assert named == {"true"} or (named and named <= landed), (name, column, expression)
            read |= named
        unread |= {f"{name}.{column}" for column in landed - read}
    assert unread == UNREAD


def test_what_no_job_reads_yet_lands_all_the_same(folder: Path) -> None:
    for table in RAW_TABLES_AHEAD:
        assert ds.dataset(folder / "landing" / table.name.removeprefix("raw_")).count_rows() > 0, table.name


@pytest.mark.parametrize("format", ["csv", "json"])
def test_text_formats_land_the_same_rows(tmp_path: Path, format: str) -> None:
    small = ("--members", "40", "--days", "20", "--set", "feeds=[orders]")
    assert simulate_shop(*small, "--set", f"folder={tmp_path}/p").returncode == 0
    assert simulate_shop(*small, "--set", f"folder={tmp_path}/t", "--set", f"format={format}").returncode == 0
    rows = ds.dataset(tmp_path / "p/landing/orders").count_rows()
    files = list((tmp_path / "t/landing/orders").rglob(f"*.{format}"))
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    assert lines - (len(files) if format == "csv" else 0) == rows > 0


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "accounts.xlsx").write_text("42", encoding="utf-8")
    run = simulate_shop("--members", "10", "--set", f"folder={tmp_path}")
    assert run.returncode == 2
    assert "name another folder" in run.stderr
    assert (tmp_path / "accounts.xlsx").exists()


def test_an_unknown_setting_names_the_nearest(tmp_path: Path) -> None:
    run = simulate_shop("--set", "purchasing.mean_gap=3", "--set", f"folder={tmp_path}")
    assert run.returncode == 2
    assert "mean_gap_days" in run.stderr
