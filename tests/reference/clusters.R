# Models whose clusters are independent: V_i = Z_i G Z_i' + R_i(theta), by dense algebra cluster by cluster.
# Serves structured residuals; nlme's gls() and lme() are the witnesses. Needs fit_to_json.R first.

# Correlation functions; every one maps unconstrained parameters and rows of one cluster to a correlation matrix
# and can name its parameters on nlme's scale. ------------------------------------------------------------------
correlation_ar1 <- function(position) list(
  start = 0.5, matrix = function(z, rows) tanh(z)^abs(outer(position[rows], position[rows], "-")),
  natural = function(z) list(rho = tanh(z))
)
correlation_car1 <- function(time, start = 0) list(
  start = start, matrix = function(z, rows) plogis(z)^abs(outer(time[rows], time[rows], "-")),
  natural = function(z) list(rho = plogis(z))
)
correlation_cs <- function(size) list(
  start = 0, matrix = function(z, rows) cs_correlation(size, z)[seq_along(rows), seq_along(rows), drop = FALSE],
  natural = function(z) list(rho = cs_correlation(size, z)[2, 1])
)
# partial autocorrelations to the coefficients of a stationary autoregression (Durbin-Levinson)
stationary <- function(z) {
  phi <- numeric()
  for (partial in tanh(z)) phi <- c(phi - partial * rev(phi), partial)
  phi
}
correlation_arma <- function(position, p, q, start = rep(0.3, p + q)) {
  lags <- max(position) - min(position)
  coefficients <- function(z) list(ar = stationary(z[seq_len(p)]), ma = -stationary(z[p + seq_len(q)]))
  list(
    start = start,
    matrix = function(z, rows) {
      own <- coefficients(z)
      acf <- ARMAacf(ar = own$ar, ma = own$ma, lag.max = lags)
      matrix(acf[abs(outer(position[rows], position[rows], "-")) + 1], length(rows))
    },
    natural = coefficients
  )
}
correlation_toeplitz <- function(position, size) list(
  start = c(0.5, rep(0, size - 2)),
  matrix = function(z, rows) toeplitz_correlation(size, z)[position[rows], position[rows]],
  natural = function(z) list(correlations = toeplitz_correlation(size, z)[1, -1])
)
correlation_ante <- function(position, size) list(
  start = rep(0.5, size - 1), matrix = function(z, rows) ante_correlation(size, z)[position[rows], position[rows]],
  natural = function(z) list(correlations = tanh(z))
)
# rows of a lower triangular factor normalised to length one
free_correlation <- function(z, size) {
  L <- diag(size)
  L[lower.tri(L)] <- z
  tcrossprod(L / sqrt(rowSums(L^2)))
}
correlation_free <- function(position, size) list(
  start = rep(0.3, size * (size - 1) / 2),
  matrix = function(z, rows) free_correlation(z, size)[position[rows], position[rows]],
  natural = function(z) {
    full <- free_correlation(z, size)
    list(correlations = full[lower.tri(full)])
  }
)
distance_functions <- list(
  exp = function(ratio) exp(-ratio),
  gau = function(ratio) exp(-ratio^2),
  rq = function(ratio) 1 / (1 + ratio^2),
  lin_sp = function(ratio) pmax(1 - ratio, 0),
  sph = function(ratio) ifelse(ratio < 1, 1 - 1.5 * ratio + 0.5 * ratio^3, 0)
)
correlation_distance <- function(name, coordinates, start, nugget = FALSE) {
  coordinates <- as.matrix(coordinates)
  list(
    start = c(start, if (nugget) -1), matrix = function(z, rows) {
      ratio <- as.matrix(dist(coordinates[rows, , drop = FALSE])) / exp(z[1])
      own <- distance_functions[[name]](ratio)
      if (nugget) own <- (1 - plogis(z[2])) * own
      diag(own) <- 1
      unname(own)
    },
    natural = function(z) c(list(range = exp(z[1])), if (nugget) list(nugget = plogis(z[2])))
  )
}
correlation_none <- list(start = numeric(), matrix = function(z, rows) diag(length(rows)), natural = function(z) list())

