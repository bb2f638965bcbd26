# What nlme says after fits with structured errors (residuals, covariance matrices, intervals), and sandwich
# covariances with their tests written out from Pustejovsky and Tipton (2018) in full n x n matrices.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

full <- dataset("orthodont")
full$visit <- as.integer((full$age - 6) / 2)
set.seed(20)
orth <- full[runif(nrow(full)) < 0.8, c("id", "sex", "age", "visit", "Y")]
orth$id <- factor(as.character(orth$id), levels = unique(as.character(orth$id)))
orth <- orth[order(orth$id, orth$visit), ]
rownames(orth) <- NULL
own <- case_data(transform(orth, visit = factor(visit)), "orthodont.csv.gz")

# subjects with one row, with gaps and with all four
shown <- names(sort(table(orth$id)))[c(1, 10, nlevels(orth$id))]

tight_gls <- glsControl(tolerance = 1e-10, msTol = 1e-12, maxIter = 200, msMaxIter = 500)
tight_lme <- lmeControl(tolerance = 1e-10, msTol = 1e-12, maxIter = 200, msMaxIter = 500, niterEM = 50)

# V and R of all rows, from what nlme prints of each subject
blocks <- function(one) {
  total <- matrix(0, nrow(orth), nrow(orth))
  for (id in levels(orth$id)) {
    rows <- which(orth$id == id)
    total[rows, rows] <- one(id)
  }
  total
}
error_cov <- function(fit) {
  # getVarCov knows neither every corStruct nor subjects with one row
  corr <- if (is.null(fit$modelStruct$corStruct)) NULL else corMatrix(fit$modelStruct$corStruct)
  sd <- sigma(fit) / if (is.null(fit$modelStruct$varStruct)) rep(1, nrow(orth)) else varWeights(fit$modelStruct$varStruct)
  # nlme keeps weights in the order of its groups, which is that of the rows here
  stopifnot(identical(as.character(getGroups(fit)), if (is.null(getGroups(fit))) character() else as.character(orth$id)))
  blocks(function(id) {
    rows <- which(orth$id == id)
    if (is.null(corr) || length(rows) == 1) diag(sd[rows]^2, length(rows)) else outer(sd[rows], sd[rows]) * corr[[id]]
  })
}
total_cov <- function(fit) {
  if (!inherits(fit, "lme")) return(error_cov(fit))
  G <- unclass(getVarCov(fit, type = "random.effects"))
  Z <- model.matrix(formula(fit$modelStruct$reStruct)[[1]], orth)
  total <- error_cov(fit) + blocks(function(id) {
    rows <- which(orth$id == id)
    Z[rows, , drop = FALSE] %*% G %*% t(Z[rows, , drop = FALSE])
  })
  for (id in names(which(table(orth$id) > 1))) {
    rows <- which(orth$id == id)
    stopifnot(max(abs(total[rows, rows] - unclass(getVarCov(fit, individuals = id, type = "marginal")[[1]]))) < 1e-8)
  }
  total
}

