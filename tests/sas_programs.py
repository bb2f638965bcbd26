"""Programs of many styles, each with the data that it needs: what the corpus test runs."""

# ruff: noqa: E501
from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

import mixedmodels as mm


@cache
def frames() -> dict[str, pd.DataFrame]:
    """Return small data sets by name: designs of many kinds, drawn once."""
    rng = np.random.default_rng(20240611)
    block = pd.DataFrame([(b, t) for b in range(1, 7) for t in "ABCD"], columns=["block", "trt"])
    block["x"] = rng.uniform(1, 9, len(block))
    block["y"] = (
        10 + block["trt"].map({"A": 0, "B": 1, "C": 3, "D": 2}) + rng.normal(0, 1, 6)[block["block"] - 1]
    )
    block["y"] += 0.4 * block["x"] + rng.normal(0, 0.7, len(block))
    split = pd.DataFrame(
        [(b, a, s) for b in range(1, 6) for a in ("a1", "a2", "a3") for s in (1, 2, 3, 4)],
        columns=["rep", "whole", "sub"],
    )
    plot = split.groupby(["rep", "whole"]).ngroup()
    split["yield"] = 50 + split["sub"] + rng.normal(0, 2, 5)[split["rep"] - 1] + rng.normal(0, 2, 15)[plot]
    split["yield"] += rng.normal(0, 1.5, len(split))
    visits = pd.DataFrame([(i, v) for i in range(1, 41) for v in (1, 2, 3, 4)], columns=["id", "visit"])
    visits["arm"] = np.where(visits["id"] % 2, "active", "placebo")
    visits["centre"] = visits["id"] % 4 + 1
    visits["base"] = rng.normal(5, 1, 40)[visits["id"] - 1]
    noise = rng.multivariate_normal(
        np.zeros(4), 0.6 ** np.abs(np.subtract.outer(range(4), range(4))), 40
    ).ravel()
    visits["time"] = visits["visit"] * 1.5
    visits["y"] = 2 + 0.3 * visits["base"] + 0.5 * visits["visit"] * (visits["arm"] == "active") + noise
    visits.loc[rng.choice(len(visits), 12, replace=False), "y"] = np.nan
    cross = pd.DataFrame(
        [(s, p, (s + p) % 2) for s in range(1, 25) for p in (1, 2, 3, 4)], columns=["subject", "period", "k"]
    )
    cross["sequence"] = np.where(cross["subject"] % 2, "TRTR", "RTRT")
    cross["treat"] = np.where(cross.pop("k") == 0, "T", "R")
    between = rng.multivariate_normal([0, 0], [[0.16, 0.12], [0.12, 0.14]], 24)
    own = between[cross["subject"] - 1, (cross["treat"] == "T").astype(int)]
    cross["lauc"] = 4 + 0.05 * (cross["treat"] == "T") + own + rng.normal(0, 0.15, len(cross))
    field = pd.DataFrame([(r, c) for r in range(1, 9) for c in range(1, 9)], columns=["row", "col"])
    field["variety"] = rng.permutation(np.repeat(list("PQRS"), 16))
    rows, cols = field["row"].to_numpy(), field["col"].to_numpy()
    distance = np.hypot(np.subtract.outer(rows, rows), np.subtract.outer(cols, cols))
    field["y"] = 20 + rng.multivariate_normal(np.zeros(64), np.exp(-distance / 2) + 0.1 * np.eye(64))
    stack = pd.DataFrame([(i, t) for i in range(1, 31) for t in ("h", "w")], columns=["id", "trait"])
    stack["grp"] = np.where(stack["id"] % 2, "x", "z")
    pair = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 2]], 30).ravel()
    stack["value"] = pair + np.where(stack["trait"] == "h", 5.0, 8.0)
    counts = pd.DataFrame([(s, d) for s in range(1, 21) for d in (0, 1, 2, 3, 4)], columns=["site", "dose"])
    eta = rng.normal(0, 0.6, 20)[counts["site"] - 1] + 0.3 * counts["dose"]
    counts["count"] = rng.poisson(np.exp(0.5 + eta))
    counts["n"] = 12
    counts["dead"] = rng.binomial(12, 1 / (1 + np.exp(1 - eta)))
    counts["sick"] = rng.binomial(1, 1 / (1 + np.exp(-eta)))
    counts["size"] = rng.gamma(3, np.exp(eta) / 3)
    counts["share"] = rng.beta(3, 4, len(counts))
    counts["group"] = np.where(counts["site"] % 2, "u", "v")
    orth = mm.datasets.load("orthodont")
    return {
        "rcbd": block, "split": split, "visits": visits, "cross": cross, "field": field, "stack": stack,
        "counts": counts, "dent": orth.assign(time=orth["age"]), "rail": mm.datasets.load("rail"),
    }  # fmt: skip