# Variance functions: standard deviation ratios g(theta) of every row. -------------------------------------------
deviation_none <- list(start = numeric(), ratio = function(z) 1, natural = function(z) list())
deviation_ident <- function(stratum) list(
  start = rep(0, nlevels(stratum) - 1), ratio = function(z) exp(c(0, z))[stratum],
  natural = function(z) list(ratios = exp(z))
)
deviation_power <- function(v) list(
  start = 0.5, ratio = function(z) abs(v)^z, natural = function(z) list(power = z)
)
deviation_power_by <- function(v, stratum) list(
  start = rep(0.5, nlevels(stratum)), ratio = function(z) abs(v)^z[stratum], natural = function(z) list(power = z)
)
deviation_exp <- function(v) list(
  start = 0, ratio = function(z) exp(z * v), natural = function(z) list(exponent = z)
)
deviation_const_power <- function(v, start = c(0, 0.5)) list(
  start = start, ratio = function(z) exp(z[1]) + abs(v)^z[2],
  natural = function(z) list(constant = exp(z[1]), power = z[2])
)
deviation_fixed <- function(v) list(start = numeric(), ratio = function(z) sqrt(v), natural = function(z) list())
deviation_product <- function(first, second) {
  k <- length(first$start)
  list(
    start = c(first$start, second$start),
    ratio = function(z) first$ratio(z[seq_len(k)]) * second$ratio(z[-seq_len(k)]),
    natural = function(z) c(first$natural(z[seq_len(k)]), second$natural(z[-seq_len(k)]))
  )
}

# The fit -------------------------------------------------------------------------------------------------------
# `random` is NULL or list(Z, structure, start, group, names); `inner` groups correlated residuals (default cluster).
cluster_fit <- function(y, X, cluster, correlation = correlation_none, deviation = deviation_none, random = NULL,
                        method = "reml", inner = cluster, residual = NULL, other_starts = list()) {
  cluster <- factor(cluster)
  inner <- factor(inner)
  members <- split(seq_along(y), cluster)
  sizes <- c(random = length(random$start), correlation = length(correlation$start), deviation = length(deviation$start))
  piece <- function(theta, name) {
    before <- sum(sizes[seq_len(match(name, names(sizes)) - 1)])
    theta[before + seq_len(sizes[[name]])]
  }
  residual_of <- function(theta, rows, ratio) {
    if (!is.null(residual)) {
      return(residual$matrix(theta[sizes[["random"]] + seq_along(residual$start)], rows))
    }
    scale <- exp(theta[length(theta)]) * (if (length(ratio) == 1) rep(ratio, length(rows)) else ratio[rows])
    R <- matrix(0, length(rows), length(rows))
    for (own in split(seq_along(rows), inner[rows], drop = TRUE)) {
      R[own, own] <- correlation$matrix(piece(theta, "correlation"), rows[own])
    }
    R * tcrossprod(scale)
  }
  covariance_of <- function(theta, rows, ratio) {
    R <- residual_of(theta, rows, ratio)
    if (is.null(random)) R else R + random$Z[rows, , drop = FALSE] %*% random$structure(piece(theta, "random")) %*%
      t(random$Z[rows, , drop = FALSE])
  }
  whitened <- function(theta) {
    ratio <- deviation$ratio(piece(theta, "deviation"))
    parts <- lapply(members, function(rows) {
      upper <- tryCatch(chol(covariance_of(theta, rows, ratio)), error = function(e) NULL)
      if (is.null(upper)) {
        return(NULL)
      }
      list(a = backsolve(upper, cbind(X[rows, , drop = FALSE], y[rows]), transpose = TRUE), d = 2 * sum(log(diag(upper))))
    })
    if (any(vapply(parts, is.null, TRUE))) {
      return(NULL)
    }
    list(a = do.call(rbind, lapply(parts, `[[`, "a")), logdet = sum(vapply(parts, `[[`, 0, "d")))
  }
  solve_at <- function(theta) {
    white <- whitened(theta)
    if (is.null(white)) {
      return(list(criterion = 1e10))
    }
    p <- ncol(X)
    factor <- qr(white$a[, seq_len(p), drop = FALSE], LAPACK = FALSE, tol = 1e-14)
    rest <- qr.resid(factor, white$a[, p + 1])
    degrees <- if (method == "reml") length(y) - p else length(y)
    logdet_X <- if (method == "reml") 2 * sum(log(abs(diag(qr.R(factor))))) else 0
    list(
      criterion = degrees * log(2 * pi) + white$logdet + logdet_X + sum(rest^2),
      beta = qr.coef(factor, white$a[, p + 1]), vcov = chol2inv(qr.R(factor))
    )
  }
  start <- c(random$start, if (is.null(residual)) c(correlation$start, deviation$start, log(sd(y) / 2)) else residual$start)
  theta <- minimise(function(theta) solve_at(theta)$criterion, c(list(start), other_starts))
  structure(
    list(
      y = y, X = X, members = members, inner = inner, theta = theta, method = method, random = random,
      solution = solve_at(theta), npar = length(theta) + ncol(X),
      sigma = if (is.null(residual)) exp(theta[length(theta)]) else NA,
      parameters = if (is.null(residual)) c(
        correlation$natural(piece(theta, "correlation")), deviation$natural(piece(theta, "deviation"))
      ) else residual$natural(theta[sizes[["random"]] + seq_along(residual$start)]),
      G = if (!is.null(random)) random$structure(piece(theta, "random")),
      residual_at = function(rows) residual_of(theta, rows, deviation$ratio(piece(theta, "deviation"))),
      covariance_at = function(rows) covariance_of(theta, rows, deviation$ratio(piece(theta, "deviation"))),
      gradient = max(abs(numeric_gradient(function(theta) solve_at(theta)$criterion, theta)))
    ),
    class = c("cluster_fit", "dense_fit")
  )
}

