# Pseudo-likelihood by R: MASS::glmmPQL, geepack::geeglm, and the same loop around nlme run until nothing changes.
#   Rscript models.R      (Debian: r-recommended, r-cran-geepack, r-cran-jsonlite)
# glmmPQL stops when the squared change of the linear predictors is below 1e-6 of their squares, so that `exact` goes on:
# working response and weights, lme() or gls() with tight tolerances, new predictors, until they move by less than 1e-10.
suppressMessages({library(MASS); library(nlme); library(geepack); library(jsonlite)})
tight <- lmeControl(msTol = 1e-14, tolerance = 1e-12, niterEM = 0, maxIter = 500, msMaxIter = 500, opt = "nlminb",
                    returnObject = TRUE)
tight_gls <- glsControl(msTol = 1e-14, tolerance = 1e-12, maxIter = 500, msMaxIter = 500, returnObject = TRUE)

exact <- function(fixed, random, data, family, method, correlation = NULL, variance = NULL, trials = NULL, off = 0) {
  y <- model.response(model.frame(fixed, data)); m <- if (is.null(trials)) rep(1, length(y)) else trials
  data$m.. <- m; data$off.. <- rep(off, length.out = length(y))
  eta <- suppressWarnings(glm(fixed, family = family, data = data, weights = m.., offset = off..))$linear.predictors
  for (round in 1:400) {
    mu <- family$linkinv(eta); slope <- family$mu.eta(eta)
    data$zz <- eta - off + (y - mu) / slope
    data$invwt <- family$variance(mu) / slope^2 / m
    form <- update(fixed, zz ~ .)
    w <- if (is.null(variance)) varFixed(~invwt) else varComb(varFixed(~invwt), variance)
    fit <- if (is.null(random)) gls(form, data, correlation = correlation, weights = w, method = method, control = tight_gls)
           else lme(form, data, random = random, correlation = correlation, weights = w, method = method, control = tight)
    new <- off + if (is.null(random)) as.vector(form_fitted(fit)) else as.vector(fitted(fit))
    moved <- max(abs(new - eta)); eta <- new
    if (moved < 1e-10) break
  }
  list(fit = fit, rounds = round, moved = moved)
}
form_fitted <- function(fit) fitted(fit)
told <- function(found) {
  fit <- found$fit
  out <- if (inherits(fit, "lme"))
    list(beta = as.list(fixef(fit)), vcov = unname(vcov(fit)), sigma = fit$sigma,
         random_variance = as.numeric(getVarCov(fit)[1, 1]))
  else list(beta = as.list(coef(fit)), vcov = unname(vcov(fit)), sigma = fit$sigma)
  cs <- fit$modelStruct$corStruct
  if (!is.null(cs)) out$correlation <- unname(coef(cs, unconstrained = FALSE))
  out$loglik <- as.numeric(logLik(fit)); out$moved <- found$moved; out$rounds <- found$rounds
  out
}
pql <- function(...) { f <- suppressWarnings(glmmPQL(..., verbose = FALSE)); list(beta = as.list(fixef(f)), sigma = f$sigma) }
gee <- function(f) list(beta = as.list(coef(f)), robust = unname(f$geese$vbeta), alpha = unname(f$geese$alpha), phi = unname(f$geese$gamma))

b <- bacteria; b$late <- as.numeric(b$week > 2); b$r <- as.numeric(b$y == "y")
b <- b[order(b$ID, b$week), ]
write.csv(b[, c("r", "trt", "week", "late", "ID")], "bacteria.csv", row.names = FALSE, quote = FALSE)
e <- epil; e$lbase <- log(e$base / 4); e$lage <- log(e$age); e$v4 <- e$V4
e <- e[order(e$subject, e$period), ]
write.csv(e[, c("y", "trt", "lbase", "lage", "v4", "period", "subject")], "epil.csv", row.names = FALSE, quote = FALSE)
g <- as.data.frame(Gasoline); g$x <- (g$endpoint - 332) / 70; g$Sample <- factor(as.character(g$Sample)); g <- g[order(g$Sample, g$x), ]
write.csv(g[, c("yield", "x", "Sample")], "gasoline.csv", row.names = FALSE, quote = FALSE)
cb <- lme4::cbpp; cb$p <- cb$incidence / cb$size; cb <- cb[order(cb$herd, cb$period), ]
write.csv(cb[, c("incidence", "size", "herd", "period")], "cbpp.csv", row.names = FALSE, quote = FALSE)
data(ohio)
o <- ohio[order(ohio$id, ohio$age), ]

