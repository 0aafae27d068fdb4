"""A small shop on disk for tests of serving: a released lake, trained models in a registry, secrets."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from deltalake import write_deltalake

from tenure.contracts.control import RELEASES
from tenure.contracts.gold import gold_tables, interactions, member_events, member_features
from tenure.contracts.shop import Shop
from tenure.contracts.silver import PRODUCTS
from tenure.contracts.table import Column, Kind, Table, fingerprint
from tenure.lake.layout import table_path
from tenure.lake.release import Release, newest_release, shop_to_json
from tenure.lake.schema import arrow
from tenure.models.build import build
from tenure.models.factorization import Architecture, Factorization, gram, observed, solve
from tenure.models.histories import Histories
from tenure.models.inputs import fit_inputs
from tenure.models.popularity import Popularity
from tenure.models.rows import MemberRows
from tenure.models.scorer import save_weights
from tenure.privacy.pseudonyms import member_key
from tenure.registry.manifest import Gate, Manifest, write_manifest
from tenure.registry.registry import Registry
from tenure.serving.loading import in_items
from tenure.serving.point_in_time import MemberPart, in_catalogue, read_purchases, read_rows
from tenure.serving.publishing import publish as publish_members
from tenure.serving.store import MemberStore, current_folder

SHOP = Shop(
    name="corner_shop",
    currency="EUR",
    calendar="Europe/Berlin",
    windows_days=(7, 28, 84),
    activity_days=84,
    horizon_days=28,
    first_as_of=date(2026, 1, 4),
    as_of_every_days=14,
    buckets=4,
    categories=("bakery", "drinks"),
)
AS_OF = date(2026, 6, 1)
SECRET = b"a secret of the corner shop"
MEMBER_IDS = tuple(f"m{number}" for number in range(40))
PRODUCT_IDS = tuple(f"p{number:02d}" for number in range(12))
NAMES = ("bread", "rolls", "cake", "milk", "tea", "coffee", "cola", "wine", "juice", "water", "beer", None)
_STAGES = ("activation", "conversion", "retention", "loyalty")

Values = Callable[[str], Any]


@dataclass
class CornerShop:
    """Where everything of it lies; ``release_no`` counts the releases."""

    work: Path
    release_no: int = 0
    spend_of: dict[str, int] = field(default_factory=dict)  # members whose spend differs from what chance gave them
    fingerprint_suffix: str = ""
    members: tuple[str, ...] = MEMBER_IDS  # whom the next release knows

    @property
    def lake(self) -> str:
        return str(self.work / "lake")

    @property
    def registry(self) -> str:
        return str(self.work / "registry")

    @property
    def store(self) -> str:
        return str(self.work / "store")

    @property
    def secrets(self) -> Path:
        return self.work / "secrets"

    def key(self, member_id: str) -> int:
        return member_key(member_id, SECRET)

    def keys(self, *member_ids: str) -> np.ndarray:
        return np.array([self.key(member_id) for member_id in member_ids], dtype=np.int64)

    def published(self) -> MemberStore:
        return MemberStore(current_folder(self.store))

    def write_secrets(self) -> None:
        self.secrets.mkdir(parents=True, exist_ok=True)
        (self.secrets / "member_key_secret").write_bytes(SECRET)

    def release(self) -> Release:
        """Writes all tables anew and one more row of ``releases``."""
        self.release_no += 1
        rng = np.random.default_rng(7)
        written = [
            (member_features(SHOP), [self._features(member_id, rng) for member_id in self.members]),
            (member_events(SHOP), [row for member_id in self.members for row in self._events(member_id, rng)]),
            (interactions(SHOP), [row for member_id in self.members for row in self._bought(member_id, rng)]),
            (PRODUCTS, [_product(place) for place in range(len(PRODUCT_IDS))]),
        ]
        versions = {table.name: self._write(table, rows) for table, rows in written}
        self._write(RELEASES, [self._release_row(versions)], mode="append")
        return newest_release(self.lake)

    def _write(self, table: Table, rows: list[dict[str, Any]], mode: Any = "overwrite") -> int:
        path = table_path(self.lake, table)
        partitions = list(table.partition_by) or None
        write_deltalake(path, pa.Table.from_pylist(rows, arrow(table)), mode=mode, partition_by=partitions)
        return self.release_no - 1

    def _release_row(self, versions: Mapping[str, int]) -> dict[str, Any]:
        return {
            "release_id": f"2026060{self.release_no}T040000Z-shop",
            "released_at": datetime(2026, 6, self.release_no, 4, tzinfo=UTC),
            "source": SHOP.name,
            "tables": list(versions.items()),
            "fingerprint": fingerprint(gold_tables(SHOP), suffix=self.fingerprint_suffix),
            "shop": shop_to_json(SHOP),
            "code_version": "0.1.0",
            "last_complete_day": AS_OF - timedelta(days=1),
            "newest_as_of": AS_OF,
            "through_batch": 1,
        }

    def _features(self, member_id: str, rng: np.random.Generator) -> dict[str, Any]:
        row = {column.name: _by_chance(column, rng) for column in member_features(SHOP).columns}
        silent = int(member_id == MEMBER_IDS[-1]) * 200 + int(rng.integers(1, 60))
        visits = int(rng.integers(1, 30))
        return row | {
            "bucket": self.key(member_id) % SHOP.buckets,
            "member_key": self.key(member_id),
            "as_of": AS_OF,
            "days_since_known": 400,
            "days_since_first_visit": 390,
            "days_since_last_visit": silent,
            "lifetime_visits": visits,
            "lifetime_spend_minor": self.spend_of.get(member_id, visits * 1000),
            "age_band": "35-44",
            "region": None,
            "stage": _STAGES[visits % len(_STAGES)],
            "newest_known_on": AS_OF - timedelta(days=1),
        }

    def _events(self, member_id: str, rng: np.random.Generator) -> list[dict[str, Any]]:
        days = sorted(rng.choice(150, size=int(rng.integers(0, 20)), replace=False), reverse=True)
        return [self._event(member_id, AS_OF - timedelta(days=int(ago) + 1), rng) for ago in days]

    def _event(self, member_id: str, day: date, rng: np.random.Generator) -> dict[str, Any]:
        row = {column.name: _by_chance(column, rng) for column in member_events(SHOP).columns}
        placed = {"bucket": self.key(member_id) % SHOP.buckets, "member_key": self.key(member_id)}
        kind = {"kind": "visit", "categories": ["bakery", "drinks"], "category_shares": [0.75, 0.25]}
        return row | placed | kind | {"day": day, "known_on": day}

    def _bought(self, member_id: str, rng: np.random.Generator) -> list[dict[str, Any]]:
        """Some products once or more often; the first member took one of them back."""
        placed = {"bucket": self.key(member_id) % SHOP.buckets, "member_key": self.key(member_id)}
        chosen = rng.choice(PRODUCT_IDS, size=int(rng.integers(1, 6)), replace=False)
        day = AS_OF - timedelta(days=10)
        rows = [
            {**placed, "product_id": str(product), "day": day, "known_on": day, "times": times, "quantity": 1.0}
            for product, times in zip(chosen, rng.integers(1, 5, len(chosen)), strict=True)
        ]
        if member_id == MEMBER_IDS[0]:
            rows.append({**rows[0], "day": day + timedelta(days=1), "times": -rows[0]["times"]})
        return [{**row, "spend_minor": 100, "times": int(row["times"])} for row in rows]

    # Models: real networks and factors of real rows, trained for a moment.

    def train_churn(self, seed: int = 1, **manifest: Any) -> str:
        """A member encoder fitted to the released rows, registered, and the champion from then on."""
        chosen = newest_release(self.lake)
        rows = [read_rows(chosen, MemberPart(bucket), 16) for bucket in range(SHOP.buckets)]
        inputs = fit_inputs(rows[0], member_features(SHOP), max_events=16, bins=4)
        architecture = {"width": 16, "layers": 1, "heads": 2, "intermediate": 16, "rank": 2}
        torch.manual_seed(seed)
        network = build("member_encoder", architecture, inputs)
        _learn(network, [inputs.batch(part) for part in rows], rows)
        said = {"model": "member_encoder", "architecture": architecture, "inputs": inputs.model_dump(mode="json")}
        return self._register("churn", chosen, {**said, **manifest}, lambda at: save_weights(network.state_dict(), at))

    def train_recommender(self, **manifest: Any) -> str:
        """Factors of three sweeps over the released purchases, registered, and the champion from then on."""
        chosen = newest_release(self.lake)
        model = Architecture(factors=4, weighting="log", alpha=2.0, regularization=0.5)
        share = torch.full((len(PRODUCT_IDS),), 0.01, dtype=torch.float64)
        items = _factors(self._times(chosen), model)
        said = {
            "model": Factorization.name,
            "architecture": model.model_dump(),
            "inputs": {"vocabulary": {"product_id": list(PRODUCT_IDS[:-1])}},
        }
        save = lambda at: Factorization.save(at, items[:-1].float(), share[:-1])  # noqa: E731
        return self._register("recommender", chosen, {**said, **manifest}, save)

    def train_popularity(self, **manifest: Any) -> str:
        chosen = newest_release(self.lake)
        share = torch.linspace(0.9, 0.1, len(PRODUCT_IDS), dtype=torch.float64)
        said = {"model": Popularity.name, "inputs": {"vocabulary": {"product_id": list(PRODUCT_IDS)}}}
        return self._register("recommender", chosen, {**said, **manifest}, lambda at: Popularity.save(at, share))

    def _times(self, chosen: Release) -> np.ndarray:
        """(members, products) net bought counts."""
        rows = []
        for bucket in range(SHOP.buckets):
            keys = read_rows(chosen, MemberPart(bucket), 1).member_keys
            purchases, product_ids = read_purchases(chosen, MemberPart(bucket), keys)
            bought = in_items(purchases, in_catalogue(product_ids, PRODUCT_IDS))
            times = np.zeros((len(keys), len(PRODUCT_IDS)))
            times[bought.member_index, bought.item_index] = bought.times
            rows.append(times)
        return np.concatenate(rows)

    def _register(self, task: str, chosen: Release, said: Mapping[str, Any], save: Callable[[Path], None]) -> str:
        registry = Registry(self.registry)
        folder = self.work / "trained" / task / str(len(registry.versions(task)) + 1)
        folder.mkdir(parents=True)
        save(folder)
        manifest = {
            "task": task,
            "release_id": chosen.release_id,
            "source": chosen.source,
            "fingerprint": chosen.fingerprint,
            "code_version": "0.1.0",
            "seed": 1,
            "gate": Gate(passed=True, champion="model", reasons=("better",)),
            "created_at": datetime(2026, 11, 23, tzinfo=UTC),
        }
        sealed = write_manifest(folder, Manifest.model_validate({**manifest, **said}))
        version = registry.register(task, sealed, folder)
        registry.set_alias(task, "champion", version)
        return version

    def spoil(self, task: str, version: str) -> None:
        """Makes a registered version's weights differ from what its manifest says."""
        weights = Registry(self.registry).folder(task, version) / "weights.safetensors"
        written = weights.read_bytes()
        weights.write_bytes(written[:-1] + bytes([written[-1] ^ 1]))

    def settings(self, **more: Any) -> Path:
        """A file of settings for an entry point, its ``env`` this shop's folder."""
        path = self.work / "settings.yaml"
        path.write_text(json.dumps({"env": {"work": str(self.work)}, **more}), encoding="utf-8")
        return path


