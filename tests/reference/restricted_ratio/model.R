# The finite-sample null distribution of the likelihood ratio of one variance component, by the spectral form of
# Crainiceanu and Ruppert (2004).
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
library(jsonlite)
set.seed(41)
n_draws <- 100000

spectral <- function(X, Z, reml) {
  n <- nrow(X)
  p <- ncol(X)
  Q <- diag(n) - X %*% solve(crossprod(X), t(X))
  mu <- eigen(t(Z) %*% Q %*% Z, symmetric = TRUE, only.values = TRUE)$values
  mu <- mu[mu > 1e-9 * max(mu)]
  xi <- eigen(crossprod(Z), symmetric = TRUE, only.values = TRUE)$values
  xi <- xi[xi > 1e-9 * max(xi)]
  penalty_of <- if (reml) mu else xi
  front <- if (reml) n - p else n
  lambda <- c(0, exp(seq(log(1e-5), log(1e5), length.out = 400)) / mean(mu))
  best <- rep(0, n_draws)
  w <- matrix(rnorm(n_draws * length(mu))^2, n_draws)
  rest <- rchisq(n_draws, n - p - length(mu))
  total <- rowSums(w) + rest
  for (l in lambda) {
    left <- drop(w %*% (1 / (1 + l * mu))) + rest
    best <- pmax(best, front * log(total / left) - sum(log(1 + l * penalty_of)))
  }
  best
}
summarise <- function(draws, points) {
  list(zero = mean(draws < 1e-6), points = points, above = vapply(points, function(x) mean(draws >= x), 0),
    quantiles = unname(quantile(draws, c(0.9, 0.95, 0.99))))
}

sizes <- c(2, 3, 5, 4, 6, 3, 1, 5)
unbalanced <- data.frame(g = factor(rep(seq_along(sizes), sizes)))
unbalanced$x <- round(rnorm(nrow(unbalanced)), 3)
balanced <- data.frame(g = factor(rep(1:6, each = 5)), x = round(rnorm(30), 3))
cases <- list()
for (name in c("unbalanced", "balanced")) {
  frame <- get(name)
  X <- model.matrix(~x, frame)
  Z <- model.matrix(~ 0 + g, frame)
  for (reml in c(TRUE, FALSE)) {
    draws <- spectral(X, Z, reml)
    cases[[length(cases) + 1]] <- c(list(design = name, method = if (reml) "reml" else "ml", formula = "y ~ x + (1 | g)",
      g = as.integer(frame$g), x = frame$x), summarise(draws, c(0.1, 0.5, 1, 2, 3, 5)))
  }
}
write_json(list(about = "Null distribution of (restricted) likelihood ratios of one variance component, 100,000 draws",
  software = paste("R", getRversion()), cases = cases), file.path(here, "tables.json"), auto_unbox = TRUE, digits = 8)
