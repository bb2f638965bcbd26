"""A model written as the SAS step that fits it: PROC MIXED, or PROC GLIMMIX for generalised models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ..errors import SpecError
from ..fit import Fit
from ..spec import LikelihoodSpec, RandomSpec, ResidualSpec, StructureSpec, VarianceSpec
from ..syntax.algebra import Atom, Term, expand
from .asked import Asked
from .sas_columns import Columns

TYPES = {
    "us": "un", "cs": "cs", "hcs": "csh", "ar1": "ar(1)", "har1": "arh(1)", "toep": "toep", "htoep": "toeph",
    "ante1": "ante(1)", "fa": "fa", "fa0": "fa0", "fa1": "fa1", "banded_us": "un", "unr": "unr", "hf": "hf",
    "diag": "un(1)", "homdiag": "toep(1)", "arma": "arma(1,1)",
}  # fmt: skip
SPATIAL = {
    "exp": "exp", "gau": "gau", "sph": "sph", "lin_sp": "lin", "pow": "pow", "car1": "pow", "mat": "matern",
    "powa": "powa", "expa": "expa",
}  # fmt: skip
DDFM = {
    "kenward-roger": "kr", "kenward-roger-linear": "kr(firstorder)", "kenward-roger2": "kr2",
    "satterthwaite": "satterthwaite", "containment": "contain", "between-within": "betwithin", "residual": "residual",
}  # fmt: skip
FAMILIES = {
    "binomial": "binomial", "poisson": "poisson", "gamma": "gamma", "inverse_gaussian": "invgauss",
    "exponential": "exponential", "lognormal": "lognormal", "nb2": "negbin", "geometric": "geometric", "beta": "beta",
    "ordinal": "multinomial", "multinomial": "multinomial", "gaussian": "normal",
}  # fmt: skip
LINKS = {
    "identity": "identity", "log": "log", "logit": "logit", "probit": "probit", "cloglog": "cloglog",
    "loglog": "loglog", "inverse": "reciprocal", "inverse_squared": "powerminus2", "sqrt": "power(0.5)",
}  # fmt: skip
CUMULATIVE = {
    None: "cumlogit",
    "logit": "cumlogit",
    "probit": "cumprobit",
    "cloglog": "cumcll",
    "loglog": "cumloglog",
}


def to_sas(fit: Fit) -> str:
    """Return the model as a step of PROC MIXED or PROC GLIMMIX, or raise `SpecError` saying why SAS cannot.

    Notes
    -----
    Columns that SAS needs beside those of the data (a CLASS copy of a time, a logarithm, a total) are made by a DATA
    step before. Coefficients are those of SAS's coding, in which the last level of a factor is the reference.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Y ~ age * sex + (1 + age | id)", mm.datasets.load("orthodont"))
    >>> print(fit.to_sas())
    proc mixed data=data method=reml;
      class id sex;
      model Y = age sex age*sex / solution ddfm=kr;
      random intercept age / subject=id type=un;
    run;
    """
    return write_sas(Asked.of_fit(fit))


@dataclass(slots=True)
class _Step:
    """A step as it is put together."""

    asked: Asked
    glimmix: bool
    columns: Columns
    statements: list[str] = field(default_factory=list)

    @property
    def program(self) -> str:
        return "PROC GLIMMIX" if self.glimmix else "PROC MIXED"

    def refuse(self, reason: str) -> NoReturn:
        raise SpecError(f"this model cannot be written for {self.program}: {reason}.")


def write_sas(asked: Asked, *, glimmix: bool | None = None) -> str:
    """Return the step; `SpecError` with the reason where the procedure does not have the model.

    Parameters
    ----------
    glimmix
        Whether PROC GLIMMIX writes it; by default where the model is generalised.
    """
    spec = asked.spec
    generalised = spec.likelihood is not None
    step = _Step(asked, generalised if glimmix is None else glimmix, Columns(asked.kind))
    if generalised and not step.glimmix:
        step.refuse(f"family={spec.likelihood.family!r}: PROC MIXED fits normal responses")  # type: ignore[union-attr]
    _refuse_what_is_not_there(step)
    response = _response(step)
    effects, intercept = _fixed(step)
    options = [
        *([] if intercept else ["noint"]),
        *_distribution(step),
        "solution",
        *_ddfm(step),
        *_offset(step),
    ]
    step.statements.append(f"model {response} = {' '.join(effects)}".rstrip() + f" / {' '.join(options)};")
    for term in spec.random:
        _random(step, term)
    _errors(step)
    if spec.weights:
        step.statements.append(f"weight {step.columns.number(spec.weights)};")
    classes = step.columns.classes
    head = [f"class {' '.join(classes)};"] if classes else []
    made = step.columns.data_step()
    data = "model_data" if made else "data"
    procedure = _procedure(step, data)
    return "\n".join([*made, procedure, *(f"  {line}" for line in [*head, *step.statements]), "run;"])


def _procedure(step: _Step, data: str) -> str:
    spec = step.asked.spec
    bound = " nobound" if spec.bounds == "none" else ""
    if not step.glimmix:
        return f"proc mixed data={data} method={spec.method}{bound};"
    likelihood = spec.likelihood
    if likelihood is None:
        method = "rspl" if spec.method == "reml" else "mspl"
    elif likelihood.approximation == "quadrature":
        points = step.asked.points
        method = f"quad(qpoints={points})" if points else "quad"
    else:
        method = likelihood.approximation
    return f"proc glimmix data={data} method={method}{bound};"


def _refuse_what_is_not_there(step: _Step) -> None:
    asked, spec = step.asked, step.asked.spec
    if spec.smooths:
        step.refuse(f"{spec.smooths[0]}: penalised smooths with these bases are not in SAS")
    # the scale of a family without one is held there too
    if spec.hold and not (spec.likelihood is not None and spec.hold == (("var(Residual)", 1.0),)):
        step.refuse("held parameters depend on SAS's order of parameters; write PARMS / HOLD= there")
    if spec.sampling:
        step.refuse("known sampling variances need PARMS with the residual held at 1 and WEIGHT")
    if asked.weighted and not spec.weights:
        step.refuse("weights were given as an array; make them a column of the data")
    if asked.beside:
        step.refuse(f"{', '.join(sorted(asked.beside))} was given as an array; make it a column of the data")
    if spec.offsets and not step.glimmix:
        step.refuse("PROC MIXED has no offset; subtract it from the response")
    likelihood = spec.likelihood
    if likelihood is None:
        return
    if likelihood.parts:
        step.refuse(
            f"{likelihood.parts[0].component}= is a formula beside the mean, which GLIMMIX does not have"
        )
    if likelihood.nominal or likelihood.thresholds != "flexible":
        step.refuse("GLIMMIX has one threshold for each cut and the same effects at all of them")
    if likelihood.frequency and step.glimmix:
        step.statements.append(f"freq {step.columns.number(likelihood.frequency)};")


def _ddfm(step: _Step) -> list[str]:
    method = DDFM.get(step.asked.ddf)
    integrated = step.asked.spec.likelihood is not None and not step.asked.spec.likelihood.pseudo
    # GLIMMIX has no such df where random effects are integrated out, and others only by its own names
    if integrated and method in ("kr", "kr(firstorder)", "kr2", "satterthwaite"):
        return []
    if step.asked.ddf == "asymptotic":
        return ["ddfm=none"] if step.glimmix else ["chisq"]
    return [f"ddfm={method}"] if method else []


def _offset(step: _Step) -> list[str]:
    names = [*step.asked.spec.offsets]
    likelihood = step.asked.spec.likelihood
    if likelihood is not None and likelihood.offset:
        names.append(likelihood.offset)
    if not names:
        return []
    return [f"offset={step.columns.sum_of(names)}"]


def _response(step: _Step) -> str:
    """Return the left side: a column, events/trials, or a column with the level that counts."""
    spec, likelihood = step.asked.spec, step.asked.spec.likelihood
    if likelihood is None or likelihood.family not in ("binomial", "ordinal", "multinomial"):
        return step.columns.computed(spec.response)
    events = step.columns.computed(spec.response) if _is_expression(spec.response) else ""
    name = events or step.columns.plain(spec.response)
    if likelihood.family != "binomial":
        return name
    if likelihood.form == "others":
        return f"{name}/{step.columns.total(spec.response, likelihood.beside or '')}"
    if likelihood.form == "trials" or likelihood.trials:
        trials = likelihood.beside if likelihood.form == "trials" else likelihood.trials
        return f"{name}/{step.columns.computed(trials or '')}"
    return f"{name}(event=last)"


def _is_expression(text: str) -> bool:
    return re.fullmatch(r"`[^`]+`|[^\W\d][\w.]*", text) is None


def _distribution(step: _Step) -> list[str]:
    likelihood = step.asked.spec.likelihood
    if likelihood is None:
        return []
    dist = FAMILIES.get(likelihood.family)
    if dist is None:
        step.refuse(f"family={likelihood.family!r} is not among its distributions")
    if likelihood.family == "binomial" and likelihood.form == "value" and not likelihood.trials:
        dist = "binary"
    return [f"dist={dist}", *_link(step, likelihood)]


def _link(step: _Step, likelihood: LikelihoodSpec) -> list[str]:
    if likelihood.family == "multinomial":
        return ["link=glogit"]
    names: Mapping[Any, str] = CUMULATIVE if likelihood.family == "ordinal" else LINKS
    if likelihood.family != "ordinal" and likelihood.link is None:
        # SAS's defaults differ for these
        default = {"gamma": "reciprocal", "inverse_gaussian": "powerminus2", "lognormal": "identity"}
        return [f"link={default[likelihood.family]}"] if likelihood.family in default else []
    if likelihood.link not in names:
        step.refuse(f"link={likelihood.link!r} is not among its links")
    return [f"link={names[likelihood.link]}"]


def _fixed(step: _Step) -> tuple[list[str], bool]:
    """Return the effects of MODEL, and whether there is an intercept."""
    terms = expand(step.asked.spec.fixed)
    return [_effect(step, term) for term in terms if term], () in terms


def _effect(step: _Step, term: Term) -> str:
    return "*".join(_atom(step, atom) for atom in term)


def _atom(step: _Step, atom: Atom) -> str:
    """Return a variable: a column, a CLASS variable, or one that a DATA step computes."""
    if atom.variable:
        factor = atom.categorical or step.asked.kind(atom.variable) != "number"
        if factor and atom.levels is not None:
            step.refuse(f"{atom.label}: order the levels in the data")
        return step.columns.factor(atom.variable) if factor else step.columns.number(atom.variable)
    if atom.categorical:
        step.refuse(f"{atom.label}: make it a column of the data")
    return step.columns.computed(atom.text)


def _type(step: _Step, structure: StructureSpec, coordinates: tuple[str, ...], shown: object) -> str:
    """Return the value of TYPE=."""
    if structure.name == "kron":
        if step.glimmix:
            step.refuse(f"{shown}: GLIMMIX has no direct products")
        parts = [_type(step, part, (), shown) for part in structure.parts]
        return "@".join(parts)
    if structure.name in SPATIAL:
        if not coordinates:
            step.refuse(f"{shown}: spatial structures need their coordinates")
        names = " ".join(step.columns.number(name) for name in coordinates)
        return f"sp({SPATIAL[structure.name]})({names})"
    name = TYPES.get(structure.name)
    if name is None:
        step.refuse(f"{shown}: {structure.name} is not among its covariance structures")
    if structure.name == "arma" and structure.order not in ((), (1, 1)):
        step.refuse(f"{shown}: SAS has ARMA(1,1) alone")
    order = "" if structure.name == "arma" else ",".join(map(str, structure.order))
    return f"{name}({order})" if order else name


def _group(step: _Step, by: str | None) -> list[str]:
    return [f"group={step.columns.factor(by)}"] if by else []


def _subject(step: _Step, names: tuple[str, ...]) -> list[str]:
    return [f"subject={'*'.join(step.columns.factor(name) for name in names)}"] if names else []


def _random(step: _Step, term: RandomSpec) -> None:
    """Add a RANDOM statement."""
    if term.cov or term.precision:
        step.refuse(f"{term}: known matrices are data sets there (gdata=, ldata=)")
    if term.structure.nugget:
        step.refuse(f"{term}: a nugget stands in REPEATED / LOCAL alone")
    options = [*_subject(step, term.group)]
    if term.coordinates:
        coordinates = tuple(part.strip().strip("`") for part in term.effects.split(","))
        effects, kind = "intercept", _type(step, term.structure, coordinates, term)
    else:
        effects, kind = _random_effects(step, term)
    options += [f"type={kind}"] if kind else []
    options += _group(step, term.by)
    written = f" / {' '.join(options)}" if options else ""
    step.statements.append(f"random {effects}{written};")


def _random_effects(step: _Step, term: RandomSpec) -> tuple[str, str]:
    """Return the effects of RANDOM and their TYPE=, empty for a single column."""
    terms = expand(term.effects)
    columns = [_atoms_are_factors(step, one) for one in terms]
    if len(terms) == 1 and not columns[0]:
        return (_effect(step, terms[0]) if terms[0] else "intercept"), ""
    if any(columns) and len(terms) > 1:
        if not (term.structure.name == "us" and len(terms) == 2 and terms[0] == () and len(terms[1]) == 1):
            step.refuse(
                f"{term}: SAS has a column for every level of a factor, and no other coding; write 0 + factor"
            )
        # an intercept and all but one level span what all levels span
        terms = terms[1:]
    written = " ".join(_effect(step, one) if one else "intercept" for one in terms)
    return written, _type(step, term.structure, (), term)


def _atoms_are_factors(step: _Step, term: Term) -> bool:
    return any(a.categorical or (a.variable and step.asked.kind(a.variable) != "number") for a in term)


def _errors(step: _Step) -> None:
    """Add what stands for the errors: REPEATED, or RANDOM … / RESIDUAL."""
    spec = step.asked.spec
    free = spec.likelihood is not None and spec.likelihood.free
    if spec.residual is None and not spec.variance:
        if free:
            step.statements.append("random _residual_;")
        return
    if spec.likelihood is not None and not spec.likelihood.pseudo:
        step.refuse("errors with a structure need pseudo-likelihood, method=rspl")
    effect, options = ("", []) if spec.residual is None else _residual(step, spec.residual)
    for function in spec.variance:
        options += _function(step, function, alone=spec.residual is None and len(spec.variance) == 1)
    if not options and spec.residual is None:
        return
    keyword, more = ("random", ["residual"] if effect else []) if step.glimmix else ("repeated", [])
    shown = effect or ("_residual_" if step.glimmix else "")
    inside = " ".join([*more, *options])
    step.statements.append(f"{keyword}{f' {shown}' if shown else ''} / {inside};")


def _residual(step: _Step, residual: ResidualSpec) -> tuple[str, list[str]]:
    structure = residual.structure
    if residual.neighbours:
        step.refuse(
            f"residual={str(residual)!r}: SAS forms the covariance of whole subjects; leave neighbours= out"
        )
    if structure.name == "lin":
        step.refuse(f"residual={str(residual)!r}: known matrices are data sets there (ldata=)")
    spatial = structure.name in SPATIAL
    effect = "" if spatial else " ".join(step.columns.position(name) for name in residual.position)
    kind = _type(step, structure, residual.position, f"residual={str(residual)!r}")
    options = [*_subject(step, residual.cluster), f"type={kind}", *_group(step, residual.by)]
    if structure.nugget:
        if step.glimmix:
            step.refuse(f"residual={str(residual)!r}: a nugget is REPEATED / LOCAL of PROC MIXED")
        options.append("local")
    return effect, options


def _function(step: _Step, function: VarianceSpec, *, alone: bool) -> list[str]:
    """Return the options of a variance function; known ones are weights."""
    shown = f"variance={str(function)!r}"
    if function.name == "fixed":
        if step.asked.spec.weights:
            step.refuse(f"{shown}: there is one WEIGHT statement; multiply the weights in a column")
        step.statements.append(f"weight {step.columns.inverse(function.arguments[0])};")
        return []
    if not alone:
        step.refuse(
            f"{shown}: GROUP= repeats the whole structure of errors for every group, and LOCAL= stands alone; a "
            "variance function beside a correlation is not there"
        )
    if function.name == "ident":
        return [f"group={'*'.join(step.columns.factor(name) for name in function.arguments)}"]
    if step.glimmix or function.by or function.arguments == ("fitted",):
        step.refuse(f"{shown} has no counterpart")
    if function.name in ("exp", "log_linear"):
        names = [_effect(step, term) for term in expand(function.arguments[0]) if term]
        return [f"local=exp({' '.join(names)})"]
    if function.name == "power":
        return [f"local=exp({step.columns.logarithm(function.arguments[0])})"]
    return step.refuse(f"{shown} has no counterpart")
