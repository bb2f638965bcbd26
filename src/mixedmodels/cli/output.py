"""Text on terminals and in pipes whose character set lacks some of its signs."""

from __future__ import annotations

import codecs
import sys
import unicodedata
from typing import Any

PLAIN = {
    "−": "-", "–": "-", "—": "-", "…": "...", "·": ".", "×": "x", "√": "sqrt", "≤": "<=", "≥": ">=", "≠": "!=",
    "²": "^2", "³": "^3", "½": "1/2", "₀": "0", "₁": "1", "₂": "2", "′": "'", "’": "'", "“": '"', "”": '"',
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "eps", "ζ": "zeta", "η": "eta", "θ": "theta",
    "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi",
    "ψ": "psi", "ω": "omega", "Λ": "Lambda", "Σ": "Sigma", "Φ": "Phi", "Γ": "Gamma", "Δ": "Delta", "\u0302": "",
    "─": "-", "█": "#", "±": "+/-", "→": "->", "⁻": "^-", "⟨": "<", "⟩": ">",
}  # fmt: skip
"""What stands for a sign that cannot be written."""
HANDLER = "mixedmodels-plain"


def prepare(*streams: Any) -> None:
    """Let streams write plain words for the signs that their character set lacks, where they would raise an error."""
    codecs.register_error(HANDLER, _plain)
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Return what is written in place of the signs that could not be, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN[sign] if sign in PLAIN else _without_marks(sign) for sign in signs), error.end


def _without_marks(sign: str) -> str:
    """Return a letter without its accents, `?` for what is no letter of the Latin alphabet."""
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or "?"


def unicode_out() -> bool:
    """Return whether standard output takes any sign; JSON then need not escape any."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("_", "-").startswith("utf")
