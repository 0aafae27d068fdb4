"""The report's figures for programs: ``summary.json``."""

from __future__ import annotations

from typing import Any

from tenure.report.facts import Facts
from tenure.report.judged import Judged

CHURN_METRICS = ("roc_auc", "average_precision", "expected_calibration_error")
RANKING_METRICS = ("hit_rate_at_10", "ndcg_at_10", "recall_at_10")


def summary(facts: Facts) -> dict[str, Any]:
    """Plain values, ready for ``json.dumps``."""
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
