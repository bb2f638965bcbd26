# Sandwich covariances of generalised linear models by clubSandwich and sandwich, as the reference of
# tests/reference/test_glmm_robust.py.
#
#   Rscript robust.R > robust.json
suppressWarnings(suppressPackageStartupMessages({
  library(clubSandwich)
  library(sandwich)
  library(jsonlite)
}))
data(cbpp, package = "lme4")
salamanders <- glmmTMB::Salamanders
fits <- list(
  cbpp = list(glm(cbind(incidence, size - incidence) ~ period, cbpp, family = binomial, epsilon = 1e-14), cbpp$herd),
  salamanders = list(glm(count ~ mined + spp, salamanders, family = poisson, epsilon = 1e-14), salamanders$site)
)
out <- list()
for (name in names(fits)) {
  fit <- fits[[name]][[1]]
  cluster <- fits[[name]][[2]]
  for (kind in c("CR0", "CR1", "CR2", "CR3")) {
    table <- coef_test(fit, vcovCR(fit, cluster = cluster, type = kind))
    out[[length(out) + 1]] <- list(model = name, kind = kind, se = table$SE, df = table$df_Satt)
  }
  out[[length(out) + 1]] <- list(model = name, kind = "rows", se = unname(sqrt(diag(sandwich(fit)))))
}
cat(toJSON(out, digits = 10, auto_unbox = TRUE, pretty = TRUE), "\n")
