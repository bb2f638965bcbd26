# Profile limits of generalised mixed models by lme4, as the reference of tests/reference/test_glmm_profiles.py.
#
#   Rscript profiles.R > profiles.json
#
# lme4's limits are roots of an interpolating spline of its profile: good to about 1e-4 of the width.
suppressMessages({
  library(lme4)
  library(jsonlite)
})
limits <- function(points) {
  fit <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial,
    nAGQ = points, control = glmerControl(optimizer = "bobyqa")
  )
  found <- confint(fit, method = "profile", quiet = TRUE)
  list(points = points, lower = signif(found[, 1], 9), upper = signif(found[, 2], 9))
}
cat(toJSON(list(
  program = paste("lme4", packageVersion("lme4")), model = "cbpp", fits = list(limits(1), limits(25))
), auto_unbox = TRUE, digits = NA), "\n")
