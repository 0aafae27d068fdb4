"""A raw id is found wherever it lies: the search on which the demo's test of privacy stands."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.infra.raw_ids import holding

ID, PATTERN = "M0000001234", r"M\d{10}"
COLUMNS = {
    "text": pa.array(["none", None, f"of {ID}"]),
    "large": pa.array([ID], pa.large_string()),
    "bytes": pa.array([ID.encode()]),
    "dictionary": pa.array(["a", ID, "a"]).dictionary_encode(),
    "list": pa.array([[], [None, ID]]),
    "struct": pa.array([{"number": 1, "deep": [{"id": ID}]}]),
    "key": pa.array([[(ID, 1)]], pa.map_(pa.string(), pa.int64())),
    "item": pa.array([[("a", ID)]], pa.map_(pa.string(), pa.string())),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_an_id_is_found_in_every_kind_of_column(column: str, tmp_path: Path) -> None:
    table = pa.table({"number": pa.array(range(len(COLUMNS[column]))), column: COLUMNS[column]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    assert holding(tmp_path, PATTERN) == ["a.parquet", "b.arrow"]


def test_an_id_is_found_in_logs_databases_and_names_and_nowhere_else(tmp_path: Path) -> None:
    for folder in ("logs", "lake/bronze/raw_orders", "lake/bronze_of_old", f"lake/member={ID}"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "logs/refresh.log").write_text(f"2 rows, as of {ID}\n")
    (tmp_path / "logs/other.log").write_text("M12345 and M 0000001234\n")
    (tmp_path / "logs/old.log.gz").write_bytes(gzip.compress(ID.encode()))
    (tmp_path / "lake/bronze/raw_orders/landed.json").write_text(ID)
    (tmp_path / "lake/bronze_of_old/landed.json").write_text(ID)
    (tmp_path / f"lake/member={ID}/part.json").write_text("{}")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("create table runs (name text)")
        database.execute("insert into runs values (?)", [f"of {ID}"])
    pq.write_table(pa.table({"member_key": [1], "name": ["M1"], "all_null": [None]}), tmp_path / "clean.parquet")
    assert holding(tmp_path, PATTERN, but=["lake/bronze"]) == [
        *("lake/bronze_of_old/landed.json", f"lake/member={ID}/part.json"),
        *("logs/old.log.gz", "logs/refresh.log", "mlflow.db"),
    ]
