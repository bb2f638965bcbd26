# Smooths by mgcv, method = "REML" (or "ML"): scores, degrees of freedom, tests, fitted values and standard errors.
#
#   Rscript tests/reference/smooths_fits/model.R
#
# Data are simulated here and written beside the script; formulas are read by both programs as they stand.
suppressPackageStartupMessages({library(mgcv); library(jsonlite); library(nlme)})
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1])))

# 1. data -----------------------------------------------------------------------------------------------------
f2 <- function(x) 0.2 * x^11 * (10 * (1 - x))^6 + 10 * (10 * x)^3 * (1 - x)^10
set.seed(101); n <- 300
additive <- data.frame(x0 = runif(n), x1 = runif(n), x2 = runif(n), x3 = runif(n))
additive <- within(additive, {
  f <- sample(c("a", "b", "c"), n, TRUE); w <- runif(n, 0.5, 2)
  g <- paste0("g", sample(15, n, TRUE))
  mu <- 2 * sin(pi * x0) + exp(2 * x1) + f2(x2)
  y <- mu + rnorm(n, 0, 2)
  yf <- c(a = 0, b = 1, c = 3)[f] + c(a = 1, b = 0, c = -1)[f] * f2(x2) / 3 + rnorm(n, 0, 1)
  yg <- f2(x2) / 2 + rnorm(15)[as.integer(sub("g", "", g))] + x0 * rnorm(15, 0, 1.5)[as.integer(sub("g", "", g))] + rnorm(n)
  count <- rpois(n, exp(f2(x2) / 6 + x0 / 2)); event <- rbinom(n, 1, plogis(f2(x2) / 3 - 2 + x1))
  countg <- rpois(n, exp(f2(x2) / 6 + rnorm(15, 0, 0.6)[as.integer(sub("g", "", g))]))
  size <- rgamma(n, 3, 3 / exp(f2(x2) / 8)); exposure <- runif(n, 1, 5)
  hour <- runif(n, 0, 24); yh <- sin(2 * pi * hour / 24) + 0.5 * cos(4 * pi * hour / 24) + rnorm(n, 0, 0.4)
  mu <- NULL
})
set.seed(102); n <- 300
surface <- data.frame(x = runif(n), z = runif(n), v = runif(n), f = sample(c("a", "b"), n, TRUE))
surface <- within(surface, {
  mu <- (pi^0.3 * 0.4) * (1.2 * exp(-(x - 0.2)^2 / 0.09 - (z - 0.3)^2 / 0.16) + 0.8 * exp(-(x - 0.7)^2 / 0.09 - (z - 0.8)^2 / 0.16))
  y <- mu + rnorm(n, 0, 0.1); count <- rpois(n, exp(1 + 2 * mu)); y3 <- mu + v^2 * x + rnorm(n, 0, 0.1); mu <- NULL
})
set.seed(103)
curves <- expand.grid(t = 1:20, g = paste0("g", 1:12)); m <- nrow(curves)
curves <- within(curves, {
  t <- t + 0; g <- as.character(g); k <- as.integer(sub("g", "", g))
  y <- sin(t / 4) + rnorm(12, 0, 0.5)[k] + rnorm(12, 0, 0.4)[k] * sin(t / 3 + k) + rnorm(m, 0, 0.3)
  e <- as.vector(replicate(12, as.numeric(arima.sim(list(ar = 0.6), 20, sd = 0.3)))); ye <- sin(t / 4) + e; e <- NULL; k <- NULL
})
data <- list(additive = additive, surface = surface, curves = curves)
for (name in names(data)) write.csv(format(data[[name]], digits = 17), gzfile(file.path(here, paste0(name, ".csv.gz"))), row.names = FALSE, quote = FALSE)
read <- function(name) { d <- read.csv(file.path(here, paste0(name, ".csv.gz"))); for (v in names(d)) if (is.character(d[[v]])) d[[v]] <- factor(d[[v]]); d }
data <- lapply(setNames(names(data), names(data)), read)

