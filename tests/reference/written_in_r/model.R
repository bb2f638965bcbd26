# Runs the calls that mixedmodels wrote (texts.json) and keeps the likelihoods that R finds (in_r.json).
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
suppressPackageStartupMessages(library(glmmTMB))

texts <- fromJSON(file.path(here, "texts.json"), simplifyVector = FALSE)
tight <- list(
  lme = "lmeControl(maxIter = 500, msMaxIter = 1000, niterEM = 60, tolerance = 1e-9, msTol = 1e-11, returnObject = TRUE)",
  gls = "glsControl(maxIter = 500, msMaxIter = 1000, tolerance = 1e-9, msTol = 1e-11)",
  lmer = "lmerControl(optCtrl = list(ftol_abs = 1e-12, xtol_abs = 1e-10))",
  glmmTMB = "glmmTMBControl(optCtrl = list(iter.max = 2000, eval.max = 4000, rel.tol = 1e-12))"
)
run <- function(one) {
  space <- list2env(list(data = dataset(one$data)))
  verb <- sub("\\(.*", "", one$text)
  call <- if (is.null(tight[[verb]])) one$text else sub("\\)$", paste0(", control = ", tight[[verb]], ")"), one$text)
  found <- tryCatch(suppressWarnings(suppressMessages({
    fit <- eval(parse(text = call), space)
    list(loglik = as.numeric(if (verb == "lm") logLik(fit, REML = isTRUE(one$reml)) else logLik(fit)))
  })), error = function(e) list(error = conditionMessage(e)))
  c(one[c("data", "formula", "target", "text")], found)
}
write(toJSON(lapply(texts, run), auto_unbox = TRUE, digits = 12, pretty = TRUE), file.path(here, "in_r.json"))
