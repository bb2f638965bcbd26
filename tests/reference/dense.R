# A linear mixed model by dense algebra: slow, short, and independent of every package under comparison.
#
#   y = X beta + sum_k Z_k b_k + e,  b_k ~ N(0, K_k (x) Sigma_k(theta)),  e ~ N(0, sigma^2 diag(1 / w))
#
# With V = Z G Z' + R and P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1 the criteria are (constant -log|X'X| omitted)
#   -2 l_ML   = n log 2 pi + log|V| + y'Py
#   -2 l_REML = (n - p) log 2 pi + log|V| + log|X'V^-1 X| + y'Py.

dense_solution <- function(y, X, Z, G, R, method) {
  n <- length(y)
  V <- Z %*% G %*% t(Z) + R
  upper <- tryCatch(chol(V), error = function(e) NULL)
  if (is.null(upper)) {
    return(list(criterion = Inf))
  }
  whiten <- function(a) backsolve(upper, a, transpose = TRUE)
  Xw <- whiten(X)
  yw <- whiten(y)
  # orthogonal factors of whitened X: polynomials up to 10^3 lose no digits
  factor <- qr(Xw, LAPACK = FALSE, tol = 1e-14)
  residual <- qr.resid(factor, yw)
  beta <- qr.coef(factor, yw)
  vcov <- chol2inv(qr.R(factor))
  determinant_X <- if (method == "reml") 2 * sum(log(abs(diag(qr.R(factor))))) else 0
  degrees <- if (method == "reml") n - ncol(X) else n
  list(
    criterion = degrees * log(2 * pi) + 2 * sum(log(diag(upper))) + determinant_X + sum(residual^2),
    beta = beta, vcov = vcov, whiten = whiten, Xw = Xw, residual = residual
  )
}

# The same criterion from one orthogonal factorisation of the augmented least-squares problem
#   [ A  X ; I  0 ] (u, beta) ~ (y, 0)   with rows whitened by R and A = Z G^(1/2),
# which never forms V and so loses no digits when Z'Z is ill conditioned. Needs a diagonal R.
augmented_criterion <- function(y, X, A, variances, method) {
  scale <- 1 / sqrt(variances)
  q <- ncol(A)
  p <- ncol(X)
  factor <- qr(cbind(rbind(scale * A, diag(q)), rbind(scale * X, matrix(0, q, p))), LAPACK = FALSE, tol = 1e-15)
  pivots <- log(abs(diag(qr.R(factor))))
  rest <- qr.qty(factor, c(scale * y, rep(0, q)))[-seq_len(q + p)]
  determinant_X <- if (method == "reml") 2 * sum(pivots[q + seq_len(p)]) else 0
  degrees <- if (method == "reml") length(y) - p else length(y)
  degrees * log(2 * pi) + sum(log(variances)) + 2 * sum(pivots[seq_len(q)]) + determinant_X + sum(rest^2)
}

symmetric_root <- function(sigma) {
  parts <- eigen(sigma, symmetric = TRUE)
  parts$vectors %*% (sqrt(pmax(parts$values, 0)) * t(parts$vectors))
}

# Empirical BLUPs and the standard errors of b_hat - b (uncertainty of beta included) and of b given y and beta.
dense_random_effects <- function(solution, Z, G) {
  ZG <- solution$whiten(Z %*% G)
  known <- G - crossprod(ZG)
  through_beta <- crossprod(ZG, solution$Xw)
  prediction <- known + through_beta %*% solution$vcov %*% t(through_beta)
  list(
    estimate = drop(crossprod(ZG, solution$residual)),
    std_error = sqrt(pmax(diag(prediction), 0)), conditional_sd = sqrt(pmax(diag(known), 0))
  )
}

