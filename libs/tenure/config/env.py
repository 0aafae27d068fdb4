"""Where things are: storage, Spark, Ray, the registry. One YAML a place under ``conf/env/``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from tenure.config.settings import Settings


def _absolute(place: str) -> str:
    return place if "://" in place else str(Path(place).absolute())


# A folder or a URL. A folder is taken from where the command was typed, once: Spark, delta-rs and Ray each have a
# working directory of their own, and Delta takes a relative path for the name of a table.
Place = Annotated[str, AfterValidator(_absolute)]


class Env(Settings):
    """A place to run in.

    ``work`` is a folder of this machine or of a volume that all hosts see; what is not said lies below it. ``lake``
    may be a URL (``s3a://...``), ``registry`` the URL of an MLflow server.
    """

    work: Place = "var/tenure"
    lake: Place | None = None
    registry: Place | None = None
    secrets: Place | None = None  # a folder with one file a secret; TENURE_<NAME> in the environment wins
    spark_master: str = "local[*]"
    spark_conf: dict[str, str] = Field(default_factory=dict)
    driver_memory: str = "4g"
    ray_address: str | None = None  # None: a Ray of this process; "auto": the cluster this machine is part of
    storage_options: dict[str, str] = Field(
        default_factory=dict
    )  # delta-rs options of an object store; credentials come from the environment

    @property
    def lake_root(self) -> str:
        return self.lake or f"{self.work}/lake"

    @property
    def registry_root(self) -> str:
        return self.registry or f"{self.work}/registry"

    @property
    def secrets_folder(self) -> str:
        return self.secrets or f"{self.work}/secrets"

    @property
    def store_folder(self) -> str:
        return f"{self.work}/store"