TYPES = ("cs", "csh", "ar(1)", "arh(1)", "un", "toep", "toeph", "ante(1)", "toep(2)", "un(2)", "un(1)", "hf", "unr",
         "fa1(1)", "arma(1,1)")  # fmt: skip
METHODS = ("satterth", "kr", "bw", "res", "kr(firstorder)", "kr2", "none")
MMRM = """proc mixed data=visits method={method};
  class id visit arm centre;
  model y = base arm visit arm*visit / s ddfm={ddfm} htype=3;
  repeated visit / type={type} subject=id {more};
run;"""
RCBD = "proc mixed data=rcbd; class block trt; model y = trt{x} / {options}; random block; {more} run;"
GLMM = """proc glimmix data=counts method={method}; class site group;
  model {left} = {right} / s {options}; random int / subject=site {random}; {more} run;"""


def programs() -> dict[str, str]:
    """Return the programs by a name that says what they are."""
    return {
        **_mmrm(),
        **_designs(),
        **_requests(),
        **_growth(),
        **_spatial(),
        **_glimmix(),
        **_text(),
        **_steps(),
    }


def _mmrm() -> dict[str, str]:
    out = {}
    for kind in TYPES:
        for method in ("reml", "ml"):
            ddfm = "satterth" if kind != "hf" else "bw"
            out[f"mmrm {kind} {method}"] = MMRM.format(method=method, ddfm=ddfm, type=kind, more="")
    for ddfm in METHODS:
        out[f"mmrm cs ddfm {ddfm}"] = MMRM.format(method="reml", ddfm=ddfm, type="cs", more="")
    for more in ("group=arm", "r rcorr", "r=1,3", "sub=id", "grp=arm"):
        out[f"mmrm ar(1) {more}"] = MMRM.format(method="reml", ddfm="bw", type="AR( 1 )", more=more)
    out["mmrm un group"] = MMRM.format(method="reml", ddfm="sat", type=" un ", more="group = arm r")
    out["mmrm sp(pow)"] = MMRM.format(method="reml", ddfm="kr", type="sp(pow)(time)", more="local")
    out["mmrm sp(exp)"] = MMRM.format(method="ml", ddfm="sat", type="sp(exp)(time)", more="")
    out["mmrm sp(gau)"] = MMRM.format(method="reml", ddfm="sat", type="sp(gau)(time)", more="")
    return out


