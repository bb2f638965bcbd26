# Random effects correlated by distance: 25 places in each of 4 fields, two samples per place.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

suppressPackageStartupMessages(library(glmmTMB))
set.seed(117)
places <- expand.grid(east = 0:4, north = 0:4)
fields <- do.call(rbind, lapply(1:4, function(field) {
  at <- round(places + matrix(runif(50, -0.4, 0.4), 25), 2)
  effect <- drop(t(chol(exp(-as.matrix(dist(at)) / 1.5))) %*% rnorm(25))
  cbind(field = field, at, effect = effect)[rep(1:25, each = 2), ]
}))
fields$x <- round(rnorm(nrow(fields)), 3)
fields$y <- round(5 + 0.5 * fields$x + 1.3 * fields$effect + rnorm(nrow(fields), 0, 0.6), 3)
fields$field <- factor(fields$field)
own <- case_data(fields[c("field", "east", "north", "x", "y")], "fields.csv.gz")

# one random effect per place, correlated within a field
place <- interaction(fields$east, fields$north, fields$field, drop = TRUE)
first <- !duplicated(place)
order <- match(levels(place), as.character(place[first]))
coordinates <- fields[first, ][order, ]
distance <- as.matrix(dist(coordinates[c("east", "north")]))
same_field <- outer(coordinates$field, coordinates$field, "==")
correlations <- list(
  exp = function(d, range) exp(-d / range),
  gau = function(d, range) exp(-(d / range)^2),
  sph = function(d, range) ifelse(d < range, 1 - 1.5 * d / range + 0.5 * (d / range)^3, 0),
  pow = function(d, range) exp(-d / range)
)
spatial_fit <- function(name, method) {
  term <- dense_term("field", factor(rep("all", nrow(fields))), model.matrix(~ 0 + place), function(theta) {
    exp(2 * theta[1]) * correlations[[name]](distance, exp(theta[2])) * same_field
  }, c(0, 0.3))
  term$names <- levels(place)
  dense_fit(fields$y, model.matrix(~x, fields), list(term), method, other_starts = list(c(0, 1, -0.5), c(0, 1.5, 0)))
}
# the covariance of a whole field is long; its parameters say the same
summarise <- function(result, fit) {
  result$covariances <- NULL
  result$random_effects <- NULL
  result$parameters <- list(variance = exp(2 * fit$theta[1]), range = exp(fit$theta[2]))
  result
}
expected.spatial <- function(fit, ...) summarise(expected.dense_fit(fit), fit)
case <- new_case("spatial", "spatially correlated random effects on coordinates")
fields$position <- numFactor(fields$east, fields$north)
for (name in names(correlations)) {
  for (method in c("reml", if (name == "exp") "ml")) {
    fit <- spatial_fit(name, method)
    class(fit) <- c("spatial", class(fit))
    witness <- if (name %in% c("exp", "gau")) {
      formula <- as.formula(sprintf("y ~ x + %s(position + 0 | field)", name))
      witness_of(suppressWarnings(glmmTMB(formula, fields, REML = method == "reml",
        control = glmmTMBControl(optCtrl = list(rel.tol = 1e-14, x.tol = 1e-12, iter.max = 2000, eval.max = 4000))
      )))
    }
    case <- add(case, paste(name, method, sep = "_"), fit,
      formula = sprintf("y ~ x + %s(east, north | field)", name), data = own, witness = witness
    )
  }
}
write_case(case)
