"""Where things are: storage, Spark, Ray, the registry. One YAML a place under ``conf/env/``."""

from __future__ import annotations

from pydantic import Field

from tenure.config.settings import Settings


class Env(Settings):
    """A place to run in.

    ``work`` is a folder of this machine or of a volume that all hosts see; what is not said lies below it. ``lake``
    may be a URL (``s3a://...``), ``registry`` the URL of an MLflow server or an SQLAlchemy URL.
    """

    work: str = "var/tenure"
    lake: str | None = None
    registry: str | None = None
    secrets: str | None = None  # a folder with one file a secret; TENURE_<NAME> in the environment wins
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
