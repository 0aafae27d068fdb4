"""One frozen model per YAML file, with ``--set key=value`` on top."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

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
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise WrongInput(f"--set {override}: the value is no YAML ({_reason(error)}); put it in quotes") from None
        _put(model, values, key.strip().split("."), value, override)
    return checked(model, values, where=str(path))


def read_yaml(path: str | Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WrongInput(f"{path}: no such file; name a YAML file below conf/") from None
    except IsADirectoryError:
        raise WrongInput(f"{path} is a folder; name a YAML file, as those below conf/") from None
    except OSError as error:
        raise WrongInput(f"{path}: cannot be read ({error.strerror}); name a YAML file that you may read") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WrongInput(f"{path}: not readable as YAML: {_reason(error)}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise WrongInput(f"{path}: expected 'key: value' lines at the top level")
    return values


def _reason(error: Exception) -> str:
    """PyYAML quotes the text over several lines; a sentence has one."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def checked(model: type[S], values: Mapping[str, Any], where: str) -> S:
    """``model`` from plain values, or a sentence for everything that is wrong.

    A misspelt key is told alone: that the key it was meant to be is missing follows from it.
    """
    if unknown := [_unknown(owner, path) for owner, path in _unknown_keys(model, values, ())]:
        raise WrongInput(f"{where}: " + "; ".join(unknown))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        told = (_sentence(model, values, dict(e)) for e in error.errors())
        raise WrongInput(f"{where}: " + "; ".join(dict.fromkeys(filter(None, told)))) from None


def _unknown_keys(shape: Any, value: Any, path: tuple[str, ...]) -> Iterator[tuple[type[BaseModel], tuple[str, ...]]]:
    """Every key that its group of settings does not have, with that group, however deep it lies."""
    model = _model(shape, value)
    if model is not None and isinstance(value, Mapping):
        unknown = [key for key in value if key not in model.model_fields]
        yield from ((model, (*path, str(key))) for key in unknown)
    for key, inner in _parts(value):
        if (within := _within(shape, value, key)) is not None:
            yield from _unknown_keys(within, inner, (*path, str(key)))


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def _sentence(model: type[BaseModel], values: Mapping[str, Any], error: dict[str, Any]) -> str | None:
    """What one of pydantic's errors says; None where it is about a kind of settings that was not meant."""
    shape: Any = model
    value: Any = values
    path: list[str] = []
    for part in error["loc"]:
        if _is_choice(shape) and part in {one.__name__ for one in _models(shape)}:
            chosen = _model(shape, value)
            if chosen is not None and part != chosen.__name__:
                return None
            continue  # pydantic names the kind; no key is called so
        path.append(str(part))
        within, value = _within(shape, value, part), _at(value, part)
        shape = within
    cause = error.get("ctx", {}).get("error")
    message = str(cause) if isinstance(cause, ValueError) else error["msg"]
    return f"{'.'.join(path)}: {message}" if path else message


def _at(value: Any, part: Any) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None


def _unknown(owner: type[BaseModel] | None, path: Sequence[str], known: Sequence[str] = ()) -> str:
    known = list(owner.model_fields) if owner else list(known)
    near = [".".join([*path[:-1], one]) for one in difflib.get_close_matches(path[-1], known, n=1)]
    hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}" if known else ""
    return f"unknown key {'.'.join(path)!r}{hint}"


# What a value may look like is told by the field's annotation: a group of settings, several kinds of groups to choose
# from, a tuple or a dict of groups, or something plain.


def _alternatives(shape: Any) -> list[Any]:
    if get_origin(shape) is Annotated:
        return _alternatives(get_args(shape)[0])
    if get_origin(shape) in (Union, types.UnionType):
        return [one for part in get_args(shape) for one in _alternatives(part)]
    return [shape]


def _models(shape: Any) -> list[type[BaseModel]]:
    return [one for one in _alternatives(shape) if isinstance(one, type) and issubclass(one, BaseModel)]


def _is_choice(shape: Any) -> bool:
    return len(_models(shape)) > 1


def _model(shape: Any, value: Any) -> type[BaseModel] | None:
    """The group of settings that a value is; of several kinds the one that its keys fit best, misspelt ones too."""
    models = _models(shape)
    if len(models) < 2 or not isinstance(value, Mapping):
        return models[0] if models else None

    def fit(model: type[BaseModel]) -> float:
        known = list(model.model_fields)
        exact = {str(key) for key in value if key in known}
        near = {one for key in value for one in difflib.get_close_matches(str(key), known, n=1)}
        required = {name for name, field in model.model_fields.items() if field.is_required()}
        return len(exact) + 0.9 * len(near - exact) - 0.5 * len(required - exact - near)

    return max(models, key=fit)


def _within(shape: Any, value: Any, key: Any) -> Any:
    """The shape of what lies under ``key``; None where nothing is known of it."""
    model = _model(shape, value)
    if model is not None:
        info = model.model_fields.get(key) if isinstance(key, str) else None
        return info.annotation if info else None
    for one in _alternatives(shape):
        arguments = get_args(one)
        if get_origin(one) is dict and isinstance(key, str):
            return arguments[1]
        if get_origin(one) in (tuple, list) and isinstance(key, int):
            return arguments[0] if len(arguments) == 1 or arguments[-1] is Ellipsis else arguments[key]
    return None


def _expanded(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """The values with every nested settings file read in its place."""
    for field, value in values.items():
        nested = _model(_within(model, values, field), value)
        if nested is None:
            continue
        if isinstance(value, str):
            value = read_yaml(value)
        if isinstance(value, dict):
            values[field] = _expanded(nested, value)
    return values


def _put(model: type[BaseModel], values: dict[str, Any], path: list[str], value: Any, override: str) -> None:
    """Puts a value where ``path`` leads: through groups, dicts by name and tuples by place."""
    shape: Any = model
    target: Any = values
    for depth in range(len(path)):
        if _is_of_texts(shape):  # Spark's own settings have dots in their names, and true is a text there
            target[".".join(path[depth:])] = override.partition("=")[2]
            return
        if depth == len(path) - 1:
            break
        key = _key(shape, target, path[: depth + 1], override)
        if isinstance(target, dict) and key not in target:
            if _model(shape, target) is None and _models(_within(shape, target, key)):
                unknown = _unknown(None, path[: depth + 1], list(target))
                raise WrongInput(f"--set {override}: {unknown}")  # a part of something that is not there
            target[key] = {}
        shape, target = _within(shape, target, key), target[key]
        if not isinstance(target, dict | list):
            raise WrongInput(f"--set {override}: {'.'.join(path[: depth + 1])} is a single value")
    key = _key(shape, target, path, override)
    within = _within(shape, target, key)
    nested = _model(within, value)
    if nested is not None and isinstance(value, str):
        value = _expanded(nested, read_yaml(value))
    target[key] = value


def _is_of_texts(shape: Any) -> bool:
    return any(get_origin(one) is dict and get_args(one)[1] is str for one in _alternatives(shape))


def _key(shape: Any, target: Any, path: Sequence[str], override: str) -> str | int:
    """The last part of the path as a key of ``target``."""
    part = path[-1]
    if isinstance(target, list):
        if part.isdecimal() and int(part) < len(target):
            return int(part)
        raise WrongInput(f"--set {override}: {'.'.join(path)!r} is none of the places 0 to {len(target) - 1}")
    model = _model(shape, target)
    if model is not None and part not in model.model_fields:
        raise WrongInput(f"--set {override}: {_unknown(model, path)}")
    return part
