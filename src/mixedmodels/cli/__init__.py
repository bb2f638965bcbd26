"""The command line: `mixedmodels fit`, `report`, `demo`, `datasets`, `doctor`; one command per file."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from .. import __version__
from ..errors import ConvergenceWarning, MixedModelsError
from .output import prepare

COMMANDS = ("fit", "report", "run", "translate", "demo", "datasets", "doctor")
"""Each a module of this folder with `add(commands)`, which says what it takes and what runs it."""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2 and the message."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, or 2 with one line when the request cannot be met."""
    prepare(sys.stdout, sys.stderr)
    parser = Parser(prog="mixedmodels", description="Linear mixed models from the command line.")
    parser.add_argument("--version", action="version", version=f"mixedmodels {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=Parser)
    for name in COMMANDS:
        import_module(f".{name}", __name__).add(commands)
    parsed = parser.parse_args(arguments)
    # what is printed says it
    warnings.simplefilter("ignore", ConvergenceWarning)
    try:
        status: int = parsed.run(parsed)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("mixedmodels: interrupted", file=sys.stderr)
        return 130
    except MixedModelsError as error:
        return _refused(str(error))
    except OSError as error:
        return _refused(f"{error.filename or 'file'}: {error.strerror or error}")
    except MemoryError:
        return _refused("not enough memory for this model on this machine")
    return status


def _refused(message: str) -> int:
    # what points into a formula stands on lines of its own; here there is one
    print(f"mixedmodels: {' '.join(message.partition(chr(10) * 2)[0].split())}", file=sys.stderr)
    return 2