def _designs() -> dict[str, str]:
    out = {
        "rcbd": RCBD.format(x="", options="s", more=""),
        "rcbd covariate": RCBD.format(x=" x trt*x", options="solution cl ddfm=kr", more=""),
        "rcbd no intercept": RCBD.format(x="", options="noint s chisq", more=""),
        "rcbd subject": "proc mixed data=rcbd covtest; class block trt; model y=trt; random int/subject=block g v vcorr; run;",
        "rcbd fixed blocks": "proc mixed data=rcbd; class block trt; model y = block trt / htype=1,2,3 covb corrb; run;",
        "rcbd ratio of errors": "proc mixed data=rcbd; class block trt; model y=trt; random block; repeated / group=trt; run;",
        "rcbd log-linear errors": "proc mixed data=rcbd; class block trt; model y=trt; repeated / local=exp(x); run;",
        "rcbd weight": RCBD.format(x="", options="s", more="weight x;"),
        "rcbd where": RCBD.format(x="", options="s", more="where trt ne 'D' and x between 1 and 9;"),
        "rcbd where in": RCBD.format(x="", options="s", more="where trt in ('A' 'B', 'C') | x > 8;"),
        "rcbd where missing": RCBD.format(x="", options="s", more="where not (y is missing) and trt like '%';"),
        "rcbd parms": RCBD.format(x="", options="s", more="parms (0.8) (0.5);"),
        "rcbd held": RCBD.format(x="", options="s", more="parms (0.8) (0.5) / hold=1,2;"),
        "rcbd noiter": RCBD.format(x="", options="s", more="parms 0.8 0.5 / noiter;"),
        "rcbd nobound": "proc mixed data=rcbd nobound; class block trt; model y = trt; random block; run;",
        "rcbd limits": "proc mixed data=rcbd covtest cl alpha=.1 asycov asycorr ic; class block trt; model y=trt; random block; run;",
        "rcbd wald limits": "proc mixed data=rcbd cl=wald; class block trt; model y=trt; random block; run;",
        "rcbd empirical": "proc mixed data=rcbd empirical; class block trt; model y=trt/s ddfm=bw; random int/subject=block; run;",
        "rcbd ddf": "proc mixed data=rcbd; class block trt; model y = trt x / ddf=15,. s; random block; run;",
        "rcbd by": "proc sort data=rcbd; by trt; run; proc mixed data=rcbd; by trt; model y = x / s; run;",
        "rcbd predictions": "proc mixed data=rcbd; class block trt; model y=trt/outp=p outpm=m alphap=.1; random block; run;",
        "rcbd blups": "proc mixed data=rcbd; class block trt; model y = trt; random block / s; run;",
        "rcbd ref": "proc mixed data=rcbd; class block trt(ref='A'); model y = trt / s; random block; run;",
        "rcbd ref first": "proc mixed data=rcbd; class block trt / ref=first; model y = trt / s; random block; run;",
        "rcbd order": "proc mixed data=rcbd order=data; class block trt; model y = trt / s; random block; run;",
        "rcbd descending": "proc mixed data=rcbd; class block trt(descending); model y = trt / s; random block; run;",
        "rcbd order freq": "proc mixed data=rcbd; class block trt(order=freq); model y = trt / s; random block; run;",
        "hpmixed": "proc hpmixed data=rcbd; class block trt; model y = trt / s; random block; test trt; lsmeans trt; run;",
        "hplmixed": "proc hplmixed data=rcbd; class block trt; model y = trt / s; random block; run;",
        "intercept alone": "proc mixed data=rail; class rail; model travel = ; random rail; run;",
        "intercept with options": "proc mixed data=rail; class rail; model travel = / s cl alpha=0.1; random rail; run;",
        "split plot": "proc mixed data=split; class rep whole sub; model yield = whole|sub / ddfm=satterth; random rep rep*whole; run;",
        "split plot nested": "proc mixed data=split; class rep whole sub; model yield = whole sub whole*sub; random whole(rep) rep; run;",
        "split plot subjects": "proc mixed data=split; class rep whole sub; model yield=whole|sub; random int whole / sub=rep; run;",
        "split plot in effects": "proc mixed data=split; class rep whole sub; model yield = whole sub(whole) / s; random rep; run;",
        "strip plot": "proc mixed data=split; class rep whole sub; model yield=whole|sub@2; random rep rep*whole rep*sub; run;",
        "all crossed": "proc mixed data=split; class rep whole sub; model yield = whole|sub|rep@2 / htype=1; run;",
        "errors by plot": "proc mixed data=split; class rep whole sub; model yield=whole|sub; repeated / type=cs sub=rep*whole; run;",
        "positions by rows": "proc mixed data=visits; class id arm; model y = arm; repeated / type=ar(1) subject=id; run;",
        "random and errors": "proc mixed data=visits; class id visit arm; model y=arm|visit; random int/sub=id; repeated visit/type=ar(1) sub=id; run;",
        "groups of subjects": "proc mixed data=visits; class id visit arm; model y=arm visit; random int / sub=id group=arm; run;",
        "two groups": "proc mixed data=visits; class id visit arm centre; model y=arm visit; random int/sub=id; repeated/group=arm*centre; run;",
        "subject in centre": "proc mixed data=visits; class id visit arm centre; model y=arm visit; random int/sub=id(centre); run;",
        "multivariate": "proc mixed data=stack; class id trait grp; model value = trait trait*grp / noint s; repeated trait / type=un subject=id r; run;",
        "bioequivalence csh": """proc mixed data=cross; class sequence subject period treat;
            model lauc = sequence period treat / ddfm=satterth; random treat / type=csh sub=subject g;
            repeated / group=treat sub=subject; estimate 'T vs R' treat -1 1 / cl alpha=0.1; run;""",
        "bioequivalence fa0": """proc mixed data=cross; class sequence subject period treat;
            model lauc = sequence period treat / ddfm=satterth; random treat / type=fa0(2) sub=subject g;
            repeated / group=treat sub=subject; estimate 'T vs R' treat -1 1 / cl alpha=0.1; run;""",
        "crossover": "proc mixed data=cross; class sequence subject period treat; model lauc=sequence period treat; random subject(sequence); lsmeans treat/pdiff cl alpha=.1; run;",
    }  # fmt: skip
    for kind in ("un", "cs", "vc", "un(1)", "toep", "ar(1)"):
        out[f"random treatments {kind}"] = (
            f"proc mixed data=cross; class sequence subject period treat; model lauc = sequence period treat; "
            f"random treat / type={kind} subject=subject gcorr; run;"
        )
    return out


