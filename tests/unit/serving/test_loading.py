"""Which model answers when the champion does not fit, and what is said about it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.corner_shop import MEMBER_IDS, CornerShop

from tenure.registry.manifest import Gate
from tenure.registry.registry import Registry
from tenure.serving.answering import ChurnQuestion, Unavailable, answer_churn
from tenure.serving.loading import InService, LoadedChurn, LoadedRecommender, NotReady, in_items
from tenure.serving.point_in_time import Purchases
from tenure.serving.publishing import publish


def churn(shop: CornerShop) -> InService[LoadedChurn]:
    service = InService(LoadedChurn, shop.registry, shop.store)
    service.look_again()
    return service


def published(shop: CornerShop) -> CornerShop:
    publish(shop.release(), shop.store, max_events=16)
    return shop


def test_a_registry_without_champion_is_told_in_a_sentence(own_shop: CornerShop) -> None:
    service = churn(published(own_shop))
    assert not service.state().is_ready
    assert "has no champion for churn; train one with ray_apps/train" in service.state().says
    with pytest.raises(NotReady, match="train one"):
        _ = service.loaded
    (said,) = answer_churn(service, [ChurnQuestion(own_shop.keys("m1"))])
    assert isinstance(said, Unavailable)


def test_the_champion_answers_once_there_is_one(own_shop: CornerShop) -> None:
    service = churn(published(own_shop))
    version = own_shop.train_churn()
    service.look_again()
    state = service.state()
    assert (state.is_ready, state.version, state.champion, state.says) == (True, version, version, "")


def test_a_champion_whose_weights_are_not_its_manifests_is_not_loaded_and_the_one_before_goes_on(
    own_shop: CornerShop,
) -> None:
    published(own_shop)
    first = own_shop.train_churn()
    service = churn(own_shop)
    before = service.loaded.score(own_shop.keys(*MEMBER_IDS))
    second = own_shop.train_churn(seed=2)
    own_shop.spoil("churn", second)
    service.look_again()
    state = service.state()
    assert (state.is_ready, state.version, state.champion) == (True, first, second)
    assert "sha256" in state.says
    np.testing.assert_array_equal(service.loaded.score(own_shop.keys(*MEMBER_IDS)), before)


def test_at_start_too_the_version_before_a_spoilt_champion_answers(own_shop: CornerShop) -> None:
    published(own_shop)
    first, second = own_shop.train_churn(), own_shop.train_churn(seed=2)
    own_shop.spoil("churn", second)
    assert churn(own_shop).state().version == first


def baseline_of(shop: CornerShop, champion: str) -> str:
    """A version whose manifest counts it among the baselines that a model was held against."""
    gate = Gate(passed=champion == "model", champion=champion, reasons=("decided",)).model_dump()
    return shop.train_churn(seed=5, baselines={"member_encoder": {"roc_auc": 0.8}}, gate=gate)


def test_a_spoilt_first_model_leaves_its_baseline_in_service(own_shop: CornerShop) -> None:
    published(own_shop)
    baseline = baseline_of(own_shop, champion="model")
    own_shop.spoil("churn", own_shop.train_churn(seed=2))
    state = churn(own_shop).state()
    assert (state.is_ready, state.version) == (True, baseline)


def test_a_model_that_was_chosen_before_comes_before_any_baseline_that_was_not(own_shop: CornerShop) -> None:
    published(own_shop)
    first = own_shop.train_churn()
    baseline_of(own_shop, champion="model")
    own_shop.spoil("churn", own_shop.train_churn(seed=2))
    assert churn(own_shop).state().version == first


def test_a_candidate_that_its_gate_turned_down_never_answers(own_shop: CornerShop) -> None:
    published(own_shop)
    own_shop.train_churn(gate=Gate(passed=False, champion="logistic_regression", reasons=("worse",)).model_dump())
    own_shop.spoil("churn", own_shop.train_churn(seed=2))
    assert not churn(own_shop).state().is_ready


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ({"fingerprint": "0123456789abcdef"}, "was trained on tables of fingerprint 0123456789abcdef"),
        ({"architecture": {"width": 32, "layers": 1, "heads": 2, "intermediate": 16}}, "does not fit its manifest"),
        ({"model": "oracle"}, "no model 'oracle'"),
        ({"inputs": {}}, "does not fit its manifest"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_in_a_sentence(
    own_shop: CornerShop, manifest: dict[str, object], says: str
) -> None:
    published(own_shop)
    own_shop.train_churn(**manifest)
    state = churn(own_shop).state()
    assert not state.is_ready
    assert says in state.says


def test_a_model_that_reads_more_visits_than_the_store_holds_is_refused(own_shop: CornerShop) -> None:
    publish(own_shop.release(), own_shop.store, max_events=4)
    own_shop.train_churn()
    assert "run jobs/publish_members.py --set max_events=16" in churn(own_shop).state().says


def test_members_of_another_contract_leave_the_old_ones_and_their_model_in_service(own_shop: CornerShop) -> None:
    published(own_shop)
    own_shop.train_churn()
    service = churn(own_shop)
    old = service.state().release_id
    own_shop.fingerprint_suffix = "another"
    published(own_shop)
    service.look_again()
    assert service.state().release_id == old
    assert "train it again" in service.state().says


def test_a_process_that_begins_after_the_contract_changed_answers_for_the_members_before(own_shop: CornerShop) -> None:
    """As those do that have run for long: a replica more, or one that died, is no worse than its neighbours."""
    published(own_shop)
    own_shop.train_churn()
    old = churn(own_shop).state().release_id
    own_shop.fingerprint_suffix = "another"
    published(own_shop)
    state = churn(own_shop).state()
    assert (state.is_ready, state.release_id) == (True, old)
    assert "train it again" in state.says


def with_a_newer_champion(shop: CornerShop) -> tuple[InService[LoadedChurn], str, str]:
    """A service that has not looked again since the first version got a successor."""
    published(shop)
    first = shop.train_churn()
    service = churn(shop)
    return service, first, shop.train_churn(seed=2)


def test_a_champion_that_gives_no_numbers_is_not_loaded_and_the_one_before_goes_on(
    own_shop: CornerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, first, second = with_a_newer_champion(own_shop)
    with monkeypatch.context() as patch:
        patch.setattr(LoadedChurn, "score", lambda self, keys: np.full(len(keys), np.nan))
        service.look_again()
    state = service.state()
    assert (state.version, state.champion) == (first, second)
    assert f"version {second} is not loaded: what it says of some members is no number" in state.says


def test_what_was_refused_is_tried_again_after_a_while_only(
    own_shop: CornerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, first, second = with_a_newer_champion(own_shop)
    tried: list[str] = []

    def breaks(self: LoadedChurn) -> None:
        tried.append(self.version)
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(LoadedChurn, "warm_up", breaks)
        for _ in range(3):
            service.look_again()
    assert tried == [second]
    assert "out of memory" in service.state().says
    service.look_again()
    assert service.state().version == first
    monkeypatch.setattr("tenure.serving.loading.REFUSED_FOR_S", 0.0)
    service.look_again()
    assert (service.state().version, service.state().says) == (second, "")


def test_a_changed_row_in_the_store_changes_the_answer(own_shop: CornerShop) -> None:
    published(own_shop)
    own_shop.train_churn()
    service = churn(own_shop)
    keys = own_shop.keys("m3", "m4")
    before = service.loaded.score(keys)
    own_shop.spend_of = {"m3": 5_000_000}
    published(own_shop)
    service.look_again()
    after = service.loaded.score(keys)
    assert after[0] != before[0]
    assert after[1] == pytest.approx(before[1], abs=1e-6)


def test_a_member_scores_the_same_alone_and_among_all(open_shop: CornerShop) -> None:
    loaded = churn(open_shop).loaded
    together = loaded.score(open_shop.keys(*MEMBER_IDS))
    alone = [loaded.score(open_shop.keys(member_id))[0] for member_id in MEMBER_IDS]
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_a_registry_that_does_not_answer_leaves_the_model_in_service(
    open_shop: CornerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = churn(open_shop)

    def down(self: Registry, task: str, alias: str) -> str:
        raise ConnectionError("refused")

    monkeypatch.setattr(Registry, "version", down)
    service.look_again()
    assert service.state().is_ready
    assert "does not answer: refused" in service.state().says


def test_a_history_leaves_out_what_the_model_does_not_know() -> None:
    # Of four products the model knows the second and the third, as its items 1 and 0.
    purchases = Purchases(np.array([0, 2, 2, 4]), np.array([0, 1, 3, 2]), np.array([9, 2, 5, 1]))
    known = in_items(purchases, np.array([-1, 1, 0, -1]))
    assert known.offsets.tolist() == [0, 1, 1, 2]
    assert known.item_index.tolist() == [1, 0]
    assert known.times.tolist() == [2.0, 1.0]


def test_items_carry_the_names_of_the_published_catalogue(open_shop: CornerShop) -> None:
    service = InService(LoadedRecommender, open_shop.registry, open_shop.store)
    service.look_again()
    assert service.loaded.item(3) == {"product_id": "p03", "name": "milk", "category": "drinks"}
