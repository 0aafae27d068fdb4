"""What benchmarks begin from is whole, and of the settings and the code that are there."""

from __future__ import annotations

import pyarrow as pa
import pytest
from benchmarks import simulated_lake
from benchmarks.gold_build import Build
from benchmarks.simulated_lake import JOBS, SIMULATOR, Lake, Unequal, kept, named
from deltalake import write_deltalake

from tenure.contracts.gold import LABELS, MEMBER_TOTALS
from tenure.lake.layout import table_path

ROW = pa.table({"member_key": [11]})


@pytest.fixture
def released(tmp_path):
    lake = Lake(work=tmp_path / "released", landing=tmp_path / "landing")

    def build(_):
        for table in (LABELS, MEMBER_TOTALS):
            write_deltalake(table_path(lake.root, table), ROW)

    kept(lake.work, build)
    return lake


def test_a_copy_of_a_lake_that_was_killed_before_its_batch_landed_is_made_again(released, tmp_path):
    made = []

    def make(folder):
        released.copied(folder)
        made.append(folder)
        if len(made) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path / "corrected", make)
    for _ in range(2):
        kept(tmp_path / "corrected", make)
    assert len(made) == 2


@pytest.mark.parametrize(("written", "is_idle"), [((), True), ((LABELS,), False)])
def test_jobs_that_left_all_tables_as_they_were_are_refused(released, tmp_path, written, is_idle):
    def jobs(_, lake):
        for table in written:
            write_deltalake(table_path(lake.root, table), ROW, mode="append")

    build = Build(released, tmp_path / "ours", jobs)
    build.prepare()
    build.run(None)
    if is_idle:
        with pytest.raises(Unequal, match="nothing was new to labels, member_totals"):
            build.refuse_idle((LABELS, MEMBER_TOTALS))
    else:
        build.refuse_idle((LABELS, MEMBER_TOTALS))


def test_another_text_or_setting_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(simulated_lake, "_ROOT", tmp_path)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "clean.py").write_text("limit = 1")
    (tmp_path / "shop.yaml").write_text("days: 3")
    folder, made_by = tmp_path / "shop-200", ("jobs", "shop.yaml")
    first = named(folder, made_by, ["days=3"])
    assert first.name.startswith("shop-200-")
    assert named(folder, made_by, ["days=3"]) == first
    others = [named(folder, made_by, ["days=4"])]
    for path in (tmp_path / "jobs" / "clean.py", tmp_path / "shop.yaml"):
        path.write_text(f"{path.read_text()} # changed")
        others.append(named(folder, made_by, ["days=3"]))
    assert len({first, *others}) == 4


@pytest.mark.parametrize("made_by", [SIMULATOR, JOBS])
def test_all_that_makes_a_lake_is_there_to_read(made_by, tmp_path):
    for name in made_by:
        assert named(tmp_path, [name]) != named(tmp_path, [])