# One random term. `columns` is the n x m matrix of the random columns, `level` the grouping factor,
# `structure` maps its parameters to Sigma (m x m), `kernel` is the known covariance among levels.
dense_term <- function(group, level, columns, structure, start, kernel = NULL, label = NULL) {
  level <- droplevels(factor(level))
  columns <- as.matrix(columns)
  m <- ncol(columns)
  q <- nlevels(level)
  if (!is.null(kernel)) {
    # levels without data take part: their effects are predicted through the kernel
    level <- factor(as.character(level), levels = rownames(kernel))
    q <- nrow(kernel)
  }
  Z <- matrix(0, length(level), q * m)
  for (j in seq_len(m)) Z[cbind(seq_along(level), (as.integer(level) - 1) * m + j)] <- columns[, j]
  list(
    group = group, names = colnames(columns), levels = levels(level), Z = Z, structure = structure, start = start,
    kernel = if (is.null(kernel)) diag(q) else kernel, label = label,
    kernel_root = if (is.null(kernel)) diag(q) else t(chol(kernel))
  )
}

block_diagonal <- function(blocks) as.matrix(Matrix::bdiag(blocks))

# Wide first steps: extrapolation removes the truncation error, and rounding in f is divided by the step.
numeric_gradient <- function(f, theta) numDeriv::grad(f, theta, method.args = list(d = 0.02, eps = 0.02, r = 6))

polish_newton <- function(f, theta, steps = 6L) {
  # Newton with Richardson-extrapolated derivatives; accepts only steps that do not raise f beyond rounding
  for (step in seq_len(steps)) {
    gradient <- numeric_gradient(f, theta)
    hessian <- numDeriv::hessian(f, theta)
    values <- eigen(hessian, symmetric = TRUE, only.values = TRUE)$values
    if (min(values) <= 1e-9 * max(abs(values))) break
    move <- drop(solve(hessian, gradient))
    if (f(theta - move) > f(theta) + 1e-9) break
    theta <- theta - move
    if (sum(move * gradient) < 1e-16) break
  }
  theta
}

minimise <- function(f, starts) {
  finite <- function(theta) {
    value <- f(theta)
    if (is.finite(value)) value else 1e10
  }
  runs <- lapply(starts, function(start) {
    run <- nlminb(start, finite, control = list(rel.tol = 1e-14, x.tol = 1e-12, iter.max = 2000, eval.max = 5000))
    nlminb(run$par, finite, control = list(rel.tol = 1e-15, x.tol = 1e-13, iter.max = 2000, eval.max = 5000))
  })
  best <- runs[[which.min(vapply(runs, `[[`, 0, "objective"))]]
  polish_newton(finite, best$par)
}

# Fit by minimising the exact criterion over all structure parameters and log sigma (the last parameter).
# `residual` may map extra parameters to a relative n x n residual covariance (sigma^2 is separate).
dense_fit <- function(y, X, terms, method = "reml", weights = rep(1, length(y)), residual = NULL,
                      residual_start = numeric(), other_starts = list(), hold_sigma = NULL) {
  sizes <- vapply(terms, function(term) length(term$start), 0L)
  Z <- if (length(terms)) do.call(cbind, lapply(terms, `[[`, "Z")) else matrix(0, length(y), 0)
  unpack <- function(theta) {
    pieces <- split(theta, factor(rep(seq_len(length(terms) + 1), c(sizes, length(theta) - sum(sizes))),
      levels = seq_len(length(terms) + 1)
    ))
    sigmas <- Map(function(term, own) term$structure(own), terms, pieces[seq_along(terms)])
    rest <- pieces[[length(terms) + 1]]
    scale <- exp(2 * rest[length(rest)])
    R <- if (is.null(residual)) diag(scale / weights) else scale * residual(rest[-length(rest)])
    blocks <- Map(function(term, sigma) kronecker(term$kernel, sigma), terms, sigmas)
    list(sigmas = sigmas, G = block_diagonal(blocks), R = R, sigma = sqrt(scale), rest = rest)
  }
  criterion <- function(theta) {
    parts <- unpack(theta)
    if (!is.null(residual) || !length(terms) || ncol(Z) > 2 * length(y)) {
      return(dense_solution(y, X, Z, parts$G, parts$R, method)$criterion)
    }
    roots <- Map(function(term, sigma) kronecker(term$kernel_root, symmetric_root(sigma)), terms, parts$sigmas)
    augmented_criterion(y, X, Z %*% block_diagonal(roots), diag(parts$R), method)
  }
  first <- c(unlist(lapply(terms, `[[`, "start")), residual_start, log(sd(y) / 2))
  theta <- minimise(criterion, c(list(first), other_starts))
  parts <- unpack(theta)
  solution <- dense_solution(y, X, Z, parts$G, parts$R, method)
  stopifnot(abs(solution$criterion - criterion(theta)) < 1e-6)
  solution$criterion <- criterion(theta)
  structure(
    list(
      y = y, X = X, Z = Z, terms = terms, method = method, theta = theta, parts = parts, solution = solution,
      effects = dense_random_effects(solution, Z, parts$G), npar = length(theta) + ncol(X),
      gradient = max(abs(numeric_gradient(criterion, theta)))
    ),
    class = "dense_fit"
  )
}

