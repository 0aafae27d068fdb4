"""The commands that documents and entry points' docstrings show, and what must hold of each without running it."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.entry_points import ROOT, EntryPoint, entry_points

from tenure.config.settings import load

PROGRAMS = ("make", "python", "spark-submit", "ray", "serve", "bash", "uv", "pytest")
NOT_OURS = (
    ".",
    "curl",
    "sudo",
    "cd",
    "git",
    "export",
    "kubectl",
    "docker",
    "mkdir",
    "TOKEN=$(cat",
    "ruff",
    "pip",
    "tar",
)
_FENCED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    where: str
    line: str

    def __str__(self) -> str:
        return f"{self.where}: {self.line}"


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), *_infra_documents()]


def _infra_documents() -> list[Path]:
    return sorted((ROOT / "infra").rglob("*.md"))


def shown() -> list[Command]:
    """Every command in a document's ``sh`` block or in the docstring of an entry point."""
    found = [
        Command(str(path.relative_to(ROOT)), line)
        for path in documents()
        for block in _FENCED.findall(path.read_text(encoding="utf-8"))
        for line in _joined(block)
    ]
    for path in [*sorted((ROOT / "infra/local").glob("*.py")), *(ROOT / point.path for point in entry_points())]:
        says = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found += [Command(str(path.relative_to(ROOT)), line) for line in _joined(says) if _is_indented_command(line)]
    return [Command(c.where, c.line.strip()) for c in found]


def _joined(block: str) -> list[str]:
    """Lines without comments, a trailing backslash taking the next one in."""
    lines = re.sub(r"\\\n\s*", " ", block).splitlines()
    return [cut for line in lines if (cut := re.sub(r"(^|\s)#.*$", "", line).rstrip())]


def _is_indented_command(line: str) -> bool:
    return line.startswith("    ") and line.split()[0] in PROGRAMS


@dataclass(frozen=True)
class Call:
    """A Python program that a command starts: what python is given to run it, and the options that follow."""

    program: tuple[str, ...]
    options: tuple[str, ...]


def call(command: Command) -> Call | None:
    """The program of ours that a command runs in the end, be it through spark-submit or a Ray job; None for others."""
    words = shlex.split(command.line)
    if words[0] not in ("python", "spark-submit", "ray"):
        return None
    if words[:2] == ["python", "-m"]:
        return Call(("-m", words[2]), _options(words[3:]))
    for place, word in enumerate(words):
        if word.endswith(".py"):
            return Call((word,), _options(words[place + 1 :]))
    return None


def _options(words: list[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word.startswith("--"))


def complaint(command: Command) -> str | None:
    """What is wrong with a command, or None."""
    words = shlex.split(command.line)
    if strangers := [word for word in re.findall(r"dist/[\w./*-]+", command.line) if word not in made_by_dist()]:
        return f"make dist makes no {', '.join(strangers)}"
    if words[0] in NOT_OURS:
        return None
    if words[0] not in PROGRAMS:
        return f"{words[0]!r} is not a program that this test knows"
    if words[0] == "make":
        return _make(words[1:])
    if words[0] == "serve":
        return _serve(words[1:])
    return _script(words)


def made_by_dist() -> set[str]:
    """What ``make dist`` puts into ``dist/``, as documents name it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    script = (ROOT / "infra/local/dist.sh").read_text(encoding="utf-8")
    (extras,) = re.findall(r"^for extra in ([a-z ]+); do", script, re.MULTILINE)
    assert set(extras.split()) <= set(project["optional-dependencies"])
    package = f"dist/{project['name']}-{project['version']}-py3-none-any"
    requirements = {f"dist/requirements/{extra}.txt" for extra in extras.split()}
    return {f"{package}.whl", f"{package}.zip", "dist/jars/*.jar", "dist/entry_points.tar.gz"} | requirements


def _make(words: list[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name, is_variable, value = word.partition("=")
        if is_variable and not re.search(rf"^{name} \?=", makefile, re.MULTILINE):
            return f"the Makefile has no variable {name}"
        if not is_variable and not re.search(rf"^{re.escape(word)}:", makefile, re.MULTILINE):
            return f"the Makefile has no target {word}"
        if value.startswith("conf/") and not (ROOT / value).exists():
            return f"{value} does not exist"
    return None


def _serve(words: list[str]) -> str | None:
    targets = [word for word in words if ":" in word and "=" not in word]
    if not targets:
        return None
    path = targets[0].partition(":")[0].replace(".", "/") + ".py"
    settings = dict(word.split("=", 1) for word in words if "=" in word and not word.startswith("-"))
    return _settings(path, settings.pop("config", None), [f"{k}={v}" for k, v in settings.items()])


def _script(words: list[str]) -> str | None:
    if "-m" in words:
        module = words[words.index("-m") + 1]
        return None if module == "pytest" or find_spec(module) else f"there is no module {module}"
    scripts = [word for word in words[1:] if word.endswith((".py", ".sh")) and "/" in word]
    if not scripts:
        return None
    if not (ROOT / scripts[0]).exists():
        return f"{scripts[0]} does not exist"
    config = words[words.index("--config") + 1] if "--config" in words else None
    return _settings(scripts[0], config, [words[i + 1] for i, word in enumerate(words) if word == "--set"])


def _settings(path: str, config: str | None, overrides: list[str]) -> str | None:
    points: list[EntryPoint] = [point for point in entry_points() if point.path == path]
    if not points:
        return None if (ROOT / path).exists() else f"{path} does not exist"
    load(points[0].model, config or points[0].config, [o for o in overrides if not o.startswith("source=your")])
    return None
