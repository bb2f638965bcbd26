"""p-values and limits adjusted for several tests, by SAS's names of the adjustments."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ...inference.multiplicity import ADJUSTMENTS, Family, FamilyKind
from ...inference.wald import Estimates
from ...typing import Array
from .fitting import Fitted
from .options import Options

NAMES = {
    "bon": "bonferroni", "bonferroni": "bonferroni", "tukey": "tukey", "sidak": "sidak", "scheffe": "scheffe",
    "dunnett": "mvt", "simulate": "mvt", "t": "none", "none": "none",
}  # fmt: skip
TITLES = {
    "bonferroni": "Bonferroni", "tukey": "Tukey-Kramer", "sidak": "Sidak", "scheffe": "Scheffe", "mvt": "Dunnett-Hsu",
    "none": "T",
}  # fmt: skip


def adjusted(
    found: Fitted, L: Array, values: Estimates, options: Options, kind: str, means: float, alpha: float
) -> dict[str, Any]:
    """Return `Adjustment Adjp` and, with CL, `AdjLower AdjUpper` of estimates of functions L (k, P).

    Notes
    -----
    The degrees of freedom are those of the rows (ADJDFE=ROW); where they are the effect's they are one number. Where
    SAS draws samples, ADJUST=SIMULATE, the multivariate t distribution is integrated, and ADJUST=DUNNETT takes the
    correlations themselves.
    """
    if options.text("adjdfe", "row") != "row":
        options["adjdfe"].fail("adjusted tests take the degrees of freedom of their rows: adjdfe=row.")
    option = options["adjust"]
    word = option.text.partition("(")[0] or "none"
    if word in ("smm", "gt2", "nelson"):
        option.fail(f"adjust={word} is not done; use tukey, bon, sidak, scheffe, dunnett or simulate.")
    if word not in NAMES:
        option.fail(f"adjust={option.text} is not known: {', '.join(sorted(NAMES))}.")
    name = NAMES[word]
    if word == "tukey" and kind != "pairwise":
        option.fail("adjust=tukey is for all differences; use dunnett for those with a control.")
    if options.has("stepdown"):
        name = f"stepdown-{name}"
        if name not in ADJUSTMENTS:
            options["stepdown"].fail(f"stepdown does not go with adjust={word}.")
    functions, estimable = found.coding.functions(L)
    usable = estimable & np.isfinite(values.statistic)
    own = found.fit.solution.basis.rows(functions[usable])
    matrix = own @ found.base.vcov(found.fit) @ own.T
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    correlation = matrix / np.outer(scale, scale)
    family = Family(values.statistic[usable], values.df[usable], correlation, means, cast(FamilyKind, kind))
    out = {name: np.full(len(L), np.nan) for name in ("Adjp", "AdjLower", "AdjUpper")}
    if usable.any():
        method = ADJUSTMENTS[name]
        out["Adjp"][usable] = method.p_values(family)
        half = method.critical(family, 1 - alpha) * values.std_error[usable]
        out["AdjLower"][usable] = values.estimate[usable] - half
        out["AdjUpper"][usable] = values.estimate[usable] + half
    title = "Simulated" if word == "simulate" else TITLES[name.removeprefix("stepdown-")]
    if options.has("stepdown"):
        title = f"Stepdown {title}"
    columns: dict[str, Any] = {"Adjustment": [title] * len(L), "Adjp": out["Adjp"]}
    if options.has("cl") and not options.has("stepdown"):
        columns.update(AdjLower=out["AdjLower"], AdjUpper=out["AdjUpper"])
    return columns
