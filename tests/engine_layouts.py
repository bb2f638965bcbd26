"""Small designs of every layout that engines meet: random terms of all kinds, with equal and with structured errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from dense_algebra import make_design, nested_in, random_codes, random_known, random_term, singular_known
from mixedmodels.covariance import Positions, structure_class
from mixedmodels.covariance.unbounded import Unbounded
from mixedmodels.terms.design import Residual, VarianceTerm
from mixedmodels.terms.rows import ErrorRows, VarianceRows
from mixedmodels.typing import Array, Codes
from mixedmodels.variance import make_function
from models import Model, ModelErrors, ModelTerm

US = structure_class("us")()
NOBOUND = Unbounded(US)
ROWS = 60
VISITS = 4
SUBJECTS = 18


class Rows:
    """Factors and values of one size of data, drawn with a seed of its own."""

    def __init__(self, seed: int, n: int = ROWS) -> None:
        self.rng, self.n = np.random.default_rng(seed), n
        self.outer = random_codes(self.rng, n, 4)
        self.middle = nested_in(self.rng, self.outer, 3)
        self.inner = nested_in(self.rng, self.middle, 2)
        self.other = random_codes(self.rng, n, 6)
        self.third = random_codes(self.rng, n, 3)

    def values(self, p: int) -> Array | None:
        """Return ones and p − 1 covariates (n, p), None for ones alone."""
        return (
            None if p == 1 else np.column_stack([np.ones(self.n), self.rng.standard_normal((self.n, p - 1))])
        )

    def term(self, label: str, codes: Codes, p: int = 1, **options: object) -> ModelTerm:
        """Return a random term of p columns; `sets=k` puts its levels into k parameter sets in turn."""
        options = {"structure": US, **options}
        if isinstance(options.get("sets"), int):
            options["sets"] = np.arange(int(codes.max()) + 1) % options["sets"]
        structure = options.pop("structure")
        return random_term(label, codes, self.values(p), structure, **options)  # type: ignore[arg-type]

    def design(self, terms: Sequence[ModelTerm], **options: object) -> Model:
        """Return a design whose X and y do not depend on which others have been asked for."""
        return make_design(np.random.default_rng(7), terms, **{"fixed": 3, **options})  # type: ignore[arg-type]


def equal_errors(rows: Rows) -> dict[str, Callable[[], Model]]:
    """Return layouts with independent errors of equal or known relative variance."""
    term, rng = rows.term, rows.rng

    def of(*terms: ModelTerm, **options: object) -> Callable[[], Model]:
        return lambda: rows.design(terms, **options)

    def known(levels: int, precision: bool) -> dict[str, object]:
        return {"known": random_known(rng, levels, precision=precision), "levels": levels}

    def singular(levels: int) -> dict[str, object]:
        return {"known": singular_known(rng, levels), "levels": levels}

    outer, middle, inner, other, third = rows.outer, rows.middle, rows.inner, rows.other, rows.third
    return {
        "one factor": of(term("g", other)),
        "one factor, weights": of(term("g", inner), weighted=True),
        "levels alone": of(term("g", inner), fixed=0, weighted=True),
        "levels alone, slopes": of(term("g", other, 2), term("h", other, 1, sets=2), fixed=0),
        "slopes": of(term("g", other, 2)),
        "many slopes": of(term("g", third, 5), weighted=True),
        "nested": of(term("outer", outer), term("middle", middle), weighted=True),
        "nested in three, slopes": of(term("o", outer, 2), term("m", middle, 3), term("i", inner, 2)),
        "crossed": of(term("inner", inner), term("other", other), term("third", third)),
        "crossed slopes": of(
            term("inner", inner, 2), term("other", other, 2), term("t", third, 3), weighted=True
        ),
        "nested and crossed": of(term("o", outer, 2), term("i", inner, 2), term("other", other, 2)),
        "terms of one factor": of(term("g", other), term("g", other, 2), term("h", third), weighted=True),
        "uncorrelated slopes": of(term("g", inner), slope(rows, "g", inner), slope(rows, "g", inner)),
        "one grouping under two names": of(term("g", other), term("h", other, 2), weighted=True),
        "sets": of(term("g", inner, 2, sets=3)),
        "sets, crossed": of(term("g", other, 2, sets=2), term("h", third, sets=2), weighted=True),
        "sets in one of two terms": of(term("g", inner, sets=2), slope(rows, "g", inner), weighted=True),
        "known covariance": of(term("k", other, 2, **known(6, False))),
        "known covariance, crossed": of(
            term("k", other, **known(6, False)), term("i", inner), weighted=True
        ),
        "known precision": of(term("k", other, **known(6, True)), term("g", other), term("inner", inner)),
        "known precision, slopes": of(term("k", inner, 2, **known(int(inner.max()) + 1, True))),
        "known precision, unused levels": of(term("k", third, **known(5, True)), weighted=True),
        "singular covariance": of(term("k", inner, 2, **singular(int(inner.max()) + 1)), weighted=True),
        "singular covariance, sets": of(term("k", other, sets=2, **singular(6)), term("third", third)),
        "singular and known covariance": of(
            term("k", other, **singular(6)), term("t", third, 2, **known(5, False)), term("i", inner)
        ),
        "unused levels": of(term("g", third, 2, levels=5), term("h", other, levels=8)),
        "no fixed part": of(term("g", inner, 2), term("other", other), fixed=0, weighted=True),
        "wide fixed part": of(term("g", other, 2), term("third", third), fixed=18),
        "no random part": lambda: make_design(np.random.default_rng(7), [], fixed=4, weighted=True),
        "without bounds": of(term("g", inner, structure=NOBOUND), weighted=True),
        "without bounds, nested": of(
            term("o", outer, 2, structure=NOBOUND), term("m", middle, structure=NOBOUND)
        ),
        "without bounds, crossed": of(
            term("i", inner, 2, structure=NOBOUND), term("other", other, 2, structure=NOBOUND),
            term("t", third, structure=NOBOUND), weighted=True,
        ),
        "without bounds, sets": of(
            term("g", inner, 2, sets=2, structure=NOBOUND), term("g", inner, structure=NOBOUND)
        ),
        "without bounds, unused levels": of(term("g", third, levels=5, structure=NOBOUND), fixed=0),
    }  # fmt: skip


def slope(rows: Rows, label: str, codes: Codes) -> ModelTerm:
    """Return a term of one covariate without an intercept."""
    return random_term(label, codes, rows.rng.standard_normal((rows.n, 1)), US)


class Visits:
    """Subjects of up to four visits of which some are missing, within sites, and what their errors may be."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        whole = np.repeat(np.arange(SUBJECTS), VISITS)
        # every subject is seen once at least, some at every visit, so that patterns repeat
        kept = rng.permutation(
            np.flatnonzero((rng.random(len(whole)) < 0.75) | (np.arange(len(whole)) % VISITS == 0))
        )
        self.subject = whole[kept].astype(np.int32)
        self.visit = (kept % VISITS).astype(np.int32)
        self.rows = Rows(seed + 1, len(kept))
        # the rows keep their order, but are those of subjects seen at visits
        self.site = (self.subject // 5).astype(np.int32)
        self.coordinates = np.column_stack(
            [self.visit + rng.uniform(-0.3, 0.3, len(kept)), rng.uniform(0, 2, len(kept))]
        )
        self.stratum = rng.integers(0, 2, len(kept)).astype(np.int32)
        self.covariate = rng.uniform(0.5, 2.0, len(kept))

    def errors(self, kind: str = "grid", *, sets: int = 1, variance: Sequence[str] = ()) -> ModelErrors:
        """Return the error side: on the grid of visits, at coordinates, or independent."""
        n, functions = len(self.subject), [self._variance(name) for name in variance]
        terms, of_rows = tuple(one for one, _ in functions), tuple(own for _, own in functions)
        if kind == "independent":
            each, none = np.arange(n, dtype=np.int32), np.zeros(n, np.int32)
            residual = Residual("", None, Positions(1, ("",)), False, (), none, variance=terms)
            return ModelErrors(residual, ErrorRows(each, none, None, of_rows))
        grid = kind == "grid"
        structure = US if grid else structure_class("exp")()
        positions = Positions(VISITS, tuple("abcd")) if grid else Positions(1, ("",))
        set_labels = tuple(f"s{s}" for s in range(sets)) if sets > 1 else ("",)
        residual = Residual(
            "subject", structure, positions, not grid, (np.arange(SUBJECTS),),
            (np.arange(SUBJECTS) % sets).astype(np.int32), set_labels, terms, SUBJECTS,
        )  # fmt: skip
        index = self.visit if grid else np.zeros(n, np.int32)
        rows = ErrorRows(self.subject, index, None if grid else self.coordinates, of_rows)
        return ModelErrors(residual, rows)

    def _variance(self, name: str) -> tuple[VarianceTerm, VarianceRows]:
        function = make_function(name)
        if name == "ident":
            own = function.reference(None, self.stratum, 2)
            return VarianceTerm("stratum", function, ("a", "b"), own), VarianceRows(self.stratum)
        one = np.zeros(len(self.subject), np.int32)
        own = function.reference(self.covariate, one, 1)
        return VarianceTerm("w", function, ("",), own), VarianceRows(one, self.covariate)

    def design(self, *terms: ModelTerm, residual: ModelErrors, **options: object) -> Model:
        blank = [] if terms else [self.rows.term("subject", self.subject)]
        design = self.rows.design([*terms, *blank], **options)
        return replace(design, random=tuple(terms), residual=residual)


def structured_errors(visits: Visits) -> dict[str, Callable[[], Model]]:
    """Return layouts with correlated errors, or errors whose variance differs between rows."""
    term, errors, rows = visits.rows.term, visits.errors, visits.rows

    def of(*terms: ModelTerm, residual: ModelErrors, **options: object) -> Callable[[], Model]:
        return lambda: visits.design(*terms, residual=residual, **options)

    subject, site, item = visits.subject, visits.site, rows.other
    known = random_known(rows.rng, 6, precision=False)
    of_subject = random_term("subject", subject, np.column_stack([np.ones(rows.n), visits.visit - 1.5]), US)
    return {
        "patterns": of(residual=errors()),
        "patterns, weights": of(residual=errors(), weighted=True),
        "patterns by set": of(residual=errors(sets=2), fixed=5),
        "places": of(residual=errors("places"), weighted=True),
        "places by set": of(residual=errors("places", sets=2)),
        "places, no fixed part": of(residual=errors("places"), fixed=0),
        "strata": of(residual=errors("independent", variance=["ident"]), weighted=True),
        "patterns, strata": of(residual=errors(variance=["ident"])),
        "places, power of a covariate": of(residual=errors("places", variance=["power", "ident"])),
        "slopes in clusters": of(of_subject, residual=errors()),
        "slopes in clusters, weights": of(term("subject", subject, 2), residual=errors(), weighted=True),
        "intercepts by set, strata": of(
            term("subject", subject, sets=2), residual=errors("independent", variance=["ident"])
        ),
        "several clusters in one": of(term("site", site), residual=errors(), weighted=True),
        "several clusters by set in one": of(term("site", site, 2), residual=errors(sets=2)),
        "nested, places": of(term("site", site), term("subject", subject, 2), residual=errors("places")),
        "nested, power of a covariate": of(
            term("site", site), term("subject", subject), residual=errors(variance=["power"]), weighted=True
        ),
        "crossed errors": of(term("item", item), residual=errors(), weighted=True),
        "crossed errors by set": of(
            term("item", item, 2, sets=2), term("site", site), residual=errors(sets=2)
        ),
        "crossed, places": of(term("item", item, 2), term("site", site), residual=errors("places")),
        "crossed, strata": of(
            term("item", item), term("subject", subject, 2),
            residual=errors("independent", variance=["ident", "power"]), weighted=True,
        ),
        "crossed, patterns, strata": of(term("item", item, 2), residual=errors(variance=["ident"]), fixed=0),
        "known covariance, patterns": of(term("item", item, known=known, levels=6), residual=errors()),
        "known precision, places": of(
            term("item", item, 2, known=random_known(rows.rng, 6, precision=True), levels=6),
            residual=errors("places"), weighted=True,
        ),
        "singular covariance, patterns": of(
            term("item", item, 2, known=singular_known(rows.rng, 6), levels=6), residual=errors(), weighted=True
        ),
        "singular covariance, places": of(
            term("item", item, known=singular_known(rows.rng, 6), levels=6), term("site", site),
            residual=errors("places"),
        ),
        "unused levels, patterns": of(term("item", item, levels=8), residual=errors()),
        "without bounds, patterns": of(term("site", site, structure=NOBOUND), residual=errors()),
        "without bounds, strata": of(
            term("subject", subject, 2, structure=NOBOUND),
            residual=errors("independent", variance=["ident"]), weighted=True,
        ),
    }  # fmt: skip


LAYOUTS: dict[str, Callable[[], Model]] = {**equal_errors(Rows(1)), **structured_errors(Visits(2))}
"""Every layout by what is special about it; call one for its design."""


@cache
def layout(name: str) -> Model:
    """Return the design of a layout, the same object each time."""
    return LAYOUTS[name]()
