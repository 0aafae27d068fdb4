"""Versions of trained models and the two names that move between them: ``candidate`` and ``champion``.

Kept by MLflow: in an SQLite file with the artifacts below the same folder, or on a server.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from tenure.errors import Busy, TenureError, WrongInput
from tenure.registry.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

Alias = Literal["candidate", "champion"]
ALIASES: tuple[Alias, ...] = ("candidate", "champion")
LOCK_TIMEOUT_S = 60.0
_DECIDES = ("release_id", "code_version", "config", "split")  # what a training comes to
_BUNDLE = "bundle"  # the folder of a run's artifacts that holds the model
_NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class Registry:
    """Models of every task, below a folder or on a server.

    Args:
        root: a folder, made when it is missing, or the ``http(s)://`` URL of an MLflow server.
        cache: where bundles of a server are kept once fetched; by default below ``~/.cache/tenure``.
    """

    def __init__(self, root: str | Path, cache: str | Path | None = None) -> None:
        self.root = str(root)
        self.is_server = self.root.startswith(("http://", "https://"))
        if "://" in self.root and not self.is_server:
            raise WrongInput(f"registry {self.root}: name a folder, or the http(s) URL of an MLflow server")
        digest = hashlib.sha256(self.root.encode()).hexdigest()[:12]
        self._cache = Path(cache) if cache else Path.home() / ".cache" / "tenure" / "registry" / digest
        self._fetched_runs: set[str] = set()
        with self._alone():
            self._client = _client(self._uri)

    @property
    def _uri(self) -> str:
        return self.root if self.is_server else f"sqlite:///{Path(self.root).resolve()}/mlflow.db"

    def register(self, task: str, manifest: Manifest, folder: str | Path) -> str:
        """Stores the bundle in ``folder`` as the newest version of ``task`` and returns that version.

        Raises:
            WrongInput: if the folder's manifest is not ``manifest``, or says another task.
            Refused: if the weights are not the manifest's.
        """
        stored = read_manifest(folder)
        if manifest.model_copy(update={"weights_sha256": stored.weights_sha256}) != stored or stored.task != task:
            raise WrongInput(f"{folder}: its manifest is not the one to register for {task}; write it there first")
        with self._alone():
            return self._register(stored, Path(folder))

    def _register(self, manifest: Manifest, folder: Path) -> str:
        run = self._client.create_run(self._experiment(manifest.task), run_name=f"{manifest.task}-{uuid4().hex[:8]}")
        run_id = run.info.run_id
        for name, metric in manifest.metrics.items():
            self._client.log_metric(run_id, name, metric.value)
        for name in ("model", "release_id", "source", "code_version", "seed"):
            self._client.log_param(run_id, name, getattr(manifest, name))
        if self.is_server:
            self._client.log_artifacts(run_id, str(folder), _BUNDLE)
            source = f"{run.info.artifact_uri}/{_BUNDLE}"
        else:  # MLflow would write where the registry was made, which it may have been moved from
            source = str(shutil.copytree(folder, self._bundle(manifest.task, run_id)).resolve())
        self._client.set_terminated(run_id)
        self._ensure_task(manifest.task)
        version = self._client.create_model_version(
            manifest.task,
            source=source,
            run_id=run_id,
            tags={"model": manifest.model, "release_id": manifest.release_id},
        )
        return str(version.version)

    def set_alias(self, task: str, alias: Alias, version: str, *, before: str | Literal[False] | None = False) -> None:
        """From now on ``alias`` means ``version``.

        Args:
            before: what it must mean until then, None for nothing; False where that is all the same.

        Raises:
            WrongInput: if there is no such version.
            Busy: if ``alias`` means another version than ``before`` by now.
        """
        if version not in self.versions(task):
            raise WrongInput(f"the registry {self.root} holds no version {version} of {task}")
        with self._alone():
            if before is not False and (now := self.version(task, alias)) != before:
                raise Busy(f"version {now} became the {alias} of {task} meanwhile")
            self._client.set_registered_model_alias(task, alias, version)

    def version(self, task: str, alias: Alias) -> str | None:
        """The version that ``alias`` means, or None while it means none."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_model_version_by_alias(task, alias).version)
        except MlflowException as error:
            if error.error_code in _NOT_FOUND:
                return None
            raise

    def versions(self, task: str) -> tuple[str, ...]:
        """Every version of ``task``, oldest first."""
        found: list[int] = []
        token: str | None = None
        while True:
            page = self._client.search_model_versions(f"name = '{task}'", page_token=token)
            found += [int(version.version) for version in page]
            token = page.token
            if not token:
                return tuple(map(str, sorted(found)))

    def trained_as(self, planned: Manifest) -> str | None:
        """The candidate's version where it came of the release, code, settings and split that are planned, and somebody
        answers: training again would only make it again. One that is spoilt is as good as not trained."""
        task = planned.task
        candidate = self.version(task, "candidate")
        if candidate is None or self.version(task, "champion") is None:
            return None
        try:
            found = read_manifest(self.folder(task, candidate))
        except TenureError as error:
            log.warning("version %s of %s is trained again: %s", candidate, task, error)
            return None
        return candidate if all(getattr(found, name) == getattr(planned, name) for name in _DECIDES) else None

    def folder(self, task: str, version_or_alias: str) -> Path:
        """The bundle's folder on this machine, its weights checked against its manifest.

        Raises:
            WrongInput: if there is no such version, or the alias means none yet.
            Refused: if the weights are not the manifest's.
        """
        version = self._resolve(task, version_or_alias)
        found = self._client.get_model_version(task, version)
        if self.is_server:
            return self._fetched(task, str(found.run_id), str(found.source))
        folder = self._bundle(task, str(found.run_id))
        read_manifest(folder)
        return folder

    def _bundle(self, task: str, run_id: str) -> Path:
        """Where a run's bundle lies below a folder. Paths follow it, not what MLflow wrote down: a registry may be
        moved, or restored from a backup at another place."""
        return Path(self.root) / "artifacts" / task / run_id / "artifacts" / _BUNDLE

    def _resolve(self, task: str, version_or_alias: str) -> str:
        if version_or_alias in ALIASES:
            version = self.version(task, version_or_alias)
            if version is None:
                raise WrongInput(
                    f"the registry {self.root} has no {version_or_alias} for {task}; train one with ray_apps/train"
                )
            return version
        if version_or_alias not in self.versions(task):
            raise WrongInput(f"the registry {self.root} holds no version {version_or_alias} of {task}")
        return version_or_alias

    def _fetched(self, task: str, run_id: str, source: str) -> Path:
        """A server's bundle: the copy that is here, or fetched where there is none or it is spoilt.

        Kept by run, not by version: a server whose database was made anew counts versions from one again.
        """
        folder = self._cache / task / run_id
        try:
            read_manifest(folder)
        except TenureError as error:
            # Once: the server's own may be the spoilt one, and serving asks every few seconds.
            if run_id in self._fetched_runs:
                raise
            if folder.is_dir():
                log.warning("%s is fetched again: %s", folder, error)
            self._fetch(source, folder)
            self._fetched_runs.add(run_id)
            read_manifest(folder)
        return folder

    def _fetch(self, source: str, folder: Path) -> None:
        """Brings a bundle into ``folder`` in one step; what is spoilt there gives way, what is whole stays."""
        from mlflow.artifacts import download_artifacts

        part = folder.with_name(f"{folder.name}.{uuid4().hex[:8]}.part")
        part.mkdir(parents=True)
        try:
            got = Path(download_artifacts(artifact_uri=source, dst_path=str(part), tracking_uri=self._uri))
            with _locked(folder.with_name(".lock")):
                if not _is_whole(folder):  # or another process was faster
                    if folder.is_dir():
                        folder.rename(part / "spoilt")
                    got.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _experiment(self, task: str) -> str:
        found = self._client.get_experiment_by_name(task)
        if found is not None:
            return str(found.experiment_id)
        where = None if self.is_server else str(Path(self.root).resolve() / "artifacts" / task)
        with _first_or_second():
            self._client.create_experiment(task, artifact_location=where)
        return self._experiment(task)

    def _ensure_task(self, task: str) -> None:
        with _first_or_second():
            self._client.create_registered_model(task)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One writer a folder: SQLite neither migrates nor numbers versions safely under two. A server does."""
        if self.is_server:
            yield
            return
        root = Path(self.root)
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / ".lock"):
            yield


def _is_whole(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except TenureError:
        return False
    return True


@contextmanager
def _first_or_second() -> Iterator[None]:
    """What is created here may have been created by another process in the same moment."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl

    until = time.monotonic() + LOCK_TIMEOUT_S
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Busy(f"{path.parent} is held by another training; try again when it is done") from None
                time.sleep(0.05)
        yield


def _client(uri: str) -> MlflowClient:
    # MLflow reports its use and sends a ping unless told otherwise; nothing of ours leaves the machine.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.search_registered_models(max_results=1)  # makes the tables, or fails here and not later
    return client
