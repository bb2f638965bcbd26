"""What is wrong with a fit, in words, with evidence and what to try."""

from __future__ import annotations

from ..errors import SpecError
from ..fit import Fit
from ..inference.bootstrap import check_draws
from ..table import Table
from .checks import CHECKS, Asked


def check(fit: Fit, refit: bool = True, seed: int | None = 1) -> Table:
    """Return a verdict on every thing the fit takes for granted.

    Parameters
    ----------
    refit
        Whether suggestions are tried by fitting the model changed as they say, and tests that need refits made.
    seed
        Of what is simulated for generalised models.

    Returns
    -------
    Table
        `check verdict evidence statistic p_value suggestion`, the verdict `"ok"`, `"look"` (p below 0.01, or worth
        knowing) or `"problem"` (p below 0.001, or the numbers cannot be relied on). Questions that do not arise for a
        model are left out.

    Notes
    -----
    Tests are of the size they say where the model is true: about one clean fit in twenty has something to look at. A
    large sample finds departures that do not matter: read the evidence, and look at the figures it names.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Y ~ sex * age + (age | id)", mm.datasets.load("orthodont"))
    >>> table = fit.check()
    >>> row = table.row(table["check"].tolist().index("variance by group"))
    >>> print(row["verdict"], "-", row["suggestion"])
    look - variance="ident(sex)" improves AIC by 19
    """
    if not isinstance(refit, bool):
        raise SpecError(f"refit={refit!r} must be True or False.")
    _, seed = check_draws(1, seed)
    asked = Asked(fit, refit, seed)
    found = {name: finding for name, make in CHECKS.items() if (finding := make(asked)) is not None}
    columns = {"check": list(found)}
    names = ("verdict", "evidence", "statistic", "p_value", "suggestion")
    columns |= {name: [getattr(finding, name) for finding in found.values()] for name in names}
    bad = [name for name, finding in found.items() if finding.verdict != "ok"]
    note = f"to look at: {', '.join(bad)}" if bad else "nothing to look at"
    formats = {"evidence": "text", "suggestion": "text", "verdict": "text"}
    return Table(columns, "Checks of the fit", (note,), fit.backend, formats)
