"""The statements of PROC MIXED, HPMIXED, HPLMIXED and GLIMMIX read into a `Model`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...errors import suggest
from . import option_tables as tables
from .covariance_types import read_type
from .data_set import DataSet
from .effects import INTERCEPT, Effect, numbered, read_effect, read_effects
from .lex import Token
from .model_statements import Model, Parms, Random
from .options import Options, read_options
from .read_requests import read_request
from .statements import GLOBAL, RawStep, Reader, Statement

REFUSED = {
    "prior": "posterior draws are not made; see fit.draws where it exists, or a Bayesian package",
    "code": "no program is written", "effect": "constructed effects are not read; make columns in a DATA step",
    "performance": "threads are set by mm.Control", "nloptions": "", "freq": "", "lsmestimate": "",
    "output": "", "test": "",
}  # fmt: skip
OF_PROCEDURE = {
    "mixed": "by class id model random repeated parms contrast estimate lsmeans lsmestimate slice weight where freq "
    "store label format",
    "hpmixed": "by class id model random repeated parms contrast estimate lsmeans test weight where nloptions label "
    "format",
    "hplmixed": "class id model random repeated parms performance where label format",
    "glimmix": "by class id model random parms contrast estimate lsmeans lsmestimate slice weight where freq store "
    "covtest output nloptions label format",
}


class ModelReader:
    """A model as it is read, statement by statement."""

    def __init__(self, step: RawStep, procedure: str, options: Options, data: DataSet) -> None:
        self.data = data
        self.model = Model(procedure, step.head, options)
        self.allowed = OF_PROCEDURE[procedure].split()

    def resolve(self, token: Token) -> str:
        """Return the column a token names; `SpecError` at the token for none."""
        name = self.data.name_of(token.text)
        if name is None:
            known = ", ".join(list(self.data.columns)[:20])
            Reader(self.model.head.program, (token,)).fail(
                f"{token.text!r} is no variable of the data.{suggest(token.text, self.data.columns)} "
                f"Variables: {known}.",
                token,
            )
        return name

    def effect(self, token: Token) -> str:
        """Return the column a token names, or `Intercept`."""
        if token.word in ("int", "intercept") and self.data.name_of(token.text) is None:
            return "Intercept"
        return self.resolve(token)

    def canonical(self, effects: Iterable[Effect]) -> tuple[Effect, ...]:
        """Return effects with covariates first and CLASS variables in the order of CLASS, as SAS has them."""
        place = {name: k for k, name in enumerate(self.model.classes)}
        return tuple(dict.fromkeys(_ordered(effect, place) for effect in effects))

    def read(self, statement: Statement) -> None:
        """Read one statement."""
        word = {"classes": "class", "lsmean": "lsmeans", "parameters": "parms", "weights": "weight"}.get(
            statement.word, statement.word
        )
        if word.rstrip("0123456789") in GLOBAL:
            self._global(statement)
            return
        if word not in self.allowed:
            if REFUSED.get(word):
                statement.fail(f"{word.upper()} is not done: {REFUSED[word]}.")
            name = self.model.procedure.upper()
            statement.fail(
                f"PROC {name} has no statement {statement.tokens[0].text!r}.{suggest(word, self.allowed)} It has: "
                f"{', '.join(self.allowed)}."
            )
        if word in ("contrast", "estimate", "lsmeans", "lsmestimate", "slice"):
            self.model.requests.append(read_request(self, statement, word))
        else:
            getattr(self, f"_{word}")(statement)

    # -- statements ------------------------------------------------------------------------------------------
    def _class(self, statement: Statement) -> None:
        reader = statement.reader()
        while reader and not reader.is_mark("/"):
            first = reader.name("a CLASS variable")
            if reader.is_mark("-"):
                reader.next()
                for name in numbered(reader, first, reader.name(), self.resolve):
                    self.model.classes[name] = Options()
                continue
            name = self.resolve(first)
            options = Options()
            if reader.is_mark("("):
                options = read_options(reader.inner(reader.group()), tables.CLASS, {}, "CLASS")
            self.model.classes[name] = options
        if reader.take_mark("/"):
            self.model.class_options = read_options(reader, tables.CLASS, {}, "CLASS")
        for one in (self.model.class_options, *self.model.classes.values()):
            for name in ("truncate", "param", "missing"):
                if name in one:
                    one[name].fail(f"option {name} of CLASS is not done.")

    def _model(self, statement: Statement) -> None:
        model = self.model
        if model.model is not None:
            statement.fail("a step has one MODEL statement.")
        reader = statement.reader()
        model.model, model.response = statement, self.resolve(reader.name("the response"))
        if reader.is_mark("("):
            known = {
                "event": "event",
                "order": "order",
                "ref": "ref",
                "reference": "ref",
                "descending": "descending",
                "desc": "descending",
            }
            model.response_options = read_options(reader.inner(reader.group()), known, {}, "the response")
        if reader.is_mark("/"):
            reader.next()
            model.trials = self.resolve(reader.name("the trials"))
        if model.procedure != "glimmix" and (model.trials or model.response_options):
            statement.fail(
                f"PROC {model.procedure.upper()} takes the response alone; PROC GLIMMIX has events/trials."
            )
        reader.mark("=")
        model.effects = self.canonical(read_effects(reader, self.resolve, "/"))
        if reader.take_mark("/"):
            known = tables.MODEL[model.procedure]
            refused = {k: v for k, v in tables.MODEL_REFUSED.items() if k not in known}
            model.model_options = read_options(reader, known, refused, "MODEL")
            noted = [one for one in (*tables.ROUNDING, "nocenter") if one in model.model_options]
            if noted:
                model.notes.append(
                    f"options {', '.join(noted)} of MODEL are noted: rounding is the package's own"
                )

    def _sides(self, reader: Reader, known: Any, refused: Any, where: str) -> Options:
        reader.take_mark("/")
        return read_options(reader, known, refused, where)

    def _random(self, statement: Statement) -> None:
        reader = statement.reader()
        residual = self.model.procedure == "glimmix" and reader.take_word("_residual_", "residual")
        effects = [] if residual else read_effects(reader, self.effect, "/")
        known = tables.RANDOM[self.model.procedure]
        refused = tables.RANDOM_REFUSED
        options = self._sides(reader, known, refused, "RANDOM")
        random = self._built(statement, self.canonical(map(_plain, effects)), options)
        if residual or options.has("residual"):
            if self.model.repeated is not None:
                statement.fail("R-side structures are given once.")
            self.model.repeated = random
            return
        if not effects:
            statement.fail("RANDOM names effects: random intercept / subject=id;")
        self.model.random.append(random)

    def _repeated(self, statement: Statement) -> None:
        if self.model.repeated is not None:
            statement.fail("a step has one REPEATED statement.")
        reader = statement.reader()
        effects = read_effects(reader, self.resolve, "/")
        options = self._sides(
            reader,
            tables.REPEATED,
            tables.REPEATED_REFUSED,
            "REPEATED",
        )
        if len(effects) > 1 and not (options.has("type") and "@" in options.text("type")):
            statement.fail("REPEATED takes one effect.")
        self.model.repeated = self._built(statement, tuple(effects), options)

    def _built(self, statement: Statement, effects: tuple[Effect, ...], options: Options) -> Random:
        structure = read_type(options.get("type"), self.resolve)
        subject = self._effect_of(options, "subject")
        return Random(statement, effects, structure, subject, self._effect_of(options, "group"), options)

    def _effect_of(self, options: Options, name: str) -> Effect | None:
        if name not in options:
            return None
        reader = options[name].inner
        found = _plain(read_effect(reader, self.effect))
        if reader:
            reader.fail(f"this does not belong to {name}=.")
        return None if found == INTERCEPT else found

    def _parms(self, statement: Statement) -> None:
        reader, values = statement.reader(), []
        while reader and not reader.is_mark("/"):
            if reader.is_mark("("):
                values.append(tuple(_value_list(reader.inner(reader.group()))))
            else:
                values.append((reader.signed("a value of a covariance parameter"),))
                reader.take_mark(",")
        options = self._sides(
            reader,
            tables.PARMS,
            tables.PARMS_REFUSED,
            "PARMS",
        )
        hold = tuple(int(one) for one in options["hold"].numbers()) if "hold" in options else ()
        self.model.parms = Parms(statement, tuple(values), options, hold)

    def _weight(self, statement: Statement) -> None:
        self.model.weight = self.resolve(statement.reader().name("a variable"))

    def _freq(self, statement: Statement) -> None:
        self.model.frequency = self.resolve(statement.reader().name("a variable"))

    def _id(self, statement: Statement) -> None:
        reader = statement.reader()
        names = []
        while reader:
            names.append(self.resolve(reader.name("a variable")))
        self.model.identifiers = tuple(names)

    def _test(self, statement: Statement) -> None:
        reader = statement.reader()
        effects = tuple(read_effects(reader, self.resolve, "/"))
        if reader:
            reader.fail("options of TEST are not read.")
        self.model.tests = (*(self.model.tests or ()), *effects)

    def _store(self, statement: Statement) -> None:
        reader = statement.reader()
        reader.take_word("out")
        reader.take_mark("=")
        self.model.store = reader.name("a name").text
        self.model.notes.append(
            f"STORE: the fit is kept in the listing as {self.model.store}, no file is written."
        )

    def _global(self, statement: Statement) -> None:
        """ODS OUTPUT is kept elsewhere; titles and options are noted."""

    def _noted(self, statement: Statement) -> None:
        self.model.notes.append(f"{statement.word.upper()} is noted: it changes nothing here.")

    _label = _format = _nloptions = _performance = _noted

    def _covtest(self, statement: Statement) -> None:
        from .covariance_tests import read_covtest

        read_covtest(self.model, statement)

    def _output(self, statement: Statement) -> None:
        reader = statement.reader()
        out, wanted = "", []
        known = {"pred": "pred", "predicted": "pred", "p": "pred", "residual": "resid", "resid": "resid", "r": "resid",
                 "student": "student", "pearson": "pearson", "stderr": "stderr"}  # fmt: skip
        while reader:
            token = reader.name("OUT= or a statistic")
            if token.word == "out":
                reader.mark("=")
                out = reader.name("the name of a data set").text
                continue
            if token.word not in known:
                reader.fail(
                    f"OUTPUT does not make {token.text!r}; it makes {', '.join(sorted(set(known.values())))}.",
                    token,
                )
            keys = [one.text.lower() for one in reader.group()] if reader.is_mark("(") else []
            if bad := [key for key in keys if key not in ("blup", "noblup", "ilink", "noilink")]:
                reader.fail(f"{bad[0]!r} is none of blup, noblup, ilink, noilink.", token)
            name = reader.name().text if reader.take_mark("=") else known[token.word].capitalize()
            wanted.append((known[token.word], tuple(keys), name))
        if not out:
            statement.fail("OUTPUT names a data set: output out=o pred=p;")
        columns = {name: f"{kind} {' '.join(keys)}".strip() for kind, keys, name in wanted}
        self.model.outputs.append((out, columns, statement))

    def _where(self, statement: Statement) -> None:
        """WHERE and BY are applied to the data before a model is read."""

    _by = _where


def _ordered(effect: Effect, place: dict[str, int]) -> Effect:
    def key(name: str) -> int:
        return place.get(name, -1)

    own = (tuple(sorted(effect.crossed, key=key)), tuple(sorted(effect.nested, key=key)))
    # a CLASS variable crossed with itself is itself
    crossed = tuple(name for i, name in enumerate(own[0]) if name not in place or name not in own[0][:i])
    return Effect(crossed, own[1])


def _plain(effect: Effect) -> Effect:
    return INTERCEPT if effect.variables == ("Intercept",) else effect


def _value_list(reader: Reader) -> list[float]:
    """Return the values of `(0.2 to 1 by 0.2, 3)`."""
    out: list[float] = []
    while reader:
        first = reader.signed()
        if reader.take_word("to"):
            last = reader.signed()
            step = reader.signed() if reader.take_word("by") else 1.0
            count = int((last - first) / step + 1e-9) + 1 if step else 0
            if not 1 <= count <= 10_000:
                reader.fail("this run of values has no end, none, or more than 10,000.")
            out += [first + i * step for i in range(count)]
        else:
            out.append(first)
        reader.take_mark(",")
    return out


def read_model(step: RawStep, procedure: str, options: Options, data: DataSet) -> Model:
    """Return what the statements of a step say about the data.

    Notes
    -----
    CLASS is read before the rest, since statements may stand in any order.
    """
    reader = ModelReader(step, procedure, options, data)
    first = [one for one in step.body if one.word in ("class", "classes")]
    for statement in (*first, *(one for one in step.body if one not in first)):
        reader.read(statement)
    if reader.model.model is None:
        step.head.fail(f"PROC {procedure.upper()} needs a MODEL statement.")
    return reader.model
