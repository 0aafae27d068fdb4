from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import BertConfig, BertModel

from tenure.contracts.gold import AS_OF, BUCKET
from tenure.contracts.silver import MEMBER_KEY
from tenure.contracts.table import Column, Has, Kind, Layer, Table
from tenure.errors import Refused, WrongInput
from tenure.models.build import build
from tenure.models.calibration import Calibration
from tenure.models.inputs import Inputs, fit_inputs
from tenure.models.interactions import FactorizationMachine
from tenure.models.rows import MemberRows, offsets_of
from tenure.models.scorer import load_scorer, save_weights
from tenure.models.visit_encoder import ROUND_TO, pack
from tenure.registry.manifest import WEIGHTS_FILE, Manifest, write_manifest

FEATURES = Table(
    name="member_features",
    layer=Layer.GOLD,
    says="",
    key=("member_key", "as_of"),
    columns=(
        BUCKET,
        MEMBER_KEY,
        AS_OF,
        Column(name="visits_28d", kind=Kind.COUNT, says=""),
        Column(name="mean_gap_days", kind=Kind.NUMBER, says="", nullable=True),
        Column(name="stage", kind=Kind.TEXT, says=""),
        Column(name="age_band", kind=Kind.TEXT, says="", nullable=True, needs=Has.DEMOGRAPHICS),
        Column(name="bits", kind=Kind.BITS, says=""),
    ),
    partition_by=("bucket",),
)
SMALL = {"width": 8, "layers": 1, "heads": 2, "intermediate": 8, "rank": 2}


