"""Write `docs/small-samples.md` from what `run.py` has found.

    python benchmarks/sizes/page.py

Every number of the page is read from `results/`; what is said of them is marked where it does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "small-samples.md"
SIZES, COVERAGES = (4.0, 7.0), (93.0, 97.0)
"""What the page calls right, in per cent, for tests at 5 % and intervals of 95 %."""
METHODS = ("auto", "satterthwaite", "between-within", "containment", "residual", "asymptotic")
TESTS = (
    ("split_plot", ("A", "B", "A:B")), ("split_plot_small", ("A", "A:B")), ("blocks", ("treatment",)),
    ("nested", ("arm", "x")), ("crossed", ("group", "kind", "group:kind")), ("slopes_6", ("arm", "time", "arm:time")),
    ("slopes_12", ("arm", "time", "arm:time")), ("mmrm_us_20", ("arm", "visit", "arm:visit", "base")),
    ("mmrm_us_40", ("visit", "arm:visit")), ("mmrm_csh_20", ("visit", "arm:visit")), ("mmrm_csh_40", ("arm:visit",)),
    ("mmrm_ar1_20", ("visit", "arm:visit")), ("mmrm_ar1_40", ("arm:visit",)), ("series", ("post",)),
    ("field", ("treatment",)), ("unequal_variances", ("group",)), ("many_effects", ("x1", "x2")),
    ("eight_groups", ("arm",)),
)  # fmt: skip
VARIANCES = (
    ("split_plot", ("block: (Intercept)", "block:A: (Intercept)", "Residual")),
    ("split_plot_small", ("block:A: (Intercept)",)), ("blocks", ("block: (Intercept)", "Residual")),
    ("nested", ("school: (Intercept)", "school:room: (Intercept)", "Residual")),
    ("slopes_12", ("id: (Intercept)", "id: time", "Residual")), ("many_effects", ("g: (Intercept)", "Residual")),
    ("bootstrapped", ("g: (Intercept)", "Residual")),
)  # fmt: skip
LIMITS = ("profile", "profile by ML", "satterthwaite", "wald")
BOOTSTRAPS = ("percentile", "basic", "bca", "studentized")


class Results:
    """What was found, by scenario."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {
            path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))
        }

    def mean(self, name: str, key: str) -> tuple[float, float, int]:
        """Return the mean of a quantity, its Monte Carlo error and the number of replicates that have none."""
        n, total, squares, missing = self.kept[name]["sums"].get(key, (0, 0.0, 0.0, 0))
        if not n:
            return float("nan"), float("nan"), missing
        mean = total / n
        return mean, (max(squares / n - mean**2, 0.0) / n) ** 0.5, missing

    def per_cent(self, name: str, key: str, digits: int = 1) -> str:
        """Return a share as text, with its Monte Carlo error."""
        mean, error, _ = self.mean(name, key)
        return f"{100 * mean:.{digits}f} ± {100 * error:.1f}"

    def share(self, name: str, key: str, right: tuple[float, float] | None = None) -> str:
        """Return a share as a cell: in bold where it is outside what is right by more than two Monte Carlo errors."""
        mean, error, missing = self.mean(name, key)
        if mean != mean:
            return "–"
        text = f"{100 * mean:.1f}" + (f" ({missing} without)" if missing else "")
        outside = right is not None and not (right[0] - 200 * error <= 100 * mean <= right[1] + 200 * error)
        return f"**{text}**" if outside else text

    def title(self, name: str) -> str:
        """Return the title of a scenario with its number of replicates."""
        return f"{self.kept[name]['title']} ({self.kept[name]['replicates']:,})"

    def has(self, name: str) -> bool:
        """Return whether a scenario has been run."""
        return name in self.kept


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, numbers to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def sizes(results: Results) -> str:
    """Return the sizes of F tests by df method, at 5 % and in parentheses at 1 %."""
    rows: list[list[str]] = []
    for name, terms in TESTS:
        if not results.has(name):
            continue
        rows.append([f"*{results.title(name)}*", *([""] * (len(METHODS) + 1))])
        for term in terms:
            cells = []
            for method in METHODS:
                at5 = results.share(name, f"size5|{term}|{method}", SIZES)
                at1 = results.share(name, f"size1|{term}|{method}")
                cells.append(at5 if at5 == "–" else f"{at5} ({at1})")
            error = results.mean(name, f"size5|{term}|auto")[1]
            rows.append([f"`{term}`", *cells, f"{100 * error:.1f}"])
    return table(["test", *(f"`{method}`" for method in METHODS), "±"], rows)