# 2. fits -----------------------------------------------------------------------------------------------------
models <- list()
published <- function(fit, j) {
  # Wood's (2013) statistic by dense algebra from the smooth as it is plotted, both signs: summary() takes for t2 the
  # square root R of the columns that were fitted and the coefficients of those that predict.
  own <- fit$smooth[[j]]$first.para:fit$smooth[[j]]$last.para
  R <- qr.R(qr(sqrt(fit$weights) * model.matrix(fit)[, own], tol = 0)); e <- eigen(R %*% fit$Vp[own, own] %*% t(R), symmetric = TRUE)
  u <- drop(crossprod(e$vectors, R %*% coef(fit)[own])) / sqrt(pmax(e$values, 1e-300))
  r <- sum(fit$edf1[own]); k <- floor(r); nu <- r - k
  (sum(u[1:k]^2) + nu * u[k + 1]^2 + c(-1, 1) * 2 * sqrt(nu * (1 - nu) / 2) * u[k] * u[k + 1]) / r
}
add <- function(id, formula, data_name, family = "gaussian", method = "REML", ours = NULL, weights = NULL, call = NULL, ...) {
  d <- data[[data_name]]
  if (grepl("ordered", id)) d$f <- factor(d$f, ordered = TRUE)
  fam <- switch(family, gaussian = gaussian(), poisson = poisson(), binomial = binomial(), gamma = Gamma(link = "log"), nb2 = nb(link = "log"))
  d$case.weight. <- if (is.null(weights)) 1 else d[[weights]]
  f <- as.formula(formula)
  environment(f) <- environment()
  fit <- gam(f, data = d, family = fam, method = method, weights = case.weight., ..., control = gam.control(epsilon = 1e-11, maxit = 400, newton = list(conv.tol = 1e-9, maxNstep = 5, maxSstep = 2, maxHalf = 50)))
  s <- summary(fit)
  first <- seq(1, nrow(d), length.out = 12)
  p <- predict(fit, se.fit = TRUE)
  models[[length(models) + 1]] <<- list(
    id = id, formula = if (is.null(ours)) formula else ours, r = formula, data = data_name, family = family, method = tolower(method), weights = weights,
    score = unname(as.numeric(fit$gcv.ubre)), scale = fit$sig2, edf = unname(s$edf), ref_df = unname(s$s.table[, 2]), statistic = unname(s$s.table[, 3]),
    p_value = unname(s$s.table[, 4]), published = if (grepl("t2", id)) published(fit, 1), select = if (isTRUE(list(...)$select)) TRUE, terms = rownames(s$s.table), total = sum(fit$edf),
    rows = first, fitted = unname(p$fit[first]), se = unname(p$se.fit[first]), coefficients = unname(fit$coefficients[seq_len(fit$nsdf)]))
  cat(id, fit$gcv.ubre, "\n")
}
add("cr", "y ~ s(x2, bs='cr')", "additive")
add("cr_k20", "y ~ s(x2, bs='cr', k=20)", "additive")
add("cr_four", "y ~ s(x0, bs='cr') + s(x1, bs='cr') + s(x2, bs='cr') + s(x3, bs='cr')", "additive")
add("cr_ml", "y ~ s(x0, bs='cr') + s(x2, bs='cr')", "additive", method = "ML")
add("cr_weights", "y ~ x1 + s(x2, bs='cr')", "additive", weights = "w")
add("cr_fx", "y ~ s(x2, bs='cr', fx=TRUE, k=8)", "additive")
add("cr_log", "y ~ s(log(x1), bs='cr') + s(x2, bs='cr')", "additive")
add("cs_two", "y ~ s(x2, bs='cs') + s(x3, bs='cs')", "additive")
add("ps", "y ~ s(x2, bs='ps', k=15)", "additive")
add("ps_m1", "y ~ s(x2, bs='ps', k=15, m=c(2,1))", "additive")
add("bs", "y ~ s(x2, bs='bs', k=12)", "additive")
add("tp", "y ~ s(x2)", "additive")
add("tp_four", "y ~ s(x0) + s(x1) + s(x2) + s(x3)", "additive")
add("tp_plane", "y ~ s(x, z)", "surface")
add("tp_plane_k", "y ~ s(x, z, k=15)", "surface")
add("ts", "y ~ s(x2, bs='ts') + s(x3, bs='ts')", "additive")
add("cc", "yh ~ s(hour, bs='cc', k=12)", "additive")
add("cp", "yh ~ s(hour, bs='cp', k=12)", "additive")
add("ad", "y ~ s(x2, bs='ad', k=20)", "additive")
add("gp", "y ~ s(x2, bs='gp')", "additive")
add("by_factor", "yf ~ f + s(x2, by=f, bs='cr')", "additive")
add("by_factor_bare", "yf ~ s(x2, by=f, bs='cr')", "additive")
add("by_factor_tp", "yf ~ f + s(x2, by=f)", "additive")
add("by_factor_cells", "yf ~ 0 + f + s(x2, by=f, bs='cr')", "additive")
add("by_number", "y ~ s(x2, by=x1, bs='cr')", "additive")
add("by_ordered", "yf ~ f + s(x2, bs='cr') + s(x2, by=f, bs='cr')", "additive")
add("by_id", "yf ~ f + s(x2, by=f, bs='cr', id=1)", "additive")
add("te", "y ~ te(x, z)", "surface")
add("te_k", "y ~ te(x, z, k=c(6, 4))", "surface")
add("te_ps", "y ~ te(x, z, bs=c('ps', 'cr'), k=6)", "surface")
add("te_tp", "y ~ te(x, z, bs='tp', k=5)", "surface")
add("te_by", "y ~ f + te(x, z, by=f, k=4)", "surface")
add("te_three", "y3 ~ te(x, z, v, k=4)", "surface")
add("te_add", "y3 ~ te(x, z) + s(v, bs='cr')", "surface")
add("ti", "y ~ ti(x) + ti(z) + ti(x, z)", "surface")
add("ti_k", "y ~ ti(x, k=8) + ti(z, k=6) + ti(x, z, k=c(6, 5))", "surface")
# from its own start mgcv ends in another optimum, 0.374 worse
add("t2", "y ~ t2(x, z)", "surface", in.out = list(sp = c(.02, .01, .006), scale = .01))
add("t2_tp", "y ~ t2(x, z, bs='tp')", "surface")
add("t2_ps", "y ~ t2(x, z, bs='ps', k=6)", "surface")
add("t2_full", "y ~ t2(x, z, full=TRUE)", "surface")
add("t2_add", "y3 ~ t2(x, z, k=4) + s(v, bs='cr')", "surface")
add("te_plane", "y3 ~ te(x, z, v, d=c(2, 1), bs=c('tp', 'cr'), k=c(12, 4))", "surface")
add("te_ti_main", "y ~ s(x, bs='cr') + s(z, bs='cr') + ti(x, z)", "surface")
add("by_select", "yf ~ f + s(x2, by=f, bs='cr')", "additive", select = TRUE)
add("cr_select", "y ~ s(x0, bs='cr') + s(x1, bs='cr') + s(x2, bs='cr') + s(x3, bs='cr')", "additive", select = TRUE)
add("tp_select", "y ~ s(x0) + s(x3) + s(x2)", "additive", select = TRUE)
add("gp_matern", "y ~ s(x2, bs='gp', m=c(4, 0.3), k=15)", "additive")
add("gp_power", "y ~ s(x2, bs='gp', m=c(2, 0.4, 1.5), k=12)", "additive")
add("gp_plane", "y ~ s(x, z, bs='gp')", "surface")
add("gp_two", "y ~ s(x0, bs='gp') + s(x2, bs='gp')", "additive")
add("sz_two", "yf ~ s(x2) + s(f, x2, bs='sz')", "additive")
add("sz_id", "yf ~ s(x2) + s(f, x2, bs='sz', id=1)", "additive")
add("sz_cr", "yf ~ s(x2, bs='cr') + s(f, x2, bs='sz', xt=list(bs='cr'))", "additive")
add("fs_cr", "y ~ s(t, g, bs='fs', k=6, xt='cr')", "curves")
add("fs_slope", "y ~ s(t, bs='cr', k=8) + s(t, g, bs='fs', k=5, m=2)", "curves")
add("gamma_cr", "size ~ s(x2, bs='cr')", "additive", "gamma")
add("gamma_two", "size ~ s(x0, bs='cr') + s(x2, bs='cr')", "additive", "gamma")
add("nb_cr", "countg ~ s(x2, bs='cr')", "additive", "nb2")
add("nb_two", "countg ~ s(x0, bs='cr') + s(x2, bs='cr')", "additive", "nb2")
add("poisson_t2", "count ~ t2(x, z, k=4)", "surface", "poisson")
add("poisson_gp", "count ~ s(x2, bs='gp')", "additive", "poisson")
add("binomial_te", "event ~ te(x0, x2, k=4)", "additive", "binomial")
add("poisson_sz", "count ~ s(x2, bs='cr') + s(f, x2, bs='sz', k=6)", "additive", "poisson")
add("t2_k", "y ~ t2(x, z, k=c(6, 4))", "surface")
add("nested", "y ~ s(x, bs='cr', k=6) + s(z, bs='cr', k=6) + te(x, z, k=5)", "surface")
add("re", "yg ~ s(x2, bs='cr') + s(g, bs='re')", "additive")
add("re_bar", "yg ~ s(x2, bs='cr') + s(g, bs='re')", "additive", ours = "yg ~ s(x2, bs='cr') + (1 | g)")
add("re_slope", "yg ~ s(x2, bs='cr') + s(g, bs='re') + s(x0, g, bs='re')", "additive")
add("re_slope_bar", "yg ~ s(x2, bs='cr') + s(g, bs='re') + s(x0, g, bs='re')", "additive", ours = "yg ~ s(x2, bs='cr') + diag(1 + x0 | g)")
add("fs", "y ~ s(t, g, bs='fs', k=6)", "curves")
add("fs_mean", "y ~ s(t, bs='cr', k=8) + s(t, g, bs='fs', k=5, m=1)", "curves")
add("sz", "yf ~ s(x2) + s(x2, f, bs='sz')", "additive")
add("poisson_cr", "count ~ s(x2, bs='cr')", "additive", "poisson")
add("poisson_two", "count ~ s(x0, bs='cr') + s(x2, bs='cr')", "additive", "poisson")
add("poisson_by", "count ~ f + s(x2, by=f, bs='cr', k=8)", "additive", "poisson")
add("poisson_te", "count ~ te(x, z)", "surface", "poisson")
add("poisson_offset", "count ~ offset(log(exposure)) + s(x2, bs='cr')", "additive", "poisson")
add("poisson_bar", "countg ~ s(x2, bs='cr') + s(g, bs='re')", "additive", "poisson", ours = "countg ~ s(x2, bs='cr') + (1 | g)")
add("poisson_ml", "count ~ s(x2, bs='cr')", "additive", "poisson", method = "ML")
add("binomial_cr", "event ~ s(x2, bs='cr')", "additive", "binomial")
add("binomial_two", "event ~ s(x1, bs='cr') + s(x2, bs='tp')", "additive", "binomial")