cluster_effects <- function(fit) {
  beta <- fit$solution$beta
  do.call(rbind, lapply(names(fit$members), function(level) {
    rows <- fit$members[[level]]
    Z <- fit$random$Z[rows, , drop = FALSE]
    X <- fit$X[rows, , drop = FALSE]
    gain <- fit$G %*% t(Z) %*% solve(fit$covariance_at(rows))
    known <- fit$G - gain %*% Z %*% fit$G
    prediction <- known + gain %*% X %*% fit$solution$vcov %*% t(gain %*% X)
    data.frame(
      group = fit$random$group, level = level, term = fit$random$names,
      estimate = drop(gain %*% (fit$y[rows] - X %*% beta)), std_error = sqrt(pmax(diag(prediction), 0))
    )
  }))
}

expected.cluster_fit <- function(fit, ...) {
  beta <- fit$solution$beta
  names(beta) <- colnames(fit$X)
  # a dozen rows of the first cluster show the structure; a whole field of 224 plots would be megabytes
  first <- head(split(seq_along(fit$y), fit$inner)[[as.character(fit$inner[1])]], 12)
  label <- as.character(fit$inner[1])
  result <- c(
    list(
      software = "dense algebra in R (tests/reference/clusters.R)", optimizer = "nlminb + Newton",
      criterion = fit$solution$criterion, aic = fit$solution$criterion + 2 * fit$npar, npar = fit$npar,
      nobs = length(fit$y), sigma = fit$sigma, max_gradient = fit$gradient
    ),
    fixed_record(beta, fit$solution$vcov),
    list(
      parameters = fit$parameters, residual_cov = list(cluster = label, rows = I(first - 1L), matrix = matrix_rows(fit$residual_at(first)))
    )
  )
  if (!is.null(fit$random)) {
    G <- fit$G
    dimnames(G) <- list(fit$random$names, fit$random$names)
    result$covariances <- list(covariance_record(fit$random$group, G))
    result$random_effects <- trim_effects(cluster_effects(fit))
  }
  result
}

# nlme's -2 log-likelihood at the parameters found here. From its own starting values nlme can leave through a
# numerically singular correlation (corGaus) or stop in one of many local minima (corSpher, corLin).
witness_at <- function(model, data, fit, constructor, form, method = "REML", random = NULL) {
  values <- unlist(fit$parameters[c("range", "nugget")])
  correlation <- constructor(unname(values), form = form, nugget = length(values) == 2, fixed = TRUE)
  witness <- if (is.null(random)) {
    fit_gls(model, data, method, correlation = correlation)
  } else {
    fit_lme(model, data, random, method, correlation = correlation)
  }
  witness_of(witness)
}

# nlme's own numbers, where there is no criterion to minimise anew.
expected.gls <- function(fit, ...) nlme_record(fit, coef(fit))
expected.lme <- function(fit, ...) nlme_record(fit, fixef(fit))
nlme_record <- function(fit, beta) {
  c(
    list(
      software = paste("nlme", packageVersion("nlme")), optimizer = class(fit)[1],
      criterion = -2 * as.numeric(logLik(fit)), aic = AIC(fit), npar = attr(logLik(fit), "df"), nobs = nobs(fit),
      sigma = fit$sigma
    ),
    fixed_record(beta, vcov(fit)),
    list(parameters = as.list(coef(fit$modelStruct$varStruct, unconstrained = FALSE)))
  )
}

fit_gls <- function(model, data, method = "REML", ...) {
  controls <- list(
    nlminb = glsControl(opt = "nlminb", maxIter = 2000, msMaxIter = 2000, tolerance = 1e-12, msTol = 1e-14, returnObject = TRUE),
    optim = glsControl(opt = "optim", maxIter = 2000, msMaxIter = 2000, tolerance = 1e-12, msTol = 1e-14, returnObject = TRUE)
  )
  runs <- lapply(controls, function(control) {
    tryCatch(suppressWarnings(do.call(gls, list(model, data = data, method = method, control = control, ...))),
      error = function(e) NULL
    )
  })
  runs <- Filter(Negate(is.null), runs)
  runs[[which.min(vapply(runs, function(run) -2 * as.numeric(logLik(run)), 0))]]
}