def _requests() -> dict[str, str]:
    lsmeans = (
        "lsmeans trt;", "lsmeans trt / diff;", "lsmeans trt / pdiff=control('B') cl;", "lsmeans trt / diff adjust=tukey cl;",
        "lsmeans trt / pdiff=control adjust=dunnett;", "lsmeans trt / adjust=bon;", "lsmeans trt / diff adj=sidak cl alpha=.01;",
        "lsmeans trt / diff adjust=scheffe;", "lsmeans trt / diff=all adjust=simulate(seed=1);", "lsmeans trt / at x=3 cl;",
        "lsmeans trt / at means diff;", "lsmeans trt / at (x)=(4) e;", "lsmeans trt / om;", "lsmeans trt / bylevel;",
        "lsmeans trt / pdiff=controlu('A');", "lsmeans trt / pdiff=controll('A') cl;", "lsmeans trt / corr;", "lsmeans trt / cov e;",
        "lsmestimate trt 'a-b' 1 -1;", "lsmestimate trt 1 -1 0 0, 'c' 0 1 -1 0 / joint cl;",
        "lsmestimate trt 'd' [1, 1] [-1, 4] / adjust=bon cl;", "lsmestimate trt 'e' 2 -1 -1 0 / divisor=2 upper;",
        "estimate 'a-b' trt 1 -1;", "estimate 'mean' intercept 4 trt 1 1 1 1 x 20 / divisor=4 cl e;",
        "estimate 'slope' x 1 / lower;", "estimate 'at 3' int 1 trt 1 0 0 0 x 3 / df=12;", "estimate 'no' trt 1;",
        "contrast 'a=b' trt 1 -1;", "contrast 'all' trt 1 -1, trt 0 1 -1, trt 0 0 1 -1 / chisq e;",
        "contrast 'entries' trt [1, 1] [-1, 2] / df=10;", "contrast 'none' trt 1 1 0 0;",
        "ods output lsmeans=l diffs=d tests3=t; lsmeans trt / diff;",
    )  # fmt: skip
    out = {f"request {text}": RCBD.format(x=" x", options="s", more=text) for text in lsmeans}
    split = (
        "lsmeans whole*sub / slice=whole;", "lsmeans whole*sub / slice=(whole sub) diff;", "slice whole*sub / sliceby=whole diff;",
        "slice whole*sub / sliceby=sub diff adjust=tukey cl;", "lsmeans whole|sub;", "contrast 'i' whole*sub 1 -1 0 0 -1 1;",
        "lsmestimate whole*sub 'c' [1, 1 1] [-1, 2 1];",
    )  # fmt: skip
    for text in split:
        out[f"split {text}"] = (
            "proc mixed data=split; class rep whole sub; model yield = whole|sub / ddfm=kr; random rep rep*whole; "
            f"{text} run;"
        )
    return out


