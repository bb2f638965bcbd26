"""A model as SAS's statements say it → formula, residual structure and the data as the package reads them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...spec import RandomSpec, ResidualSpec, StructureSpec, VarianceSpec, quoted
from .data_set import DataSet, ModelData, level_text
from .effects import Effect
from .factors import class_levels, coded_levels, crossed, levels_of
from .model_statements import Covariance, Model, Random

UNORDERED = ("cs",)
"""Structures of errors for which the places of rows do not matter."""


@dataclass(slots=True)
class Asked:
    """What is fitted: the text of its formula and what stands beside it.

    `levels` has the CLASS levels as columns of X have them, `terms` the text of each effect, `random` which statement
    and effect each random term comes from, `known` the known matrices.
    """

    model: Model
    data: DataSet
    levels: dict[str, tuple[Any, ...]]
    factors: dict[str, tuple[Any, ...]]
    terms: dict[Effect, str] = field(default_factory=dict)
    random: list[tuple[RandomSpec, Random, tuple[Effect, ...]]] = field(default_factory=list)
    residual: ResidualSpec | None = None
    variance: tuple[VarianceSpec, ...] = ()
    known: dict[str, Any] = field(default_factory=dict)
    unbounded: bool = False

    @property
    def fixed(self) -> str:
        """The fixed part as text."""
        return " + ".join(["1" if self.model.intercept else "0", *self.terms.values()])

    @property
    def formula(self) -> str:
        """The formula without its response."""
        return " + ".join([self.fixed, *(str(spec) for spec, _, _ in self.random)])

    @property
    def contrasts(self) -> dict[str, str]:
        """Codings of the factors of X: the last level of SAS's order is the reference."""
        out = {}
        for name in dict.fromkeys(n for effect in self.terms for n in effect.classes(self.levels)):
            out[name] = "sas"
        return out

    @property
    def model_data(self) -> ModelData:
        return ModelData(self.data, self.factors)


def ask(model: Model, data: DataSet) -> Asked:
    """Return what the statements ask for."""
    natural = coded_levels(model, class_levels(model, data))
    asked = Asked(model, data, natural, dict(natural))
    if not model.effects and not model.intercept and model.model:
        model.model.fail("noint without effects leaves no model.")
    asked.terms = {effect: term_text(effect, natural) for effect in model.effects}
    _check_numbers(asked)
    for statement in model.random:
        _random(asked, statement)
    if model.repeated is not None:
        _repeated(asked, model.repeated)
    return asked


def term_text(effect: Effect, factors: Any) -> str:
    """Return an effect as a term of a formula.

    Examples
    --------
    >>> term_text(Effect(("x", "x", "a")), {"a": ()}), term_text(Effect(("b",), ("a",)), {"a": (), "b": ()})
    ('I(x**2):a', 'a:b')
    """
    counts = Counter(effect.numbers(factors))
    powers = [quoted(name) if k == 1 else f"I({quoted(name)}**{k})" for name, k in counts.items()]
    nested = [quoted(name) for name in effect.nested]
    own = [quoted(name) for name in dict.fromkeys(effect.crossed) if name in factors]
    return ":".join([*powers, *nested, *own])


def _check_numbers(asked: Asked) -> None:
    """Raise where a text that is no CLASS variable stands where numbers are needed."""
    model, statement = asked.model, asked.model.model
    assert statement is not None
    names = [name for effect in model.effects for name in effect.numbers(asked.factors)]
    for effect in model.effects:
        for name in effect.nested:
            if name not in asked.factors:
                statement.fail(f"{name} stands in parentheses and is no CLASS variable.")
    for name in names:
        if asked.data.is_text(name):
            statement.fail(f"{name} holds text; name it in CLASS.", _place(statement, name))
    if model.procedure != "glimmix" and asked.data.is_text(model.response):
        statement.fail(f"the response {model.response} holds text.", 1)


def _place(statement: Any, name: str) -> int:
    return next((i for i, t in enumerate(statement.tokens) if t.text.lower() == name.lower()), 0)


# -- G side --------------------------------------------------------------------------------------------------
def _random(asked: Asked, statement: Random) -> None:
    by = _group(asked, statement)
    subject = _subject(asked, statement)
    for effect in statement.effects:
        for name in effect.variables:
            if name not in asked.factors and asked.data.is_text(name):
                statement.statement.fail(
                    f"{name} holds text; name it in CLASS.", _place(statement.statement, name)
                )
    known = _known(asked, statement)
    if statement.covariance.name is None or known:
        for effect in statement.effects:
            for name in known or ("",):
                asked.random.append((_component(asked, effect, subject, by, name), statement, (effect,)))
        return
    spec = _structured(asked, statement, subject, by)
    asked.random.append((spec, statement, statement.effects))


