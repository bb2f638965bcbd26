# Covariances of random effects without bounds (SAS NOBOUND): V = Z G Z' + R by dense algebra with the raw elements of
# G as parameters, so that only V must be positive definite. Where the model is one of compound symmetry,
# nlme's gls() with corCompSymm, whose correlation may be negative, is the witness.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("nobound", "negative variance components, by dense algebra and by gls")

# Smaller first steps than for other cases: V may be singular a thousandth away.
numeric_gradient <- function(f, theta) numDeriv::grad(f, theta, method.args = list(d = 5e-4, eps = 5e-4, r = 3))
polish_newton <- function(f, theta, steps = 8L) {
  for (step in seq_len(steps)) {
    gradient <- numeric_gradient(f, theta)
    move <- solve(numDeriv::hessian(f, theta, method.args = list(d = 2e-3, eps = 1e-3, r = 3)), gradient)
    if (!all(is.finite(move)) || f(theta - move) > f(theta) + 1e-9) break
    theta <- theta - move
    if (abs(sum(move * gradient)) < 1e-15) break
  }
  theta
}

raw <- list(
  us = function(m) function(theta) {
    sigma <- matrix(0, m, m)
    sigma[lower.tri(sigma, diag = TRUE)] <- theta
    sigma + t(sigma) - diag(diag(sigma), m)
  },
  diag = function(m) function(theta) diag(theta, m),
  cs = function(m) function(theta) theta[1] * diag(m) + theta[2]
)
# V is formed whole: a square root of G need not exist. Predicted effects have no standard errors then.
fit <- function(data, X, terms, method = "reml", weights = rep(1, nrow(data)), residual = NULL, residual_start = numeric()) {
  own <- if (is.null(residual)) function(rest) diag(1 / weights) else residual
  found <- dense_fit(data$y, X, terms, method, residual = own, residual_start = residual_start)
  # the information on these parameters is above 100: 1e-3 in the gradient is 1e-5 in a parameter
  if (found$gradient > 1e-3) stop("gradient ", found$gradient)
  found$effects <- found$effects["estimate"]
  found
}
one <- function(data) cbind("(Intercept)" = rep(1, nrow(data)))
term <- function(group, level, columns, structure, start, ...) dense_term(group, level, columns, structure, start, ...)
none <- list(bounds = "none")

# one-way layouts, against gls ----------------------------------------------------------------------------------
batches <- dataset("dyestuff2")
batches$y <- batches$Yield
for (method in c("reml", "ml")) {
  case <- add(case, paste0("dyestuff2_", method),
    fit(batches, one(batches), list(term("Batch", batches$Batch, one(batches), raw$us(1), 0)), method),
    formula = "Yield ~ 1 + (1 | Batch)", data = "dyestuff2", options = none,
    witness = witness_of(gls(Yield ~ 1, batches, corCompSymm(form = ~ 1 | Batch), method = toupper(method)))
  )
}

set.seed(2024)
sizes <- sample(2:5, 40, replace = TRUE)
repel <- data.frame(g = factor(rep(sprintf("g%02d", 1:40), sizes)), x = round(rnorm(sum(sizes)), 3))
repel$w <- round(runif(nrow(repel), 0.4, 2.5), 3)
repel$sex <- factor(rep(rep(c("F", "M"), 20), sizes))
e <- rnorm(nrow(repel))
centre <- ave(e, repel$g)
repel$y <- round(5 + 0.5 * repel$x + ifelse(repel$sex == "F", e - 0.75 * centre, e + rnorm(40)[repel$g]), 4)
repel$z <- round(5 + 0.5 * repel$x + e - 0.75 * centre, 4)
repel$t <- sequence(sizes)
own <- case_data(repel, "repel.csv.gz")
all_alike <- repel
all_alike$y <- all_alike$z
X <- model.matrix(~x, repel)
intercept <- term("g", repel$g, one(repel), raw$us(1), 0)
for (method in c("reml", "ml")) {
  case <- add(case, paste0("unbalanced_", method), fit(all_alike, X, list(intercept), method),
    formula = "z ~ x + (1 | g)", data = own, options = none,
    witness = witness_of(gls(z ~ x, repel, corCompSymm(-0.1, form = ~ 1 | g), method = toupper(method)))
  )
}
case <- add(case, "weighted", fit(all_alike, X, list(intercept), weights = repel$w),
  formula = "z ~ x + (1 | g)", data = own, weights = "w", options = none
)