out <- list(
  bacteria_logit = told(exact(r ~ trt + late, ~ 1 | ID, b, binomial(), "ML")),
  bacteria_probit = told(exact(r ~ trt + late, ~ 1 | ID, b, binomial("probit"), "ML")),
  bacteria_cloglog = told(exact(r ~ trt + late, ~ 1 | ID, b, binomial("cloglog"), "ML")),
  bacteria_reml = told(exact(r ~ trt + late, ~ 1 | ID, b, binomial(), "REML")),
  epil_poisson = told(exact(y ~ lbase * trt + lage + v4, ~ 1 | subject, e, poisson(), "ML")),
  epil_reml = told(exact(y ~ lbase * trt + lage + v4, ~ 1 | subject, e, poisson(), "REML")),
  epil_ar1 = told(exact(y ~ lbase * trt + lage, ~ 1 | subject, e, poisson(), "ML", correlation = corAR1(form = ~ period | subject))),
  gasoline_gamma = told(exact(yield ~ x, ~ 1 | Sample, g, Gamma("log"), "ML")),
  gasoline_gamma_reml = told(exact(yield ~ x, ~ 1 | Sample, g, Gamma("log"), "REML")),
  gasoline_inverse = told(exact(yield ~ x, ~ 1 | Sample, g, inverse.gaussian("log"), "ML")),
  gasoline_normal = told(exact(yield ~ x, ~ 1 | Sample, g, gaussian("log"), "ML")),
  cbpp_free = told(exact(p ~ period, ~ 1 | herd, cb, binomial(), "REML", trials = cb$size)),
  ohio_cs = told(exact(resp ~ age * smoke, NULL, o, binomial(), "ML", correlation = corCompSymm(form = ~ 1 | id))),
  ohio_cs_reml = told(exact(resp ~ age * smoke, NULL, o, binomial(), "REML", correlation = corCompSymm(form = ~ 1 | id))),
  ohio_ar1 = told(exact(resp ~ age * smoke, NULL, o, binomial(), "ML", correlation = corAR1(form = ~ 1 | id))),
  epil_cs = told(exact(y ~ lbase * trt + lage, NULL, e, poisson(), "REML", correlation = corCompSymm(form = ~ 1 | subject))),
  epil_ident = told(exact(y ~ lbase * trt + lage, NULL, e, poisson(), "ML", correlation = corAR1(form = ~ period | subject), variance = varIdent(form = ~ 1 | trt))),
  glmmPQL = list(
    bacteria = pql(r ~ trt + late, random = ~ 1 | ID, family = binomial, data = b),
    epil = pql(y ~ lbase * trt + lage + v4, random = ~ 1 | subject, family = poisson, data = e),
    gasoline = pql(yield ~ x, random = ~ 1 | Sample, family = Gamma("log"), data = g)),
  geeglm = list(
    ohio_cs = gee(geeglm(resp ~ age * smoke, id = id, data = o, family = binomial, corstr = "exch")),
    ohio_independence = gee(geeglm(resp ~ age * smoke, id = id, data = o, family = binomial, corstr = "independence")),
    epil_cs = gee(geeglm(y ~ lbase * trt + lage, id = subject, data = e, family = poisson, corstr = "exch"))),
  versions = list(R = as.character(getRversion()), MASS = as.character(packageVersion("MASS")), nlme = as.character(packageVersion("nlme")),
                  geepack = as.character(packageVersion("geepack"))))
write(toJSON(out, digits = NA, auto_unbox = TRUE, pretty = TRUE), "models.json")
