"""One frozen model per YAML file, with ``--set key=value`` on top."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tenure.errors import WrongInput


class Settings(BaseModel):
    """A frozen group of settings. A field that is itself a ``Settings`` may be given as the path of its YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


S = TypeVar("S", bound=Settings)


def load(model: type[S], path: str | Path, overrides: Sequence[str] = ()) -> S:
    """Settings from a YAML file, with ``overrides`` such as ``env.work=var/demo`` applied.

    Raises:
        WrongInput: naming the file, the key and the nearest known one.
    """
    values = _expanded(model, read_yaml(path))
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise WrongInput(f"--set {override}: write it as key=value")
        _put(model, values, key.strip().split("."), yaml.safe_load(text), override)
    return checked(model, values, where=str(path))


def read_yaml(path: str | Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WrongInput(f"{path}: no such file; name a YAML file below conf/") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WrongInput(f"{path}: not readable as YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise WrongInput(f"{path}: expected 'key: value' lines at the top level")
    return values


def checked(model: type[S], values: Mapping[str, Any], where: str) -> S:
    """``model`` from plain values, or a sentence a line for everything that is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_sentence(model, dict(e)) for e in error.errors()]
        raise WrongInput(f"{where}: " + "; ".join(lines)) from None


def _sentence(model: type[BaseModel], error: dict[str, Any]) -> str:
    path = [str(part) for part in error["loc"]]
    if error["type"] != "extra_forbidden":
        return f"{'.'.join(path)}: {error['msg']}"
    owner: type[BaseModel] | None = model
    for part in path[:-1]:
        owner = _submodel(owner, part) if owner else None
    return _unknown(owner, path)


def _unknown(owner: type[BaseModel] | None, path: Sequence[str]) -> str:
    known = list(owner.model_fields) if owner else []
    near = difflib.get_close_matches(path[-1], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}" if known else ""
    return f"unknown key {'.'.join(path)!r}{hint}"


def _submodel(model: type[BaseModel], field: str) -> type[BaseModel] | None:
    info = model.model_fields.get(field)
    if info is None:
        return None
    for candidate in (info.annotation, *get_args(info.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _expanded(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """The values with every nested settings file read in its place."""
    for field, value in values.items():
        nested = _submodel(model, field)
        if nested is None:
            continue
        if isinstance(value, str):
            value = read_yaml(value)
        if isinstance(value, dict):
            values[field] = _expanded(nested, value)
    return values


def _put(model: type[BaseModel], values: dict[str, Any], path: list[str], value: Any, override: str) -> None:
    owner: type[BaseModel] | None = model
    target = values
    for depth, part in enumerate(path):
        if owner is not None and part not in owner.model_fields:
            raise WrongInput(f"--set {override}: {_unknown(owner, path[: depth + 1])}")
        nested = _submodel(owner, part) if owner else None
        if depth == len(path) - 1:
            if nested is not None and isinstance(value, str):
                value = _expanded(nested, read_yaml(value))
            target[part] = value
            return
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise WrongInput(f"--set {override}: {'.'.join(path[: depth + 1])} is a single value")
        owner = nested
