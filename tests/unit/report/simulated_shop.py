"""A small simulated shop: twenty-three landed order lines of which the truth is typed by hand, and what became of them.

Members M1 to M4 are the pseudonyms 1 to 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake
from tests.unit.report.conftest import AS_OF, BEFORE, PERSON, write

from tenure.contracts.answers import MEMBER_SCORES, RECOMMENDATIONS
from tenure.contracts.control import CONSERVATION, QUARANTINE, RELEASES, REPLACED
from tenure.contracts.dictionary import SHOP as BARE
from tenure.contracts.gold import interactions, member_days, member_features
from tenure.contracts.silver import MEMBER_IDENTITIES, ORDER_LINES, PRODUCTS
from tenure.contracts.table import Table
from tenure.contracts.truth import TRUE_FAULTS, TRUE_MEMBERS, TRUE_OUTCOMES, TRUE_STATES, TRUE_TASTES
from tenure.lake.layout import bronze_path
from tenure.lake.release import Release, newest_release, shop_to_json
from tenure.lake.schema import arrow

SHOP = replace(BARE, calendar="Europe/Berlin")
IDS = {PERSON: 1, "M2": 2, "M3": 3, "M4": 4}


def landed(export_id: int, *, order: int, units: str = "1", sku: str = "p1", at: str = "10:00:00") -> dict[str, Any]:
    """A line of M1's as the shop exported it, a return of so many ``units`` less than none; ``at`` is UTC, two hours
    before the shop's own time."""
    return {
        "export_id": export_id,
        "order_no": order,
        "member": PERSON,
        "sku": sku,
        "sold_at": f"2026-06-20 {at}.000000Z",
        "units": units,
        "amount": "1.5",
        "is_return": units.startswith("-"),
        "exported_on": date(2026, 6, 20),
    }


# By position. What became of each stands in SILVER, QUARANTINED and DROPPED (of 10, nowhere), what is true in FAULTS.
LANDED = [
    landed(10, order=1, sku="p9"),
    landed(20, order=2, sku="p2"),
    landed(20, order=2, sku="p2"),
    landed(30, order=3, sku="p3"),
    landed(40, order=4, sku="none", at="09:00:00"),
    landed(50, order=5, sku="none", at="11:00:00"),
    landed(60, order=6, units="50"),
    landed(70, order=7, units="5"),
    landed(80, order=8, units="40"),
    landed(90, order=9, sku="p4"),
    landed(100, order=10, sku="p5"),
    landed(110, order=11, sku="p9", at="10:01:00"),
    landed(120, order=12, sku="p4", at="10:03:20"),
    landed(130, order=13, sku="p6", at="01:00:00"),
    landed(140, order=14, sku="p7", at="12:00:00"),
    landed(150, order=15, sku="p8"),
    landed(150, order=15, sku="p8"),
    landed(160, order=16, sku="p10", units="-1"),
    landed(170, order=17, sku="p11", units="-1"),
    landed(170, order=17, sku="p11", units="-1"),
    landed(180, order=18, sku="p12", units="-1"),
    landed(190, order=19, sku="p13", units="-1"),
    landed(200, order=20, sku="none", units="-1"),
]
SILVER = {0: [], 1: [], 5: [], 6: ["quantity_beyond_reason"], 7: [], 8: ["quantity_beyond_reason"], 9: [],
          11: ["near_duplicate"], 12: [], 14: [], 20: []}  # fmt: skip
QUARANTINED = {4: "product_unknown", 13: "clock_wrong", 17: "return_without_sale", 18: "return_without_sale",
               21: "return_without_sale", 22: "product_unknown"}  # fmt: skip
DROPPED = {2: "exact_duplicate", 3: "exact_duplicate", 15: "taken_back_same_day", 16: "exact_duplicate",
           19: "exact_duplicate"}  # fmt: skip
FAULTS = [
    (20, "exact_duplicate", "exact_duplicate", True),
    (150, "exact_duplicate", "exact_duplicate", True),
    (40, "unknown_product", "product_unknown", True),
    (50, "unknown_product", "product_unknown", True),
    (60, "out_of_range", "quantity_beyond_reason", False),
    (70, "out_of_range", "quantity_beyond_reason", False),
    (90, "late_file", "none", False),
    (110, "near_duplicate", "near_duplicate", False),
    (130, "clock_skew", "clock_wrong", False),
    (140, "clock_skew", "clock_wrong", False),
    (160, "return_without_sale", "return_without_sale", True),
    (170, "sale_struck", "none", False),
    (170, "exact_duplicate", "exact_duplicate", True),
    (180, "sale_struck", "none", False),
    (200, "sale_struck", "none", False),
    (200, "unknown_product", "product_unknown", True),
]
STAGES = {
    1: ("loyalty", "loyalty"),
    2: ("retention", "lapsed"),
    3: ("lapsed", "lapsed"),
    4: ("activation", "activation"),
}
CHANCES = {1: 0.8, 2: 0.4, 3: 1.0, 4: 0.0}
BLURRED = {1: 0.6, 2: 0.4, 3: 0.6, 4: 0.4}  # the same chances for who knows less
NO_ORDER = {1: True, 2: False, 3: False, 4: False}  # from BEFORE on; what member 3 bought came back
TASTES = {1: {"DAIRY": 0.75, "BAKERY": 0.25}, 2: {"DAIRY": 0.5, "BAKERY": 0.5}}


