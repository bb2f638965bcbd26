"""Which tables a step prints, in SAS's order."""

from __future__ import annotations

from ...table import Table
from . import overview, random_requests, tables
from .covariance_tests import covariance_tests
from .fitting import Fitted
from .lsmeans import answer
from .matrices import side_matrices
from .parms import parameter_search
from .requests import Made, merge


def model_tables(found: Fitted, name: str, read: int) -> list[tuple[str, Table]]:
    """Return the tables of a step with their ODS names."""
    model = found.model
    made: Made = [("ModelInfo", overview.model_information(found, name))]
    if model.classes:
        made.append(("ClassLevels", overview.class_levels(found)))
    made += [("Dimensions", overview.dimensions(found)), ("NObs", overview.observations(found, read))]
    if (search := parameter_search(found)) is not None:
        made.append(("ParmSearch", search))
    if found.fit.spec.moments not in (None, "", "mivque0"):
        made.append((f"Type{str(found.fit.spec.moments)[-1]}", found.fit.mean_squares()))
    elif found.fit.distribution is None and not found.fit.spec.moments:
        made.append(("IterHistory", overview.iterations(found)))
    made.append(("ConvergenceStatus", overview.convergence(found)))
    made += side_matrices(found)
    if found.parameters.parameters or overview.has_scale(found):
        made.append(("CovParms", overview.covariance_parameters(found)))
    made += _criteria(found)
    if model.covtests:
        made.append(("CovTests", covariance_tests(found)))
    made += _fixed(found)
    answers: Made = [one for request in model.requests for one in answer(found, request)]
    return [*made, *merge(answers)]


def _criteria(found: Fitted) -> Made:
    options, out = found.model.options, []
    if options.has("asycov", "asycorr"):
        out += overview.asymptotic(found)
    if found.fit.distribution is not None:
        from .generalised import fit_statistics

        return [*out, *fit_statistics(found)]
    out.append(("FitStatistics", overview.fit_statistics(found)))
    test = overview.null_test(found)
    return [*out, *([("LRT", test)] if test is not None else [])]


def _fixed(found: Fitted) -> Made:
    options, model = found.model.model_options, found.model
    out: Made = []
    if options.has("solution") and found.coding.columns:
        out.append(
            ("ParameterEstimates" if model.procedure == "glimmix" else "SolutionF", tables.solution(found))
        )
    for name, title in (("covb", "CovB"), ("corrb", "CorrB")):
        if options.has(name):
            out.append((title, overview.fixed_covariance(found, correlation=name == "corrb")))
    if options.has("covbi"):
        options["covbi"].fail("covbi is not done; fit.cov_params() has the covariance.")
    if any(one.options.has("solution") for one in model.random):
        out.append(("SolutionR", random_requests.random_solution(found)))
    if options.has("notest") or not model.effects:
        return out
    kinds = [int(k) for k in options["htype"].numbers()] if "htype" in options else [3]
    if bad := [k for k in kinds if k not in (1, 2, 3)]:
        options["htype"].fail(f"htype={bad[0]} is none of 1, 2, 3.")
    if model.procedure in ("hpmixed", "hplmixed") and model.tests is None:
        return out
    out += [(f"Tests{kind}", tables.tests(found, kind)) for kind in kinds]
    for name in ("hlm", "hlps"):
        if model.repeated is not None and name in model.repeated.options:
            out += [(f"{name.upper()}{kind}", tables.multivariate(found, name, kind)) for kind in kinds]
    return out
