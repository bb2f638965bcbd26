"""The verbs: read the formula, build the numbers, find the optimum, return the fit."""

from .estimate_cost import estimate_cost
from .glm import glm
from .glmm import glmm
from .gls import gls
from .lm import lm
from .lmm import lmm
from .mmrm import mmrm

__all__ = ["estimate_cost", "glm", "glmm", "gls", "lm", "lmm", "mmrm"]
