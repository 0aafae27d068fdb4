"""The thin main of every entry point: arguments, one sentence for an error, the exit code."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tenure.config.settings import Settings, load
from tenure.errors import TenureError

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Flag:
    """A friendlier name for ``--set key=value``; ``alone`` is the value where the flag is given without one."""

    name: str
    key: str
    says: str
    alone: str | None = None


def command(
    model: type[S],
    run: Callable[[S], object],
    *,
    says: str,
    config: str,
    flags: Sequence[Flag] = (),
    argv: Sequence[str] | None = None,
) -> None:
    """Parses ``--config FILE --set key=value``, runs, and exits: 0 done, 2 wrong input, 3 refused, 4 busy.

    ``says`` is the entry point's docstring, which shows the command that runs it. A flag stands before every ``--set``.
    """
    parser = argparse.ArgumentParser(description=says, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=config, metavar="FILE", help=f"settings (default: {config})")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, as in env.work=var/demo"
    )
    for flag in flags:
        parser.add_argument(
            flag.name, dest=flag.key, nargs=None if flag.alone is None else "?", const=flag.alone, help=flag.says
        )
    arguments = parser.parse_args(argv)
    given = [(flag.key, getattr(arguments, flag.key)) for flag in flags]
    overrides = [f"{key}={value}" for key, value in given if value is not None] + arguments.set
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        run(load(model, arguments.config, overrides))
    except TenureError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
