# Penalised hat matrices of mgcv's bases at given smoothing parameters: what they make of four responses, the edf and the
# leverages, and what they predict at new rows inside and outside the data. Bases may differ by a rotation, these do not.
# Penalties are those of the literature (scale.penalty = FALSE), tensor products' margins divided by their largest
# eigenvalue as mgcv does. A hat matrix is taken from a singular value decomposition of (X, root of the penalty).
suppressMessages(library(mgcv)); library(jsonlite)
set.seed(20)
n <- 60
d <- data.frame(x = round(sort(rbeta(n, 1.2, 1)), 3), z = round(2 * runif(n)^2, 3), w = round(rnorm(n), 3),
                g = factor(sample(c("a", "b", "c", "d"), n, TRUE)), h = factor(sample(c("u", "v", "w"), n, TRUE)))
new <- data.frame(x = c(-.4, -.05, .1, .33, .5, .77, 1.1, 1.6), z = c(-.5, .1, 2.5, .4, 1, 1.7, .9, 3),
                  w = c(0, 1, -1, .5, -3, 4, .2, -.2), g = factor(c("a", "b", "c", "d", "a", "b", "c", "d")),
                  h = factor(c("u", "v", "w", "u", "v", "w", "u", "v")))
y <- round(cbind(sin(6 * d$x) + d$z, exp(d$x) * d$w, rnorm(n), as.integer(d$g) + rnorm(n) / 3), 4)
neighbours <- list(a = 2L, b = c(1L, 3L), c = c(2L, 4L), d = 3L)

