# Small-area estimates and mean squared errors from their formulas, variances by lme4 (unit level) and by minimising
# the area-level likelihood, nlme as witness; Prasad and Rao (1990), Datta and Lahiri (2000), Datta, Rao and Smith (2005).
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

# area level ---------------------------------------------------------------------------------------------------
set.seed(11)
m <- 15
areas <- data.frame(area = factor(sprintf("a%02d", seq_len(m))), x = round(runif(m, 0, 10), 3), D = round(runif(m, 0.5, 6), 3))
areas$y <- round(3 + 0.7 * areas$x + rnorm(m, 0, 3) + rnorm(m, 0, sqrt(areas$D)), 4)
level_one <- case_data(areas, "areas.csv.gz")
X <- cbind(1, areas$x)
y <- areas$y
D <- areas$D

criterion <- function(A, reml) {
  V <- A + D
  Phi <- solve(crossprod(X / sqrt(V)))
  r <- y - X %*% (Phi %*% crossprod(X, y / V))
  sum(log(V)) + sum(r^2 / V) + if (reml) -as.numeric(determinant(Phi)$modulus) else 0
}
estimate_variance <- function(method) {
  rss <- function(A) {
    V <- A + D
    r <- y - X %*% solve(crossprod(X / sqrt(V)), crossprod(X, y / V))
    sum(r^2 / V)
  }
  switch(method,
    "reml" = optimize(criterion, c(0, 50), reml = TRUE, tol = 1e-12)$minimum,
    "ml" = optimize(criterion, c(0, 50), reml = FALSE, tol = 1e-12)$minimum,
    "fay-herriot" = if (rss(0) < m - 2) 0 else uniroot(function(A) rss(A) - (m - 2), c(0, 100), tol = 1e-13)$root,
    "prasad-rao" = {
      H <- X %*% solve(crossprod(X), t(X))
      max(0, (sum(((diag(m) - H) %*% y)^2) - sum(D * (1 - diag(H)))) / (m - 2))
    }
  )
}
area_level <- lapply(c("reml", "ml", "fay-herriot", "prasad-rao"), function(method) {
  A <- estimate_variance(method)
  V <- A + D
  Phi <- solve(crossprod(X / sqrt(V)))
  beta <- Phi %*% crossprod(X, y / V)
  gamma <- A / V
  estimate <- drop(X %*% beta) + gamma * drop(y - X %*% beta)
  g1 <- gamma * D
  g2 <- (1 - gamma)^2 * rowSums((X %*% Phi) * X)
  variance <- switch(method, "prasad-rao" = 2 * sum(V^2) / m^2, "fay-herriot" = 2 * m / sum(1 / V)^2, 2 / sum(1 / V^2))
  g3 <- D^2 / V^3 * variance
  bias <- switch(method,
    "ml" = -sum(diag(Phi %*% crossprod(X / V))) / sum(1 / V^2),
    "fay-herriot" = 2 * (m * sum(1 / V^2) - sum(1 / V)^2) / sum(1 / V)^3, 0
  )
  list(
    method = method, A = A, estimate = estimate, g1 = g1, g2 = g2, g3 = g3, mse = g1 + g2 + 2 * g3 - bias * (1 - gamma)^2
  )
})
# nlme's opinion of A (its REML with sigma held is another criterion, so by ML)
witness <- lme(y ~ x, random = ~ 1 | area, weights = varFixed(~D), data = areas, method = "ML", control = lmeControl(sigma = 1))
stopifnot(abs(as.numeric(VarCorr(witness)[1, 1]) - area_level[[2]]$A) < 1e-4 * area_level[[2]]$A)