# REPEATED / TYPE=CS GROUP=SEX: one variance and one covariance by sex, the covariance of F negative ---------------
female <- as.numeric(repel$sex == "F")
by_sex <- lapply(c("F", "M"), function(sex) {
  inside <- repel$sex == sex
  level <- factor(ifelse(inside, as.character(repel$g), NA))
  columns <- matrix(0, nrow(repel), nlevels(level))
  columns[cbind(which(inside), as.integer(level)[inside])] <- 1
  list(
    group = "g", names = "(Intercept)", levels = levels(level), Z = columns, structure = raw$us(1), start = 0,
    kernel = diag(nlevels(level)), kernel_root = diag(nlevels(level)), label = sex
  )
})
case <- add(case, "by_sex", fit(repel, X, by_sex, residual = function(rest) diag(female + (1 - female) * exp(rest)),
  residual_start = 0), formula = "y ~ x + (1 | g, by=sex)", data = own,
  options = list(bounds = "none", variance = "ident(sex)")
)

# vectors of random effects -----------------------------------------------------------------------------------------
set.seed(7)
slopes <- data.frame(g = factor(rep(sprintf("s%02d", 1:30), each = 4)), t = rep(0:3, 30))
root <- chol(matrix(c(1, -.3, -.2, 0, -.3, 1, -.2, -.1, -.2, -.2, 1, -.3, 0, -.1, -.3, 1), 4))
slopes$y <- round(as.vector(t(matrix(rnorm(120), 30) %*% root)) + 0.3 * slopes$t, 4)
slopes$f <- factor(paste0("v", slopes$t))
data_slopes <- case_data(slopes, "slopes.csv.gz")
X <- model.matrix(~t, slopes)
Zt <- cbind("(Intercept)" = 1, t = slopes$t)
case <- add(case, "slope", fit(slopes, X, list(term("g", slopes$g, Zt, raw$us(2), c(0, 0, 0)))),
  formula = "y ~ t + (t | g)", data = data_slopes, options = none
)
case <- add(case, "uncorrelated_slope", fit(slopes, X, list(term("g", slopes$g, Zt, raw$diag(2), c(0, 0))), "ml"),
  formula = "y ~ t + diag(t | g)", data = data_slopes, options = none
)
Zf <- model.matrix(~ 0 + f, slopes)
case <- add(case, "cs_beside_errors_ar1", fit(slopes, X, list(term("g", slopes$g, one(slopes), raw$us(1), 0)),
  residual = function(rest) {
    same <- outer(slopes$g, slopes$g, "==")
    same * tanh(rest)^abs(outer(slopes$t, slopes$t, "-"))
  }, residual_start = 0
), formula = "y ~ t + (1 | g)", data = data_slopes, options = list(bounds = "none", residual = "ar1(t | g)"))

# crossed and nested factors ------------------------------------------------------------------------------------------
set.seed(11)
crossed <- expand.grid(a = sprintf("a%02d", 1:8), b = sprintf("b%02d", 1:6), r = 1:2)
crossed <- crossed[sort(sample(nrow(crossed), 84)), ]
e <- rnorm(nrow(crossed))
crossed$y <- round(e - 0.8 * ave(e, crossed$a) + rnorm(6, 0, 0.5)[crossed$b], 4)
crossed <- crossed[c("a", "b", "y")]
data_crossed <- case_data(crossed, "crossed.csv.gz")
for (method in c("reml", "ml")) {
  case <- add(case, paste0("crossed_", method), fit(crossed, one(crossed), list(
    term("a", crossed$a, one(crossed), raw$us(1), 0), term("b", crossed$b, one(crossed), raw$us(1), 0)
  ), method), formula = "y ~ 1 + (1 | a) + (1 | b)", data = data_crossed, options = none)
}
crossed$ab <- interaction(crossed$a, crossed$b, sep = ":", drop = TRUE, lex.order = TRUE)
case <- add(case, "crossed_with_interaction", fit(crossed, one(crossed), list(
  term("a", crossed$a, one(crossed), raw$us(1), 0), term("b", crossed$b, one(crossed), raw$us(1), 0),
  term("a:b", crossed$ab, one(crossed), raw$us(1), 0)
)), formula = "y ~ 1 + (1 | a) + (1 | b) + (1 | a:b)", data = data_crossed, options = none)

set.seed(29)
plots <- expand.grid(sub = paste0("s", 1:4), whole = paste0("w", 1:3), block = paste0("b", 1:4))
plots$y <- round(rnorm(48), 4)
data_plots <- case_data(plots, "plots.csv.gz")
X <- model.matrix(~ whole * sub, plots)
plots$bw <- interaction(plots$block, plots$whole, sep = ":", lex.order = TRUE)
case <- add(case, "split_plot", fit(plots, X, list(
  term("block", plots$block, one(plots), raw$us(1), 0), term("block:whole", plots$bw, one(plots), raw$us(1), 0)
)), formula = "y ~ whole * sub + (1 | block) + (1 | block:whole)", data = data_plots, options = none)

write_case(case)