fit <- function(X, S, lambda, Xnew) {
  A <- Reduce(`+`, Map(`*`, S, lambda), matrix(0, ncol(X), ncol(X)))
  e <- eigen((A + t(A)) / 2, symmetric = TRUE)
  v <- svd(rbind(X, sqrt(pmax(e$values, 0)) * t(e$vectors)))
  keep <- v$d > 1e-11 * v$d[1]
  U <- v$u[seq_len(nrow(X)), keep, drop = FALSE]
  b <- v$v[, keep, drop = FALSE] %*% (crossprod(U, y) / v$d[keep])
  list(fitted = X %*% b, leverages = rowSums(U^2), edf = sum(U^2), new = Xnew %*% b)
}
matrices <- function(S) lapply(unname(S), function(s) if (is.matrix(s)) s else diag(s, length(s)))
# Up to 2^3 - 1 penalties; far apart, so that each of them is seen.
lambdas <- c(.3, .004, 2, .05, .7, .01, .1, .2, .03, 1, .5, .02)
cases <- list()
add <- function(id, text, bs, variables, k, m = NULL, kind = "s", knots = NULL, absorb = FALSE, spec, ...) {
  s <- smoothCon(spec, d, knots = knots, scale.penalty = FALSE, absorb.cons = absorb)[[1]]
  lambda <- lambdas[seq_along(s$S)]
  cases[[length(cases) + 1]] <<- c(
    list(id = id, call = text, kind = kind, bs = I(bs), variables = I(variables), k = I(k), m = m, knots = knots,
         absorb = absorb, lambda = I(lambda), columns = ncol(s$X), null = s$null.space.dim, ...),
    fit(s$X, matrices(s$S), lambda, PredictMat(s, new)))
}
one <- function(id, bs, k, m = NULL, knots = NULL, variables = "x", ...) {
  call <- paste0("s(", paste(variables, collapse = ", "), ", bs = \"", bs, "\", k = ", k,
                 if (!is.null(m)) paste0(", m = c(", paste(m, collapse = ", "), ")"), list(...)$more, ")")
  add(id, call, bs, variables, k, m, knots = if (!is.null(knots)) list(x = knots), spec = eval(parse(text = call)),
      absorb = isTRUE(list(...)$absorb))
}
one("cr", "cr", 8); one("cr-3", "cr", 3); one("cr-knots", "cr", 5, knots = c(0, .2, .45, .8, 1))
one("cc", "cc", 8); one("cc-knots", "cc", 7, knots = c(0, .2, .3, .45, .7, .8, 1))
one("ps", "ps", 9); one("ps-linear", "ps", 9, c(0, 1)); one("ps-third", "ps", 10, c(2, 3)); one("ps-ridge", "ps", 9, c(2, 0))
one("cp", "cp", 8); one("cp-first", "cp", 8, c(1, 1))
one("bs", "bs", 9); one("bs-first", "bs", 9, c(3, 1)); one("bs-several", "bs", 10, c(3, 2, 1, 0)); one("bs-quadratic", "bs", 9, c(2, 1))
one("tp", "tp", 8); one("tp-1", "tp", 9, 1); one("tp-3", "tp", 9, 3); one("tp-no-null", "tp", 9, c(2, 0)); one("ts", "ts", 8)
one("tp-plane", "tp", 14, variables = c("x", "z")); one("ts-plane", "ts", 14, variables = c("x", "z"))
one("tp-space", "tp", 20, variables = c("x", "z", "w")); one("tp-plane-3", "tp", 16, 3, variables = c("x", "z"))
one("ad", "ad", 14); one("ad-1", "ad", 12, 1); one("ad-2", "ad", 12, 2); one("ad-3", "ad", 15, 3); one("ad-4", "ad", 15, 4)
one("gp", "gp", 8); one("gp-1", "gp", 8, c(1, .5)); one("gp-2", "gp", 8, c(2, .3, 1.5)); one("gp-4", "gp", 8, c(4, .3))
one("gp-5", "gp", 8, c(5, .3)); one("gp-stationary", "gp", 8, c(-3, .3)); one("gp-plane", "gp", 12, variables = c("x", "z"))
one("sz", "sz", 6, variables = c("g", "x"), absorb = TRUE)
one("sz-two", "sz", 5, variables = c("g", "h", "x"), absorb = TRUE)
one("sz-cr", "sz", 6, variables = c("g", "x"), absorb = TRUE, more = ", xt = list(bs = \"cr\")")
one("mrf", "mrf", 4, variables = "g", more = ", xt = list(nb = neighbours)")
one("mrf-3", "mrf", 3, variables = "g", more = ", xt = list(nb = neighbours)")
tensor <- function(id, kind, bs, variables, k, d = NULL) {
  call <- paste0(kind, "(", paste(variables, collapse = ", "), ", bs = c(", paste0("\"", bs, "\"", collapse = ", "), "), k = c(",
                 paste(k, collapse = ", "), ")", if (!is.null(d)) paste0(", d = c(", paste(d, collapse = ", "), ")"), ")")
  add(id, call, bs, variables, k, kind = kind, absorb = kind == "ti", spec = eval(parse(text = call)), d = d)
}
for (b in c("cr", "ps", "bs", "tp", "cc", "cp", "gp")) for (kind in c("te", "ti"))
  tensor(paste0(kind, "-", b), kind, c(b, b), c("x", "z"), c(5, 5))
for (b in c("tp", "cc", "cp")) tensor(paste0("t2-", b), "t2", c(b, b), c("x", "z"), c(5, 5))
tensor("te-three", "te", c("cr", "ps", "tp"), c("x", "z", "w"), c(4, 5, 4))
tensor("ti-three", "ti", c("cr", "ps", "tp"), c("x", "z", "w"), c(4, 5, 4))
tensor("te-mixed", "te", c("cc", "cr"), c("x", "w"), c(6, 5))
tensor("te-plane", "te", c("tp", "cr"), c("x", "z", "w"), c(10, 4), d = c(2, 1))
out <- list(software = paste("R", getRversion(), "mgcv", packageVersion("mgcv")), data = d, new = new, y = y, cases = cases)
writeLines(toJSON(out, digits = 12, auto_unbox = TRUE, null = "null"), "bases.json")
