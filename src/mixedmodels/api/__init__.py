"""The verbs: read the formula, build the numbers, find the optimum, return the fit."""

from .glm import glm
from .glmm import glmm
from .gls import gls
from .lm import lm
from .lmm import lmm
from .mmrm import mmrm

__all__ = ["glm", "glmm", "gls", "lm", "lmm", "mmrm"]