def coverage_of_variances(results: Results) -> str:
    """Return the coverage of limits of standard deviations by kind of interval."""
    rows: list[list[str]] = []
    for name, parameters in VARIANCES:
        if not results.has(name):
            continue
        rows.append([f"*{results.title(name)}*", *([""] * (len(LIMITS) + 1))])
        for parameter in parameters:
            key = f"cover|sd({parameter})|"
            cells = [results.share(name, key + how, COVERAGES) for how in LIMITS]
            rows.append([f"sd({parameter})", *cells, f"{100 * results.mean(name, key + LIMITS[0])[1]:.1f}"])
    return table(["parameter", *LIMITS, "±"], rows)


def coverage_of_bootstraps(results: Results) -> str:
    """Return the coverage of bootstrap limits."""
    rows = []
    for parameter in ("sd(g: (Intercept))", "sd(Residual)", "(Intercept)"):
        keys = [f"cover|{parameter}|bootstrap, {how}" for how in BOOTSTRAPS]
        cells = [results.share("bootstrapped", key, COVERAGES) for key in keys]
        cells.append(results.share("bootstrapped", f"cover|{parameter}|profile", COVERAGES))
        rows.append([parameter, *cells, f"{100 * results.mean('bootstrapped', keys[0])[1]:.1f}"])
    return table(["parameter", *BOOTSTRAPS, "profile", "±"], rows)


def robust(results: Results) -> str:
    """Return the sizes of robust tests by kind, with their own df and with the normal distribution."""
    rows = []
    for name, terms in (("ten_clusters", ("arm[T.a1]", "x")), ("unequal_clusters", ("arm[T.a1]",))):
        rows.append([f"*{results.title(name)}*", "", "", "", "", "", ""])
        for term in terms:
            for how, ending in (("Bell–McCaffrey, m − 1 for MBN", ""), ("normal", ", normal")):
                keys = [f"size5|{term}|{kind}{ending}" for kind in ("CR0", "CR1", "CR2", "CR3", "mbn")]
                cells = [results.share(name, key, SIZES) for key in keys]
                error = f"{100 * results.mean(name, keys[2])[1]:.1f}"
                rows.append([f"`{term}`, {how}", *cells, error])
    return table(["coefficient, distribution", "CR0", "CR1", "CR2", "CR3", "MBN", "±"], rows)


def ratios(results: Results) -> str:
    """Return the sizes of likelihood-ratio tests."""
    asked = (
        ("eight_groups", "arm", "likelihood ratio, χ²", "fixed effect, χ² (`compare`)"),
        ("eight_groups", "arm", "likelihood ratio, bootstrap", "fixed effect, parametric bootstrap"),
        ("eight_groups", "arm", "auto", "fixed effect, F by `\"auto\"`"),
        ("no_variance", "variance of groups", "χ²", "a variance, χ²"),
        ("no_variance", "variance of groups", "mixture", "a variance, `boundary=\"mixture\"`"),
        ("no_variance", "variance of groups", "exact", "a variance, `boundary=\"exact\"`"),
        ("no_slopes", "variance of slopes", "χ²", "slopes beside intercepts, χ²"),
        ("no_slopes", "variance of slopes", "mixture", "slopes beside intercepts, `boundary=\"mixture\"`"),
    )  # fmt: skip
    rows = []
    for name, what, how, shown in asked:
        at5, at1 = (
            results.share(name, f"size{level}|{what}|{how}", SIZES if level == 5 else None)
            for level in (5, 1)
        )
        error = 100 * results.mean(name, f"size5|{what}|{how}")[1]
        rows.append([shown, f"{at5} ({at1})", f"{error:.1f}", f"{results.kept[name]['replicates']:,}"])
    return table(["test", "at 5 % (at 1 %)", "±", "replicates"], rows)


def binary(results: Results) -> str:
    """Return the sizes of tests between clusters of binary responses."""
    asked = (
        ("laplace, auto", 'Laplace, t by `"auto"` (between–within)'),
        ("laplace, asymptotic", 'Laplace, z (`"asymptotic"`, R\'s)'),
        ("likelihood ratio, chi2", "likelihood ratio, χ²"),
        ("likelihood ratio, f", 'likelihood ratio, `reference="f"`'),
        ("rspl, kenward-roger", '`method="rspl"`, Kenward–Roger'),
    )
    rows = []
    for name in ("binary_10", "binary_20"):
        if not results.has(name):
            continue
        rows.append([f"*{results.title(name)}*", "", ""])
        for how, shown in asked:
            at5 = results.share(name, f"size5|arm|{how}", SIZES)
            at1 = results.share(name, f"size1|arm|{how}")
            rows.append([shown, f"{at5} ({at1})", f"{100 * results.mean(name, f'size5|arm|{how}')[1]:.1f}"])
    return table(["test of the arm", "at 5 % (at 1 %)", "±"], rows)


