"""Which model answers: the champion that fits what is published, or the one before it, or a sentence why none does."""

from __future__ import annotations

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import pyarrow as pa

from tenure.errors import Refused, TenureError, WrongInput
from tenure.registry.gate import MODEL
from tenure.registry.manifest import Manifest, read_manifest
from tenure.registry.registry import Registry
from tenure.serving.point_in_time import Purchases, in_catalogue
from tenure.serving.store import MemberStore, current_folder, folders_before

# Models are imported where one is loaded: torch and transformers cost seconds and hundreds of megabytes, and neither
# the ingress nor a driver needs them, nor the recommender's process the latter.
if TYPE_CHECKING:
    from tenure.models.histories import Histories
    from tenure.models.recommender import Recommender
    from tenure.models.scorer import MemberScorer

log = logging.getLogger(__name__)

WARM_UP_MEMBERS = 2
REFUSED_FOR_S = 60.0


class Loaded(ABC):
    """A model that fits a store, ready to answer."""

    task: str

    def __init__(self, version: str, folder: Path, store: MemberStore, device: str = "cpu") -> None:
        self.version, self.store = version, store
        self.manifest = self._load(folder, device)

    @abstractmethod
    def _load(self, folder: Path, device: str) -> Manifest:
        """Reads the bundle; errors are those of the model's own loader, and Refused where the store lacks something."""

    @property
    def name(self) -> str:
        """As answers call it, ``model_version`` of the contracts."""
        return f"{self.task}/{self.version}"

    @property
    @abstractmethod
    def device(self) -> str:
        """What the model computes on: ``cpu`` or ``cuda``."""

    @abstractmethod
    def warm_up(self) -> None:
        """Answers for a few members, so that what does not work shows before it is asked for."""


class LoadedChurn(Loaded):
    """Calibrated probabilities of members in the store."""

    task = "churn"

    def _load(self, folder: Path, device: str) -> Manifest:
        from tenure.models.scorer import load_scorer

        self.scorer: MemberScorer = load_scorer(folder, device)
        visits, held = self.scorer.inputs.visits, self.store.label.max_events
        if visits is not None and visits.max_events > held:
            raise Refused(
                f"it reads {visits.max_events} visits of a member and the store holds {held}; "
                f"run jobs/publish_members.py --set max_events={visits.max_events}"
            )
        return self.scorer.manifest

    @property
    def device(self) -> str:
        return str(next(self.scorer.network.parameters()).device.type)

    def score(self, member_keys: np.ndarray) -> np.ndarray:
        """(N,) float64 for N members whom the store knows."""
        return self.scorer.score(self.store.rows(member_keys))

    def warm_up(self) -> None:
        _refuse_no_numbers(self.score(self.store.some_members(WARM_UP_MEMBERS)))


class LoadedRecommender(Loaded):
    """The best items for members in the store."""

    task = "recommender"

    def _load(self, folder: Path, device: str) -> Manifest:
        from tenure.models.recommender import load_recommender

        self.recommender: Recommender = load_recommender(folder, device)
        return self.recommender.manifest

    @property
    def device(self) -> str:
        return self.recommender.device.type

    def recommend(self, member_keys: np.ndarray, k: int, include_bought: bool) -> tuple[np.ndarray, np.ndarray]:
        """(N, K) places in ``product_ids`` with -1 behind the last item, and (N, K) scores that order them."""
        return self.recommender.recommend(self._histories(self.store.purchases(member_keys)), k, include_bought)

    def item(self, place: int) -> dict[str, Any]:
        """``product_id``, ``name`` and ``category`` of the model's item, as the published catalogue calls it."""
        row = int(self._rows[place])
        if row < 0:
            return {"product_id": self.recommender.product_ids[place], "name": None, "category": None}
        product = self.store.product(row)
        name = product["product_name"] or product["product_type"]
        return {"product_id": product["product_id"], "name": name, "category": product["category"]}

    def warm_up(self) -> None:
        items, scores = self.recommend(self.store.some_members(WARM_UP_MEMBERS), 1, include_bought=False)
        _refuse_no_numbers(scores[items >= 0])

    def _histories(self, purchases: Purchases) -> Histories:
        return in_items(purchases, self._places)

    @cached_property
    def _places(self) -> np.ndarray:
        """(products of the store,) the model's own place of each, -1 for what it does not know."""
        return in_catalogue(self.store.product_ids, self.recommender.product_ids)

    @cached_property
    def _rows(self) -> np.ndarray:
        """(items of the model,) their rows in the store's catalogue, -1 for what is not in it."""
        return in_catalogue(pa.array(self.recommender.product_ids, pa.string()), self.store.product_ids)


