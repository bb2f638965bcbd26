# Meta-analyses of data sets documented in metafor: every number that `rma` and `rma.mv` print of them, as JSON.
#   Rscript meta.R            (Debian: r-cran-metafor, r-cran-metadat, r-cran-clubsandwich, r-cran-jsonlite)
suppressMessages({library(metafor); library(metadat); library(jsonlite); library(clubSandwich)})
d <- list()
d$bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)[c("trial", "yi", "vi", "ablat", "alloc", "year")]
d$raudenbush <- as.data.frame(dat.raudenbush1985)[c("study", "weeks", "yi", "vi")]
d$normand <- escalc(measure = "MD", m1i = m1i, sd1i = sd1i, n1i = n1i, m2i = m2i, sd2i = sd2i, n2i = n2i, data = dat.normand1999)[c("study", "yi", "vi")]
d$hackshaw <- as.data.frame(dat.hackshaw1998)[c("study", "year", "yi", "vi")]
d$molloy <- escalc(measure = "ZCOR", ri = ri, ni = ni, data = dat.molloy2014)[c("authors", "year", "yi", "vi", "meanage")]
d$bangertdrowns <- as.data.frame(dat.bangertdrowns2004)[c("id", "yi", "vi", "ni", "length", "wic", "imag")]
d$curtis <- escalc(measure = "ROM", m1i = m1i, sd1i = sd1i, n1i = n1i, m2i = m2i, sd2i = sd2i, n2i = n2i, data = dat.curtis1998)[c("paper", "id", "yi", "vi", "fungrp")]
d$konstantopoulos <- as.data.frame(dat.konstantopoulos2011)[c("district", "school", "study", "year", "yi", "vi")]
d$mcdaniel <- escalc(measure = "ZCOR", ri = ri, ni = ni, data = dat.mcdaniel1994)[c("study", "yi", "vi", "type", "struct")]
d$colditz <- d$bcg
d$assink <- as.data.frame(dat.assink2016)[c("study", "esid", "yi", "vi", "pubstatus", "year")]
d$assink <- within(d$assink, { yi <- as.numeric(yi) })
for (n in names(d)) d[[n]] <- as.data.frame(lapply(as.data.frame(d[[n]]), function(x) if (is.factor(x)) as.character(x) else if (is.numeric(x)) as.numeric(x) else x))
d$bangertdrowns <- na.omit(d$bangertdrowns); d$mcdaniel <- na.omit(d$mcdaniel); d$molloy <- na.omit(d$molloy)
tab <- function(f) list(estimate = as.numeric(f$beta), se = f$se, stat = f$zval, p = f$pval, lower = f$ci.lb, upper = f$ci.ub)
one <- function(data, mods, method, test) {
  f <- rma(yi, vi, mods = if (is.null(mods)) ~ 1 else mods, data = data, method = method, test = test, control = list(threshold = 1e-12, maxiter = 10000))
  pl <- confint(f, type = "PL", control = list(tol = 1e-12))$random
  out <- c(tab(f), list(tau2 = f$tau2, tau2_lower = pl["tau^2", "ci.lb"], tau2_upper = pl["tau^2", "ci.ub"], i2 = f$I2, h2 = f$H2,
    q = f$QE, q_p = f$QEp, k = f$k, loglik = as.numeric(logLik(f)), qm = f$QM, qm_p = f$QMp, qm_df = f$QMdf))
  if (is.null(mods)) { p <- predict(f); out$pi_lower <- p$pi.lb; out$pi_upper <- p$pi.ub }
  out
}
runs <- list(
  list("bcg", NULL, "1"), list("bcg", ~ ablat, "ablat"), list("bcg", ~ alloc + ablat, "alloc + ablat"), list("raudenbush", NULL, "1"),
  list("raudenbush", ~ weeks, "weeks"), list("normand", NULL, "1"), list("hackshaw", NULL, "1"), list("molloy", NULL, "1"), list("molloy", ~ meanage, "meanage"),
  list("bangertdrowns", NULL, "1"), list("bangertdrowns", ~ ni, "ni"), list("curtis", NULL, "1"), list("mcdaniel", NULL, "1"), list("mcdaniel", ~ type, "type"))
out <- list()
for (r in runs) for (m in c("REML", "ML")) for (t in c("knha", "z"))
  out[[length(out) + 1]] <- c(list(data = r[[1]], formula = r[[3]], random = NULL, method = tolower(m), test = t), one(d[[r[[1]]]], r[[2]], m, t))
mv <- function(name, formula, random, method, V = NULL, nested) {
  data <- d[[name]]; if (is.null(V)) V <- data$vi
  f <- rma.mv(yi, V, mods = formula, random = random, data = data, method = method, sparse = FALSE)
  ci <- lapply(seq_along(f$sigma2), function(i) { z <- confint(f, sigma2 = i, control = list(tol = 1e-10))$random; as.numeric(z[1, 2:3]) })
  W <- solve(if (is.matrix(V)) V else diag(V)); X <- model.matrix(f); P <- W - W %*% X %*% solve(t(X) %*% W %*% X) %*% t(X) %*% W
  typical <- (f$k - f$p) / sum(diag(P))
  vc <- vcovCR(f, type = "CR2", cluster = data[[nested]]); ct <- coef_test(f, vcov = vc)
  p <- if (f$p == 1) predict(f) else list(pi.lb = NA, pi.ub = NA)
  c(list(data = name, formula = deparse(formula[[2]]), random = NULL, method = tolower(method), test = "z"), tab(f),
    list(sigma2 = f$sigma2, ci = ci, typical = typical, q = f$QE, q_p = f$QEp, k = f$k, loglik = as.numeric(logLik(f)), pi_lower = p$pi.lb, pi_upper = p$pi.ub,
      cr2_se = ct$SE, cr2_df = ct$df, cr2_p = ct$p_Satt))
}
V <- vcalc(vi, cluster = study, obs = esid, data = dat.assink2016, rho = 0.6)
three <- list(
  c(list(structure = "district/school"), mv("konstantopoulos", ~ 1, ~ 1 | district/school, "REML", NULL, "district")),
  c(list(structure = "district/school"), mv("konstantopoulos", ~ 1, ~ 1 | district/school, "ML", NULL, "district")),
  c(list(structure = "district/school"), mv("konstantopoulos", ~ year, ~ 1 | district/school, "REML", NULL, "district")),
  c(list(structure = "paper/id"), mv("curtis", ~ 1, ~ 1 | paper/id, "REML", NULL, "paper")),
  c(list(structure = "study/esid"), mv("assink", ~ 1, ~ 1 | study/esid, "REML", NULL, "study")),
  c(list(structure = "study/esid", V = "rho"), mv("assink", ~ 1, ~ 1 | study/esid, "REML", V, "study")),
  c(list(structure = "study/esid", V = "rho"), mv("assink", ~ year, ~ 1 | study/esid, "REML", V, "study")))
d$colditz <- NULL
write(toJSON(list(models = out, nested = three, data = d, versions = list(R = R.version.string, metafor = as.character(packageVersion("metafor")), clubSandwich = as.character(packageVersion("clubSandwich")))), digits = NA, auto_unbox = TRUE, null = "null", na = "null", dataframe = "columns"), "metafor.json")
