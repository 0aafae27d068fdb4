"""One small shop that is open, for tests that only look; those that change something open one of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.corner_shop import CornerShop, opened


@pytest.fixture(scope="session")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> CornerShop:
    return opened(tmp_path_factory.mktemp("corner_shop"))


@pytest.fixture
def own_shop(tmp_path: Path) -> CornerShop:
    """Secrets and a released lake; no model and no store yet."""
    return opened(tmp_path, models=False, publish=False)
