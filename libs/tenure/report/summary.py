"""The report's figures for programs: ``summary.json``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tenure.lifecycle.stages import STAGES
from tenure.report.facts import Facts
from tenure.report.judged import Judged
from tenure.report.truth.churn import BestChurn, TrueEvent
from tenure.report.truth.cleaning import JudgedRule
from tenure.report.truth.stages import TrueStages
from tenure.report.truth.tastes import TrueTastes
from tenure.report.truth.truth import Truth

CHURN_METRICS = ("roc_auc", "average_precision", "expected_calibration_error")
RANKING_METRICS = ("hit_rate_at_10", "ndcg_at_10", "recall_at_10")


def summary(facts: Facts) -> dict[str, Any]:
    """Plain values, ready for ``json.dumps``."""
    held = {"truth": _truth(facts.truth)} if facts.truth else {}
    return {
        "source": facts.release.source,
        "release": facts.release.release_id,
        "rows": {
            rows.table: {
                "landed": rows.landed,
                "silver": rows.silver,
                "duplicates": rows.duplicates,
                "quarantined": rows.quarantined,
                "netted": rows.netted,
            }
            for rows in facts.landed.rows
        },
        "models": {"churn": _churn(facts.churn), "recommender": _recommender(facts.recommender)},
        "serving": facts.serving,
        "seconds": facts.seconds,
        **held,
    }


def _churn(model: Judged) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "version": model.version,
        "rows_train": manifest.rows.get("train"),
        "rows_test": manifest.rows.get("test"),
        "metrics": {name: _value(model, name) for name in CHURN_METRICS},
        "baselines": {
            name: {metric: found.get(metric) for metric in CHURN_METRICS[:2]}
            for name, found in manifest.baselines.items()
        },
        "minus_lightgbm": {name: manifest.comparisons["minus_lightgbm"][name] for name in CHURN_METRICS[:2]},
        "gate": _gate(model),
    }


def _recommender(model: Judged) -> dict[str, Any]:
    baselines = model.manifest.baselines
    return {
        "version": model.version,
        "metrics": {
            items: {name: _value(model, f"{items}.{name}") for name in RANKING_METRICS}
            for items in ("all_items", "new_items")
        },
        "baselines": {name: _by_items(found) for name, found in baselines.items()},
        "gate": _gate(model),
    }


def _by_items(metrics: dict[str, float]) -> dict[str, dict[str, float]]:
    """``{"new_items.ndcg_at_10": v}`` as ``{"new_items": {"ndcg_at_10": v}}``."""
    nested: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        items, _, metric = name.rpartition(".")
        nested.setdefault(items, {})[metric] = value
    return nested


def _value(model: Judged, name: str) -> float | None:
    found = model.metric(name)
    return found.value if found else None


def _gate(model: Judged) -> dict[str, Any] | None:
    gate = model.manifest.gate
    return gate.model_dump(mode="json") if gate else None


def _truth(truth: Truth) -> dict[str, Any]:
    """``best_roc_auc`` bounds every model; ``taste_ndcg_at_10`` is of the items that members had not bought before."""
    best, tastes, cleaning, stages = truth.churn, truth.tastes, truth.cleaning, truth.stages
    return {
        "best_roc_auc": best.given_hidden if best else None,
        "cleaning": {rule.rule: _rule(rule) for rule in cleaning.rules} if cleaning else {},
        "stages": _stages(stages) if stages else None,
        "taste_ndcg_at_10": tastes.recommended["new_items"] if tastes else None,
        "churn": _best_churn(best) if best else None,
        "clean_rows": asdict(cleaning.clean) if cleaning else None,
        "tastes": _tastes(tastes) if tastes else None,
    }


def _rule(rule: JudgedRule) -> dict[str, Any]:
    told = {
        "separable": rule.separable,
        "injected": rule.injected,
        "consequences": rule.consequences,
        "false_positives": rule.false_positives,
        "precision": rule.precision,
        "recall": rule.recall,
        "goal_met": rule.is_met,
    }
    overlap = rule.overlap
    if overlap is None:
        return told
    recall, precision = overlap.best_at
    best = {"best_f1": overlap.best, "best_precision": precision, "best_recall": recall}
    return {**told, "f1": rule.f1, **best, "f1_of_best": rule.of_best}


def _best_churn(best: BestChurn) -> dict[str, Any]:
    auc = best.of_model
    return {
        "rows": best.rows,
        "rows_judged": best.of,
        "best_roc_auc_given_history": best.given_history,
        "roc_auc_as_it_went": best.scores,
        "true_event": _true_event(best.event) if best.event else None,
        "reached": None if auc is None else best.reached(auc),
        "reached_given_history": None if auc is None else best.reached(auc, best.given_history),
    }


def _true_event(event: TrueEvent) -> dict[str, Any]:
    """Of the event that the bounds are of, which the label nearly is."""
    return {
        **{name: value for name, value in asdict(event).items() if name != "scores"},
        "differ": event.differ,
        "roc_auc": event.scores,
    }


def _stages(stages: TrueStages) -> dict[str, Any]:
    """``members`` by true stage and then by the one told, where there are any."""
    return {
        "as_of": str(stages.as_of),
        "accuracy": stages.accuracy,
        "members": {
            true: {ours: int(n) for ours, n in zip(STAGES, row, strict=True) if n}
            for true, row in zip(STAGES, stages.members, strict=True)
            if row.sum()
        },
    }


def _tastes(tastes: TrueTastes) -> dict[str, Any]:
    """NDCG@10 by true taste."""
    return {"members": tastes.members, "recommended": tastes.recommended, "popularity": tastes.popular}
