# Is a curve a line? The exact restricted likelihood-ratio test of one variance component (Crainiceanu and Ruppert 2004).
#
#   Rscript tests/reference/smooths_exact/model.R
suppressPackageStartupMessages({library(mgcv); library(RLRsim); library(lme4); library(jsonlite)})
here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1])))
set.seed(7); n <- 120
x <- round(runif(n), 4); y <- round(x + 0.16 * sin(8 * x) + rnorm(n, 0, 0.3), 5)
fit <- gamm(y ~ s(x, bs = "cr"), data = data.frame(x, y), method = "REML", control = lmeControl(msTol = 1e-12, tolerance = 1e-10))
test <- exactRLRT(fit$lme, nsim = 200000, seed = 1)
write(toJSON(list(case = "smooths_exact", x = x, y = y, statistic = unname(test$statistic), p_value = test$p.value), digits = 12, auto_unbox = TRUE), file.path(here, "rlrsim.json"))
print(test)
