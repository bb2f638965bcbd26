"""The procedures: each a function of the session and the step as written."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ...table import Table
from ..listing import Named, Step
from .data_set import DataSet, level_text
from .data_step import run_data_step
from .expressions import ExpressionReader, is_true
from .fitting import Fitted, fit_linear
from .generalised import fit_generalised
from .known_matrices import known_matrices
from .lex import Kind, Token
from .model_statements import Model
from .option_tables import NUMERIC_CONTROL, PROC, PROC_REFUSED
from .options import Options, read_options
from .output import model_tables
from .parms import read_parms_data
from .read_model import read_model
from .statements import RawStep, Reader, Statement
from .to_spec import ask

if TYPE_CHECKING:
    from .run import Session

MOST_GROUPS = 10_000
"""Groups of BY."""


# -- statements between steps ----------------------------------------------------------------------------------
def global_step(session: Session, raw: RawStep) -> list[Step]:
    """Keep ODS OUTPUT for the next step; note the others."""
    return (
        []
        if read_ods(session, raw.head)
        else [Step(raw.head.word.upper(), raw.head.line, notes=(_noted(raw.head),))]
    )


def _noted(statement: Statement) -> str:
    return f"{statement.word.upper()} on line {statement.line} is noted: it changes nothing here"


def read_ods(session: Session, statement: Statement) -> bool:
    """Keep the requests of `ods output name=data …`; return whether the statement is one."""
    reader = statement.reader()
    if statement.word != "ods" or not reader.take_word("output"):
        return False
    while reader:
        token = reader.name("the name of a table")
        if reader.is_mark("("):
            reader.fail("options in parentheses of ODS OUTPUT are not read.")
        if token.word in ("close", "clear", "listing"):
            continue
        reader.mark("=")
        target = _data_name(reader)
        if reader.is_mark("("):
            reader.fail("options of the data set in ODS OUTPUT are not read; use a DATA step after.")
        session.outputs.append((token.text, target, statement))
    return True


def _data_name(reader: Reader) -> str:
    name = reader.name("the name of a data set").text
    if reader.take_mark("."):
        name += "." + reader.name().text
    return name


# -- which data ------------------------------------------------------------------------------------------------
def data_of(session: Session, head: Statement, options: Options) -> tuple[str, DataSet]:
    """Return the data set of `data=`, else the one made last."""
    if "data" not in options:
        if not session.last:
            head.fail("there are no data: give data= to mm.sas, or a DATA step before.")
        return session.last, session.data[session.last]
    option = options["data"]
    reader = option.inner
    name = _data_name(reader)
    found = session.find(name)
    if found is None:
        from ...errors import suggest

        known = ", ".join(session.names()) or "none"
        option.fail(
            f"there is no data set {name!r}.{suggest(name, session.names())} Known: {known}; name it in data=."
        )
    if reader.is_mark("("):
        from .data_options import with_options

        found = with_options(found, reader.inner(reader.group()))
    return name, found


def where(data: DataSet, statement: Statement) -> DataSet:
    """Return the rows for which a WHERE statement holds."""
    reader = statement.reader()
    return keep_where(data, reader)


def keep_where(data: DataSet, reader: Reader) -> DataSet:
    """Return the rows for which the condition in a reader holds."""

    def resolve(token: Token) -> str:
        name = data.name_of(token.text)
        return name if name is not None else reader.fail(f"{token.text!r} is no variable of the data.", token)

    condition = ExpressionReader(reader, resolve).read()
    if reader:
        reader.fail("this does not belong to the condition.")
    names = list(data.columns)
    rows = zip(*(data.columns[name].tolist() for name in names), strict=True)
    return data.take(
        np.array([is_true(condition(dict(zip(names, row, strict=True)))) for row in rows], dtype=bool)
    )


def groups_of(data: DataSet, body: tuple[Statement, ...]) -> Iterator[tuple[str, DataSet]]:
    """Yield the groups of BY with their label; the data alone where there is no BY."""
    found = next((one for one in body if one.word == "by"), None)
    if found is None:
        yield "", data
        return
    reader, names, descending, sorted_ = found.reader(), [], [], True
    while reader:
        if reader.take_word("notsorted"):
            sorted_ = False
            continue
        descending.append(reader.take_word("descending"))
        token = reader.name("a variable")
        name = data.name_of(token.text)
        names.append(
            name if name is not None else reader.fail(f"{token.text!r} is no variable of the data.", token)
        )
    if not names:
        found.fail("BY names variables.")
    keys = list(zip(*(data.columns[name].tolist() for name in names), strict=True))
    runs = [(key, list(rows)) for key, rows in itertools.groupby(range(data.n), key=lambda i: _key(keys[i]))]
    if len(runs) > MOST_GROUPS:
        found.fail(f"BY makes more than {MOST_GROUPS:,} groups.")
    if sorted_ and not _in_order([key for key, _ in runs], descending):
        found.fail(
            f"the data are not sorted by {' '.join(names)}: run proc sort; by {' '.join(names)}; before, or say "
            "notsorted."
        )
    for _, rows in runs:
        values = keys[rows[0]]
        yield (
            " ".join(f"{n}={level_text(v)}" for n, v in zip(names, values, strict=True)),
            data.take(np.array(rows)),
        )


def _key(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(-np.inf if isinstance(v, float) and v != v else v for v in values)


def _in_order(keys: list[tuple[Any, ...]], descending: list[bool]) -> bool:
    for before, after in itertools.pairwise(keys):
        for a, b, down in zip(before, after, descending, strict=True):
            if a != b:
                if (a > b) != down:
                    return False
                break
    return True


# -- procedures for models ---------------------------------------------------------------------------------------
def model_step(procedure: str) -> Callable[[Session, RawStep], list[Step]]:
    """Return the function that runs one of the procedures for mixed models."""

    def run(session: Session, raw: RawStep) -> list[Step]:
        head = raw.head
        known = PROC[procedure]
        options = read_options(head.reader(2), known, PROC_REFUSED, f"PROC {procedure.upper()}")
        name, data = data_of(session, head, options)
        body = tuple(one for one in raw.body if not (one.word == "ods" and read_ods(session, one)))
        notes = [
            _noted(one)
            for one in body
            if one.word.rstrip("0123456789") in ("ods", "title", "footnote", "options")
        ]
        noted = sorted(one for one in options if one in NUMERIC_CONTROL)
        if noted:
            notes.append(
                f"options {', '.join(noted)} of PROC are noted: search and printing are the package's own"
            )
        for one in body:
            if one.word == "where":
                data = where(data, one)
        read = data.n
        steps = []
        for label, group in groups_of(data, body):
            steps.append(
                _model_group(
                    session, replace(raw, body=body), procedure, options, name, group, label, read, notes
                )
            )
        _give_outputs(session, steps)
        return steps

    return run


def _model_group(
    session: Session,
    raw: RawStep,
    procedure: str,
    options: Options,
    name: str,
    data: DataSet,
    label: str,
    read: int,
    notes: list[str],
) -> Step:
    model = read_model(raw, procedure, options, data)
    found = fit_statements(session, model, data)
    read = data.n
    tables = model_tables(found, f"WORK.{name.upper()}", read)
    own = Named({key: _with_by(table, label) for key, table in tables})
    outputs = _outputs(session, found, model)
    title = f"The {procedure.upper()} Procedure" + (f" ({label})" if label else "")
    return Step(title, raw.head.line, (found.fit,), own, (*notes, *model.notes, *outputs))


def fit_statements(session: Session, model: Model, data: DataSet) -> Fitted:
    """Return the fit of a model as the statements of a step say it."""
    data = _usable(model, data)
    asked = ask(model, data)
    known = known_matrices(session, asked)
    read_parms_data(session, asked)
    if model.procedure == "glimmix":
        return fit_generalised(asked, known)
    return fit_linear(asked, known)


def _usable(model: Model, data: DataSet) -> DataSet:
    """Return the rows with a positive weight, each as often as FREQ says."""
    if model.weight:
        values = data.columns[model.weight]
        data = data.take(np.asarray(values > 0, dtype=bool))
    if model.frequency:
        counts = np.nan_to_num(data.columns[model.frequency]).astype(int)
        if counts.sum() > 5_000_000:
            raise model.head.fail("FREQ makes more than 5,000,000 rows.")
        data = data.take(np.repeat(np.arange(data.n), np.maximum(counts, 0)))
    return data


def _with_by(table: Table, label: str) -> Table:
    return table if not label else replace(table, title=f"{table.title} ({label})")


def _outputs(session: Session, found: Fitted, model: Model) -> list[str]:
    """Make the data sets of OUTP=, OUTPM= and OUTPUT, and return notes of them."""
    from .predictions import output_data

    notes = []
    for name, data in output_data(found, model):
        session.put(name, data)
        notes.append(f"the data set {name} has {data.n} rows")
    return notes


def _give_outputs(session: Session, steps: list[Step]) -> None:
    """Keep the tables that ODS OUTPUT asks for as data sets; what no step makes is noted."""
    requests, session.outputs = session.outputs, []
    for name, target, _statement in requests:
        found = [step.tables[name] for step in steps if name in step.tables]
        if not found:
            first = steps[0]
            steps[0] = replace(first, notes=(*first.notes, f"ODS OUTPUT: the step makes no table {name}"))
            continue
        from .data_set import read_data
        from .requests import merge

        one = merge([(name, cast(Table, table)) for table in found])[0][1]
        session.put(
            target, replace(read_data({k: _plain(v) for k, v in one.columns.items()}), backend=one.backend)
        )


def _plain(values: Any) -> Any:
    array = np.asarray(values)
    return array if array.dtype.kind in "fiub" else [str(value) for value in array.tolist()]


# -- other procedures ----------------------------------------------------------------------------------------------
def sort_step(session: Session, raw: RawStep) -> list[Step]:
    """Sort a data set by the variables of BY."""
    known = {
        "data": "data",
        "out": "out",
        "nodupkey": "nodupkey",
        "nodup": "nodupkey",
        "noduprecs": "nodupkey",
    }
    options = read_options(raw.head.reader(2), known, {}, "PROC SORT")
    name, data = data_of(session, raw.head, options)
    target = _data_name(options["out"].inner) if "out" in options else name
    by = next((one for one in raw.body if one.word == "by"), None) or raw.head.fail("PROC SORT needs BY.")
    for one in raw.body:
        if one.word == "where":
            data = where(data, one)
        elif one.word != "by" and one.word not in ("title", "ods", "format", "label"):
            one.fail(f"PROC SORT has no statement {one.tokens[0].text!r} here.")
    reader, order = by.reader(), np.arange(data.n)
    keys = []
    while reader:
        down = reader.take_word("descending")
        token = reader.name("a variable")
        key = data.name_of(token.text)
        keys.append(
            (
                key if key is not None else reader.fail(f"{token.text!r} is no variable of the data.", token),
                down,
            )
        )
    for key, down in reversed(keys):
        values = [_key((v,))[0] for v in data.columns[key].tolist()]
        order = (
            np.array(sorted(order.tolist(), key=lambda i: values[i], reverse=down), dtype=int)
            if data.n
            else order
        )
    result = data.take(order)
    if "nodupkey" in options:
        rows = list(zip(*(result.columns[key].tolist() for key, _ in keys), strict=True))
        result = result.take(
            np.array([i == 0 or rows[i] != rows[i - 1] for i in range(len(rows))], dtype=bool)
        )
    session.put(target, result)
    return [Step("PROC SORT", raw.head.line, notes=(f"{target}: {result.n} rows sorted",))]


def print_step(session: Session, raw: RawStep) -> list[Step]:
    """Print a data set, its first 40 rows."""
    known = dict.fromkeys(("noobs", "label", "n", "split", "double"), "noted") | {
        "data": "data",
        "obs": "obs",
    }
    options = read_options(raw.head.reader(2), known, {}, "PROC PRINT")
    name, data = data_of(session, raw.head, options)
    wanted = list(data.columns)
    for one in raw.body:
        if one.word == "where":
            data = where(data, one)
        elif one.word in ("var", "id"):
            tokens = [t for t in one.tokens[1:] if t.kind is Kind.NAME]
            wanted = [n for t in tokens if (n := data.name_of(t.text)) is not None]
        elif one.word not in ("title", "footnote", "format", "label", "by", "ods"):
            one.fail(f"PROC PRINT has no statement {one.tokens[0].text!r} here.")
    columns = {key: data.columns[key][:40] for key in wanted}
    more = (f"the first 40 of {data.n} rows",) if data.n > 40 else ()
    shown = Table(columns, f"Data Set WORK.{name.upper()}", more, data.backend)
    return [Step("The PRINT Procedure", raw.head.line, tables=Named({"Print": shown}))]


PROCEDURES: dict[str, Callable[[Session, RawStep], list[Step]]] = {
    "global": global_step,
    "data": run_data_step,
    "mixed": model_step("mixed"),
    "hpmixed": model_step("hpmixed"),
    "hplmixed": model_step("hplmixed"),
    "glimmix": model_step("glimmix"),
    "sort": sort_step,
    "print": print_step,
}
