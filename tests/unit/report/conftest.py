"""A small shop: four members, a release with its counts, a registry with both models, the answers of a night."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from tenure.config.source import Known, Rule, Source
from tenure.contracts.answers import MEMBER_SCORES, RECOMMENDATIONS
from tenure.contracts.control import CONSERVATION, JOB_RUNS, QUARANTINE, RELEASES, REPLACED
from tenure.contracts.dictionary import SHOP
from tenure.contracts.gold import interactions, member_days, member_features
from tenure.contracts.silver import PRODUCTS
from tenure.contracts.table import Kind, Table
from tenure.lake.layout import table_path
from tenure.lake.release import Release, newest_release, shop_to_json
from tenure.lake.schema import arrow
from tenure.registry.manifest import Gate, Interval, Manifest, write_manifest
from tenure.registry.registry import Registry
from tenure.report.facts import Facts, facts

AS_OF = date(2026, 6, 29)
BEFORE = date(2026, 6, 15)
STAGES = {1: "loyalty", 2: "retention", 3: "lapsed", 4: "activation"}
SINCE = {1: 1, 2: 20, 3: 120, 4: 60}  # days since the last visit
SCORE = {1: 0.1, 2: 0.4, 3: 0.99, 4: 0.8}
PERSON = "shop-id-4711"  # a raw id, which no report may show

_BLANK: Mapping[Kind, Any] = {
    Kind.TEXT: "",
    Kind.TEXTS: [],
    Kind.DAY: AS_OF,
    Kind.MOMENT: datetime(2026, 6, 29, tzinfo=UTC),
    Kind.NUMBER: 0.0,
    Kind.NUMBERS: [],
    Kind.FLAG: False,
    Kind.COUNTS_BY_NAME: {},
}


def write(root: str, table: Table, *rows: Mapping[str, Any]) -> None:
    """Rows of which only what matters is said."""
    blank = {c.name: None if c.nullable else _BLANK.get(c.kind, 0) for c in table.columns}
    write_deltalake(table_path(root, table), pa.Table.from_pylist([{**blank, **r} for r in rows], schema=arrow(table)))


def _lake(root: str) -> None:
    counts = {"table": "raw_orders", "batch_id": "b1", "landed": 10, "silver": 6, "duplicates": 1}
    # Fuel that was brought back without a sale is in quarantine, and flagged beside it.
    by_rule = {
        "silver_by_rule": {"fuel": 2},
        "duplicates_by_rule": {"exact_duplicate": 1},
        "quarantined_by_rule": {"return_without_sale": 2, "fuel": 1},
        "netted_by_rule": {"nothing_moved": 1},
    }
    write(root, CONSERVATION, {**counts, "quarantined": 2, "netted": 1, **by_rule})
    write(root, QUARANTINE, *[{"table": "raw_orders", "rule": "return_without_sale", "row": PERSON}] * 2)
    taken = {"table": "raw_orders"}
    write(
        root,
        REPLACED,
        {**taken, "fate": "duplicate", "rule": "exact_duplicate"},
        {**taken, "fate": "netted", "rule": "nothing_moved"},
    )
    features = [
        {"member_key": key, "as_of": as_of, "stage": stage, "days_since_last_visit": SINCE[key], "visits_84d": key,
         "spend_minor_84d": 10_000 * key}
        for key, stage in STAGES.items()
        for as_of in (BEFORE, AS_OF)
    ]  # fmt: skip
    write(root, member_features(SHOP), *features)
    write(root, member_days(SHOP), {"member_key": 2, "day": date(2026, 6, 28), "visits": 1})
    product = {"is_recommendable": True, "known_on": BEFORE}
    write(
        root,
        PRODUCTS,
        {**product, "product_id": "p1", "product_name": "OAT MILK", "category": "DAIRY"},
        {**product, "product_id": "p2", "product_name": "Rye & malt bread", "category": "BAKERY"},
        {**product, "product_id": "p3", "product_name": "FUEL", "is_recommendable": False},
    )
    write(
        root,
        interactions(SHOP),
        *(
            {"member_key": 1, "product_id": product_id, "times": times, "day": BEFORE, "known_on": BEFORE}
            for product_id, times in (("p1", 3), ("p3", 50))
        ),
    )
    tables = {t.name: 0 for t in (CONSERVATION, QUARANTINE, REPLACED, PRODUCTS)}
    tables |= {t.name: 0 for t in (member_features(SHOP), member_days(SHOP), interactions(SHOP))}
    named = {"release_id": "r1", "source": "corner_shop", "fingerprint": "f", "code_version": "0.1.0"}
    write(root, RELEASES, {**named, "tables": tables, "shop": shop_to_json(SHOP), "newest_as_of": AS_OF})
    write(root, JOB_RUNS, {"run_id": "1", "job": "clean", "seconds": 75.0, "outcome": "done"})


def answers(root: str) -> None:
    at = {"as_of": AS_OF, "release_id": "r1"}
    write(root, MEMBER_SCORES, *({**at, "member_key": k, "task": "churn", "score": s} for k, s in SCORE.items()))
    write(root, RECOMMENDATIONS, {**at, "member_key": 1, "rank": 1, "product_id": "p2", "include_bought": False})


def _register(registry: Registry, folder: Path, manifest: Manifest) -> None:
    (folder / "weights.safetensors").write_bytes(b"w")
    assert manifest.gate is not None
    if not manifest.gate.passed:
        baseline = write_manifest(folder, manifest.model_copy(update={"model": manifest.gate.champion}))
        registry.set_alias(manifest.task, "champion", registry.register(manifest.task, baseline, folder))
    version = registry.register(manifest.task, write_manifest(folder, manifest), folder)
    registry.set_alias(manifest.task, "candidate", version)
    if manifest.gate.passed:
        registry.set_alias(manifest.task, "champion", version)


COMMON: dict[str, Any] = {
    "release_id": "r1",
    "source": "corner_shop",
    "fingerprint": "f",
    "code_version": "0.1.0",
    "seed": 0,
    "created_at": datetime(2026, 6, 29, tzinfo=UTC),
}


def models(root: Path, bundles: Path) -> Registry:
    registry = Registry(root)
    _churn(registry, bundles / "churn")
    _recommender(registry, bundles / "recommender")
    return registry


def _churn(registry: Registry, churn: Path) -> None:
    (churn / "evaluation").mkdir(parents=True)
    predicted = {"member_key": [1, 2, 3, 4], "as_of": [BEFORE] * 4, "label": [1.0, 0.0, 1.0, 0.0]}
    scores = {"score": [0.9, 0.8, 0.7, 0.1], "score_lightgbm": [0.9, 0.1, 0.7, 0.2], "score_recency": [9.0, 8, 7, 1]}
    pq.write_table(
        pa.table({**predicted, **scores, "is_unseen": [False, False, True, True]}),
        churn / "evaluation" / "test_predictions.parquet",
    )
    mix = {"features": 0.6, "trees": 0.15, "sequence": 0.25}
    (churn / "evaluation" / "seeds.json").write_text(json.dumps([{"seed": 1, "mix": mix}]))
    judged = {
        "model": {"value": 0.75, "low": 0.7, "high": 0.8},
        "features_only": {"value": 0.71, "low": 0.66, "high": 0.76},
        "sequence_only": {"value": 0.68, "low": 0.63, "high": 0.73},
    }
    (churn / "evaluation" / "metrics.json").write_text(json.dumps({who: {"roc_auc": v} for who, v in judged.items()}))
    metrics = {"roc_auc": Interval(value=0.75, low=0.7, high=0.8), "average_precision": Interval(value=0.8)}
    _register(
        registry,
        churn,
        Manifest(
            task="churn",
            model="member_encoder",
            rows={"train": 40, "test": 4},
            metrics={**metrics, "expected_calibration_error": Interval(value=0.02)},
            baselines={"lightgbm": {"roc_auc": 0.76, "average_precision": 0.79}},
            comparisons={
                "minus_lightgbm": {"roc_auc": [-0.03, 0.01], "average_precision": [-0.01, 0.02]},
                "minus_features_only": {"roc_auc": [0.02, 0.06], "average_precision": [None, None]},
            },
            gate=Gate(passed=False, champion="logistic_regression", reasons=("roc_auc: not shown to be better",)),
            **COMMON,
        ),
    )


def _recommender(registry: Registry, items: Path) -> None:
    items.mkdir(parents=True)
    ranking = ("hit_rate_at_10", "ndcg_at_10", "recall_at_10")
    _register(
        registry,
        items,
        Manifest(
            task="recommender",
            model="factorization",
            metrics={f"{kind}.{name}": Interval(value=0.2) for kind in ("all_items", "new_items") for name in ranking},
            baselines={
                "popularity": {f"{kind}.{name}": 0.1 for kind in ("all_items", "new_items") for name in ranking},
                "own_favourites": {f"all_items.{name}": 0.3 for name in ranking},
            },
            gate=Gate(passed=True, champion="model", reasons=("better",)),
            **COMMON,
        ),
    )


def source(known: tuple[Known, ...] = (), known_in: str | None = None) -> Source:
    """What the report reads of a source: what its own rules mean, and what others counted in its files."""
    fuel = Rule(name="fuel", table="raw_orders", when="true", says="sold by the gallon")
    return Source.model_construct(name="corner_shop", bounds=(), gaps=(), rules=(fuel,), known=known, known_in=known_in)


KNOWN = (
    Known(says="lines of fuel", rows=3, rule="fuel"),
    Known(says="products", rows=4, sql="select count(*) from products", here=3, why="one is no product"),
    Known(says="coupons", rows=9, why="they are not read"),
    Known(says="silent members", rows=7, sql="select count(*) from products where product_id = 'p1'"),
)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Registry, Path]:
    work = tmp_path_factory.mktemp("corner_shop")
    root = str(work / "lake")
    _lake(root)
    answers(root)
    logs = work / "logs"
    logs.mkdir()
    (logs / "seconds.json").write_text(json.dumps({"refresh": 80.0, "churn": 61.5}))
    (logs / "serving.json").write_text(json.dumps({"requests": 20, "errors": 0, "p50_ms": 7.5}))
    return newest_release(root), models(work / "registry", work / "bundles"), logs


@pytest.fixture(scope="session")
def found(shop: tuple[Release, Registry, Path]) -> Facts:
    release, registry, logs = shop
    return facts(release, registry, logs, source(KNOWN), at_risk=2, offers=3)
