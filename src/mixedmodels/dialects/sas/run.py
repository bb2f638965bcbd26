"""`mm.sas`: a program read and run, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import DataError, SpecError, suggest
from ..listing import Listing, Named, Step
from .data_set import DataSet, read_data
from .lex import tokenize
from .macro import resolve
from .procedures import PROCEDURES
from .statements import RawStep, split_steps


@dataclass(slots=True)
class Session:
    """What a program has made so far: data sets by name in small letters, the last made, requests of ODS OUTPUT."""

    data: dict[str, DataSet] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    last: str = ""
    outputs: list[tuple[str, str, Any]] = field(default_factory=list)
    objects: Named = field(default_factory=Named)
    sorted_by: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def find(self, name: str) -> DataSet | None:
        """Return a data set by its name, `work.` left out."""
        return self.data.get(plain_name(name))

    def put(self, name: str, data: DataSet) -> None:
        """Keep a data set that a step made."""
        key = plain_name(name)
        self.data[key], self.last = data, key
        self.objects[name] = data.to_frame()

    def names(self) -> list[str]:
        return list(self.data)


def plain_name(name: str) -> str:
    """Return the name of a data set in small letters without its library.

    Examples
    --------
    >>> plain_name("WORK.Dent")
    'dent'
    """
    return name.lower().rpartition(".")[2]


def sas(program: str, data: Any = None) -> Listing:
    """Return the listing of a SAS program run on data given by name.

    Parameters
    ----------
    program
        Text of DATA steps and procedures: PROC MIXED, HPMIXED, HPLMIXED, GLIMMIX, with `%let` and small macros.
    data
        Data sets by name, `{"dent": frame}`, of any library that `lmm` takes; one frame alone is the data set that
        steps without `DATA=` read.

    Returns
    -------
    Listing
        `.steps`, `.tables` by SAS's ODS names (`"Tests3"`, `"CovParms"`, `"SolutionF"` …), `.fits`, `.text`, and
        `.objects`: data sets that the program made.

    Raises
    ------
    SpecError
        With line and column, for what cannot be read, or is not done: nothing is passed over in silence.

    Notes
    -----
    Models are fitted by the package's own verbs; columns of X, tests and degrees of freedom are SAS's (a column for
    every level, the last ones aliased; containment with RANDOM, between–within with REPEATED alone). No file is opened
    and no code is run.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> out = mm.sas('''proc mixed data=rail; class rail; model travel = / s; random rail; run;''',
    ...              data={"rail": mm.datasets.load("rail")})
    >>> print(out.tables["CovParms"])
    Covariance Parameter Estimates
    CovParm   Estimate
    Rail       615.311
    Residual    16.167
    """
    if not isinstance(program, str):
        raise SpecError(f"program must be the text of a SAS program, not a {type(program).__name__}.")
    text = resolve(program)
    steps = split_steps(text, tokenize(text))
    session = _session(data)
    made: list[Step] = []
    for raw in steps:
        made += _run(session, raw)
    return Listing(tuple(made), session.objects)


def _session(data: Any) -> Session:
    session = Session()
    named = (
        data if isinstance(data, Mapping) and all(_is_frame(one) for one in data.values()) else {"data": data}
    )
    if data is None:
        return session
    for name, frame in named.items():
        if not isinstance(name, str):
            raise DataError(f"data= maps names to frames; {name!r} is no name.")
        session.data[plain_name(name)] = read_data(frame)
        session.last = plain_name(name)
    session.given = tuple(session.data)
    return session


def _is_frame(one: Any) -> bool:
    """Return whether a value of `data=` is a frame of its own rather than a column."""
    if isinstance(one, (Mapping, DataSet)) or hasattr(type(one), "as_source"):
        return True
    return (
        hasattr(one, "columns")
        or hasattr(one, "column_names")
        or bool(getattr(getattr(one, "dtype", None), "names", None))
    )


def _run(session: Session, raw: RawStep) -> list[Step]:
    """Return the steps of the listing that one step of the program makes."""
    head = raw.head
    if raw.kind == "global":
        return PROCEDURES["global"](session, raw)
    if raw.kind == "data":
        return PROCEDURES["data"](session, raw)
    if len(head.tokens) < 2 or not head.tokens[1].word:
        head.fail("PROC names a procedure: proc mixed;")
    name = head.tokens[1].word
    if name not in PROCEDURES or name in ("global", "data"):
        known = [one for one in PROCEDURES if one not in ("global", "data")]
        head.fail(
            f"PROC {name.upper()} is not done.{suggest(name, known)} Procedures: {', '.join(known)}.", 1
        )
    return PROCEDURES[name](session, raw)
