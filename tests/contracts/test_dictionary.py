"""The data dictionary says what the contracts say today."""

from __future__ import annotations

from tests.contracts.test_spellings import TABLES
from tests.entry_points import ROOT

from tenure.contracts.dictionary import dictionary
from tenure.contracts.table import Layer


def test_the_committed_dictionary_is_current() -> None:
    assert (ROOT / "docs/data_dictionary.md").read_text(encoding="utf-8") == dictionary(), "run: make dictionary"


def test_every_table_of_the_lake_is_in_it() -> None:
    written = dictionary()
    for table in TABLES:
        assert table.layer is Layer.STORE or f"### {table.name}\n" in written


def test_every_column_says_what_it_means() -> None:
    for table in TABLES:
        for column in table.columns:
            assert column.says, f"{table.name}.{column.name}"
