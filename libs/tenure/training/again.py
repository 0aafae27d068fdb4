"""An equal training is not run again (ADR 15)."""

from __future__ import annotations

from tenure.registry.manifest import Manifest, read_manifest
from tenure.registry.registry import Registry
from tenure.training.clock import say


def trained_before(registry: Registry, planned: Manifest, *, again: bool) -> tuple[str, Manifest] | None:
    """Version and manifest that this very training came to when it was run before; None where it was not, or ``again``
    asks for it."""
    version = None if again else registry.trained_as(planned)
    if version is None:
        return None
    say(
        f"version {version} of {planned.task} came of this release, code, settings and split: nothing to learn; "
        "--again trains"
    )
    return version, read_manifest(registry.folder(planned.task, version))
