# Penalised splines as random effects: truncated powers max(x - k, 0)^degree with iid coefficients, fixed polynomial.
# Knots are the quantiles (type 7) of the distinct values of x at probabilities (1:K) / (K + 1), unless given.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("spline", "penalised truncated-power splines as random effects", tolerance = list(
  criterion = 1e-5, estimate = 1e-5, reason = "Same smooth function of two parameters; both optima are at rounding."
))
curve_data <- dataset("curve")
curve_data$all <- factor(rep("all", nrow(curve_data)))

quantile_knots <- function(x, count) unname(quantile(unique(x), seq_len(count) / (count + 1), type = 7))
powers <- function(x, degree) {
  X <- outer(x, 0:degree, "^")
  colnames(X) <- c("(Intercept)", "x", if (degree > 1) paste0("x^", 2:degree))
  X
}
truncated <- function(x, knots, degree) {
  Z <- outer(x, knots, function(x, k) pmax(x - k, 0)^degree)
  colnames(Z) <- paste0("z", seq_along(knots))
  Z
}
spline_term <- function(Z) dense_term("all", rep("all", nrow(Z)), Z, structures$homdiag(ncol(Z)), -1)
fit_spline <- function(x, y, knots, degree, method) {
  dense_fit(y, powers(x, degree), list(spline_term(truncated(x, knots, degree))), method, other_starts = list(c(-4, -1), c(1, -1)))
}
lme_witness <- function(x, y, knots, degree, method) {
  frame <- data.frame(y = y, all = factor(rep("all", length(y))))
  frame$X <- powers(x, degree)
  frame$Z <- truncated(x, knots, degree)
  witness_of(fit_lme(y ~ 0 + X, frame, list(all = pdIdent(~ 0 + Z)), toupper(method)))
}
x <- curve_data$x
y <- curve_data$y
for (degree in 1:3) {
  knots <- quantile_knots(x, 20)
  for (method in c("reml", if (degree == 2) "ml")) {
    case <- add(case, sprintf("degree_%d_%s", degree, method), fit_spline(x, y, knots, degree, method),
      formula = sprintf("y ~ spline(x, degree=%d, knots=20)", degree), data = "curve",
      options = list(match = "position", knots = I(knots)), witness = lme_witness(x, y, knots, degree, method)
    )
  }
}
given <- c(1, 2, 3.5, 5, 6.5, 8, 9)
case <- add(case, "given_knots", fit_spline(x, y, given, 2, "reml"),
  formula = "y ~ spline(x, degree=2, knots=[1, 2, 3.5, 5, 6.5, 8, 9])", data = "curve",
  options = list(match = "position", knots = I(given)), witness = lme_witness(x, y, given, 2, "reml")
)
# the same smoother written out by the user: one group, fifteen columns, one variance
frame <- data.frame(curve_data["x"], x2 = x^2, curve_data["y"], all = curve_data$all)
Z <- truncated(x, quantile_knots(x, 15), 2)
own <- case_data(cbind(frame, Z), "columns.csv.gz")
case <- add(case, "written_out", {
  fit <- fit_spline(x, y, quantile_knots(x, 15), 2, "reml")
  colnames(fit$X)[3] <- "x2"
  fit
}, formula = paste("y ~ x + x2 + homdiag(0 +", paste(colnames(Z), collapse = " + "), "| all)"), data = own,
witness = lme_witness(x, y, quantile_knots(x, 15), 2, "reml"))
# a smooth mean and random intercepts
set.seed(131)
panel <- data.frame(person = factor(rep(1:15, each = 8)), x = round(runif(120, 0, 10), 2))
panel$y <- round(sin(panel$x) + 0.1 * panel$x + rnorm(15, 0, 0.8)[panel$person] + rnorm(120, 0, 0.4), 3)
own <- case_data(panel, "panel.csv.gz")
knots <- quantile_knots(panel$x, 12)
one <- cbind("(Intercept)" = rep(1, 120))
case <- add(case, "with_random_intercept", dense_fit(panel$y, powers(panel$x, 2), list(
  dense_term("person", panel$person, one, structures$diag(1), -0.5), spline_term(truncated(panel$x, knots, 2))
)), formula = "y ~ spline(x, degree=2, knots=12) + (1 | person)", data = own,
options = list(match = "position", knots = I(knots)))
write_case(case)
