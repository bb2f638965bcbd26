# Ordered categories with effects on every threshold by ordinal's clm, as the reference of tests/reference/test_nominal.py.
#
#   Rscript nominal.R > nominal.json
suppressWarnings(suppressPackageStartupMessages({
  library(ordinal)
  library(jsonlite)
}))
control <- clm.control(gradTol = 1e-10)
fits <- list(
  wine = clm(rating ~ temp, nominal = ~contact, data = wine, control = control),
  probit = clm(rating ~ contact, nominal = ~temp, data = wine, link = "probit", control = control),
  soup = clm(SURENESS ~ SOUPTYPE, nominal = ~PROD, data = soup, control = control),
  equidistant = clm(SURENESS ~ SOUPTYPE, nominal = ~PROD, data = soup, threshold = "equidistant", control = control)
)
out <- lapply(names(fits), function(name) {
  table <- summary(fits[[name]])$coefficients
  list(model = name, loglik = as.numeric(logLik(fits[[name]])), beta = unname(table[, 1]), se = unname(table[, 2]))
})
cat(toJSON(out, digits = 10, auto_unbox = TRUE, pretty = TRUE), "\n")