# 3. errors with a structure: gamm, by nlme --------------------------------------------------------------------
add_gamm <- function(id, formula, ours, residual, data_name, variance = NULL, ...) {
  d <- data[[data_name]]
  fit <- gamm(as.formula(formula), data = d, method = "REML", control = lmeControl(msTol = 1e-12, tolerance = 1e-10, msMaxIter = 500, maxIter = 500, returnObject = TRUE), ...)
  s <- summary(fit$gam); first <- seq(1, nrow(d), length.out = 12)
  p <- predict(fit$gam, se.fit = TRUE)
  models[[length(models) + 1]] <<- list(id = id, formula = ours, r = formula, data = data_name, family = "gaussian", method = "reml", residual = residual, variance = variance,
    edf = unname(s$edf), rows = first, fitted = unname(p$fit[first]), loglik = as.numeric(logLik(fit$lme)), terms = rownames(s$s.table))
  cat(id, logLik(fit$lme), "\n")
}
add_gamm("gamm_ar1", "ye ~ s(t, bs='cr')", "ye ~ s(t, bs='cr')", "ar1(t | g)", "curves", correlation = corAR1(form = ~ t | g))
add_gamm("gamm_ident", "yf ~ f + s(x2, bs='cr')", "yf ~ f + s(x2, bs='cr')", NULL, "additive", variance = "ident(f)", weights = varIdent(form = ~ 1 | f))

# 4. curves by level in time and against it: fs of mgcv is not one model ------------------------------------------------
both <- function(time) {
  d <- data$curves; d$t <- time
  as.numeric(suppressWarnings(gam(y ~ s(t, bs = "cr", k = 8) + s(t, g, bs = "fs", k = 5), data = d, method = "REML"))$gcv.ubre)
}
reflected <- list(forth = both(data$curves$t), back = both(21 - data$curves$t))

write(toJSON(list(case = "smooths_fits", reflected = reflected, models = models), auto_unbox = TRUE, digits = 15, null = "null", na = "null"), file.path(here, "mgcv.json"))
