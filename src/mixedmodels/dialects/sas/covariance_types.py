"""SAS's names of covariance structures."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import suggest
from .lex import Kind, Token
from .model_statements import Covariance
from .options import Option
from .statements import Reader

PLAIN = {
    "vc": None, "simple": None, "cs": "cs", "csh": "hcs", "un": "us", "unr": "unr", "toep": "toep", "toeph": "htoep",
    "hf": "hf", "ar": "ar1", "arh": "har1", "ante": "ante1", "arma": "arma", "fa": "fa", "fa0": "fa0", "fa1": "fa1",
    "lin": "lin",
}  # fmt: skip
SPATIAL = {
    "exp": "exp", "gau": "gau", "pow": "pow", "powa": "powa", "expa": "expa", "sph": "sph", "lin": "lin_sp",
    "matern": "mat",
}  # fmt: skip
TITLES = {
    None: "Variance Components", "cs": "Compound Symmetry", "hcs": "Heterogeneous Compound Symmetry",
    "us": "Unstructured", "ar1": "Autoregressive", "har1": "Heterogeneous Autoregressive", "toep": "Toeplitz",
    "htoep": "Heterogeneous Toeplitz", "ante1": "Ante-dependence", "hf": "Huynh-Feldt", "arma": "ARMA",
    "fa": "Factor Analytic", "fa0": "No Diagonal Factor Analytic", "fa1": "Equal Diagonal Factor Analytic",
    "banded_us": "Banded Unstructured", "unr": "Unstructured Correlations", "diag": "Banded Unstructured",
    "lin": "General Linear", "exp": "Spatial Exponential", "gau": "Spatial Gaussian", "pow": "Spatial Power",
    "sph": "Spatial Spherical", "lin_sp": "Spatial Linear", "mat": "Spatial Matern",
    "powa": "Spatial Anisotropic Power", "expa": "Spatial Anisotropic Exponential", "kron": "Direct Product",
}  # fmt: skip
"""What the table of model information calls them."""
NOT_DONE = {
    "linl": "the linear log structure", "mathsw": "Handcock and Wallis's form of Matérn; use sp(matern)",
    "expga": "geometric anisotropy", "gauga": "geometric anisotropy", "sphga": "geometric anisotropy",
    "chol": "its parameters are a Cholesky factor's; use type=un, the same model",
    "pspline": "penalised splines", "rsmooth": "radial smoothers", "unr@": "",
}  # fmt: skip


def read_type(option: Option | None, resolve: Callable[[Token], str]) -> Covariance:
    """Return the structure of `type=`; VC where it is not given."""
    if option is None:
        return Covariance(None, "VC")
    reader = option.inner
    first = _one(reader, resolve)
    if not reader.take_mark("@"):
        if reader:
            reader.fail("this does not belong to type=.")
        return first
    second = _one(reader, resolve)
    if reader:
        reader.fail("this does not belong to type=.")
    return Covariance("kron", f"{first.label}@{second.label}", parts=(first, second))


def _one(reader: Reader, resolve: Callable[[Token], str]) -> Covariance:
    token = reader.name("a covariance structure")
    word = token.text.lower()
    if word in NOT_DONE:
        reader.fail(f"type={token.text} is not done: {NOT_DONE[word]}.", token)
    inside = reader.inner(reader.group()) if reader.is_mark("(") else None
    if word == "sp":
        return _spatial(token, inside, reader, resolve)
    if word not in PLAIN:
        known = sorted((*PLAIN, "sp(exp)(x y)"))
        reader.fail(f"type={token.text} is no covariance structure.{suggest(word, known)}", token)
    order = _integers(inside)
    name, label = PLAIN[word], word.upper() + (f"({','.join(map(str, order))})" if order else "")
    if word in ("ar", "arh", "ante") and order != (1,):
        reader.fail(f"type={token.text} is of order 1: {token.text}(1).", token)
    if word == "arma" and order != (1, 1):
        reader.fail("type=arma is of orders 1 and 1: arma(1,1).", token)
    if word in ("ar", "arh", "ante", "arma"):
        return Covariance(name, label)
    if word == "un" and order:
        return Covariance("diag", label) if order == (1,) else Covariance("banded_us", label, order)
    if word in ("cs", "csh", "vc", "simple", "hf", "unr") and order:
        reader.fail(f"type={token.text} takes no number in parentheses.", token)
    if word in ("fa", "fa0", "fa1") and not order:
        reader.fail(f"type={token.text} takes the number of factors: {token.text}(1).", token)
    return Covariance(name, label, order)


def _spatial(
    token: Token, kind: Reader | None, reader: Reader, resolve: Callable[[Token], str]
) -> Covariance:
    if kind is None or not kind or not reader.is_mark("("):
        reader.fail("spatial structures name kind and coordinates: sp(exp)(x y).", token)
    named = kind.name("a kind of spatial structure")
    word = named.text.lower()
    if word in NOT_DONE:
        reader.fail(f"type=sp({named.text}) is not done: {NOT_DONE[word]}.", named)
    if word not in SPATIAL:
        reader.fail(f"sp({named.text}) is no spatial structure.{suggest(word, SPATIAL)}", named)
    inside = reader.inner(reader.group())
    coordinates = []
    while inside:
        coordinates.append(resolve(inside.name("a coordinate")))
    if not coordinates:
        reader.fail("spatial structures need coordinates: sp(exp)(x y).", token)
    return Covariance(SPATIAL[word], f"SP({word.upper()})", coordinates=tuple(coordinates))


def _integers(inside: Reader | None) -> tuple[int, ...]:
    out: list[int] = []
    while inside:
        token = inside.next()
        if (
            token.kind is not Kind.NUMBER
            or not token.text.isdecimal()
            or not 1 <= int(token.text[:6]) <= 1000
        ):
            inside.fail("a whole number from 1 to 1000 is expected here.", token)
        out.append(int(token.text[:6]))
        inside.take_mark(",")
    return tuple(out)