def _growth() -> dict[str, str]:
    out = {}
    for kind in ("un", "vc", "fa0(2)", "un(1)"):
        out[f"growth {kind}"] = (
            f"proc mixed data=dent; class id sex; model y = sex age sex*age / s; random intercept age / type={kind} "
            "subject=id g; run;"
        )
    out["growth by sex"] = (
        "proc mixed data=dent; class id sex; model y = sex age(sex) / noint s ddfm=kr; "
        "random int age / type=un subject=id group=sex; repeated / group=sex; run;"
    ).replace("age(sex)", "age*sex")
    out["growth squares"] = (
        "proc mixed data=dent; class id; model y = age age*age / s; random int / sub=id; run;"
    )
    out["tutorial one"] = """proc mixed data=dent method=reml; /* default */ class id;
        model y= fem male fem*age male*age / ddfm=kr; random intercept / subject=id group=sex; repeated / group=sex; run;"""
    out[
        "tutorial two"
    ] = """proc mixed data=dent method=reml; class id time; model y= fem male fem*age male*age / ddfm=kr;
        repeated time / subject=id type=cs group=sex; run;"""
    return out


def _spatial() -> dict[str, str]:
    out = {}
    for kind in ("exp", "gau", "sph", "pow", "lin", "matern"):
        for local in ("", "local"):
            if (kind, local) not in (("lin", ""), ("lin", "local"), ("matern", "local"), ("matern", "")):
                out[f"field {kind} {local}"] = (
                    f"proc mixed data=field; class variety; model y = variety; "
                    f"repeated / subject=intercept type=sp({kind})(row col) {local}; lsmeans variety; run;"
                )
    out["rows and columns"] = (
        "proc mixed data=field; class variety row col; model y = variety / ddfm=kr; random row col; run;"
    )
    return out


def _glimmix() -> dict[str, str]:
    out = {}
    for method in ("rspl", "laplace", "quad(qpoints=5)", "mspl", "rmpl", "mmpl"):
        for left, dist in (("dead/n", "binomial"), ("count", "poisson"), ("sick(event='1')", "binary")):
            out[f"glimmix {dist} {method}"] = GLMM.format(
                method=method, left=left, right="dose", options=f"dist={dist}", random="", more=""
            )
    for dist, left in (
        ("negbin", "count"),
        ("gamma", "size"),
        ("beta", "share"),
        ("normal", "size"),
        ("lognormal", "size"),
    ):
        out[f"glimmix {dist}"] = GLMM.format(
            method="laplace", left=left, right="group dose", options=f"dist={dist}", random="", more=""
        )
    for link in ("logit", "probit", "cloglog", "loglog"):
        out[f"glimmix link {link}"] = GLMM.format(
            method="laplace", left="dead / n", right="dose group", options=f"link={link}", random="", more=""
        )
    out["glimmix lsmeans"] = GLMM.format(
        method="rspl", left="dead/n", right="group dose", options="dist=bin ddfm=kr", random="",
        more="lsmeans group / ilink cl oddsratio diff; estimate 'or' group 1 -1, 'dose' dose 1 / exp cl adjust=bon;",
    )  # fmt: skip
    out["glimmix overdispersion"] = (
        "proc glimmix data=counts; class group; model count = group dose / dist=poi s; random _residual_; run;"
    )
    out["glimmix marginal"] = (
        "proc glimmix data=counts; class site group; model count = group dose / dist=poi s ddfm=bw; "
        "random _residual_ / subject=site type=cs; run;"
    )
    out["glimmix output"] = GLMM.format(
        method="rspl", left="count", right="dose", options="dist=poisson", random="",
        more="output out=o pred(blup ilink)=p pred(noblup)=q resid=r;",
    )  # fmt: skip
    out["glm binomial"] = (
        "proc glimmix data=counts; class group; model dead/n = group dose / s htype=1,3; run;"
    )
    return out


