"""Linear and generalised linear mixed models: formula to fitted model on a native engine.

>>> import mixedmodels as mm
>>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
>>> round(fit.loglik, 4)
-61.0885
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets as datasets
    from .api import estimate_cost, glm, glmm, lm, lmm, mmrm
    from .api.cross_products import cross_products
    from .api.products import CrossProducts
    from .control import Control
    from .dialects.clmm import clmm
    from .dialects.compare_software import compare_software
    from .dialects.glmer import glmer
    from .dialects.glmmtmb import glmmTMB
    from .dialects.lme4 import lmer
    from .dialects.mgcv import gam, gamm
    from .dialects.nlme import gls, lme
    from .dialects.r.run import r
    from .dialects.sas import sas
    from .errors import ConvergenceWarning, DataError, FitError, MixedModelsError, SpecError, Status
    from .fit import Fit
    from .inference.assumed_power import assumed_power as power
    from .inference.compare import compare
    from .inference.fay_herriot import fay_herriot
    from .inference.meta import meta
    from .inference.pool import pool
    from .inference.wald import wald
    from .postfit.model_table import model_table
    from .scale.lmm_many import lmm_many
    from .spec import ModelSpec
    from .table import Table

if "t" in getattr(sys, "abiflags", ""):
    raise ImportError(
        f"mixedmodels is not tested on free-threaded Python, and this is one ({sys.version.split()[0]}t): use "
        "the build of Python with the global interpreter lock."
    )

__version__ = "0.1.0"

__all__ = [
    "Control",
    "ConvergenceWarning",
    "CrossProducts",
    "DataError",
    "Fit",
    "FitError",
    "MixedModelsError",
    "ModelSpec",
    "SpecError",
    "Status",
    "Table",
    "clmm",
    "compare",
    "cross_products",
    "compare_software",
    "datasets",
    "estimate_cost",
    "fay_herriot",
    "gam",
    "gamm",
    "glm",
    "glmer",
    "glmm",
    "glmmTMB",
    "gls",
    "lm",
    "lme",
    "lmer",
    "lmm",
    "lmm_many",
    "meta",
    "mmrm",
    "model_table",
    "pool",
    "power",
    "r",
    "sas",
    "wald",
]

# Public name → where it lives; imported when first used, so that `import mixedmodels` is cheap.
HOMES = {
    "Control": "control",
    "ConvergenceWarning": "errors",
    "CrossProducts": "api.products",
    "DataError": "errors",
    "Fit": "fit",
    "FitError": "errors",
    "MixedModelsError": "errors",
    "ModelSpec": "spec",
    "SpecError": "errors",
    "Status": "errors",
    "Table": "table",
    "clmm": "dialects.clmm",
    "compare": "inference.compare",
    "cross_products": "api.cross_products",
    "compare_software": "dialects.compare_software",
    "estimate_cost": "api",
    "fay_herriot": "inference.fay_herriot",
    "gam": "dialects.mgcv",
    "gamm": "dialects.mgcv",
    "glm": "api",
    "glmer": "dialects.glmer",
    "glmm": "api",
    "glmmTMB": "dialects.glmmtmb",
    "gls": "dialects.nlme",
    "lm": "api",
    "lme": "dialects.nlme",
    "lmer": "dialects.lme4",
    "lmm": "api",
    "lmm_many": "scale.lmm_many",
    "meta": "inference.meta",
    "mmrm": "api",
    "model_table": "postfit.model_table",
    "pool": "inference.pool",
    "power": "inference.assumed_power:assumed_power",
    "r": "dialects.r.run",
    "sas": "dialects.sas",
    "wald": "inference.wald",
}


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return import_module(".datasets", __name__)
    if name in HOMES:
        module, _, own = HOMES[name].partition(":")
        value = getattr(import_module(f".{module}", __name__), own or name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