def predictions(results: Results) -> str:
    """Return the coverage of limits for means, rows and effects of clusters."""
    rows = []
    for name in ("predictions_5", "predictions_12"):
        rows.append([f"*{results.title(name)}*", "", "", "", ""])
        for what in ("mean of the population", "mean of a new cluster", "row of a new cluster", "mean of a cluster",
                     "row of a cluster"):  # fmt: skip
            cells = [
                results.share(name, f"cover|{what}|{how}", COVERAGES)
                for how in ("auto", "satterthwaite", "asymptotic")
            ]
            error = 100 * results.mean(name, f"cover|{what}|auto")[1]
            rows.append([what, *cells, f"{error:.1f}"])
        effect = results.share(name, "cover|effect of a cluster|± 1.96 SE", COVERAGES)
        rows.append(["effect of a cluster, b̂ ± 1.96 SE", "–", "–", effect, ""])
    return table(["limits of 95 % for the", "`auto`", "`satterthwaite`", "`asymptotic`", "±"], rows)


def areas(results: Results) -> str:
    """Return reported mean squared errors over those that came true."""
    rows = []
    for name in ("areas_small", "areas"):
        true, error, _ = results.mean(name, "squared_error|means|")
        reported = [results.mean(name, f"mse|means|{how}")[0] for how in ("g1 + g2", "Prasad–Rao")]
        rows.append(
            [
                results.title(name),
                *(f"{100 * (value / true - 1):+.0f} %" for value in reported),
                f"{100 * error / true:.0f}",
                results.share(name, "cover|mean of an area|± 1.96 √mse", COVERAGES),
                results.share(name, "share|variance of areas estimated as zero|"),
            ]
        )  # fmt: skip
    return table(["areas", "g1 + g2", "Prasad–Rao", "±", "coverage", "variance at zero, %"], rows)


def outside(results: Results) -> str:
    """Return where the default's test is not of the size promised, by more than two Monte Carlo errors."""
    found = [
        f"`{term}` of `{name}` ({results.per_cent(name, f'size5|{term}|auto')} %)"
        for name, terms in TESTS
        if results.has(name)
        for term in terms
        if results.share(name, f"size5|{term}|auto", SIZES).startswith("**")
    ]
    if not found:
        return "none of them is outside by more than two Monte Carlo errors"
    return "outside by more than two Monte Carlo errors are " + ", ".join(found)


def write() -> str:
    """Return the page."""
    results = Results()
    p = results.per_cent
    template = (Path(__file__).parent / "small-samples.template.md").read_text(encoding="utf-8")
    values = {
        "sizes": sizes(results), "variances": coverage_of_variances(results), "robust": robust(results),
        "bootstraps": coverage_of_bootstraps(results), "ratios": ratios(results), "areas": areas(results),
        "binary": binary(results),
        "predictions": predictions(results), "outside": outside(results),
        "replicates": f"{sum(kept['replicates'] for kept in results.kept.values()):,}",
        "scenarios": str(len(results.kept)),
        "failed": f"{sum(sum(kept['failed'].values()) for kept in results.kept.values())}",
        "us_satterthwaite": p("mmrm_us_20", "size5|arm:visit|satterthwaite"),
        "us_visit": p("mmrm_us_20", "size5|visit|satterthwaite"),
        "us_between": p("mmrm_us_20", "size5|visit|between-within"),
        "us_auto": p("mmrm_us_20", "size5|arm:visit|auto"),
        "chi2": p("eight_groups", "size5|arm|likelihood ratio, χ²"),
        "wrong_slopes": p("ten_clusters", "size5|x|auto"),
        "cr2": p("ten_clusters", "size5|x|CR2"), "cr2_normal": p("ten_clusters", "size5|x|CR2, normal"),
        "ml_profile": p("many_effects", "cover|sd(Residual)|profile by ML"),
        "reml_profile": p("many_effects", "cover|sd(Residual)|profile"),
        "arm_contained": p("eight_groups", "size5|arm|containment"),
        "other_containment": p("split_plot", "size5|A|containment, other spelling"),
        "own_containment": p("split_plot", "size5|A|containment"),
        "zero_share": p("pooled", "share|variance of whole plots estimated as zero|"),
        "zero_auto": p("pooled", "size5|A|kenward-roger, variance zero"),
        "above_auto": p("pooled", "size5|A|kenward-roger, variance above zero"),
        "zero_containment": p("pooled", "size5|A|containment, variance zero"),
        "above_containment": p("pooled", "size5|A|containment, variance above zero"),
        "tukey": p("unequal_variances", "size5|any pair|tukey"),
        "meta_z": p("studies", "size5|mean|asymptotic"), "meta_knha": p("studies", "size5|mean|knapp-hartung"),
        "meta_tau": p("studies", "cover|variance between studies|profile"),
        "meta_new": p("studies", "cover|true effect of a new study|knapp-hartung"),
        "studentized": p("bootstrapped", "cover|sd(g: (Intercept))|bootstrap, studentized"),
    }  # fmt: skip
    for name, value in values.items():
        template = template.replace("{{" + name + "}}", value)
    return template


if __name__ == "__main__":
    PAGE.write_text(write(), encoding="utf-8")
