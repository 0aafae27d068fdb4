from __future__ import annotations

from pathlib import Path

import pytest
from tests.visiting_shop import VisitingShop, open_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> VisitingShop:
    """200 members; read only."""
    return open_shop(Path(tmp_path_factory.mktemp("visiting_shop")))