root <- function(A, power) {
  e <- eigen((A + t(A)) / 2, symmetric = TRUE)
  keep <- e$values > 1e-10 * max(e$values)
  e$vectors[, keep, drop = FALSE] %*% (e$values[keep]^power * t(e$vectors[, keep, drop = FALSE]))
}
# Pustejovsky and Tipton (2018), equations 3, 8, 12 and 14 with W = V^-1 and working model V.
sandwich <- function(X, V, y, cluster, kind, tests) {
  W <- solve(V)
  M <- solve(t(X) %*% W %*% X)
  beta <- M %*% t(X) %*% W %*% y
  e <- y - X %*% beta
  away <- diag(nrow(X)) - X %*% M %*% t(X) %*% W
  parts <- lapply(levels(factor(cluster)), function(g) {
    rows <- which(cluster == g)
    Vi <- V[rows, rows, drop = FALSE]
    A <- switch(kind,
      CR0 = diag(length(rows)),
      CR1 = diag(length(rows)) * sqrt(nlevels(factor(cluster)) / (nlevels(factor(cluster)) - 1)),
      CR2 = {
        D <- chol(Vi)
        B <- D %*% away[rows, , drop = FALSE] %*% V %*% t(away[rows, , drop = FALSE]) %*% t(D)
        t(D) %*% root(B, -0.5) %*% D
      },
      CR3 = solve(away[rows, rows, drop = FALSE])
    )
    # coefficients of the cluster's contribution to beta on the residuals of its rows
    list(rows = rows, G = M %*% t(X[rows, , drop = FALSE]) %*% W[rows, rows, drop = FALSE] %*% A)
  })
  vcov <- Reduce(`+`, lapply(parts, function(p) tcrossprod(p$G %*% e[p$rows])))
  # p_i = (I - H)_i' G_i'C', n x q: the contribution is p_i'y, under the model of covariance p_i'V p_j
  pieces <- function(C) lapply(parts, function(p) t(away[p$rows, , drop = FALSE]) %*% t(C %*% p$G))
  df <- sapply(seq_len(ncol(X)), function(j) {
    C <- matrix(0, 1, ncol(X))
    C[j] <- 1
    P <- do.call(cbind, pieces(C))
    K <- t(P) %*% V %*% P
    sum(diag(K))^2 / sum(K^2)
  })
  hotelling <- lapply(tests, function(columns) {
    C <- diag(ncol(X))[columns, , drop = FALSE]
    q <- nrow(C)
    p <- pieces(C)
    expected <- Reduce(`+`, lapply(p, function(a) t(a) %*% V %*% a))
    scale <- root(expected, -0.5)
    p <- lapply(p, function(a) a %*% scale)
    spread <- 0
    for (s in seq_len(q)) for (t in seq_len(q)) {
      for (i in seq_along(p)) for (j in seq_along(p)) {
        K <- crossprod(p[[i]], V %*% p[[j]])
        spread <- spread + K[s, s] * K[t, t] + K[s, t] * K[t, s]
      }
    }
    eta <- q * (q + 1) / spread
    Q <- drop(t(C %*% beta) %*% solve(C %*% vcov %*% t(C)) %*% C %*% beta)
    list(columns = I(columns - 1), statistic = (eta - q + 1) / (eta * q) * Q, den_df = eta - q + 1,
      p = pf((eta - q + 1) / (eta * q) * Q, q, eta - q + 1, lower.tail = FALSE))
  })
  list(vcov = vcov, df = df, tests = hotelling)
}

interval_table <- function(part) {
  if (is.list(part) && !is.data.frame(part)) return(lapply(part, interval_table))
  if (is.null(dim(part))) return(as.list(part))
  list(names = I(rownames(part)), lower = I(part[, "lower"]), est = I(part[, "est."]), upper = I(part[, "upper"]))
}

