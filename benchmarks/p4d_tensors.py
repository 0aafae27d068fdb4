"""P4d: from a release to shuffled batches of training tensors, against a raw PyArrow scan of the same columns.

    python -m benchmarks.p4d_tensors --events 20000000
    make bench-data ONLY=P4d

Ours is what the workers of ``conf/train/churn.yaml``, each a process, do until the network has its inputs: labels,
features and visits of a bucket merged by member, cut at each ``as_of``, encoded, shuffled, in batches, and of each
batch the inputs that the network reads (``Pieces``). The scan decodes the same columns of the same tables, drops the
days that are not trained on, and does nothing with them. Both are told in training rows a second: once for the first
epoch, in which everything is read, and once for as many epochs as that training has. Of these ours has the later ones
from memory (``reading.buckets_in_memory``), and there is a scan for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import pyarrow as pa
import pyarrow.dataset as ds
import torch
from deltalake import DeltaTable
from torch import Tensor

from benchmarks import engines, machine, results, simulated_lake
from benchmarks.arguments import Arguments, benchmark
from benchmarks.gold_build import released
from benchmarks.measure import Peer, Runner, at_least, compare
from benchmarks.scanned_rows import hold_same, of_batches, of_scan
from benchmarks.simulated_lake import SOURCE, Lake, Unequal
from benchmarks.training_workers import Epochs, Workers
from tenure.config.settings import load
from tenure.contracts.gold import LABELS
from tenure.contracts.table import Table
from tenure.lake.layout import table_path
from tenure.models.batch import Batch
from tenure.models.pieces import Pieces
from tenure.training.prepare import Ready, prepare
from tenure.training.settings import FitTask
from tenure.training.shards import Shard

LABEL_COLUMNS = ("member_key", "as_of", "value", "matured_at")


@dataclass(frozen=True)
class Reading:
    """The training rows of a release, as the loop reads them and as Arrow scans them.

    ``start_s`` is what ours does once before: every row is looked at, and the inputs are fitted.
    """

    ready: Ready
    start_s: float

    def shard(self, rank: int = 0, size: int = 1) -> Shard:
        """A worker's share of the buckets, nothing read yet."""
        ready = self.ready
        held = ready.config.reading.buckets_in_memory
        return Shard(reader=ready.reader, inputs=ready.inputs, part="train", rank=rank, size=size, held=held)

    def epochs(self, count: int, rank: int, size: int) -> int:
        """Goes through a worker's batches of so many epochs and makes the network's inputs of each; how many rows they
        had."""
        shard, loop, read, rows = self.shard(rank, size), self.ready.config.loop, self.read_by_network, 0
        for epoch in range(count):
            for batch in shard.batches(seed=self.ready.config.seed, epoch=epoch, batch_rows=loop.batch_rows):
                rows += len(read(batch)[0])
        return rows

    @property
    def read_by_network(self) -> Callable[[Batch], tuple[Tensor, Tensor]]:
        """What makes a batch's inputs as the network does, (N, F) of its rows and (E, F) of their visits."""
        visits = self.ready.inputs.visits
        assert visits is not None
        of_rows, of_visits = self.ready.inputs.pieces(), Pieces(visits.parts)

        def read(batch: Batch) -> tuple[Tensor, Tensor]:
            assert batch.features is not None
            assert batch.visits is not None
            return of_rows(batch.features), of_visits(batch.visits.places)

        return read

    def scans(self, count: int) -> int:
        """Reads the columns so many times; how many labels there were."""
        return sum(self._scan() for _ in range(count))

    def _scan(self) -> int:
        until = self.ready.reader.split.days("train")[1]
        rows = {table.name: self._scanned(table, columns, until) for table, columns in self.columns.items()}
        return rows[LABELS.name]

    def _scanned(self, table: Table, columns: tuple[str, ...], until: object) -> int:
        rows = 0
        for batch in self._dataset(table).to_batches(columns=list(columns), filter=ds.field(_day(table)) <= until):
            rows += batch.num_rows
        return rows

    def _dataset(self, table: Table) -> ds.Dataset:
        """The files of the release, without what delta-rs would do to them."""
        release = self.ready.release
        delta = DeltaTable(table_path(release.root, table), version=release.tables[table.name])
        return ds.dataset(delta.file_uris(), format="parquet")

    @cached_property
    def columns(self) -> dict[Table, tuple[str, ...]]:
        reader = self.ready.reader
        sequence = reader.task.inputs.sequence
        assert sequence is not None
        events = sequence(self.ready.release.shop)
        of_events = tuple(c.name for c in events.columns if c.name not in events.partition_by)
        return {LABELS: LABEL_COLUMNS, reader.features: reader.columns, events: of_events}

    @property
    def rows(self) -> int:
        return self.ready.survey.rows["train"]

    def refuse_unequal(self) -> None:
        """The batches hold every member's label at every ``as_of`` that the scan sees, each once, with the features and
        as many visits as the scanned columns tell."""
        labels, features, events = (self._table(table, columns) for table, columns in self.columns.items())
        if len(labels) != self.rows:
            raise Unequal(f"{self.rows:,} training rows, {len(labels):,} labels scanned")
        batches = self.shard().batches(seed=1, epoch=0, batch_rows=4096)
        hold_same(of_batches(batches), of_scan(labels, features, events, self.ready.inputs))

    def _table(self, table: Table, columns: tuple[str, ...]) -> pa.Table:
        until = self.ready.reader.split.days("train")[1]
        return self._dataset(table).to_table(columns=list(columns), filter=ds.field(_day(table)) <= until)


