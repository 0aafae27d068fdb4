"""How well the churn model tells who is about to leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tenure.registry.manifest import Interval
from tenure.report import curves, svg
from tenure.report.facts import Facts
from tenure.report.html import card, cards, legend, table
from tenure.report.judged import FEATURES_ONLY, SEQUENCE_ONLY, Branches, Judged, Predictions
from tenure.report.sections.verdict import verdict
from tenure.report.words import count, listed, rank, share, title

ENOUGH_FOUND = 0.02  # share of those who left
SCORERS = {  # who gave a score: how the page calls it, and its colour
    "model": ("our model", "c0"),
    "lightgbm": ("LightGBM", "c1"),
    "logistic_regression": ("logistic regression", "c2"),
    "recency": ("days since last visit", "c3"),
    FEATURES_ONLY: ("our model without the sequence", "c5"),
    SEQUENCE_ONLY: ("its sequence alone", "c4"),
}
SEQUENCE = "sequence"
BRANCHES = {  # what a branch is, and what it reads
    "features": ("factorization machine", "features"),
    "trees": ("soft trees", "features"),
    SEQUENCE: ("BERT", "sequence of visits"),
}


def churn(facts: Facts) -> str:
    model, predicted = facts.churn, facts.predictions
    shop = facts.release.shop
    shown = [who for who in ("recency", "logistic_regression", "lightgbm", "model") if who in predicted.scores]
    base = float(predicted.label.mean())
    return (
        f"<p>A member who came in the last {shop.activity_days} days and stays away for the next {shop.horizon_days} "
        f"has left. The model was judged on <b>{count(len(predicted.label))}</b> such questions from months that it "
        f"had not seen, <b>{share(base, 1)}</b> of which ended that way.{_of_seeds(model)}</p>"
        + verdict(model)
        + cards(
            _curve_card("ROC", predicted, shown, "roc"),
            _curve_card("Precision and recall", predicted, shown, "precision_recall"),
            _curve_card("Gain", predicted, shown, "gain"),
            _reliability_card(predicted, model),
        )
        + '<div class="gap"></div>'
        + cards(
            _scores_card(model, predicted),
            _difference_card(model),
            _unseen_card(predicted),
            _sequence_card(facts.branches),
        )
    )


def _of_seeds(model: Judged) -> str:
    seeds = model.manifest.config.get("seeds", 1)
    if seeds == 1:
        return ""
    return (
        f" Numbers with bounds are means of {seeds} trainings, each with a seed of its own; curves and groups are of "
        "the first one, which is the version that was registered."
    )


def _curve_card(heading: str, predicted: Predictions, shown: Sequence[str], kind: str) -> str:
    drawn = []
    for who in shown:
        curve = _drawn(getattr(curves, kind)(predicted.label, predicted.scores[who]), kind)
        says, css = SCORERS[who]
        drawn.append(svg.Line(name=says, x=curve.x, y=curve.y, css=css))
    x, y, note = _axes_of(kind, predicted)
    frame = svg.Frame(x=x, y=y)
    chart = svg.lines(frame, drawn, diagonal=kind != "precision_recall", says=heading)
    return card(heading, legend(SCORERS[who] for who in reversed(shown)) + chart, note)


def _drawn(curve: curves.Curve, kind: str) -> curves.Curve:
    """Precision among the first few named is chance, so that curve begins where there are enough of them."""
    if kind != "precision_recall":
        return curve
    enough = curve.x >= ENOUGH_FOUND
    return curves.Curve(x=curve.x[enough], y=curve.y[enough])


def _axes_of(kind: str, predicted: Predictions) -> tuple[svg.Axis, svg.Axis, str]:
    label, score = predicted.label, predicted.scores["model"]
    if kind == "roc":
        note = "How many of those who left are found, for how many of those who stayed are bothered."
        return svg.share_axis("of those who stayed"), svg.share_axis(), note
    if kind == "precision_recall":
        note = f"Of those named, how many left. Naming members at random would be right in {share(label.mean(), 1)}."
        return svg.share_axis("of those who left, found"), svg.share_axis(), note
    curve = curves.gain(label, score)
    tenth = float(np.interp(0.1, curve.x, curve.y))
    note = f"The tenth of members with the highest scores holds <b>{share(tenth)}</b> of those who left."
    return svg.share_axis("of members, riskiest first"), svg.share_axis(), note


def _reliability_card(predicted: Predictions, model: Judged) -> str:
    found = curves.reliability(predicted.label, predicted.scores["model"])
    high = max(0.2, float(np.ceil(max(found.score.max(), found.share.max()) * 5) / 5))
    axis = svg.share_axis("probability that the model gave", high=high, step=high / 4)
    frame = svg.Frame(x=axis, y=svg.share_axis(high=high, step=high / 4))
    line = svg.Line(name="our model", x=found.score, y=found.share, css="c0", dots=True)
    error = model.metric("expected_calibration_error")
    note = "Ten groups of equal size: what was promised against what happened."
    if error:
        note += f" On average they are {share(error.value, 1)} apart."
    chart = svg.lines(frame, [line], diagonal=True, says="calibration")
    return card("Calibration", legend([SCORERS["model"]]) + chart, note)


def _scores_card(model: Judged, predicted: Predictions) -> str:
    rows, css = [], []
    metrics = ("roc_auc", "average_precision")
    for who in ("model", "lightgbm", "logistic_regression", "recency"):
        own = who == "model"
        found = {m: model.metric(m) for m in metrics} if own else {}
        cells = []
        for metric in metrics:
            interval = found.get(metric)
            value = interval.value if interval else model.manifest.baselines.get(who, {}).get(metric)
            cells.append(rank(value) + _bounds(interval))
        rows.append((f'<span class="dotted {SCORERS[who][1]}">{SCORERS[who][0]}</span>', *cells))
        css.append("ours" if own else "")
    head = [("", ""), ("ROC AUC", "n"), ("average precision", "n")]
    note = (
        f"Trained on {count(model.manifest.rows.get('train', 0))} questions, judged on "
        f"{count(model.manifest.rows.get('test', 0))}. Intervals: 95 %, members resampled."
    )
    return card("Against the baselines", table(head, rows, css), note)


def _bounds(interval: Interval | None) -> str:
    if interval is None or interval.low is None:
        return ""
    return f"<small>{rank(interval.low)} to {rank(interval.high)}</small>"


def _difference_card(model: Judged) -> str:
    differences = model.manifest.comparisons.get("minus_lightgbm") or {}
    theirs = model.manifest.baselines.get("lightgbm", {})
    rows = []
    for metric, says, css in (("roc_auc", "ROC AUC", "c0"), ("average_precision", "average precision", "c2")):
        bounds, own = differences.get(metric), model.metric(metric)
        if bounds and None not in bounds and own and metric in theirs:
            low, high = bounds
            value = own.value - theirs[metric]
            rows.append(svg.Interval(name=says, value=value, low=low, high=high, css=css))
    if not rows:
        return ""
    reach = max(0.005, *(abs(v) for row in rows for v in (row.low, row.high)))
    step = _tidy(reach / 2)
    ticks = np.arange(-np.ceil(reach / step), np.ceil(reach / step) + 1) * step
    axis = svg.Axis(low=ticks[0], high=ticks[-1], ticks=ticks.tolist(), write=lambda t: f"{t:+.3f}" if t else "0")
    chart = svg.intervals(rows, axis, says="ours minus LightGBM", zero=0.0)
    note = "Both judged on the same rows, members resampled: an interval that holds 0 shows no difference."
    return card("Ours minus LightGBM", chart, note)


def _tidy(about: float) -> float:
    power = 10.0 ** np.floor(np.log10(about))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= about * 0.999))


def _unseen_card(predicted: Predictions) -> str:
    rows = []
    for says, which in (("seen in training", ~predicted.is_unseen), ("never seen in training", predicted.is_unseen)):
        label = predicted.label[which]
        enough = len(label) > 0 and 0 < label.mean() < 1
        cells = [
            rank(curves.roc_auc(label, predicted.scores[who][which])) if enough and who in predicted.scores else "–"
            for who in ("model", "lightgbm")
        ]
        rows.append((says, count(len(label)), share(label.mean(), 1) if len(label) else "–", *cells))
    head = [("members", ""), ("questions", "n"), ("left", "n"), ("ROC AUC, ours", "n"), ("LightGBM", "n")]
    return card("Members it had never met", table(head, rows), "The model knows what members do, not who they are.")


def _sequence_card(branches: Branches) -> str:
    if not branches.weights or SEQUENCE not in branches.weights[0]:
        return ""
    means = " Scores are means over the seeds." if len(branches.weights) > 1 else ""
    return card(
        "What the sequence of visits adds",
        _weights_table(branches.weights) + _with_and_without(branches),
        "Our model is a sum of branches, under the weights that did best on validation. "
        + _sequence_says(branches)
        + means,
    )


def _weights_table(weights: Sequence[Mapping[str, float]]) -> str:
    """A row a branch, a column a seed."""
    seeds = ["weight"] if len(weights) == 1 else ["weight", *(f"seed {n}" for n in range(2, len(weights) + 1))]
    rows = [
        (*BRANCHES.get(name, (title(name), "")), *(rank(of_seed[name], 2) for of_seed in weights))
        for name in weights[0]
    ]
    return table([("branch", ""), ("reads", ""), *((seed, "n") for seed in seeds)], rows)


def _with_and_without(branches: Branches) -> str:
    metrics = ("roc_auc", "average_precision")
    rows = [
        (
            f'<span class="dotted {SCORERS[who][1]}">{SCORERS[who][0]}</span>',
            *(
                rank(found.value if found else None) + _bounds(found)
                for found in map(branches.scores[who].get, metrics)
            ),
        )
        for who in ("model", FEATURES_ONLY, SEQUENCE_ONLY)
        if who in branches.scores
    ]
    return table([("", ""), ("ROC AUC", "n"), ("average precision", "n")], rows) if rows else ""


def _sequence_says(branches: Branches) -> str:
    own, *others = (weights[SEQUENCE] for weights in branches.weights)
    if not own:
        under = [rank(weight, 2) for weight in others if weight]
        seeds = f" (under other seeds {listed(under)})" if under else ""
        return f"Validation gave the sequence <b>no weight</b>{seeds}, so the answer rests on the features."
    if "roc_auc" not in branches.gained:
        return f"The sequence has a weight of {rank(own, 2)}."
    low, high = branches.gained["roc_auc"]
    shows = "no difference" if low <= 0 <= high else "a gain" if low > 0 else "a loss"
    return (
        f"The sequence has a weight of {rank(own, 2)}; with it the ROC AUC moves by {low:+.4f} to {high:+.4f} "
        f"(95 %, members resampled), which shows {shows}."
    )