# Structures, each a function from unconstrained parameters to Sigma ------------------------------------------
lower_to_matrix <- function(theta, m) {
  L <- matrix(0, m, m)
  L[lower.tri(L, diag = TRUE)] <- theta
  tcrossprod(L)
}
scale_by <- function(correlation, log_sd) correlation * tcrossprod(exp(log_sd))
cs_correlation <- function(m, z) {
  # rho in (-1 / (m - 1), 1)
  low <- -1 / (m - 1)
  rho <- low + (1 - low) * plogis(z)
  (1 - rho) * diag(m) + rho
}
ar1_correlation <- function(m, z) tanh(z)^abs(outer(seq_len(m), seq_len(m), "-"))
toeplitz_correlation <- function(m, z) {
  # partial autocorrelations tanh(z) to autocorrelations by the Durbin-Levinson recursion
  partial <- tanh(z)
  rho <- phi <- partial[1]
  for (k in seq_along(partial)[-1]) {
    rho <- c(rho, sum(phi * rev(rho)) + partial[k] * (1 - sum(phi * rho)))
    phi <- c(phi - partial[k] * rev(phi), partial[k])
  }
  toeplitz(c(1, rho))
}
ante_correlation <- function(m, z) {
  lag <- c(0, cumsum(log(abs(tanh(z)))))
  sign <- c(1, cumprod(sign(tanh(z))))
  exp(-abs(outer(lag, lag, "-"))) * outer(sign, sign)
}
structures <- list(
  us = function(m) function(theta) lower_to_matrix(theta, m),
  diag = function(m) function(theta) diag(exp(2 * theta), m),
  homdiag = function(m) function(theta) diag(exp(2 * theta), m),
  cs = function(m) function(theta) scale_by(cs_correlation(m, theta[2]), rep(theta[1], m)),
  hcs = function(m) function(theta) scale_by(cs_correlation(m, theta[m + 1]), theta[1:m]),
  ar1 = function(m) function(theta) scale_by(ar1_correlation(m, theta[2]), rep(theta[1], m)),
  har1 = function(m) function(theta) scale_by(ar1_correlation(m, theta[m + 1]), theta[1:m]),
  toep = function(m) function(theta) scale_by(toeplitz_correlation(m, theta[-1]), rep(theta[1], m)),
  htoep = function(m) function(theta) scale_by(toeplitz_correlation(m, theta[-(1:m)]), theta[1:m]),
  ante1 = function(m) function(theta) scale_by(ante_correlation(m, theta[-(1:m)]), theta[1:m]),
  fa = function(m, q) {
    force(q)
    function(theta) {
      # Lambda Lambda' + diag(psi), Lambda lower trapezoidal
      Lambda <- matrix(0, m, q)
      Lambda[lower.tri(Lambda, diag = TRUE)] <- theta[seq_len(length(theta) - m)]
      tcrossprod(Lambda) + diag(exp(2 * theta[length(theta) - m + seq_len(m)]), m)
    }
  },
  fa0 = function(m, q) {
    force(q)
    function(theta) {
      Lambda <- matrix(0, m, q)
      Lambda[lower.tri(Lambda, diag = TRUE)] <- theta
      tcrossprod(Lambda)
    }
  }
)
