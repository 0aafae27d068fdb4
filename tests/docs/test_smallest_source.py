"""The smallest source of docs/sources.md is one: its lines land and come out clean."""

from __future__ import annotations

import re
from datetime import date

from tests.entry_points import ROOT

import clean
import ingest
from tenure.config.env import Env
from tenure.config.settings import load
from tenure.config.source import Source
from tenure.contracts.silver import ORDER_LINES
from tenure.spark import delta


def shown(language: str) -> str:
    text = (ROOT / "docs/sources.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return found


def test_what_the_document_shows_lands_and_is_cleaned(spark, tmp_path):
    (tmp_path / "my_shop.yaml").write_text(shown("yaml"))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/orders-2026-11.csv").write_text(shown("csv"))
    source = load(Source, tmp_path / "my_shop.yaml", [f"data={tmp_path / 'shop'}"])
    env = Env(work=str(tmp_path))
    assert ingest.run(spark, ingest.Ingest(env=env, source=source))
    clean.run(spark, clean.Clean(env=env, source=source))
    lines = delta.read(spark, env.lake_root, ORDER_LINES).orderBy("order_id", "product_id").collect()
    assert [(line["order_id"], line["product_id"], line["paid_minor"]) for line in lines] == [
        ("1001", "sku-1", 798),
        ("1001", "sku-4", 1250),
        ("1002", "sku-1", 399),
    ]
    assert [line["member_key"] is None for line in lines] == [False, False, True]
    assert {line["day"] for line in lines} == {date(2026, 11, 2)}
