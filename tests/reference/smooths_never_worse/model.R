# The REML scores of mgcv on 300 simulated problems.
#
#   python tests/reference/smooths_never_worse/problems.py /tmp/problems
#   Rscript tests/reference/smooths_never_worse/model.R /tmp/problems
suppressPackageStartupMessages({library(mgcv); library(jsonlite)})
here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1])))
folder <- commandArgs(TRUE)[1]
problems <- fromJSON(file.path(folder, "problems.json"), simplifyDataFrame = FALSE)
score <- function(p) {
  d <- read.csv(file.path(folder, paste0(p$number, ".csv")), stringsAsFactors = TRUE)
  family <- switch(p$family, gaussian = gaussian(), poisson = poisson(), binomial = binomial())
  fit <- try(suppressWarnings(gam(as.formula(p$formula), data = d, family = family, method = "REML")), silent = TRUE)
  if (inherits(fit, "try-error")) NA else as.numeric(fit$gcv.ubre)
}
scores <- vapply(problems, score, 0)
write(toJSON(list(case = "smooths_never_worse", mgcv = as.character(packageVersion("mgcv")),
                  total = vapply(problems, function(p) p$total, 0), score = scores), digits = 12, na = "null", auto_unbox = TRUE), file.path(here, "mgcv.json"))
cat(sum(is.na(scores)), "failed\n")