def _text() -> dict[str, str]:
    return {
        "upper case": "PROC MIXED DATA=RCBD; CLASS BLOCK TRT; MODEL Y=TRT/S; RANDOM BLOCK; RUN; QUIT;",
        "no run": "proc mixed data=rcbd; class block trt; model y=trt; random block",
        "comments": "* isn't this; proc mixed /* a; 'b */ data=rcbd; %* c; class block trt; model y = trt /* d */ / s; random block; run;",
        "classes and abbreviations": "proc mixed data=rcbd; classes block trt; model y = trt / solution ddfm=sat; random int / sub=block s; run;",
        "macro variables": "%let d=rcbd; %let r=y; proc mixed data=&d.; class block trt; model &r = trt / s; random block; title \"&r of &d\"; run;",
        "macro": "%macro fit(d, method=reml); proc mixed data=&d method=&method; class block trt; model y=trt; random block; run; %mend fit; %fit(rcbd) %fit(rcbd, method=ml);",
        "macro loop": "%macro all; %do i=1 %to 2; proc mixed data=rcbd; class block trt; %if &i=1 %then %do; model y=trt; %end; %else %do; model y=trt x; %end; random block; run; %end; %mend; %all",
        "titles and ods": "title 'One'; options nocenter; ods graphics on; ods listing close; proc mixed data=rcbd; class block trt; model y=trt; random block; title2 'x'; run; ods graphics off;",
        "name literals": "proc mixed data=rcbd; class 'block'n trt; model 'y'n = trt; random block; run;",
        "data options": "proc mixed data=rcbd(where=(x < 9) rename=(y=z) drop=); class block trt; model z=trt; random block; run;".replace(" drop=", ""),
        "blanks everywhere": "proc mixed data = rcbd ;\n class block\ttrt ;\n model y = trt / s  ddfm = kr ( firstorder ) ;\n random int / subject = block ;\nrun ;",
        "two procedures": "proc mixed data=rcbd; class block trt; model y=trt; random block; proc mixed data=rail; class rail; model travel=; random rail; run;",
        "store": "proc mixed data=rcbd; class block trt; model y=trt; random block; store out=fit1; run;",
        "noted options": "proc mixed data=rcbd noclprint=10 noitprint convh=1e-8 maxiter=100; class block trt; model y=trt; random block; run;",
        "last data set": "data two; set rcbd; z = y * 2; run; proc mixed; class block trt; model z=trt; random block; run;",
        "print": "proc print data=rcbd(obs=5); var y trt; run; proc mixed data=rcbd; class block trt; model y=trt; random block; run;",
    }  # fmt: skip


