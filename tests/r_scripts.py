"""Scripts of R of many styles on the small data sets of `sas_programs`: what the corpus test and the fuzz run."""

# ruff: noqa: E501
from __future__ import annotations


def scripts() -> dict[str, str]:
    """Return the scripts by a name that says what they are."""
    return {**_models(), **_after()}


def _models() -> dict[str, str]:
    out: dict[str, str] = {}
    for name, text in {
        "random intercept": "m <- lme(Y ~ age * sex, data = dent, random = ~ 1 | id)",
        "random slope": "m <- lme(Y ~ age, data = dent, random = ~ age | id, method = \"ML\")",
        "pdDiag": "m <- lme(Y ~ 0 + fem + male + fem:age + male:age, data = dent, random = list(id = pdDiag(~ -1 + fem + male)), weights = varIdent(form = ~ 1 | sex))",
        "pdIdent": "m <- lme(Y ~ age, dent, random = list(id = pdIdent(~ age)))",
        "pdCompSymm": "m <- lme(y ~ trt, rcbd, random = list(block = pdCompSymm(~ 1)))",
        "nested": "m <- lme(yield ~ whole * factor(sub), data = split, random = ~ 1 | rep/whole)",
        "nested list": "m <- lme(yield ~ whole, data = split, random = list(rep = ~ 1, whole = ~ 1))",
        "corAR1": "m <- gls(y ~ arm * factor(visit), data = visits, correlation = corAR1(form = ~ visit | id), na.action = na.omit)",
        "corSymm": "m <- gls(y ~ arm * factor(visit), data = visits, correlation = corSymm(form = ~ visit | id), weights = varIdent(form = ~ 1 | visit), na.action = na.omit)",
        "corCompSymm": "m <- gls(Y ~ age, data = dent, corr = corCompSymm(form = ~ 1 | id))",
        "corCAR1": "m <- gls(y ~ base, visits, correlation = corCAR1(0.3, form = ~ time | id), na.action = na.omit)",
        "corExp": "m <- gls(y ~ variety, field, correlation = corExp(form = ~ row + col, nugget = TRUE))",
        "varPower": "m <- lme(y ~ trt + x, rcbd, random = ~ 1 | block, weights = varPower(form = ~ x))",
        "lmer": "m <- lmer(Y ~ age * sex + (1 | id), data = dent)",
        "lmer slopes": "m <- lme4::lmer(Y ~ age + (age || id), dent, REML = FALSE)",
        "lmer crossed": "m <- lmer(y ~ variety + (1 | row) + (1 | col), data = field)",
        "glmer": "m <- glmer(cbind(dead, n - dead) ~ dose + (1 | site), data = counts, family = binomial)",
        "glmer link": 'm <- glmer(sick ~ dose + (1 | site), counts, family = binomial(link = "probit"), nAGQ = 5)',
        "glmmTMB": "m <- glmmTMB(count ~ dose + (1 | site), counts, family = nbinom2, ziformula = ~ 0)",
        "lm": "m <- lm(y ~ trt * x, data = rcbd)",
        "glm": "m <- glm(count ~ dose, family = poisson, data = counts)",
    }.items():  # fmt: skip
        out[name] = text
        out[f"{name}, printed"] = f"library(nlme)\n({text})\nsummary(m); logLik(m) # and so on\n"
    return out


def _after() -> dict[str, str]:
    growth = "m <- lme(Y ~ age * sex, data = dent, random = ~ age | id)\n"
    block = "library(lmerTest)\nm <- lmer(y ~ trt + x + (1 | block), data = rcbd)\n"
    return {
        "tables": growth + "VarCorr(m)\nfixef(m); ranef(m); coef(m); vcov(m)\nAIC(m); BIC(m); sigma(m); nobs(m)",
        "intervals": growth + 'intervals(m)\nintervals(m, which = "fixed", level = 0.9)',
        "matrices": growth + 'getVarCov(m)\ngetVarCov(m, individuals = c("1", "2"), type = "marginal")',
        "means": block + "emmeans(m, pairwise ~ trt, adjust = \"bonferroni\")\ne <- emmeans(m, ~ trt, at = list(x = 3:5)); pairs(e)\ncontrast(e, \"trt.vs.ctrl\")",
        "trends": growth + 'emtrends(m, ~ sex, var = "age") |> pairs()',
        "tests": block + 'anova(m); ranova(m); anova(m, type = "II")\njoint_tests(m)',
        "comparison": block + "m0 <- lmer(y ~ x + (1 | block), data = rcbd)\nanova(m0, m)\nAIC(m0, m)",
        "limits": block + 'confint(m, method = "Wald")',
        "prediction": growth + "predict(m, level = 0)\nresid(m, type = \"pearson\"); fitted(m)",
        "formula": "f <- y ~ trt\nm <- lmer(f, rcbd)\n",
    }  # fmt: skip