def _component(
    asked: Asked, effect: Effect, subject: tuple[str, ...], by: str | None, known: str
) -> RandomSpec:
    """Return a variance component: intercepts, or slopes, by the levels of subject and effect together."""
    own = tuple(dict.fromkeys((*subject, *effect.nested, *effect.classes(asked.factors))))
    numbers = Counter(effect.numbers(asked.factors))
    powers = [quoted(name) if k == 1 else f"I({quoted(name)}**{k})" for name, k in numbers.items()]
    effects = "0 + " + ":".join(powers) if powers else "1"
    return RandomSpec(effects, own, by=by, cov=known or None)


def _structured(asked: Asked, statement: Random, subject: tuple[str, ...], by: str | None) -> RandomSpec:
    covariance, effects = statement.covariance, statement.effects
    structure = structure_of(covariance)
    if covariance.coordinates:
        names = ", ".join(map(quoted, covariance.coordinates))
        _check_one_effect(statement, "intercept")
        return RandomSpec(names, subject, structure, by, coordinates=True)
    factors = [effect for effect in effects if effect.classes(asked.factors)]
    if covariance.name == "kron":
        statement.statement.fail("direct products stand in REPEATED.")
    if factors and len(effects) > 1:
        statement.statement.fail(
            f"type={covariance.label} over a CLASS effect together with others is not done: give each effect a RANDOM "
            "statement of its own."
        )
    if factors:
        if numbers := factors[0].numbers(asked.factors):
            statement.statement.fail(
                f"type={covariance.label} over slopes by level ({numbers[0]}) is not done."
            )
        return RandomSpec(f"0 + {quoted(_crossing(asked, factors[0].variables))}", subject, structure, by)
    if any(effect.is_intercept for effect in effects[1:]):
        statement.statement.fail("write the intercept first: random intercept x / type=un subject=id;")
    texts = [term_text(effect, asked.factors) for effect in effects if not effect.is_intercept]
    first = "1" if effects[0].is_intercept else "0"
    return RandomSpec(" + ".join([first, *texts]), subject, structure, by)


def _check_one_effect(statement: Random, what: str) -> None:
    if len(statement.effects) != 1 or not statement.effects[0].is_intercept:
        statement.statement.fail(
            f"a spatial structure of random effects is written random {what} / type=sp(…)(…) subject=…."
        )


def structure_of(covariance: Covariance, nugget: bool = False) -> StructureSpec:
    """Return a structure in the package's words."""
    parts = tuple(structure_of(part) for part in covariance.parts)
    return StructureSpec(covariance.name or "homdiag", covariance.order, parts, nugget)


def _known(asked: Asked, statement: Random) -> tuple[str, ...]:
    """Return names for the matrices of `gdata=` and `ldata=`, which the runner puts among the known."""
    options, covariance = statement.options, statement.covariance
    if covariance.name == "lin":
        if len(statement.effects) != 1 or statement.subject is not None or statement.group is not None:
            statement.statement.fail("type=lin(…) in RANDOM is of one effect, without subject= and group=.")
        if not statement.effects[0].classes(asked.factors):
            statement.statement.fail("type=lin(…) in RANDOM is of an effect of CLASS variables.")
        count = (covariance.order or (1,))[0]
        if count > 1 and (bad := [name for name in ("solution", "g", "gcorr") if name in options]):
            options[bad[0]].fail(f"{bad[0]} of a sum of several matrices, type=lin({count}), is not done.")
        first = len(asked.random) + 1
        return tuple(f"LIN{first}_{which}" for which in range(1, count + 1))
    if "gdata" not in options:
        return ()
    if covariance.name is not None or len(statement.effects) != 1 or statement.subject is not None:
        options["gdata"].fail("gdata= gives G of one effect, of TYPE=VC, without subject=.")
    return (f"G{len(asked.random) + 1}",)


# -- subjects and groups -------------------------------------------------------------------------------------
def _subject(asked: Asked, statement: Random) -> tuple[str, ...]:
    """Return the columns whose combinations are subjects; those not in CLASS must stand together in the data."""
    if statement.subject is None:
        return ()
    names = (*statement.subject.nested, *dict.fromkeys(statement.subject.crossed))
    _as_factors(asked, statement, names, "subject")
    return names


def _group(asked: Asked, statement: Random) -> str | None:
    if statement.group is None:
        return None
    _as_factors(asked, statement, statement.group.variables, "group")
    return _crossing(asked, statement.group.variables)