def _steps() -> dict[str, str]:
    return {
        "datalines": """data a; input block trt $ y @@; ly = log(y); datalines;
1 A 10.1 1 B 12 1 C 14.3 2 A 11 2 B 11.5 2 C 15 3 A 9 3 B 13 3 C 13.5
;
proc mixed data=a; class block trt; model ly = trt / s; random block; lsmeans trt; run;""",
        "wide to long": """data wide; input id $ sex $ y1-y4; cards;
a F 21 20 21.5 23
b F 21 21.5 24 25.5
c M 26 25 29 31
d M 21.5 22.5 23 26.5
e F 23 22.5 22.5 27
f M 25 27 26.5 33
;
run;
data long; set wide; array m{4} y1-y4; do t = 1 to 4; y = m{t}; age = 6 + 2 * t; output; end; drop y1-y4; run;
proc mixed data=long; class id sex; model y = sex age; random int / subject=id; run;""",
        "simulated loop": """data s; do g = 1 to 6; do k = 1 to 4; y = 3 + mod(g * 7, 5) + mod(g * k * 3, 4) / 2; output; end; end; run;
proc mixed data=s; class g; model y = ; random g; run;""",
        "sorted by group": """proc sort data=visits out=v; by arm id visit; run; data v; set v; by arm id; if first.id then n = 0; n + 1;
if y > .; run; proc mixed data=v; by arm; class id; model y = n; random int / subject=id; run;""",
        "merged": """data left; set rcbd; keep block trt y; run; data cov; do block = 1 to 6; z = block ** 2; output; end; run;
proc sort data=left; by block; run; data both; merge left(in=a) cov; by block; if a; run;
proc mixed data=both; class block trt; model y = trt z; random block; run;""",
        "ods output used": """ods output solutionf=est; proc mixed data=rcbd; class block trt; model y=trt/s; random block; run;
data b; set est; if Effect = 'trt'; t = Estimate / 2; keep trt t; run; proc print data=b; run;""",
        "grid of parms": RCBD.format(x="", options="s", more="parms (0.2 to 1 by 0.2) (0.5, 1, 2);"),
        "grid held": RCBD.format(x="", options="s", more="parms (0.2 to 1 by 0.2) (0.5, 1, 2) / hold=1;"),
        "grid without search": RCBD.format(x="", options="s", more="parms (0.2 to 1 by 0.2) (0.5, 1, 2) / noiter;"),
        "parms of data": """ods output covparms=c; proc mixed data=rcbd; class block trt; model y=trt; random block; run;
proc mixed data=rcbd; class block trt; model y=trt x; random block; parms / pdata=c noiter; run;""",
        "covtest": """proc glimmix data=visits; class id visit arm; model y = arm|visit; random int time / type=un subject=id;
covtest 'no G' zerog; covtest diagg; covtest 'no slope' . 0 0 / est; covtest glm / wald; run;""",
        "covtest groups": """proc glimmix data=rcbd; class block trt; model y = trt; random _residual_ / group=trt;
covtest 'equal' homogeneity; run;""",
        "multivariate tests": """proc mixed data=dent; class id sex age; model y = sex|age; repeated age / subject=id type=un hlm hlps; run;""",
        "narrow": """proc mixed data=split; class rep whole sub; model yield = whole|sub; random rep rep*whole / s;
estimate 'narrow' int 1 whole 1 sub .25 .25 .25 .25 whole*sub .25 .25 .25 .25 | rep .2 .2 .2 .2 .2 rep*whole .2 0 0 .2 0 0 .2 0 0 .2;
estimate 'intermediate' int 5 whole 5 sub 1.25 1.25 1.25 1.25 | rep 1 1 1 1 1 / divisor=5 cl; contrast 'reps' | rep 1 -1, | rep 1 0 -1; run;""",
        "subjects": """proc mixed data=dent; class id sex; model y = age sex / ddfm=sat; random int age / type=un subject=id s;
estimate 'slope of one' age 1 | age 1 / subject 1; contrast 'two children' | int 1 / subject 1 -1; run;""",
        "lin": """data m; do parm = 1 to 4; do row = 1 to 4; do col = 1 to row; value = (row - col = parm - 1); output; end; end; end; run;
proc mixed data=visits; class id visit arm; model y = arm|visit; repeated visit / subject=id type=lin(4) ldata=m; run;""",
        "kinship": """data a; parm = 1; do row = 1 to 6; do col = 1 to row; value = 0.25 + 0.75 * (row = col); output; end; end; run;
proc mixed data=rcbd; class block trt; model y = trt; random block / type=lin(1) ldata=a s; run;""",
        "known covariance": """data g; input row col value; datalines;
1 1 1
2 2 1
3 3 1
4 4 1
5 5 1
6 6 1
2 1 0.3
4 3 0.3
;
proc mixed data=rcbd; class block trt; model y = trt; random block / gdata=g; run;""",
    }  # fmt: skip
