"""The product's entry points as tests see them: the file, its settings model and the YAML that it reads by default."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from tenure.config.settings import Settings

ROOT = Path(__file__).parents[1]
FOLDERS = ("jobs", "ray_apps/train", "ray_apps/batch", "ray_apps/serve")
_MODEL = re.compile(r"(?<![.\w])(?:command|load)\(\s*(\w+),")
_CONFIG = re.compile(r'"(conf/[\w/]+\.yaml)"')


@dataclass(frozen=True, kw_only=True)
class EntryPoint:
    path: str  # relative to the root
    model_name: str
    config: str

    @property
    def module(self) -> ModuleType:
        return _imported(self.path)

    @property
    def model(self) -> type[Settings]:
        return getattr(self.module, self.model_name)

    @property
    def configs(self) -> list[str]:
        """The YAML it reads by default, and its smaller edition."""
        smaller = self.config.replace(".yaml", "_smoke.yaml")
        return [self.config, *([smaller] if (ROOT / smaller).exists() else [])]


def entry_points() -> list[EntryPoint]:
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py")) if path.name != "__init__.py"]
    return [point for path in files if (point := _entry_point(path)) is not None]


def _entry_point(path: Path) -> EntryPoint | None:
    text = path.read_text(encoding="utf-8")
    model, config = _MODEL.search(text), _CONFIG.search(text.split('"""', 2)[-1])
    if model is None or config is None:
        return None
    return EntryPoint(path=str(path.relative_to(ROOT)), model_name=model[1], config=config[1])


@cache
def _imported(path: str) -> ModuleType:
    name = f"entry_point_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks its models' modules up
    spec.loader.exec_module(module)
    return module