def _as_factors(asked: Asked, statement: Random, names: Sequence[str], option: str) -> None:
    """Take columns that are not in CLASS for factors, as SAS does by runs of equal values."""
    for name in names:
        if name in asked.factors:
            continue
        values = asked.data.columns[name]
        changes = 1 + sum(1 for a, b in itertools.pairwise(values.tolist()) if a != b)
        if changes > len(set(values.tolist())):
            statement.options[option].fail(
                f"{name} is no CLASS variable and its rows do not stand together, so that each run of rows would be a "
                f"{option} of its own; name it in CLASS, or sort the data."
            )
        asked.factors[name] = levels_of(asked.data, name)


def _crossing(asked: Asked, names: Sequence[str]) -> str:
    """Return a column of the combinations of factors, made where there are several."""
    if len(names) == 1:
        return names[0]
    label = "_by_".join(names)
    if label not in asked.factors:
        values = crossed(asked.data, tuple(names))
        found = set(values.tolist())
        every = itertools.product(*(asked.factors[name] for name in names))
        ordered = (" ".join(map(level_text, one)) for one in every)
        asked.data = asked.data.with_columns({label: values})
        asked.factors[label] = tuple(one for one in ordered if one in found)
    return label


# -- R side --------------------------------------------------------------------------------------------------
def _repeated(asked: Asked, statement: Random) -> None:
    covariance, options = statement.covariance, statement.options
    by, subject = _group(asked, statement), _subject(asked, statement)
    for effect in statement.effects:
        if numbers := effect.numbers(asked.factors):
            statement.statement.fail(
                f"{numbers[0]} is a repeated effect and needs CLASS.", _place(statement.statement, numbers[0])
            )
    exponential = options["local"] if "local" in options and options["local"].value else None
    nugget = "local" in options and exponential is None
    if exponential is not None:
        asked.variance = (VarianceSpec("log_linear", (_exponents(asked, statement),)),)
    if covariance.name is None:
        if nugget:
            options["local"].fail("local adds a variance to a structure; give type=.")
        asked.variance += (VarianceSpec("ident", (by,)),) if by else ()
        if subject and not by and not asked.random:
            asked.residual = ResidualSpec(
                StructureSpec("homdiag"), (_position(asked, statement, subject),), subject
            )
        return
    if not subject and covariance.name not in UNORDERED and not covariance.coordinates:
        statement.statement.fail(f"type={covariance.label} in REPEATED needs subject=.")
    structure = structure_of(covariance, nugget)
    position: tuple[str, ...]
    if covariance.coordinates:
        position = covariance.coordinates
    elif covariance.name == "kron":
        position = tuple(name for effect in statement.effects for name in effect.variables)
        if len(position) != 2:
            statement.statement.fail(
                f"type={covariance.label} takes two repeated effects: repeated trait time / …"
            )
    else:
        position = (_position(asked, statement, subject),)
    asked.residual = ResidualSpec(structure, position, subject, by)


def _position(asked: Asked, statement: Random, subject: tuple[str, ...]) -> str:
    """Return the column of positions: the repeated effect, or the order of the rows of a subject that are used."""
    if statement.effects:
        return _crossing(asked, statement.effects[0].variables)
    used = complete(asked)
    owners = crossed(asked.data, subject) if subject else np.full(asked.data.n, "all", dtype=object)
    seen: Counter[str] = Counter()
    place = np.full(asked.data.n, np.nan)
    for row in np.flatnonzero(used).tolist():
        seen[owners[row]] += 1
        place[row] = seen[owners[row]]
    name = "_position_"
    asked.data = asked.data.with_columns({name: place})
    asked.factors[name] = tuple(float(k) for k in range(1, max(seen.values(), default=1) + 1))
    return name


def complete(asked: Asked) -> Any:
    """Return which rows have all variables of the model, (n,)."""
    model = asked.model
    names = {model.response, *model.classes, *(n for e in model.effects for n in e.variables)}
    names |= {n for r in model.random for e in r.effects for n in e.variables}
    names |= {name for name in (model.weight, model.trials, model.frequency) if name}
    gone = np.zeros(asked.data.n, dtype=bool)
    for name in names:
        gone |= asked.data.missing(name)
    return ~gone


def _exponents(asked: Asked, statement: Random) -> str:
    """Return the log-linear model of `local=exp(x z)` as text."""
    from .effects import read_effects

    reader = statement.options["local"].inner
    word = reader.name("exp")
    if word.word == "pom":
        reader.fail("local=pom(…) is not done; the package's variance='power(fitted)' is its like.", word)
    if word.word != "exp" or not reader.is_mark("("):
        reader.fail("local takes exp(effects): local=exp(x).", word)
    inner = reader.inner(reader.group())

    def resolve(token: Any) -> str:
        name = asked.data.name_of(token.text)
        return name if name is not None else inner.fail(f"{token.text!r} is no variable of the data.", token)

    effects = read_effects(inner, resolve)
    return " + ".join(term_text(effect, asked.factors) for effect in effects)