def rows(count: int = 60, seed: int = 0) -> MemberRows:
    """Members with 0 to 9 visits each."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 10, count)
    as_of = date(2026, 6, 1)
    days = [as_of - timedelta(days=int(ago)) for n in lengths for ago in sorted(rng.integers(1, 90, n), reverse=True)]
    visits = len(days)
    features = pa.table(
        {
            "member_key": pa.array(np.arange(count)),
            "as_of": pa.array([as_of] * count, pa.date32()),
            "visits_28d": pa.array(rng.integers(0, 20, count)),
            "mean_gap_days": pa.array([None if n < 2 else float(n) for n in lengths], pa.float64()),
            "stage": pa.array(rng.choice(["loyalty", "retention", "lapsed"], count)),
            "age_band": pa.array([None] * count, pa.string()),
            "bits": pa.array(np.zeros(count, int)),
        }
    )
    events = pa.table(
        {
            "day": pa.array(days, pa.date32()),
            "spend_minor": pa.array(rng.integers(0, 5000, visits)),
            "discount_minor": pa.array(rng.integers(0, 500, visits)),
            "coupon_minor": pa.array(rng.integers(0, 50, visits)),
            "lines": pa.array(rng.integers(1, 9, visits)),
            "baskets": pa.array(rng.integers(1, 3, visits)),
            "hour": pa.array(rng.integers(8, 20, visits)),
            "categories": pa.array([["bakery", "drinks"][: 1 + n % 2] for n in range(visits)]),
            "category_shares": pa.array([[0.5, 0.5][: 1 + n % 2] for n in range(visits)]),
        }
    )
    return MemberRows(features, events, offsets_of(lengths))


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return fit_inputs(rows(), FEATURES, lacks=(Has.DEMOGRAPHICS,), bins=4, max_events=6)


def network(inputs: Inputs):
    torch.manual_seed(0)
    return build("member_encoder", SMALL, inputs).eval()


def test_columns_that_no_model_may_read_are_named_with_the_reason(inputs: Inputs):
    assert inputs.feature_columns == ("visits_28d", "mean_gap_days", "stage")
    assert inputs.unused == {"age_band": "the source lacks demographics", "bits": "a bits is no number and no word"}


def test_parts_of_tokens_that_need_what_is_lacking_are_left_out():
    fitted = fit_inputs(rows(), FEATURES, lacks=(Has.HOURS, Has.DISCOUNTS, Has.CATEGORIES), max_events=6)
    assert not {"hour", "discount_share"} & {part.name for part in fitted.visits.parts}
    assert fitted.visits.categories == ()
    assert torch.isfinite(network(fitted)(fitted.batch(rows())).logit).all()


def test_inputs_survive_the_manifest(inputs: Inputs):
    again = Inputs.model_validate_json(inputs.model_dump_json())
    assert is_same(again.batch(rows()).features, inputs.batch(rows()).features)
    assert again == inputs


def test_a_sequence_is_cut_to_the_last_visits(inputs: Inputs):
    lengths = np.diff(rows().offsets)
    assert inputs.batch(rows()).visits.lengths.tolist() == np.minimum(lengths, 6).tolist()


@pytest.mark.parametrize("chosen", [np.repeat(np.arange(60), 3), np.array([5, 5, 3])], ids=["more than held", "few"])
def test_a_visit_held_once_is_encoded_as_if_it_lay_wherever_it_is_seen(inputs: Inputs, chosen: np.ndarray):
    taken = rows().take(chosen)
    apart = MemberRows(taken.features, taken.events, taken.offsets)
    found, wanted = (vars(inputs.batch(each).visits) for each in (taken, apart))
    assert [name for name in wanted if not is_same(found[name], wanted[name])] == []


def is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit by bit, and missing where the other is."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def test_a_row_is_encoded_alone_as_among_others(inputs: Inputs):
    together = inputs.batch(rows()).visits
    for place in range(len(rows())):
        alone = inputs.batch(rows().take(np.array([place]))).visits
        of_row = slice(*together.offsets[place : place + 2].tolist())
        assert is_same(alone.places, together.places[of_row])


def test_a_visit_does_not_know_the_one_of_the_row_before(inputs: Inputs):
    alone, among = inputs.batch(rows().take(np.array([7]))), inputs.batch(rows())
    start, end = among.visits.offsets[7:9].tolist()
    assert is_same(alone.visits.places, among.visits.places[start:end])


def test_the_parts_of_a_batch_are_the_batches_of_their_rows(inputs: Inputs):
    whole = inputs.batch(rows()).with_labels(torch.arange(60.0))
    sizes = [7, 1, 52]
    for part, chosen in zip(whole.cut(sizes), np.split(np.arange(60), np.cumsum(sizes)[:-1]), strict=True):
        direct = whole.take(torch.from_numpy(chosen))
        assert torch.equal(part.ids, direct.ids)
        assert torch.equal(part.labels, direct.labels)
        assert is_same(part.features, direct.features)
        for name, found in vars(part.visits).items():
            assert is_same(found, getattr(direct.visits, name)), name


def test_taking_rows_of_a_batch_is_the_batch_of_those_rows(inputs: Inputs):
    chosen = np.array([5, 0, 33])
    taken, direct = inputs.batch(rows()).take(torch.from_numpy(chosen)), inputs.batch(rows().take(chosen))
    assert is_same(taken.features, direct.features)
    for name, found in vars(taken.visits).items():
        assert is_same(found, getattr(direct.visits, name))


@pytest.mark.smoke
def test_a_row_scores_alike_alone_and_among_others(inputs: Inputs):
    model = network(inputs)
    with torch.inference_mode():
        together = model(inputs.batch(rows())).logit
        alone = torch.cat([model(inputs.batch(rows().take(np.array([i])))).logit for i in range(60)])
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=0)


def test_packed_rows_say_what_bert_says_of_each_row_alone(inputs: Inputs):
    """Against ``transformers``' own attention of one row at a time, without a mask: values and gradients."""
    encoder = network(inputs).branches["sequence"].encoder
    alone = BertModel(BertConfig(**encoder.bert.config.to_diff_dict()), add_pooling_layer=False)
    alone.load_state_dict(encoder.bert.state_dict())
    visits = inputs.batch(rows()).visits
    cls, events = encoder(visits)
    tokens = encoder.tokens(visits).split(visits.lengths.tolist())
    laid = [torch.cat([encoder.first[None], row.flip(0)]) for row in tokens]
    said = [alone.eval()(inputs_embeds=row[None]).last_hidden_state[0] for row in laid]
    torch.testing.assert_close(cls, torch.stack([row[0] for row in said]), atol=1e-6, rtol=0)
    torch.testing.assert_close(events, torch.cat([row[1:].flip(0) for row in said]), atol=1e-6, rtol=0)
    weights = torch.randn(events.shape)
    gradient = torch.autograd.grad((events * weights).sum() + cls.sum(), encoder.parts.weight, retain_graph=True)
    one_by_one = torch.cat([row[1:].flip(0) for row in said])
    expected = torch.autograd.grad(
        (one_by_one * weights).sum() + sum(row[0].sum() for row in said), encoder.parts.weight
    )
    torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-4)


def test_few_places_are_filled_up(inputs: Inputs):
    visits = inputs.batch(rows()).visits
    packed = pack(visits, inputs.visits.max_events + 1)
    assert int(packed.is_token.sum()) == len(visits.places) + len(visits.lengths)
    assert len(packed.positions) == sum(group.rows * group.places for group in packed.groups)
    assert len(packed.positions) - int(packed.is_token.sum()) < ROUND_TO * len(visits.lengths)
    assert sorted(packed.cls.tolist() + packed.events.tolist()) == packed.is_token.nonzero()[:, 0].tolist()