def _day(table: Table) -> str:
    return "as_of" if "as_of" in table.names else "known_on"


def run(arguments: Arguments) -> list[results.Result]:
    spark, _ = engines.spark(arguments.work)
    lake = released(spark, arguments.work, arguments.events)
    engines.end_spark(spark)
    ready, start_s = engines.started(lambda: prepare(settings(lake)))
    reading = Reading(ready, start_s)
    lines = simulated_lake.order_lines(lake.landing)
    with Workers(partial(worker, lake), ready.config.scale.workers) as workers:
        parts = [measured(reading, workers, count, lines, arguments) for count in (1, epochs_of(reading))]
    return [each for part in parts for each in part]


def worker(lake: Lake, rank: int, size: int) -> Epochs:
    """One of ``size``, which has looked at every row and fitted the inputs as the training does once for all."""
    reading = Reading(prepare(settings(lake)), 0.0)
    torch.set_num_threads(reading.ready.config.scale.threads_per_worker)  # as the loop does
    return partial(reading.epochs, rank=rank, size=size)


def settings(lake: Lake) -> FitTask:
    said = [f"source={SOURCE}", f"source.data={lake.landing}", f"env.work={lake.work}"]
    return load(FitTask, "conf/train/churn.yaml", said)


def epochs_of(reading: Reading) -> int:
    loop = reading.ready.config.loop
    return loop.pretraining_epochs + loop.epochs


def measured(reading: Reading, workers: Workers, epochs: int, lines: int, arguments: Arguments) -> list[results.Result]:
    name = "PyArrow scan" if epochs == 1 else f"PyArrow scans, {epochs} epochs"
    work = float(reading.rows * epochs)
    threads, config = {"threads": machine.cores()}, reading.ready.config
    return compare(
        "P4d",
        Runner(
            name="tensors",
            run=partial(workers.epochs, epochs),
            work=work,
            settings={
                "processes": config.scale.workers,
                "threads of each": config.scale.threads_per_worker,
                "buckets in memory": config.reading.buckets_in_memory,
            },
            start_s=reading.start_s,
        ),
        [
            Peer(
                name=name,
                run=partial(reading.scans, epochs),
                work=work,
                ratio="peer/ours",
                goal=at_least(0.8),
                settings=threads,
            )
        ],
        rounds=arguments.rounds,
        equal=lambda _: reading.refuse_unequal(),
        noisy=arguments.noisy,
        events=lines,
        packages=("pyarrow", "deltalake", "torch"),
        facts=lambda _: {"training_rows": reading.rows, "epochs": epochs},
    )


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "")
