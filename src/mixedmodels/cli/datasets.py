"""`mixedmodels datasets`: what comes with the package."""

from __future__ import annotations

import argparse
from typing import Any

from ..table import Table


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("datasets", help="list the data sets that come with the package")
    parser.add_argument("name", nargs="?", help="describe this one")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """List the data sets, or describe one."""
    from .. import datasets

    if parsed.name is None:
        records = [datasets.describe(name) for name in datasets.list()]
        columns = {"name": [r.name for r in records], "rows": [r.rows for r in records]}
        print(Table({**columns, "title": [r.title for r in records]}, "Data sets"))
        return 0
    record = datasets.describe(parsed.name)
    print(f"{record.name}: {record.title}\n{record.rows:,} rows\n")
    print(f"Source   {record.source}\nLicence  {record.licence}\n")
    columns = {"column": [c.name for c in record.columns], "kind": [c.kind for c in record.columns]}
    print(Table({**columns, "meaning": [c.meaning for c in record.columns]}))
    return 0
