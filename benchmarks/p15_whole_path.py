"""P15: landing files to features, both models and served scores, against the same by hand.

    python -m benchmarks.p15_whole_path --events 5000000
    make bench-data ONLY=P15

By hand is Polars for the data, a bare torch loop and ``implicit`` for the models, FastAPI for the answers. Two parts
have a goal: the data (``jobs/refresh.py``, landing files to a release, in a warm session) and the training of the churn
network (by the workers' own clock; ``conf/train/churn_smoke.yaml`` with ``loop.patience=100``, on rows that ``prepare``
has looked at, which both sides begin from and which is told apart). Whatever starts once (the JVM, Ray and its
workers, the service) is told apart, and so are the recommender, the scores of everybody and the answers over HTTP.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks import engines, results, simulated_lake, whole_path_serving
from benchmarks.arguments import Arguments, benchmark
from benchmarks.measure import Load, shared
from benchmarks.whole_path_data import PACKAGES, SECRET, Data
from benchmarks.whole_path_trainings import Trainings


def run(arguments: Arguments) -> list[results.Result]:
    os.environ["TENURE_MEMBER_KEY_SECRET"] = SECRET
    landing = simulated_lake.shop(arguments.work, arguments.events)
    folder = arguments.work / "p15"
    spark, start_s = engines.spark(arguments.work)
    data = Data(spark, landing, folder)
    found = data.compared(arguments, start_s)
    engines.end_spark(spark)
    trainings, lines = Trainings(data.lake, data.by_hand.newest, folder / "clocks"), simulated_lake.order_lines(landing)
    found.append(models(trainings, folder, lines, arguments))
    shutil.rmtree(folder)
    return found


def models(trainings: Trainings, folder: Path, lines: int, arguments: Arguments) -> results.Result:
    """Both models trained, and what is served of them."""
    load = Load(arguments.noisy)
    load.before()
    with trainings.cluster():
        compared = trainings.compared(arguments.rounds, load)
        trainings.register()
        served = answers(trainings, folder / "answers", load)
    found = compared | shared(lines, load, PACKAGES) | {"served": served}
    print(results.sentence(found), flush=True)
    return found


def answers(trainings: Trainings, folder: Path, load: Load) -> dict[str, dict[str, float]]:
    """What is served of both. The answers of a side are held against its own batch and not against the other side's:
    each serves the network that it trained itself, ours under chosen weights of the branches and calibrated."""
    ids = whole_path_serving.member_ids(trainings.env.lake_root)
    ours = whole_path_serving.as_ships(trainings.env, ids, load)
    network, bought, factors = trainings.hand
    by_hand = whole_path_serving.by_hand(network, trainings.everybody(), bought, factors, ids, folder, load)
    return {"tenure": ours, "by hand": by_hand}


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "", events=5_000_000)
