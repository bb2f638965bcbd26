"""`mixedmodels run`: a program of SAS or R on files."""

from __future__ import annotations

import argparse
import html
import sys
from pathlib import Path
from typing import Any

from ..errors import SpecError

LANGUAGES = {".sas": "sas", ".r": "r"}
LONGEST = 1_000_000
"""Bytes of a program."""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
</head>
<body style="font-family: system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1.5rem;
             overflow-x: auto; color: #1c2430; background: #ffffff">
{body}
</body>
</html>
"""
"""A listing as a page of its own."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("run", help="run a program of SAS or R and print its listing")
    parser.add_argument("program", help="file with the program, .sas or .R")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="data by the name that the program uses: a file, or the name of a data set; may be given several times",
    )
    parser.add_argument("--language", choices=("sas", "r"), help="by default by the ending of the file")
    parser.add_argument("--html", metavar="FILE", help="also write a self-contained page")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Run a program and print its listing; status 1 where a fit did not converge."""
    path = Path(parsed.program)
    language = parsed.language or LANGUAGES.get(path.suffix.lower())
    if language is None:
        raise SpecError(f"{parsed.program}: say the language, --language sas or --language r.")
    listing = _runner(language)(_text(path), data=_data(parsed.data))
    print(listing)
    if parsed.html:
        written = _write_page(listing, path.name, Path(parsed.html))
        print(f"\nListing written to {written}", file=sys.stderr)
    return 0 if all(fit.converged for fit in listing.fits) else 1


def _text(path: Path) -> str:
    if path.is_file() and path.stat().st_size > LONGEST:
        raise SpecError(f"{path}: a program has at most {LONGEST:,} bytes.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path}: byte {error.start} is not UTF-8; save the program as UTF-8 text."
        ) from error


def _runner(language: str) -> Any:
    """Return what runs programs of a language."""
    if language == "r":
        from ..dialects.r.run import r

        return r
    from ..dialects.sas.run import sas

    return sas


def _data(given: list[str]) -> dict[str, Any]:
    """Return data by name."""
    from .fit import read_data

    found: dict[str, Any] = {}
    for argument in given:
        name, sign, file = argument.partition("=")
        if not sign or not name or not file:
            raise SpecError(f"--data {argument}: write --data NAME=FILE, for example --data dent=dent.csv.")
        if name in found:
            raise SpecError(f"--data {name}= is given twice.")
        found[name] = read_data(file)
    return found


def _write_page(listing: Any, title: str, target: Path) -> Path:
    if not target.parent.is_dir():
        raise SpecError(
            f"--html {target}: the folder {str(target.parent)!r} does not exist; create it first."
        )
    target.write_text(PAGE.format(title=html.escape(title), body=listing.to_html()), encoding="utf-8")
    return target