def _refuse_no_numbers(scores: np.ndarray) -> None:
    if not np.isfinite(scores).all():
        raise Refused("what it says of some members is no number; train it again")


def in_items(purchases: Purchases, places: np.ndarray) -> Histories:
    """Purchases in a model's own item numbers, without what the model does not know.

    Args:
        places: (products,) the model's place of each product that ``purchases`` may name, or -1.
    """
    from tenure.models.histories import Histories

    items = places[purchases.products]
    is_item = items >= 0
    kept_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_item)])
    return Histories(
        offsets=kept_before[purchases.offsets],
        item_index=items[is_item],
        times=purchases.times[is_item].astype(np.float64),
    )


@dataclass(frozen=True, kw_only=True)
class State:
    """How a model stands: what answers, what ought to, and one sentence where that is not the same."""

    task: str
    is_ready: bool
    version: str | None = None
    champion: str | None = None
    model: str | None = None
    trained_on_release: str | None = None
    release_id: str | None = None  # of the members that it answers for
    as_of: str | None = None
    device: str | None = None  # that the model computes on: cpu or cuda
    says: str = ""


class NotReady(TenureError):
    """There is no model or no store to answer with; the message says what to do."""


L = TypeVar("L", bound=Loaded)


class InService(Generic[L]):
    """Keeps the best model that fits in service, and looks again for a newer one and for newer members.

    A champion that does not fit its manifest or the store is not loaded; what answered before goes on.

    Args:
        kind: what to load.
        registry: the registry's folder or URL.
        store: the folder that ``publish`` writes into.
    """

    def __init__(self, kind: type[L], registry: str, store: str, *, device: str = "cpu") -> None:
        self._kind, self._registry_root, self._store_root, self._device = kind, registry, store, device
        self._loaded: L | None = None
        self._champion: str | None = None
        self._says = ""
        self._refused: dict[tuple[str, Path], tuple[float, str]] = {}
        self._one_at_a_time = Lock()

    def look_again(self) -> None:
        """Brings in a newer store and a newer champion where they fit. Raises nothing: ``state`` tells."""
        with self._one_at_a_time:
            says = self._look_again()
            if says != self._says:
                log.log(logging.WARNING if says else logging.INFO, "%s: %s", self._kind.task, says or "all is well")
            self._says = says

    def _look_again(self) -> str:
        try:
            registry = self._registry
            self._champion = registry.version(self._kind.task, "champion")
            folder = current_folder(self._store_root)
            if self._champion is None:
                raise no_champion(self._registry_root, self._kind.task)
            if self._is_loaded(self._champion, folder):
                return ""
            says = self._load_best(registry, MemberStore(folder), self._champion)
            if self._loaded is None:
                self._go_back(registry, self._champion, folder)
            return says
        except TenureError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  a registry that is down must not stop what answers
            return f"the registry {self._registry_root} does not answer: {_first_line(error)}"

    def _go_back(self, registry: Registry, champion: str, current: Path) -> None:
        """A process that just began answers as those do that have run for long: where no model fits what is published
        now, for the members that were published before."""
        for folder in folders_before(self._store_root, current):
            with suppress(TenureError):
                self._load_best(registry, MemberStore(folder), champion)
            if self._loaded is not None:
                break

    def _load_best(self, registry: Registry, store: MemberStore, champion: str) -> str:
        """Puts the champion in service, or the newest version before it that fits; what did not is told."""
        refusals = []
        for version in champion_and_before(registry, self._kind.task, champion):
            if self._is_loaded(version, store.folder):
                break
            if (refused := self._refused_lately(version, store.folder)) is None:
                try:
                    self._loaded = self._fitting(registry, version, store)
                    log.info("%s answers for release %s", self._loaded.name, store.label.release_id)
                    break
                except TenureError as error:
                    refused = f"version {version} is not loaded: {error}"
                    self._refused[version, store.folder] = time.monotonic(), refused
            refusals.append(refused)
        return "; ".join(refusals)

    def _refused_lately(self, version: str, folder: Path) -> str | None:
        """Why a version was refused within the last minute: what was spoilt may have been put right since, but to load
        it again at every look would take from what answers."""
        at, refused = self._refused.get((version, folder), (-math.inf, ""))
        return refused if time.monotonic() - at < REFUSED_FOR_S else None

    def _fitting(self, registry: Registry, version: str, store: MemberStore) -> L:
        try:
            folder = registry.folder(self._kind.task, version)
            check_fits(read_manifest(folder), self._kind.task, store.label.fingerprint, store.label.release_id)
            loaded = self._kind(version, folder, store, self._device)
            loaded.warm_up()
        except TenureError:
            raise
        except Exception as error:  # whatever is wrong with a bundle, the model before it must go on
            log.exception("%s version %s", self._kind.task, version)
            raise Refused(f"it does not load ({_first_line(error)}); train it again") from error
        return loaded

    def _is_loaded(self, version: str, folder: Path) -> bool:
        return self._loaded is not None and (self._loaded.version, self._loaded.store.folder) == (version, folder)

    @cached_property
    def _registry(self) -> Registry:
        return Registry(self._registry_root)

    @property
    def loaded(self) -> L:
        """What answers now.

        Raises:
            NotReady: with what to do, if nothing does.
        """
        if self._loaded is None:
            raise NotReady(self._says or f"the {self._kind.task} model is being loaded; ask again in some seconds")
        return self._loaded

    def state(self) -> State:
        loaded = self._loaded
        if loaded is None:
            return State(task=self._kind.task, is_ready=False, champion=self._champion, says=self._says)
        return State(
            task=self._kind.task,
            is_ready=True,
            version=loaded.version,
            champion=self._champion,
            model=loaded.manifest.model,
            trained_on_release=loaded.manifest.release_id,
            release_id=loaded.store.label.release_id,
            as_of=loaded.store.label.as_of.isoformat(),
            device=loaded.device,
            says=self._says,
        )

    def keep_looking(self, every_s: float) -> Event:
        """Looks again from time to time, in a thread, until the event that is returned is set."""
        stop = Event()

        def look() -> None:
            while not stop.wait(every_s):
                self.look_again()

        Thread(target=look, name=f"look-again-{self._kind.task}", daemon=True).start()
        return stop