def _learn(network: torch.nn.Module, batches: list[Any], rows: list[MemberRows], steps: int = 5) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        for batch, part in zip(batches, rows, strict=True):
            silent = part.features["days_since_last_visit"].to_numpy() > 30
            labels = torch.from_numpy(silent.astype(np.float32))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(batch).logit, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _factors(times: np.ndarray, model: Architecture, sweeps: int = 3) -> torch.Tensor:
    """(products, D) by alternating least squares."""
    torch.manual_seed(1)
    items = torch.randn(times.shape[1], model.factors, dtype=torch.float64)
    for _ in range(sweeps):
        members = _solved(times, items, model)
        items = _solved(times.T, members, model)
    return items


def _solved(times: np.ndarray, others: torch.Tensor, model: Architecture) -> torch.Tensor:
    which, columns = np.nonzero(times)
    offsets = np.searchsorted(which, np.arange(len(times) + 1))
    seen = observed(
        Histories(offsets=offsets, item_index=columns, times=times[which, columns]), model.weighting, model.alpha
    )
    return solve(seen.to("cpu", torch.float64), others, gram(others), model.regularization)


def _product(place: int) -> dict[str, Any]:
    return {
        "product_id": PRODUCT_IDS[place],
        "product_name": NAMES[place],
        "category": "bakery" if place < 3 else "drinks",
        "product_type": "type of drink",
        "brand": None,
        "is_recommendable": True,
        "known_on": date(2025, 1, 1),
        "flags": [],
        "batch_id": "b1",
        "batch_no": 1,
        "position": place,
    }


def _by_chance(column: Column, rng: np.random.Generator) -> Any:
    match column.kind:
        case Kind.NUMBER:
            return float(rng.random())
        case Kind.FLAG:
            return bool(rng.integers(2))
        case Kind.TEXT:
            return str(rng.choice(["a", "b", "c"]))
        case Kind.DAY:
            return AS_OF - timedelta(days=3)
        case Kind.TEXTS | Kind.NUMBERS:
            return []
    return int(rng.integers(0, 20))


@cache
def _empty_registry() -> Path:
    """Made once: an empty registry takes MLflow seconds, a copy of it none."""
    folder = Path(tempfile.mkdtemp(prefix="tenure-registry-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Registry(folder)
    return folder


def opened(work: Path, *, models: bool = True, publish: bool = True) -> CornerShop:
    """The shop with one release, both models and a published store, unless told otherwise."""
    shop = CornerShop(work)
    shop.write_secrets()
    shutil.copytree(_empty_registry(), shop.registry)
    chosen = shop.release()
    if models:
        shop.train_churn()
        shop.train_recommender()
    if publish:
        publish_members(chosen, shop.store, max_events=16)
    return shop
