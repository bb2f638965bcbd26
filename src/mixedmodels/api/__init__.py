"""The verbs: read the formula, build the numbers, find the optimum, return the fit."""

from .gls import gls
from .lm import lm
from .lmm import lmm
from .mmrm import mmrm

__all__ = ["gls", "lm", "lmm", "mmrm"]