after <- function(id, fit, formula, residual = NULL, variance = NULL, method = "reml") {
  X <- model.matrix(formula(fit), orth)
  V <- total_cov(fit)
  R <- error_cov(fit)
  mixed <- inherits(fit, "lme")
  # V reproduces nlme's own covariance of beta, which gls by ML multiplies by N/(N - p)
  own_factor <- if (method == "ml" && !mixed) nrow(X) / (nrow(X) - ncol(X)) else 1
  stopifnot(max(abs(own_factor * solve(t(X) %*% solve(V) %*% X) / vcov(fit) - 1)) < 1e-6)
  level <- if (mixed) list(level = 1) else list()
  residuals_of <- function(type) as.numeric(do.call(residuals, c(list(fit, type = type), level)))
  # nlme finds no intervals where its numerical Hessian is not positive definite
  limits <- tryCatch(intervals(fit), error = function(e) list())
  robust <- lapply(c("CR0", "CR1", "CR2", "CR3"), function(kind)
    sandwich(X, V, orth$Y, orth$id, kind, list(2:ncol(X), c(2, ncol(X)))))
  names(robust) <- c("CR0", "CR1", "CR2", "CR3")
  list(
    id = id, call = deparse1(fit$call), formula = formula, method = method,
    options = Filter(Negate(is.null), list(residual = residual, variance = variance)),
    loglik = as.numeric(logLik(fit)), beta = as.numeric(if (mixed) fixef(fit) else coef(fit)), vcov = vcov(fit) / own_factor,
    pearson = residuals_of("pearson"), normalized = residuals_of("normalized"), response = residuals_of("response"),
    subjects = lapply(setNames(shown, shown), function(id) {
      rows <- which(orth$id == id)
      list(R = R[rows, rows, drop = FALSE], V = V[rows, rows, drop = FALSE])
    }),
    intervals = interval_table(unclass(limits)[setdiff(names(limits), "fixed")]),
    shares = list(fixed = var(drop(X %*% if (mixed) fixef(fit) else coef(fit))), random = mean(diag(V - R)), residual = mean(diag(R))),
    robust = robust
  )
}

growth <- Y ~ age * sex
symm <- gls(growth, orth, correlation = corSymm(form = ~ visit | id), weights = varIdent(form = ~ 1 | visit), control = tight_gls)
ar1 <- gls(growth, orth, correlation = corAR1(form = ~ visit | id), weights = varIdent(form = ~ 1 | sex), control = tight_gls)
car1 <- gls(growth, orth, correlation = corCAR1(form = ~ age | id), method = "ML", control = tight_gls)
power <- gls(growth, orth, correlation = corCompSymm(form = ~ 1 | id), weights = varPower(form = ~ age), control = tight_gls)
expo <- gls(growth, orth, correlation = corExp(form = ~ age | id), control = tight_gls)
both <- lme(growth, orth, random = ~ 1 | id, correlation = corAR1(form = ~ visit | id), control = tight_lme)
spread <- lme(growth, orth, random = ~ 1 | id, weights = varPower(form = ~ age), control = tight_lme)
unequal <- lme(growth, orth, random = ~ 1 | id, weights = varIdent(form = ~ 1 | sex), method = "ML", control = tight_lme)
out <- list(
  case = "after_errors", about = "residuals, covariance matrices, intervals and sandwich covariances after structured errors",
  software = sprintf("R %s, nlme %s", getRversion(), packageVersion("nlme")), data = own,
  models = list(
    after("us", symm, "Y ~ age * sex", residual = "us(visit | id)"),
    after("ar1_ident", ar1, "Y ~ age * sex", residual = "ar1(visit | id)", variance = "ident(sex)"),
    after("car1_ml", car1, "Y ~ age * sex", residual = "car1(age | id)", method = "ml"),
    after("cs_power", power, "Y ~ age * sex", residual = "cs(visit | id)", variance = "power(age)"),
    after("exp", expo, "Y ~ age * sex", residual = "exp(age | id)"),
    after("intercept_ar1", both, "Y ~ age * sex + (1 | id)", residual = "ar1(visit | id)"),
    after("intercept_power", spread, "Y ~ age * sex + (1 | id)", variance = "power(age)"),
    after("intercept_ident_ml", unequal, "Y ~ age * sex + (1 | id)", variance = "ident(sex)", method = "ml")
  )
)
# ordinary least squares with clusters, as in survey and trial work
X <- model.matrix(growth, orth)
out$least_squares <- list(formula = "Y ~ age * sex", robust = setNames(lapply(c("CR0", "CR1", "CR2", "CR3"), function(kind)
  sandwich(X, diag(nrow(X)), orth$Y, orth$id, kind, list(2:4, 3:4))), c("CR0", "CR1", "CR2", "CR3")))
writeLines(toJSON(out, auto_unbox = TRUE, digits = I(12), matrix = "rowmajor"), file.path(here, "after.json"))