def no_champion(registry: str, task: str) -> WrongInput:
    return WrongInput(f"the registry {registry} has no champion for {task}; train one with ray_apps/train")


def champion_and_before(registry: Registry, task: str, champion: str) -> Iterator[str]:
    """The champion, then the versions before it that a gate had chosen, then the baselines that models were held
    against; newest first."""
    yield champion
    baselines = []
    for version in reversed(registry.versions(task)):
        if int(version) >= int(champion):
            continue
        try:
            manifest = read_manifest(registry.folder(task, version))
        except TenureError:
            continue
        if _was_chosen(manifest):
            yield version
        elif _is_baseline(manifest):
            baselines.append(version)
    yield from baselines


def _was_chosen(manifest: Manifest) -> bool:
    return manifest.gate is None or manifest.gate.champion == (manifest.model if _is_baseline(manifest) else MODEL)


def _is_baseline(manifest: Manifest) -> bool:
    return manifest.model in manifest.baselines


def check_fits(manifest: Manifest, task: str, fingerprint: str, release_id: str) -> None:
    """Refuses a model of another task, or one that was trained on tables of another contract than the release's."""
    if manifest.task != task:
        raise Refused(f"its manifest says that it is for {manifest.task}, not for {task}")
    if manifest.fingerprint != fingerprint:
        raise Refused(
            f"it was trained on tables of fingerprint {manifest.fingerprint} and the members of release {release_id} "
            f"are of {fingerprint}; train it again on that release"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