def test_a_changed_visit_changes_the_score(inputs: Inputs):
    changed = rows()
    place = changed.events.column_names.index("spend_minor")
    more = pa.array(changed.events["spend_minor"].to_numpy() + 4000)
    changed = MemberRows(changed.features, changed.events.set_column(place, "spend_minor", more), changed.offsets)
    model = network(inputs)
    difference = (model(inputs.batch(rows())).logit - model(inputs.batch(changed)).logit).abs()
    has_visit = torch.from_numpy(np.diff(rows().offsets) > 0)
    assert (difference[has_visit] > 0).all()
    assert (difference[~has_visit] == 0).all()


def test_each_branch_has_a_gradient_of_its_own(inputs: Inputs):
    model = network(inputs)
    outputs = model(inputs.batch(rows()))
    outputs.branches["features"].sum().backward()
    assert all(p.grad is None for p in model.branches["sequence"].parameters())
    assert model.branches["features"].out.weight.grad.abs().sum() > 0


def test_pre_training_learns_the_encoder_and_no_label(inputs: Inputs):
    model = network(inputs)
    batch = inputs.batch(rows())
    torch.manual_seed(0)
    losses = model.pretraining()(batch)
    losses.sum().backward()
    assert losses.shape == (60,)
    assert (losses[batch.visits.lengths == 0] == 0).all()
    assert model.branches["sequence"].encoder.parts.weight.grad.abs().sum() > 0
    assert model.branches["sequence"].out.weight.grad is None


def test_branches_without_the_sequence_are_told_apart(inputs: Inputs):
    assert network(inputs).without_sequence == ("features", "trees")
    assert build("member_encoder", {**SMALL, "trees": 0}, inputs).without_sequence == ("features",)


def test_pairs_are_summed_as_if_each_was_multiplied_out(inputs: Inputs):
    torch.manual_seed(0)
    machine = FactorizationMachine(3, rank=2)
    torch.nn.init.normal_(machine.pairs)
    batch = inputs.batch(rows().take(np.array([0, 1])))
    x = torch.tensor([[1.0, 2, 3], [0, 1, 1]])
    said = machine(type(batch)(batch.ids, encoded=x))
    v = machine.pairs
    by_hand = [sum((v[i] @ v[j]) * r[i] * r[j] for i in range(3) for j in range(i + 1, 3)) for r in x]
    torch.testing.assert_close(said, torch.stack(by_hand))


def test_an_unknown_model_or_setting_is_wrong_input(inputs: Inputs):
    with pytest.raises(WrongInput, match="no model 'member_decoder'; there are logistic_regression, member_encoder"):
        build("member_decoder", {}, inputs)
    with pytest.raises(WrongInput, match="did you mean 'layers'"):
        build("member_encoder", {"layer": 2}, inputs)


@pytest.fixture
def bundle(inputs: Inputs, tmp_path: Path) -> Path:
    save_weights(network(inputs).state_dict(), tmp_path)
    write_manifest(tmp_path, manifest(inputs))
    return tmp_path


def manifest(inputs: Inputs, **changes: object) -> Manifest:
    return Manifest(
        **{
            "task": "churn",
            "model": "member_encoder",
            "architecture": SMALL,
            "inputs": inputs.model_dump(mode="json"),
            "calibration": Calibration(slope=2.0).model_dump(),
            "release_id": "r",
            "source": "s",
            "fingerprint": "f",
            "code_version": "0",
            "seed": 0,
            "created_at": datetime(2026, 11, 23, tzinfo=UTC),
            **changes,
        }
    )


def test_a_bundle_scores_as_the_network_it_was_made_of(bundle: Path, inputs: Inputs):
    said = load_scorer(bundle).score(rows())
    with torch.inference_mode():
        logits = network(inputs)(inputs.batch(rows())).logit.numpy()
    np.testing.assert_allclose(said, 1 / (1 + np.exp(-2.0 * logits)), atol=1e-6)
    assert len(load_scorer(bundle).score(rows().take(np.zeros(0, int)))) == 0


def test_weights_of_another_architecture_are_refused(bundle: Path, inputs: Inputs):
    write_manifest(bundle, manifest(inputs, architecture={**SMALL, "width": 16}))
    with pytest.raises(Refused, match="does not fit its manifest"):
        load_scorer(bundle)


def test_weights_that_changed_are_refused(bundle: Path):
    weights = bundle / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(Refused):
        load_scorer(bundle)


def test_rows_without_a_column_of_training_are_refused_by_its_name(bundle: Path):
    short = rows()
    short = MemberRows(short.features.drop_columns(["visits_28d"]), short.events, short.offsets)
    with pytest.raises(Refused, match="member_features lacks visits_28d"):
        load_scorer(bundle).score(short)
