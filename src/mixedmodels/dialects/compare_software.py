"""Which program of SAS and R can fit a model, why another cannot, and the text for each that can."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from ..api.generalised import WITH_TRIALS
from ..errors import SpecError
from ..frame.ingest import build_frame
from ..spec import LikelihoodSpec, ModelSpec
from ..syntax.formula import read_formula
from ..syntax.response import split_response
from ..table import Table
from .asked import Asked
from .glmmtmb import write_glmmtmb
from .lme4 import write_lme4
from .nlme_text import write_nlme
from .r_text import in_r, name_in_r, read_family
from .sas_text import write_sas

MMRM = {
    "us": "us", "toep": "toep", "htoep": "toeph", "ar1": "ar1", "har1": "ar1h", "ante1": "adh", "cs": "cs",
    "hcs": "csh", "exp": "sp_exp", "gau": "sp_gau",
}  # fmt: skip
"""Structures of the R package mmrm."""


def compare_software(
    formula: str,
    data: Any = None,
    *,
    residual: str | None = None,
    variance: str | None = None,
    weights: str | None = None,
    method: str = "reml",
    family: str | None = None,
    link: str | None = None,
    ddf: str = "auto",
    bounds: str = "psd",
    known: Mapping[str, Any] | None = None,
) -> Table:
    """Return which programs fit a model: PROC MIXED, HPMIXED, HPLMIXED, GLIMMIX; lme, gls, lmer, glmmTMB, mmrm of R.

    Parameters
    ----------
    formula, residual, variance, weights, method, ddf, bounds, known
        As for `lmm`.
    data
        Data that say which columns are factors. Without them groups, strata and `factor(x)` are, and every other column
        is a number.
    family, link
        As for `glmm`, for a generalised model by Laplace's approximation.

    Returns
    -------
    Table
        A row for each program: `program`, `fits` (yes or no), `reason` (why not) and `text` (what to run).

    Notes
    -----
    What a program is said to fit is what its text here says; MIXED's is that of `fit.to_sas()`, on one line. HPMIXED is
    taken as having independent errors of one variance (releases after the first have a REPEATED statement with few
    types), HPLMIXED as MIXED without Kenward–Roger, WEIGHT, LOCAL=, spatial structures and direct products.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> table = mm.compare_software("y ~ arm + (1 | row) + (1 | column)")
    >>> dict(zip(table["program"].tolist(), table["fits"].tolist()))["lme"]
    'no'
    >>> table.row(4)["reason"]
    'lme has no crossed random effects, and (1 | row) and (1 | column) are not nested as written'
    """
    rows = texts(
        formula,
        data,
        residual=residual,
        variance=variance,
        weights=weights,
        method=method,
        family=family,
        link=link,
        ddf=ddf,
        bounds=bounds,
        known=known,
    )
    columns = {
        "program": [program for program, _, _ in rows],
        "fits": ["yes" if text else "no" for _, text, _ in rows],
        "reason": [reason for _, _, reason in rows],
        "text": [re.sub(r"\n *", " ", text) for _, text, _ in rows],
    }
    notes = (
        () if data is not None else ("columns are numbers unless the formula makes them factors; give data=",)
    )
    return Table(columns, f"Software for {formula}", notes)


def texts(
    formula: str,
    data: Any = None,
    *,
    programs: Sequence[str] | None = None,
    known: Mapping[str, Any] | None = None,
    **options: Any,
) -> list[tuple[str, str, str]]:
    """Return program, text and reason for each of `programs`, all by default; one of text and reason is empty."""
    spec = _read(formula, **options)
    kind = None if data is None else build_frame(spec, data, known=known).schema.kind
    asked = Asked.of_spec(spec, kind)
    return [(program, *_attempt(PROGRAMS[program], asked)) for program in programs or PROGRAMS]


def _read(
    formula: str,
    *,
    residual: str | None = None,
    variance: str | None = None,
    weights: str | None = None,
    method: Any = "reml",
    family: str | None = None,
    link: str | None = None,
    ddf: str = "auto",
    bounds: Any = "psd",
) -> ModelSpec:
    options: dict[str, Any] = {"residual": residual, "variance": variance, "weights": weights, "ddf": ddf}
    if family is None:
        if link is not None:
            raise SpecError(f"link={link!r} belongs to a family; give family= too.")
        return read_formula(formula, method=method, bounds=bounds, **options)
    name, asked = read_family(family, link)
    form = split_response(formula, counted=name in WITH_TRIALS)
    spec = read_formula(form.formula, method="ml", bounds=bounds, **options)
    likelihood = LikelihoodSpec(name, asked, beside=form.beside, form=form.form)
    return spec.with_changes(likelihood=likelihood)


def _attempt(write: Callable[[Asked], str], asked: Asked) -> tuple[str, str]:
    """Return the text of a program and why there is none; one of them is empty."""
    try:
        return write(asked), ""
    except SpecError as error:
        reason = str(error).partition("\n\n")[0]
        _, found, told = reason.partition(" cannot be written ")
        return "", (told.partition(": ")[2] if found else reason).removesuffix(".")


def _hpmixed(asked: Asked) -> str:
    spec = asked.spec
    if spec.likelihood is not None:
        _refuse(f"family={spec.likelihood.family!r}: it fits normal responses")
    if spec.residual is not None:
        _refuse(f"residual={str(spec.residual)!r}: its errors are independent")
    if spec.variance:
        _refuse(f"variance={' * '.join(map(str, spec.variance))!r}: its errors have one variance")
    if spec.method == "ml":
        _refuse("method='ml': it has restricted maximum likelihood alone")
    if spec.bounds == "none":
        _refuse("bounds='none' has no counterpart")
    for term in spec.random:
        if term.structure.name not in ("us", "diag", "homdiag", "ar1", "cs"):
            _refuse(f"{term}: {term.structure.name} is not among its covariance structures")
    text = _with_ddf(write_sas(asked, glimmix=False), "residual")
    return text.replace("proc mixed", "proc hpmixed").replace(" method=reml;", ";")


def _hplmixed(asked: Asked) -> str:
    if asked.spec.likelihood is not None:
        _refuse(f"family={asked.spec.likelihood.family!r}: it fits normal responses")
    text = write_sas(asked, glimmix=False)
    absent = {
        " local": "LOCAL= of REPEATED",
        "type=sp(": "spatial structures",
        "@": "direct products",
        "  weight ": "WEIGHT",
    }
    for mark, what in absent.items():
        if mark in text:
            _refuse(f"{what}: not in this procedure")
    if asked.spec.bounds == "none":
        _refuse("bounds='none' has no counterpart")
    return _with_ddf(text, "residual").replace("proc mixed", "proc hplmixed")


def _with_ddf(text: str, method: str) -> str:
    """Return a step with df that the high-performance procedures have; DDFM= stands last in MODEL."""
    lines = text.split("\n")
    for place, line in enumerate(lines):
        if " ddfm=" in line:
            head, _, _ = line.partition(" ddfm=")
            lines[place] = f"{head} ddfm={method};"
    return "\n".join(lines)


def _glimmix(asked: Asked) -> str:
    return write_sas(asked, glimmix=True)


def _lme(asked: Asked) -> str:
    if not asked.spec.random and not asked.spec.smooths:
        _refuse("lme needs random effects; see gls")
    return write_nlme(asked)


def _gls(asked: Asked) -> str:
    if asked.spec.random:
        _refuse(f"gls has no random effects, {asked.spec.random[0]}")
    return write_nlme(asked)


def _mmrm(asked: Asked) -> str:
    """Return a call of the R package mmrm: one structure of errors, no random effects."""
    spec = asked.spec
    if spec.likelihood is not None:
        _refuse(f"family={spec.likelihood.family!r}: it fits normal responses")
    if spec.random or spec.smooths:
        _refuse(f"mmrm has no random effects, {(*spec.random, *spec.smooths)[0]}")
    residual = spec.residual
    if residual is None:
        _refuse("mmrm needs a structure of errors, residual='us(visit | id)'")
    if spec.variance or spec.offsets or spec.hold:
        _refuse("variance functions, offsets and held parameters are not there")
    name = MMRM.get(residual.structure.name)
    if (
        name is None
        or residual.structure.order
        or residual.structure.nugget
        or residual.neighbours
        or not residual.position
    ):
        _refuse(
            f"residual={str(residual)!r}: of the structures with a visit it has {', '.join(MMRM.values())}"
        )
    if len(residual.cluster) != 1:
        _refuse(f"residual={str(residual)!r}: the subject is one column")
    group = f"{name_in_r(residual.by)}/" if residual.by else ""
    inside, frame = ", ".join(name_in_r(position) for position in residual.position), "data"
    if residual.structure.name not in ("exp", "gau") and asked.kind(residual.position[0]) == "number":
        # its visits are factors
        inside, frame = "visit_", f"transform(data, visit_ = factor({inside}))"
    term = f"{name}({inside} | {group}{name_in_r(residual.cluster[0])})"
    arguments = [f"{in_r(spec.response)} ~ {in_r(spec.fixed)} + {term}", f"data = {frame}"]
    arguments += [f"weights = data${name_in_r(spec.weights)}"] if spec.weights else []
    arguments += ["reml = FALSE"] if spec.method == "ml" else []
    methods = {
        "kenward-roger": "Kenward-Roger-Linear" if residual.structure.name == "us" else "Kenward-Roger",
        "kenward-roger-linear": "Kenward-Roger-Linear",
        "satterthwaite": "Satterthwaite",
        "residual": "Residual",
        "between-within": "Between-Within",
    }
    if asked.ddf in methods and not (spec.method == "ml" and asked.ddf.startswith("kenward")):
        arguments.append(f'method = "{methods[asked.ddf]}"')
    return f"mmrm({', '.join(arguments)})"


def _refuse(reason: str) -> NoReturn:
    raise SpecError(f"this model cannot be written here: {reason}.")


PROGRAMS: Mapping[str, Callable[[Asked], str]] = {
    "MIXED": lambda asked: write_sas(asked, glimmix=False),
    "HPMIXED": _hpmixed,
    "HPLMIXED": _hplmixed,
    "GLIMMIX": _glimmix,
    "lme": _lme,
    "gls": _gls,
    "lmer": write_lme4,
    "glmmTMB": write_glmmtmb,
    "mmrm": _mmrm,
}
"""Programs, and what writes a model for each or says why it cannot."""