# unit level ---------------------------------------------------------------------------------------------------
set.seed(12)
sizes <- c(1, 2, 3, 3, 4, 5, 2, 1, 6, 3)
units <- data.frame(area = factor(rep(seq_along(sizes), sizes)))
units$x <- round(rnorm(nrow(units), 5, 2), 3)
units$sex <- factor(sample(c("f", "m"), nrow(units), TRUE))
units$y <- round(10 + 2 * units$x + (units$sex == "m") + rnorm(length(sizes), 0, 2)[units$area] + rnorm(nrow(units), 0, 1.5), 4)
level_two <- case_data(units, "units.csv.gz")
population <- data.frame(area = seq_len(11), x = round(seq(4, 6, length.out = 11), 2), male = round(seq(0.4, 0.6, length.out = 11), 2),
  N = c(20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120))
unit_level <- lapply(c(TRUE, FALSE), function(reml) {
  fit <- fit_lmer(y ~ x + sex + (1 | area), units, REML = reml)
  other <- lme(y ~ x + sex, random = ~ 1 | area, data = units, method = if (reml) "REML" else "ML")
  b2 <- VarCorr(fit)$area[1, 1]
  s2 <- sigma(fit)^2
  stopifnot(abs(other$sigma^2 - s2) < 1e-4 * s2)
  X <- getME(fit, "X")
  Z <- model.matrix(~ 0 + area, units)
  V <- b2 * tcrossprod(Z) + s2 * diag(nrow(Z))
  P <- solve(V)
  Phi <- solve(t(X) %*% P %*% X)
  slopes <- list(tcrossprod(Z), diag(nrow(Z)))
  info <- matrix(0, 2, 2)
  for (a in 1:2) for (b in 1:2) info[a, b] <- 0.5 * sum(diag(P %*% slopes[[a]] %*% P %*% slopes[[b]]))
  W <- solve(info)
  bias <- if (reml) c(0, 0) else {
    -0.5 * W %*% sapply(slopes, function(s) sum(diag(Phi %*% t(X) %*% P %*% s %*% P %*% X)))
  }
  rows <- lapply(seq_len(11), function(i) {
    target <- c(1, population$x[i], population$male[i])
    e <- if (i <= 10) replace(rep(0, 10), i, 1) else rep(0, 10)
    fixed_part <- function(theta) (theta[1] * e) %*% t(Z) %*% solve(theta[1] * tcrossprod(Z) + theta[2] * diag(nrow(Z)))
    first <- function(theta) theta[1] - (if (i <= 10) theta[1] * e %*% t(Z) %*% t(fixed_part(theta)) else 0)
    b <- fixed_part(c(b2, s2))
    d <- target - drop(b %*% X)
    # numeric slopes of b and of g1 in the two variances
    h <- 1e-5
    db <- rbind(
      (fixed_part(c(b2 + h, s2)) - fixed_part(c(b2 - h, s2))) / (2 * h),
      (fixed_part(c(b2, s2 + h)) - fixed_part(c(b2, s2 - h))) / (2 * h)
    )
    dg <- c((first(c(b2 + h, s2)) - first(c(b2 - h, s2))) / (2 * h), (first(c(b2, s2 + h)) - first(c(b2, s2 - h))) / (2 * h))
    g1 <- drop(first(c(b2, s2)))
    g2 <- drop(d %*% Phi %*% d)
    g3 <- sum(diag(db %*% V %*% t(db) %*% W))
    estimate <- sum(target * fixef(fit)) + (if (i <= 10) ranef(fit)$area[i, 1] else 0)
    list(estimate = estimate, g1 = g1, g2 = g2, g3 = g3, mse = g1 + g2 + 2 * g3 - sum(dg * bias))
  })
  c(list(method = if (reml) "reml" else "ml"), lapply(c(estimate = "estimate", g1 = "g1", g2 = "g2", g3 = "g3", mse = "mse"),
    function(name) vapply(rows, `[[`, 0, name)))
})

write_json(list(
  about = "Small-area estimates and mean squared errors from their formulas by dense algebra",
  software = paste("R", getRversion(), "lme4", packageVersion("lme4"), "nlme", packageVersion("nlme")),
  areas = level_one, area_level = area_level, units = level_two, population = population, unit_level = unit_level
), file.path(here, "tables.json"), auto_unbox = TRUE, digits = 12)
