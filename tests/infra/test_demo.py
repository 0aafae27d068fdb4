"""The whole way, from landing files to the report, for the shop that does not come with the product."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.entry_points import ROOT

from tenure.contracts.silver import MEMBER_IDENTITIES
from tenure.lake.release import newest_release

METRICS = ("roc_auc", "average_precision", "expected_calibration_error")
RANKING = ("hit_rate_at_10", "ndcg_at_10", "recall_at_10")


@pytest.fixture(scope="module")
def retail(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a demo on nine months of Online Retail, with small models."""
    work = tmp_path_factory.mktemp("retail")
    told = subprocess.run(
        [
            *(sys.executable, "infra/local/demo.py", "--source", "conf/sources/online_retail.yaml"),
            *("--data", str(shared_data / "online_retail"), "--work", str(work), "--size", "smoke"),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]
    return work


pytestmark = [pytest.mark.long, pytest.mark.shared_data, pytest.mark.timeout(1800)]


def test_every_table_adds_up(retail: Path) -> None:
    rows = json.loads((retail / "summary.json").read_text())["rows"]
    assert rows["raw_orders"]["landed"] == 320_705
    for counts in rows.values():
        assert counts["landed"] == sum(counts[fate] for fate in ("silver", "duplicates", "quarantined", "netted"))


def test_the_summary_has_every_figure(retail: Path) -> None:
    told = json.loads((retail / "summary.json").read_text())
    assert told["source"] == "online_retail"
    churn, recommender = told["models"]["churn"], told["models"]["recommender"]
    assert all(isinstance(churn["metrics"][name], float) for name in METRICS)
    assert set(churn["baselines"]) == {"recency", "logistic_regression", "lightgbm"}
    assert all(len(churn["minus_lightgbm"][name]) == 2 for name in METRICS[:2])
    assert all(isinstance(recommender["metrics"]["new_items"][name], float) for name in RANKING)
    assert set(recommender["baselines"]["popularity"]) == {"all_items", "new_items"}
    assert "own_favourites" in recommender["baselines"]
    for model in (churn, recommender):
        assert model["gate"]["champion"]
        assert model["version"]
    assert told["serving"]["errors"] == 0
    assert {"refresh", "recommender", "churn", "score", "publish", "serve", "requests"} <= set(told["seconds"])


def test_the_report_names_no_member_of_the_shop(retail: Path) -> None:
    ids = newest_release(str(retail / "lake")).read(MEMBER_IDENTITIES, ["member_id"])["member_id"].to_pylist()
    page = (retail / "report.html").read_text()
    text = re.sub(r"<svg.*?</svg>|<style.*?</style>|style=\"[^\"]*\"", "", page, flags=re.DOTALL)
    assert set(re.findall(r"\b\d{5}\b", text)).isdisjoint(ids)


def test_the_demo_leaves_no_process_behind(retail: Path) -> None:
    assert not (retail / "ray" / "cluster.json").exists()
