"""Every YAML below conf/ belongs to somebody and loads."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.entry_points import ROOT, EntryPoint, entry_points

from tenure.config.env import Env
from tenure.config.settings import load
from tenure.config.source import Source
from tenure.contracts import rules
from tenure.spark.landing import landing

POINTS = entry_points()
MODELS = ("churn", "recommender")  # a training is told by what it makes


def _below(folder: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "conf" / folder).rglob("*.yaml"))


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.smoke
@pytest.mark.parametrize("path", _below("sources"))
def test_every_source_loads_and_makes_a_shop(path: str) -> None:
    source = load(Source, path)
    assert source.name == Path(path).stem
    assert source.shop.windows_days == tuple(sorted(source.shop.windows_days))


def test_the_figures_of_others_are_of_the_very_files_that_the_package_brings() -> None:
    source = load(Source, "conf/sources/complete_journey.yaml")
    assert source.known_in == landing(source).batch_id


def test_the_lines_whose_date_changes_are_as_many_as_the_figure_says() -> None:
    source = load(Source, "conf/sources/complete_journey.yaml")
    (known,) = [figure for figure in source.known if figure.rule == rules.DAY_SHIFTED]
    stored = pq.read_table(source.folder / "transactions.parquet", columns=["transaction_timestamp"])[0]
    in_utc = stored.cast(pa.timestamp("s"), safe=False)
    in_the_shop = pc.local_timestamp(in_utc.cast(pa.timestamp("s", source.calendar)))
    changes = pc.not_equal(in_utc.cast(pa.date32()), in_the_shop.cast(pa.date32()))
    assert pc.sum(changes).as_py() == known.rows
    assert round(pc.mean(changes).as_py(), 2) == 0.17  # what others said of it


@pytest.mark.parametrize("path", _below("env"))
def test_every_place_loads(path: str) -> None:
    assert load(Env, path).lake_root


@pytest.mark.parametrize(("point", "config"), [(p, c) for p in POINTS for c in p.configs], ids=lambda v: str(v)[:60])
def test_every_entry_point_loads_its_yaml(point: EntryPoint, config: str) -> None:
    assert load(point.model, config)


def test_every_yaml_is_read_by_an_entry_point() -> None:
    read = {config for point in POINTS for config in point.configs}
    assert set(_below("")) - read - set(_below("sources")) - set(_below("env")) == set()


def test_a_yaml_has_the_stem_of_the_file_that_it_feeds_or_of_its_model() -> None:
    for point in POINTS:
        stems = {Path(point.path).stem, *MODELS}
        assert Path(point.config).stem in stems, f"{point.path} reads {point.config}"
