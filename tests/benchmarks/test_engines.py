"""What the sides run on."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

from benchmarks import engines
from benchmarks.engines import ALIKE, AS_SHIPPED_BY_SPARK, Started
from pyspark import SparkContext

from tenure.spark.session import EVERYWHERE, ON_ONE_MACHINE

FOR_THE_JVM = ("spark.sql.extensions", "spark.sql.catalog.spark_catalog")  # Delta's; no session can be without


def test_an_engine_comes_with_the_seconds_until_it_was_there():
    def make():
        time.sleep(0.05)
        return "engine"

    engine, start_s = engines.started(make)
    assert engine == "engine"
    assert start_s >= 0.05


def test_the_plain_session_has_none_of_our_settings_but_those_that_both_read_alike_by(spark):
    beside = engines.plain_spark(Started(spark, 2.0))
    assert beside.start_s > 2.0
    assert {key: beside.engine.conf.get(key) for key in AS_SHIPPED_BY_SPARK} == AS_SHIPPED_BY_SPARK
    assert {key: beside.engine.conf.get(key) for key in ALIKE} == {key: EVERYWHERE[key] for key in ALIKE}
    assert spark.conf.get("spark.sql.inMemoryColumnarStorage.compressed") == "false"


def test_every_setting_of_our_session_is_known_to_be_spark_s_own_in_the_plain_one_or_needed_by_both():
    ours = {key for key in EVERYWHERE | ON_ONE_MACHINE if key.startswith("spark.sql.")}
    assert ours == {*AS_SHIPPED_BY_SPARK, *ALIKE, *FOR_THE_JVM}


def test_a_session_that_is_ended_leaves_no_process_and_nothing_for_the_next_one_to_talk_to(monkeypatch):
    calls = []
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as jvm:
        gateway = SimpleNamespace(proc=jvm, shutdown=lambda: calls.append("shutdown"))
        monkeypatch.setattr(SparkContext, "_gateway", gateway)
        monkeypatch.setattr(SparkContext, "_jvm", gateway)
        context = SimpleNamespace(_gateway=gateway)
        engines.end_spark(SimpleNamespace(sparkContext=context, stop=lambda: calls.append("stop")))
        assert jvm.poll() is not None
    assert calls == ["stop", "shutdown"]
    assert (SparkContext._gateway, SparkContext._jvm) == (None, None)
