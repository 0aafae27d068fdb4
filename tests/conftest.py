"""What several folders of tests share: one Spark session, and the way to data that does not come with the product."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Compiling code, and planning anew while a query runs, cost seconds a query and gain nothing on ten rows; the demo runs
# with Spark's own settings.
FOR_TYPED_ROWS = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
}


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    """One local session for all tests: starting one costs more than most tests."""
    from tenure.config.env import Env
    from tenure.spark.session import session

    env = Env(spark_master="local[2]", driver_memory="2g", spark_conf=FOR_TYPED_ROWS)
    running = session("tests", env)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets, for tests marked ``shared_data``."""
    folder = Path(os.environ.get("TENURE_SHARED_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; name the folder of data sets with TENURE_SHARED_DATA")
    return folder.resolve()
