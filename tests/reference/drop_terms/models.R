# Single term deletions of fixed and random terms: drop1 of lme4, ranova of lmerTest.
suppressMessages({library(lmerTest); library(jsonlite)})
data(cake, package = "lme4"); data(sleepstudy, package = "lme4")
cases <- list(
  sleepstudy = lmer(Reaction ~ Days + (Days | Subject), sleepstudy),
  uncorrelated = lmer(Reaction ~ Days + (Days || Subject), sleepstudy),
  cake = lmer(angle ~ recipe + temperature + (1 | recipe:replicate), cake)
)
out <- lapply(cases, function(fit) {
  d <- drop1(as(fit, "lmerMod"), test = "none"); r <- as.data.frame(ranova(fit))
  list(drop1 = list(term = rownames(d), aic = d$AIC),
       ranova = list(n_parameters = r$npar, loglik = r$logLik, aic = r$AIC, statistic = r$LRT, df = r$Df, p_value = r[["Pr(>Chisq)"]]))
})
write_json(out, "drop_terms.json", digits = 10, auto_unbox = FALSE, na = "null")
