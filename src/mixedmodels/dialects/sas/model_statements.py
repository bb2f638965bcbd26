"""What the statements of a procedure for mixed models say, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .effects import Effect
from .lex import Token
from .options import Options
from .statements import Statement


@dataclass(frozen=True, slots=True)
class Covariance:
    """A covariance structure by SAS's name: `AR(1)`, `SP(POW)(time)`, `UN@AR(1)`.

    `name` is the package's name, None for VC; `label` SAS's; `order` its integers; `coordinates` the columns of spatial
    structures; `parts` the two factors of a Kronecker product.
    """

    name: str | None
    label: str
    order: tuple[int, ...] = ()
    coordinates: tuple[str, ...] = ()
    parts: tuple[Covariance, ...] = ()


VARIANCES = Covariance(None, "VC")


@dataclass(frozen=True, slots=True)
class Random:
    """A RANDOM statement, or the R side where it is of the errors."""

    statement: Statement
    effects: tuple[Effect, ...]
    covariance: Covariance
    subject: Effect | None
    group: Effect | None
    options: Options


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Coefficients of one effect: numbers by place, or a list of (weight, places of levels) in brackets."""

    effect: Effect
    token: Token
    values: tuple[float, ...] = ()
    entries: tuple[tuple[float, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of ESTIMATE or CONTRAST: coefficients of fixed, and after `|` of random effects."""

    fixed: tuple[Coefficients, ...]
    random: tuple[Coefficients, ...] = ()
    label: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """ESTIMATE, CONTRAST, LSMEANS, LSMESTIMATE or SLICE."""

    kind: str
    statement: Statement
    options: Options
    label: str = ""
    rows: tuple[Row, ...] = ()
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Parms:
    """Values of covariance parameters, one list for each or sets of them, and which parameters are held."""

    statement: Statement
    values: tuple[tuple[float, ...], ...]
    options: Options
    hold: tuple[int, ...] = ()
    rows: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class CovTest:
    """A COVTEST statement: its label, a hypothesis by its word, or values of parameters with None for those free."""

    statement: Statement
    label: str
    word: str = ""
    values: tuple[float | None, ...] = ()


@dataclass(slots=True)
class Model:
    """A procedure as written; names of variables are those of the data."""

    procedure: str
    head: Statement
    options: Options
    classes: dict[str, Options] = field(default_factory=dict)
    class_options: Options = field(default_factory=Options)
    model: Statement | None = None
    response: str = ""
    trials: str = ""
    response_options: Options = field(default_factory=Options)
    effects: tuple[Effect, ...] = ()
    model_options: Options = field(default_factory=Options)
    random: list[Random] = field(default_factory=list)
    repeated: Random | None = None
    parms: Parms | None = None
    covtests: list[CovTest] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    weight: str = ""
    frequency: str = ""
    identifiers: tuple[str, ...] = ()
    tests: tuple[Effect, ...] | None = None
    outputs: list[tuple[str, Mapping[str, str], Statement]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    store: str = ""

    @property
    def intercept(self) -> bool:
        return not self.model_options.has("noint")
