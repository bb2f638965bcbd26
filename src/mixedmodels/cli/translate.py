"""`mixedmodels translate`: a model in another language."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import SpecError

TARGETS = {
    "sas": ("MIXED", "GLIMMIX"),
    "nlme": ("lme", "gls"),
    "lme4": ("lmer",),
    "glmmtmb": ("glmmTMB",),
    "mmrm": ("mmrm",),
}
"""Programs of each language, of which the first that fits is printed."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("translate", help="write a model in the language of another program")
    parser.add_argument("formula", help='for example "y ~ x + (1 | g)"')
    parser.add_argument(
        "--to", choices=(*TARGETS, "all"), default="all", help="language; a table of all by default"
    )
    parser.add_argument("--data", metavar="FILE", help="data that say which columns are factors")
    parser.add_argument("--ml", action="store_true", help="maximum likelihood rather than REML")
    parser.add_argument("--residual", metavar="STRUCTURE", help='covariance of errors, "ar1(week | id)"')
    parser.add_argument("--variance", metavar="FUNCTION", help='variance of errors, "ident(sex)"')
    parser.add_argument("--weights", metavar="COLUMN", help="column of known precision weights")
    parser.add_argument(
        "--family", metavar="NAME", help="a generalised model: binomial, poisson, nb2, gamma …"
    )
    parser.add_argument("--link", metavar="NAME", help="link of the family; its default without")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Print the text of a model, or the table of all programs; status 2 with the reason where there is none."""
    from ..dialects.compare_software import compare_software, texts
    from .fit import read_data

    data = None if parsed.data is None else read_data(parsed.data)
    options = {name: getattr(parsed, name) for name in ("residual", "variance", "weights", "family", "link")}
    options["method"] = "ml" if parsed.ml else "reml"
    if parsed.to == "all":
        print(compare_software(parsed.formula, data, **options))
        return 0
    found = texts(parsed.formula, data, programs=TARGETS[parsed.to], **options)
    for _, text, _ in found:
        if text:
            print(text)
            return 0
    _, _, reason = found[-1] if parsed.to == "sas" and parsed.family else _most_telling(found)
    raise SpecError(f"{parsed.to} cannot fit this model: {reason}.")


def _most_telling(found: list[tuple[str, str, str]]) -> tuple[str, str, str]:
    """Return the reason that is about the model and not about which function of two takes it."""
    kept = [row for row in found if "see gls" not in row[2] and "gls has no random" not in row[2]]
    return (kept or found)[0]
