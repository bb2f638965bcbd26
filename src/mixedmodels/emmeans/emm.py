"""Estimated marginal means, trends or contrasts: linear functions of β with their inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError, suggest
from ..fit import Fit
from ..inference.ddf import DegreesOfFreedom
from ..inference.distributions import t_one_sided
from ..inference.multiplicity import ADJUSTMENTS, ALIASES, Family, FamilyKind
from ..inference.wald import estimate_rows, is_estimable, joint_test
from ..registry import check_choice, look_up
from ..table import Backend, Table
from ..typing import Array, Labels
from .contrasts import ContrastSet, choose_contrasts
from .display import as_objects, compact_letters, draw_intervals, grouped_text, level_formats
from .response import Response, read_response

Kind = Literal["mean", "contrast", "trend"]
Side = Literal["two-sided", "less", "greater", "equivalence", "noninferiority", "nonsuperiority"]
SIDES: tuple[Side, ...] = get_args(Side)
MARGIN = ("equivalence", "noninferiority", "nonsuperiority")
"""Tests against a margin."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How functions are inferred: method for degrees of freedom, level, adjustment, scale reported."""

    method: DegreesOfFreedom
    level: float = 0.95
    adjust: str = "none"
    response: Response | None = None
    """The response's transformation where results are on the response's own scale."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EMM:
    """k linear functions l'β + c of a fit, labelled by levels of factors.

    Parameters
    ----------
    fit
        The fitted model.
    L, offset
        The functions: coefficients on every column of X (k, p), constants (k,).
    levels
        Label columns, each (k,): the factors of the functions, or the names of contrasts.
    primary, by
        Which label columns tell rows of a group apart, and which tell groups apart. Multiplicity is judged
        by group.
    settings
        How they are inferred.
    kind, family
        What the functions are, and for contrasts what family they make.
    notes
        What the reader should know beside the method.
    """

    fit: Fit
    L: Array
    offset: Array
    levels: Mapping[str, NDArray[np.object_]]
    primary: Labels
    by: Labels
    settings: Settings
    kind: Kind = "mean"
    family: FamilyKind = "other"
    notes: tuple[str, ...] = ()
    _cache: dict[str, Table] = field(init=False, default_factory=dict)

    # -- results ---------------------------------------------------------------------------------------------
    @property
    def table(self) -> Table:
        """The estimates as a `Table`: labels, `estimate std_error df`, tests, `conf_low conf_high`."""
        if "table" not in self._cache:
            self._cache["table"] = self._tabulate()
        return self._cache["table"]

    def _tabulate(self) -> Table:
        columns, notes = self._inferred()
        if self.kind == "mean":
            columns = {name: v for name, v in columns.items() if name not in ("statistic", "p_value")}
        shown: dict[str, Any] = {**self.levels, **columns}
        return Table(shown, notes=notes, backend=self.fit.backend, formats=level_formats(self.levels))

    @property
    def estimable(self) -> NDArray[np.bool_]:
        """Whether each function is estimable, (k,)."""
        return is_estimable(self.fit, self.L)

    @property
    def groups(self) -> list[NDArray[np.intp]]:
        """Rows of each by-group, in order of appearance."""
        keys = (
            list(zip(*(self.levels[name] for name in self.by), strict=True)) if self.by else [()] * len(self)
        )
        rows: dict[tuple[Any, ...], list[int]] = {}
        for row, key in enumerate(keys):
            rows.setdefault(key, []).append(row)
        return [np.array(group, dtype=np.intp) for group in rows.values()]

    @property
    def vcov(self) -> Array:
        """Covariance of the estimates, (k, k); NaN where one is not estimable."""
        covariance = self._kept() @ self.settings.method.vcov(self.fit) @ self._kept().T
        bad = ~self.estimable
        covariance[bad, :] = np.nan
        covariance[:, bad] = np.nan
        return np.asarray(covariance)

    def test(
        self,
        null: float = 0.0,
        *,
        side: Side = "two-sided",
        delta: float = 0.0,
        adjust: str | None = None,
    ) -> Table:
        """Return t tests of each function against `null`, on the scale of the linear predictor.

        Parameters
        ----------
        null
            The hypothesised value.
        side
            `"two-sided"`, `"less"`, `"greater"`; `"noninferiority"` (l'β > null − delta),
            `"nonsuperiority"` (l'β < null + delta) or `"equivalence"` (both, by two one-sided tests).
        delta
            The margin, positive for the last three.
        adjust
            Multiplicity adjustment of the p-values, by group; that of the functions by default for
            two-sided tests, none otherwise.

        Notes
        -----
        The statistic is (l'β̂ − null ± delta)/SE, for equivalence (|l'β̂ − null| − delta)/SE: small values speak
        for `"less"`, `"nonsuperiority"` and `"equivalence"`. *Same as* `test(emm, null, side, delta)` of R's emmeans.
        """
        check_choice("side", side, SIDES)
        if side in MARGIN and not delta > 0:
            raise SpecError(f"delta={delta!r} must be positive for side={side!r}: it is the margin.")
        if side not in MARGIN and delta != 0:
            raise SpecError(f"delta={delta!r} is a margin, for side={', '.join(map(repr, MARGIN))}.")
        if side == "two-sided":
            chosen = self if adjust is None else self.adjusted(adjust)
            return chosen._two_sided(null)
        return self._one_sided(null, side, delta, adjust or "none")

    def joint_test(self) -> Table:
        """Return one F test per group that all its functions are zero: `num_df den_df statistic p_value`."""
        kept, estimable = self._kept(), self.estimable
        rows = []
        for group in self.groups:
            used = group[estimable[group]]
            rows.append(joint_test(self.fit, kept[used], -self.offset[used], self.settings.method, ()).row(0))
        return self._by_table(rows)

    def slices(self, by: str | Sequence[str] | None = None) -> Table:
        """Return one F test per group that its means are all equal.

        Parameters
        ----------
        by
            Factors whose levels, and combinations of them, are the groups; those of the means by default.

        Notes
        -----
        *Same as* SAS `LSMEANS A*B / SLICE=A` (`by="A"`) and `joint_tests(fit, by = )` of emmeans.
        """
        if by is not None:
            return self.regrouped(by).slices()
        if not self.by:
            factors = ", ".join(map(repr, self.primary))
            raise SpecError(
                f"slices: say by which factors to slice, slices(by=…); the means are of {factors}."
            )
        if not self.primary:
            raise SpecError(
                "slices: no factor is left whose means to compare within each slice; slice by fewer."
            )
        return self.contrast("consec", adjust="none").joint_test()

    # -- contrasts -------------------------------------------------------------------------------------------
    def contrast(
        self,
        method: Any = "eff",
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        ref: Any = None,
        interaction: bool | str | Sequence[str] = False,
        level: float | None = None,
    ) -> EMM:
        """Return contrasts among the functions of each group.

        Parameters
        ----------
        method
            `"pairwise" "revpairwise" "trt.vs.ctrl" "trt.vs.ctrlk" "consec" "poly" "eff" "del.eff" "helmert"
            "mean_chg"`, a dict of coefficients (`{"late - early": [-1, 0, 1]}` or by level), or a matrix,
            one column per function.
        by
            Factors to contrast within; those of the functions by default.
        adjust
            `"tukey" "sidak" "bonferroni" "holm" "hochberg" "hommel" "bh" "by" "scheffe" "dunnettx" "mvt"
            "none"`; by default what suits the method, as in R's emmeans.
        ref
            Reference level for `"trt.vs.ctrl"`.
        interaction
            True, or a method per factor: contrasts of contrasts over the primary factors.
        level
            Confidence level; that of the functions by default.

        Notes
        -----
        Functions that are not estimable leave the family. *Same as* `contrast`, `pairs` of emmeans; SAS
        `LSMEANS / DIFF ADJUST=`, `LSMESTIMATE`.
        """
        source = self if by is None else self.regrouped(by)
        if interaction:
            return source._interaction(method, interaction, adjust, ref, level)
        rows: list[Array] = []
        names: list[str] = []
        groups: list[int] = []
        chosen = ContrastSet((), np.zeros((0, 0)))
        for group in source.groups:
            chosen = choose_contrasts(method, source._names(group), ref, plain=source._plain_names(group))
            rows.append(chosen.weights @ _rows_of(len(source), group))
            names += chosen.names
            groups += [group[0]] * len(chosen.names)
        levels: dict[str, NDArray[np.object_]] = {"contrast": as_objects(names)}
        levels.update((name, source.levels[name][groups]) for name in source.by)
        return source._derived(
            np.vstack(rows), levels, ("contrast",), chosen.kind, adjust or chosen.adjust, level
        )

    def pairs(self, *, by: str | Sequence[str] | None = None, adjust: str | None = None) -> EMM:
        """Return all pairwise comparisons: `contrast("pairwise")`."""
        return self.contrast("pairwise", by=by, adjust=adjust)

    def adjusted(self, adjust: str) -> EMM:
        """Return the same functions with another multiplicity adjustment."""
        return replace(self, settings=replace(self.settings, adjust=adjust))

    def regrid(self, *, bias_sigma: float | None = None) -> EMM:
        """Return the means of a transformed response on its own scale, whose contrasts are differences there.

        Parameters
        ----------
        bias_sigma
            As for `emmeans`; that of the means by default.

        Notes
        -----
        h(l'β̂) with h the inverse of the transformation, linearised: coefficients h'(l'β̂)l, so that tests and symmetric
        intervals are on the response's scale. *Same as* `regrid(emm)` of R's emmeans.
        """
        given = self.settings.response
        if self.kind != "mean":
            raise SpecError("regrid is for means: regrid first, contrast afterwards.")
        response = (
            given
            if given is not None and bias_sigma is None
            else read_response(self.fit.spec.response, bias_sigma)
        )
        fixed = self._kept() @ self.fit.solution.beta
        eta = fixed + self.offset
        slope = response.mean_slope(eta)
        note = f"means on the response's scale{response.bias_note}, standard errors by the delta method"
        return replace(
            self,
            L=slope[:, None] * self.L,
            offset=response.mean(eta) - slope * fixed,
            settings=replace(self.settings, response=None),
            notes=(*self.notes, note),
        )

    def regrouped(self, by: str | Sequence[str]) -> EMM:
        """Return the same functions grouped by other factors."""
        wanted = (by,) if isinstance(by, str) else tuple(by)
        for name in wanted:
            if name not in self.levels:
                raise SpecError(
                    f"by={name!r} is not a factor of these estimates.{suggest(name, self.levels)} "
                    f"Factors: {', '.join(self.levels)}."
                )
        everything = (*self.primary, *self.by)
        return replace(self, primary=tuple(n for n in everything if n not in wanted), by=wanted)

    def cld(self, *, alpha: float = 0.05, adjust: str = "tukey") -> Table:
        """Return the means in increasing order with letters; those that share one do not differ.

        Notes
        -----
        Sharing a letter is no evidence that means are equal. *Same as* `multcomp::cld(emm)`.
        """
        if not 0 < alpha < 1:
            raise SpecError(f"alpha={alpha!r} must lie between 0 and 1, for example 0.05.")
        table, groups = self.table, self.groups
        order: list[int] = []
        letters: list[str] = []
        for group in groups:
            mine = group[self.estimable[group]]
            mine = mine[np.argsort(table["estimate"][mine], kind="stable")]
            order += mine.tolist()
            compared = replace(self._subset(mine), by=()).contrast("pairwise", adjust=adjust).table["p_value"]
            differs = np.zeros((len(mine), len(mine)), bool)
            differs[np.triu_indices(len(mine), 1)] = compared < alpha
            letters += compact_letters(differs | differs.T)
        columns = {name: table[name][order] for name in table}
        note = f"means that share a letter do not differ at alpha = {alpha:g} ({adjust})"
        return Table(
            {**columns, "group": as_objects(letters)}, "", (*table.notes, note), table.backend, table.formats
        )

    def plot(self) -> Any:
        """Draw the estimates with their intervals; a matplotlib Axes."""
        labels = [
            ", ".join(str(self.levels[name][i]) for name in (*self.by, *self.primary))
            for i in range(len(self))
        ]
        title = {"mean": "Estimated marginal means", "trend": "Slopes", "contrast": "Contrasts"}[self.kind]
        return draw_intervals(self.table, labels, f"{title}, {100 * self.settings.level:g}% intervals")

    # -- as a table ------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self.L)

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        return self.table[name]

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __repr__(self) -> str:
        return grouped_text(self.table, self.by, self.groups)

    def _repr_html_(self) -> str:
        return self.table.to_html()

    @property
    def names(self) -> Sequence[str]:
        """Column names in order."""
        return self.table.names

    def row(self, index: int) -> dict[str, Any]:
        """Return one row as column → value."""
        return self.table.row(index)

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Return the table as a data frame."""
        return self.table.to_frame(backend)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return column → list of plain values."""
        return self.table.to_dict()

    def to_text(self) -> str:
        """Return the estimates as text, a block per group."""
        return repr(self)

    def to_html(self) -> str:
        """Return the table as HTML."""
        return self.table.to_html()

    def to_latex(self) -> str:
        """Return the table as a LaTeX tabular."""
        return self.table.to_latex()

    # -- mechanics -------------------------------------------------------------------------------------------
    def _kept(self) -> Array:
        return self.L[:, list(self.fit.design.fixed.estimable)]

    def _inferred(self, null: float = 0.0) -> tuple[dict[str, Array], tuple[str, ...]]:
        s = self.settings
        estimable = self.estimable
        targets = null - self.offset
        found = estimate_rows(self.fit, self._kept(), targets, s.method, s.level, estimable).columns()
        found["estimate"] = found["estimate"] + self.offset
        half, adjust_notes = self._adjust(found, estimable)
        found["conf_low"] = found["estimate"] - half
        found["conf_high"] = found["estimate"] + half
        notes = [*self.notes, f"df: {s.method.describe(self.fit)}"]
        notes.append(f"confidence level {s.level:g}")
        if s.response is not None:
            notes.append(s.response.apply(found, ratio=self.kind == "contrast"))
        if not estimable.all():
            notes.append(f"{int((~estimable).sum())} of {len(self)} not estimable (–)")
        return found, (*notes, *adjust_notes)

    def _adjust(self, found: dict[str, Array], estimable: NDArray[np.bool_]) -> tuple[Array, list[str]]:
        """Adjust the p-values in place; return half-widths of intervals (k,) and notes."""
        half = np.full(len(self), np.nan)
        notes: dict[str, None] = {}
        covariance = self.vcov
        for group in self.groups:
            used = group[estimable[group] & (found["std_error"][group] > 0)]
            if len(used) == 0:
                continue
            inner = covariance[np.ix_(used, used)]
            scale = np.sqrt(np.diagonal(inner))
            m = len(used)
            family = Family(
                found["statistic"][used],
                found["df"][used],
                inner / np.outer(scale, scale),
                (1.0 + np.sqrt(1.0 + 8.0 * m)) / 2.0,
                self.family,
            )
            name, changed = self._adjustment_for(family)
            if changed:
                notes[changed] = None
            chosen = ADJUSTMENTS[name]
            if self.kind == "contrast" or name != "none":
                found["p_value"][used] = chosen.p_values(family)
            half[used] = chosen.critical(family, self.settings.level) * found["std_error"][used]
            if m > 1:
                notes.update(
                    dict.fromkeys(note for note in (chosen.note(family), chosen.interval_note) if note)
                )
        return half, list(notes)

    def _adjustment_for(self, family: Family) -> tuple[str, str]:
        """Return the adjustment used for one family and a note where it is not the one asked for."""
        asked = self.settings.adjust
        look_up("adjustment", asked, ADJUSTMENTS, ALIASES)
        name = ALIASES.get(asked.strip().lower(), asked.strip().lower())
        if family.size == 1 and name != "scheffe":
            return "none", ""
        if name == "tukey" and self.family != "pairwise":
            return "sidak", "tukey is for one set of pairwise comparisons: sidak used instead"
        return name, ""

    def _two_sided(self, null: float) -> Table:
        found, notes = self._inferred(null)
        columns = {name: found[name] for name in ("estimate", "std_error", "df", "statistic", "p_value")}
        about = () if null == 0 else (f"null value {null:g}",)
        shown: dict[str, Any] = {**self.levels, **columns}
        return Table(shown, "", (*notes, *about), self.fit.backend, level_formats(self.levels))

    def _one_sided(self, null: float, side: str, delta: float, adjust: str) -> Table:
        if adjust not in ("none", "bonferroni", "holm", "hochberg", "hommel", "bh", "by", "sidak"):
            raise SpecError(
                f"adjust={adjust!r} is for two-sided tests; use 'holm', 'sidak', 'bonferroni' or 'none'."
            )
        plain = replace(self, settings=replace(self.settings, adjust="none", response=None))
        found, notes = plain._inferred(null)
        distance = found["estimate"] - null
        shifted = {
            "noninferiority": distance + delta,
            "nonsuperiority": distance - delta,
            "equivalence": np.abs(distance) - delta,
        }
        with np.errstate(divide="ignore", invalid="ignore"):
            t = shifted.get(side, distance) / found["std_error"]
        p = t_one_sided(t if side in ("greater", "noninferiority") else -t, found["df"])
        if adjust != "none":
            p = self._adjust_plain(p, adjust)
        names = ("estimate", "std_error", "df")
        shown: dict[str, Any] = {
            **self.levels,
            **{name: found[name] for name in names},
            "statistic": t,
            "p_value": p,
        }
        about = f"{side} test, null value {null:g}" + (f", margin {delta:g}" if delta else "")
        return Table(shown, "", (*notes, about), self.fit.backend, level_formats(self.levels))

    def _adjust_plain(self, p: Array, adjust: str) -> Array:
        from scipy import special

        out = p.copy()
        for group in self.groups:
            used = group[np.isfinite(p[group])]
            # Families read |z|; a one-sided p-value enters as the two-sided one of the same size.
            z = -special.ndtri(np.clip(p[used], 1e-300, 1.0) / 2.0)
            family = Family(z, np.full(len(used), np.inf), np.eye(len(used)), float(len(used)))
            out[used] = ADJUSTMENTS[adjust].p_values(family)
        return out

    def _names(self, group: NDArray[np.intp]) -> Labels:
        """Return names of the functions of a group; levels that are numbers carry the factor's name."""
        parts = []
        for name in self.primary:
            values = [str(self.levels[name][i]) for i in group]
            numeric = level_formats({name: self.levels[name]})[name] == "aligned"
            parts.append([f"{name}{value}" if numeric else value for value in values])
        joined = (
            [" ".join(pieces) for pieces in zip(*parts, strict=True)] if parts else ["overall"] * len(group)
        )
        return tuple(f"({text})" if any(sign in text for sign in "+-*/") else text for text in joined)

    def _plain_names(self, group: NDArray[np.intp]) -> Labels:
        """Return the levels of the functions of a group as they stand in the data."""
        return tuple(" ".join(str(self.levels[name][i]) for name in self.primary) for i in group)

    def _subset(self, rows: NDArray[np.intp]) -> EMM:
        levels = {name: values[rows] for name, values in self.levels.items()}
        return replace(self, L=self.L[rows], offset=self.offset[rows], levels=levels)

    def _derived(
        self,
        weights: Array,
        levels: Mapping[str, NDArray[np.object_]],
        primary: Labels,
        family: FamilyKind,
        adjust: str,
        level: float | None,
    ) -> EMM:
        look_up("adjustment", adjust, ADJUSTMENTS, ALIASES)
        settings = replace(
            self.settings, adjust=adjust, level=self.settings.level if level is None else level
        )
        return EMM(
            self.fit,
            weights @ self.L,
            weights @ self.offset,
            levels,
            primary,
            self.by,
            settings,
            "contrast",
            family,
            self.notes,
        )

    def _interaction(self, method: Any, asked: Any, adjust: str | None, ref: Any, level: float | None) -> EMM:
        default = method if isinstance(method, str) and method != "eff" else "pairwise"
        methods = (
            [default] * len(self.primary)
            if asked is True
            else [asked]
            if isinstance(asked, str)
            else list(asked)
        )
        if len(methods) == 1:
            methods *= len(self.primary)
        if len(methods) != len(self.primary):
            raise SpecError(
                f"interaction={asked!r} has {len(methods)} methods for factors {', '.join(self.primary)}."
            )
        labels = tuple(f"{name}_{one}" for name, one in zip(self.primary, methods, strict=True))
        rows: list[Array] = []
        columns: dict[str, list[Any]] = {name: [] for name in (*labels, *self.by)}
        for group in self.groups:
            sets = [
                self._factor_contrasts(name, one, group, ref)
                for name, one in zip(self.primary, methods, strict=True)
            ]
            for places in product(*(range(len(made.names)) for made, _ in reversed(sets))):
                weights = np.ones(len(group))
                for (made, codes), place, label in zip(sets, reversed(places), labels, strict=True):
                    weights = weights * made.weights[place][codes]
                    columns[label].append(made.names[place])
                for name in self.by:
                    columns[name].append(self.levels[name][group[0]])
                rows.append(weights @ _rows_of(len(self), group))
        levels = {name: as_objects(values) for name, values in columns.items()}
        matrix = np.array(rows).reshape(-1, len(self))
        return self._derived(matrix, levels, labels, "other", adjust or "none", level)

    def _factor_contrasts(
        self, name: str, method: str, group: NDArray[np.intp], ref: Any
    ) -> tuple[ContrastSet, NDArray[np.intp]]:
        """Return contrasts among the levels of one factor in a group, and the level of each function."""
        values = self.levels[name][group].tolist()
        distinct = list(dict.fromkeys(values))
        single = replace(self, primary=(name,))
        first = np.array([group[values.index(value)] for value in distinct], dtype=np.intp)
        made = choose_contrasts(method, single._names(first), ref, plain=single._plain_names(first))
        return made, np.array([distinct.index(value) for value in values], dtype=np.intp)

    def _by_table(self, rows: Sequence[Mapping[str, Any]]) -> Table:
        firsts = [group[0] for group in self.groups]
        columns: dict[str, Any] = {name: self.levels[name][firsts] for name in self.by}
        columns.update(
            (name, np.array([row[name] for row in rows]))
            for name in ("num_df", "den_df", "statistic", "p_value")
        )
        notes = (*self.notes, f"df: {self.settings.method.describe(self.fit)}")
        formats = level_formats({name: self.levels[name] for name in self.by})
        return Table(columns, "", notes, self.fit.backend, formats)


def _rows_of(k: int, group: NDArray[np.intp]) -> Array:
    return np.eye(k)[group]
