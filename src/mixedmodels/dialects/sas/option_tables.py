"""Options of the procedures: every spelling, and those that are not done with the reason."""

from __future__ import annotations

from .options import spellings

DATA = spellings(keep="", drop="", rename="", where="", firstobs="", obs="")

PROC = {
    "mixed": spellings(
        data="", method="", covtest="", cl="", alpha="", empirical="", asycov="", asycorr="", ic="", noclprint="",
        noitprint="", noinfo="", itdetails="", lognote="", maxiter="", maxfunc="", convh="", convf="", convg="",
        nobound="", noprofile="", order="", ratio="", scoring="", absolute="", singular="", namelen="", info="",
        plots="plot", singchol="", singres="", nobs="",
    ),
    "hpmixed": spellings(
        data="", method="", maxiter="", noprint="", nlprint="", noclprint="", order="", noinfo="",
        ranks="", info="", itdetails="", singular="", namelen="", noprofile="", simple="",
    ),
    "hplmixed": spellings(
        data="", method="", maxiter="", noclprint="", order="", noprint="", noitprint="", alpha="", covtest="",
        cl="", nobound="", singular="", namelen="", noprofile="", itdetails="", maxfunc="", ranks="",
    ),
    "glimmix": spellings(
        data="", method="", order="", noclprint="", noitprint="", empirical="", asycov="", asycorr="", ic="",
        itdetails="", maxopt="", initglm="", noinitglm="", nobound="", noprofile="", plots="plot", maxlmmupdate="",
        namelen="", pconv="", absolute="abspconv", scoring="", info="", inititer="", noref="", singular="",
        chol="cholesky", gradient="", startglm="", exphessian="", scoremod="",
    ),
}  # fmt: skip
NUMERIC_CONTROL = frozenset(
    {"absolute", "chol", "convf", "convg", "convh", "exphessian", "gradient", "info", "initglm",
     "inititer", "itdetails", "lognote", "maxfunc", "maxiter", "maxlmmupdate", "maxopt", "namelen",
     "nlprint", "nobs", "noclprint", "noinfo", "noinitglm", "noitprint", "noprint",
     "noref", "pconv", "plots", "ranks", "scoremod", "simple", "singchol", "singres", "singular",
     "startglm"}
)  # fmt: skip
"""Options of PROC about the search and the printing, noted: the package's own search is used."""
PROC_REFUSED = {
    "dfbw": "write ddfm=bw in MODEL", "mmeq": "mixed-model equations are not printed",
    "mmeqsol": "mixed-model equations are not printed", "outdesign": "no data set of the design is made",
    "lcomponents": "no table of it is made", "seed": "nothing is drawn", "subgradient": "no data set of it is made",
    "scoring": "the search has its own steps; leave it out", "ratio": "ratios are not printed; leave it out",
}  # fmt: skip

_TESTS = {
    "solution": "s", "htype": "", "chisq": "", "cl": "", "alpha": "", "ddfm": "", "ddf": "", "notest": "", "noint": "",
}  # fmt: skip
ROUNDING = {"singular": "", "zeta": "", "singchol": "", "singres": ""}
_EFFECTS = {**_TESTS, **ROUNDING, "corrb": "", "covb": "", "intercept": "int"}
MODEL = {
    "mixed": spellings(**_EFFECTS, outp="outpred", outpm="outpredm", alphap=""),
    "hpmixed": spellings(solution="s", cl="", alpha="", ddfm="", noint="", **ROUNDING),
    "hplmixed": spellings(solution="s", cl="", alpha="", ddfm="", noint="", **ROUNDING),
    "glimmix": spellings(**_EFFECTS, dist="distribution d error err", link="", offset="", nocenter=""),
}
MODEL_REFUSED = {
    "e": "coefficients of tests are not printed", "e1": "coefficients of tests are not printed",
    "e2": "coefficients of tests are not printed", "e3": "coefficients of tests are not printed",
    "residual": "ask the fit: fit.residuals('student')", "fullx": "columns of zeros are left out",
    "covbi": "fit.cov_params() has the covariance", "oddsratio": "write LSMEANS … / oddsratio",
    "or": "write LSMEANS … / oddsratio", "stdcoef": "standardise the covariates in a DATA step",
    "influence": "ask the fit: listing.fits[0].influence(by=…)", "vciry": "ask the fit: fit.residuals('scaled')",
    "xpvix": "the matrix is not printed; fit.cov_params() has its inverse", "xpvixi": "see covb",
    "lcomponents": "no table of it is made", "lwt": "rows are weighted by WEIGHT", "obsweight": "use WEIGHT",
    "lweight": "no weights of levels are read", "ddfmeth": "write ddfm=",
}  # fmt: skip