def lake(root: str) -> Release:
    places = [{"batch_id": "b1", "batch_no": 1, "position": place} for place in range(len(LANDED))]
    bronze = [{**place, "landed": line} for place, line in zip(places, LANDED, strict=True)]
    write_deltalake(bronze_path(root, "orders"), pa.Table.from_pylist(bronze))
    write(root, ORDER_LINES, *({**places[n], "line_key": n, "flags": flags} for n, flags in SILVER.items()))
    write(root, QUARANTINE, *({**places[n], "table": "raw_orders", "rule": r} for n, r in QUARANTINED.items()))
    write(root, REPLACED, *({**places[n], "table": "raw_orders", "rule": r} for n, r in DROPPED.items()))
    write(root, CONSERVATION, {"table": "raw_orders", "batch_id": "b1", "landed": 23})
    write(root, MEMBER_IDENTITIES, *({"member_id": name, "member_key": key} for name, key in IDS.items()))
    features = member_features(SHOP)
    now = ({"member_key": k, "as_of": AS_OF, "stage": ours} for k, (_, ours) in STAGES.items())
    before = ({"member_key": k, "as_of": BEFORE, "stage": "activation"} for k in STAGES)
    write(root, features, *now, *before)
    write(root, member_days(SHOP), {"member_key": 2, "day": date(2026, 6, 28), "visits": 1})
    products = {"p1": "DAIRY", "p2": "BAKERY"}
    write(
        root,
        PRODUCTS,
        *({"product_id": p, "category": c, "is_recommendable": True, "known_on": BEFORE} for p, c in products.items()),
    )
    bought = ((1, "p1"), (2, "p1"), (2, "p2"))
    write(
        root,
        interactions(SHOP),
        *(
            {"member_key": key, "product_id": item, "times": 1, "day": BEFORE, "known_on": BEFORE}
            for key, item in bought
        ),
    )
    at = {"as_of": AS_OF, "release_id": "r1"}
    write(root, MEMBER_SCORES, {**at, "member_key": 1, "task": "churn", "score": 0.5})
    answered = ((1, False, 1, "p2"), (1, True, 1, "p1"), (1, True, 2, "p2"), (2, True, 1, "p2"))
    names = ("member_key", "include_bought", "rank", "product_id")
    write(root, RECOMMENDATIONS, *({**at, **dict(zip(names, row, strict=True))} for row in answered))
    held = (ORDER_LINES, QUARANTINE, REPLACED, CONSERVATION, MEMBER_IDENTITIES, features, member_days(SHOP), PRODUCTS)
    tables = {table.name: 0 for table in (*held, interactions(SHOP))} | {"raw_orders": 0}
    named = {"release_id": "r1", "source": "simulated", "fingerprint": "f", "code_version": "0.1.0"}
    shop = {"shop": shop_to_json(SHOP), "newest_as_of": AS_OF, "through_batch": 1}
    write(root, RELEASES, {**named, **shop, "tables": tables})
    return newest_release(root)


def truth(folder: Path) -> Path:
    """The truth tables as a simulation writes them, in a folder a day."""
    _tell(folder, TRUE_MEMBERS, BEFORE, [{"member_id": name} for name in IDS])
    names = ("export_id", "fault", "rule", "is_separable")
    faults = [{"table": "raw_orders", "landed_on": BEFORE, **dict(zip(names, row, strict=True))} for row in FAULTS]
    _tell(folder, TRUE_FAULTS, BEFORE, faults[:5])
    _tell(folder, TRUE_FAULTS, AS_OF, faults[5:])
    ids = {key: name for name, key in IDS.items()}
    for day in (BEFORE, AS_OF):
        states = [
            {
                "member_id": ids[key],
                "as_of": day,
                "stage": true,
                "no_order_given_hidden": CHANCES[key],
                "no_order_given_history": BLURRED[key],
            }
            for key, (true, _) in STAGES.items()
        ]
        _tell(folder, TRUE_STATES, day, states)
    outcomes = [{"member_id": ids[key], "as_of": BEFORE, "no_order": no_order} for key, no_order in NO_ORDER.items()]
    _tell(folder, TRUE_OUTCOMES, AS_OF, outcomes)
    tastes = [
        {"member_id": ids[key], "category": category, "share": share}
        for key, shares in TASTES.items()
        for category, share in shares.items()
    ]
    _tell(folder, TRUE_TASTES, BEFORE, tastes)
    return folder


def _tell(folder: Path, table: Table, day: date, rows: list[Mapping[str, Any]]) -> None:
    schema = arrow(table)
    loose = pa.schema([field.with_nullable(True) for field in schema])
    path = folder / table.name / day.isoformat() / "part-00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=loose), path)