_SIDE = {
    "type": "",
    "subject": "sub",
    "group": "grp",
    "solution": "s",
    "nofullz": "",
    "g": "",
    "gcorr": "",
    "v": "",
    "vcorr": "",
    "cl": "",
    "alpha": "",
}
RANDOM = {
    "mixed": spellings(**_SIDE, ldata="", gdata=""),
    "hpmixed": spellings(**_SIDE),
    "hplmixed": spellings(**_SIDE),
    "glimmix": spellings(**_SIDE, ldata="", gdata="", residual="rside"),
}
RANDOM_REFUSED = {
    "gc": "the Cholesky factor is not printed; use g", "gci": "see g", "gi": "the inverse is not printed; use g",
    "vc": "the Cholesky factor is not printed; use v", "vci": "see v", "vi": "the inverse is not printed; use v",
    "ratios": "write parameters themselves in PARMS", "weight": "no weights of levels are read",
    "knotmethod": "smoothers are not read", "lscale": "smoothers are not read", "knotinfo": "smoothers are not read",
}  # fmt: skip
REPEATED = spellings(type="", subject="sub", group="grp", r="", rcorr="", local="", ldata="", hlm="", hlps="")
REPEATED_REFUSED = {
    "rc": "the Cholesky factor is not printed; use r", "rci": "see r", "ri": "the inverse is not printed; use r",
    "sscp": "no matrix of it is made",
    "localw": "weights go to the whole of R", "nonlocalw": "weights go to the whole of R",
}  # fmt: skip

PARMS = spellings(hold="", noiter="", pdata="parmsdata")
PARMS_REFUSED = {
    "eqcons": "parameters are not held equal to others; hold= holds them at their values",
    "noprofile": "write it in the PROC statement", "upperb": "bounds other than SAS's are not set",
    "lowerb": "bounds other than SAS's are not set",
    "ols": "give values", "ratios": "write the parameters themselves", "nobound": "write it in the PROC statement",
}  # fmt: skip
CONTRAST = spellings(e="", chisq="", df="", subject="", group="")
ESTIMATE = spellings(
    cl="",
    alpha="",
    divisor="",
    df="",
    e="",
    lower="",
    upper="",
    exp="",
    ilink="",
    adjust="adj",
    stepdown="",
    subject="",
    group="",
)
ESTIMATE_REFUSED: dict[str, str] = {}
LSMEANS = spellings(
    diff="pdiff differences", adjust="adj", at="", slice="", om="obsmargins", bylevel="", cl="", alpha="", df="", e="",
    corr="", cov="", ilink="", oddsratio="or", exp="", slicediff="simplediff", nomeans="", stepdown="", adjdfe="",
)  # fmt: skip
LSMEANS_REFUSED = {
    "plots": "figures are those of the package: fit.emmeans(…).plot()",
    "plot": "figures are those of the package: fit.emmeans(…).plot()",
    "lines": "letters are those of the package: fit.emmeans(…).cld()",
    "odds": "write exp or ilink",
}
LSMESTIMATE = spellings(
    cl="", alpha="", divisor="", df="", joint="", lower="", upper="", exp="", ilink="",
    adjust="adj", at="", stepdown="", adjdfe="",
    om="obsmargins", bylevel="",
)  # fmt: skip
SLICE = spellings(
    sliceby="", diff="pdiff differences", adjust="adj", cl="", alpha="", df="", ilink="", oddsratio="or", exp="",
    nof="", means="", at="", om="", bylevel="", stepdown="", adjdfe="",
)  # fmt: skip
CLASS = spellings(ref="", order="", descending="desc", missing="", truncate="", param="")
METHODS = {
    "reml": "reml", "ml": "ml", "mmpl": "mmpl", "mspl": "mspl", "rmpl": "rmpl", "rspl": "rspl",
    "laplace": "laplace", "quad": "quadrature", "quadrature": "quadrature",
}  # fmt: skip
DDFM = {
    "contain": "containment", "containment": "containment", "bw": "between-within", "betwithin": "between-within",
    "residual": "residual", "res": "residual", "satterth": "satterthwaite", "satterthwaite": "satterthwaite",
    "sat": "satterthwaite", "satt": "satterthwaite", "kr": "kenward-roger", "kenwardroger": "kenward-roger",
    "kenrog": "kenward-roger", "kr(firstorder)": "kenward-roger-linear", "kr(linear)": "kenward-roger-linear",
    "kenwardroger(firstorder)": "kenward-roger-linear", "kenwardroger(linear)": "kenward-roger-linear",
    "kr2": "kenward-roger2", "kenwardroger2": "kenward-roger2", "none": "asymptotic",
}  # fmt: skip
DDFM_TITLES = {
    "containment": "Containment", "between-within": "Between-Within", "residual": "Residual",
    "satterthwaite": "Satterthwaite", "kenward-roger": "Kenward-Roger",
    "kenward-roger-linear": "Prasad-Rao-Jeske-Kackar-Harville", "kenward-roger2": "Kenward-Roger2",
    "asymptotic": "None",
}  # fmt: skip
