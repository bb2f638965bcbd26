# Generalised linear mixed models fitted by glmmTMB, lme4 and ordinal, as the reference of tests/reference/test_glmm.py.
#
#   Rscript models.R
#
# writes models.json (one record per model) and data/<name>.csv.gz (columns that the models read). Tolerances are tightened so
# that the optimum is known to six digits; where R warns of a fit the words are kept in the record.

suppressWarnings(suppressPackageStartupMessages({
  library(lme4)
  library(glmmTMB)
  library(ordinal)
  library(jsonlite)
}))
folder <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))))
dir.create(file.path(folder, "data"), showWarnings = FALSE)
options(contrasts = c("contr.treatment", "contr.poly"), warn = 1)

digits <- function(x) signif(as.numeric(x), 10)
from <- function(package, name) {
  place <- new.env()
  data(list = name, package = package, envir = place)
  place[[name]]
}

# 1. data: columns that are read, factors without an order --------------------------------------------------------------
frames <- list(
  grouseticks = lme4::grouseticks[c("TICKS", "YEAR", "cHEIGHT", "BROOD", "INDEX", "LOCATION")],
  contraception = transform(from("mlmRev", "Contraception"), use = as.integer(use == "Y"), a10 = age / 10)[
    c("use", "a10", "urban", "livch", "district")
  ],
  guprenat = transform(from("mlmRev", "guPrenat"), prenat = as.integer(prenat == levels(prenat)[2]))[
    c("prenat", "motherAge", "indig", "momEd", "pcInd81", "cluster", "mom")
  ],
  mmmec = from("mlmRev", "Mmmec")[c("deaths", "expected", "uvb", "nation", "region")],
  epil2 = from("glmmTMB", "epil2")[c("y", "trt", "Base", "Age", "Visit", "subject", "period")],
  gasoline = with(as.data.frame(nlme::Gasoline), data.frame(
    yield = yield, p = yield / 100, x = (endpoint - 332) / 70, Sample = factor(as.character(Sample)), vapor = vapor
  )),
  bcg = with(from("metadat", "dat.bcg"), data.frame(
    trial = factor(rep(trial, 2)), arm = factor(rep(c("c", "v"), each = length(trial))), d = c(cpos, tpos),
    n = c(cpos + cneg, tpos + tneg), ablat = rep(ablat - 33, 2)
  )),
  bacteria = transform(MASS::bacteria, y = as.integer(y == "y"), late = as.integer(week > 2))[c("y", "trt", "late", "week", "ID")],
  arabidopsis = transform(lme4::Arabidopsis, rack = factor(rack), nutrient = factor(nutrient))[
    c("total.fruits", "nutrient", "amd", "rack", "status", "popu", "gen", "reg")
  ],
  soup = from("ordinal", "soup")[c("SURENESS", "PROD", "DAY", "RESP", "SOUPTYPE", "GENDER")],
  cbpp = lme4::cbpp,
  salamanders = from("glmmTMB", "Salamanders"),
  owls = transform(from("glmmTMB", "Owls"), ncalls = SiblingNegotiation),
  ohio = from("geepack", "ohio"),
  toenail = transform(from("HSAUR3", "toenail"), y = as.integer(outcome == levels(outcome)[2])),
  wine = ordinal::wine
)
set.seed(20261128)
frames$heavy <- local({
  g <- factor(rep(1:20, each = 10))
  x <- round(rnorm(200), 3)
  data.frame(y = round(2 + x + rnorm(20, 0, 0.8)[g] + rt(200, 5), 3), x = x, g = g)
})
frames$positive <- local({
  g <- factor(rep(1:20, each = 10))
  x <- round(runif(200, -1, 1), 3)
  mu <- exp(0.5 + 0.7 * x + rnorm(20, 0, 0.5)[g])
  y <- rgamma(200, 2, 2 / mu)
  y <- round(ifelse(runif(200) < 0.15, 0, y), 4)
  data.frame(y = y, z = round(pmax(rgamma(200, 3, 3 / mu), 0.01), 4), x = x, g = g)
})
for (name in names(frames)) {
  frame <- as.data.frame(frames[[name]])
  for (column in names(frame)) {
    if (is.ordered(frame[[column]])) frame[[column]] <- factor(frame[[column]], levels(frame[[column]]), ordered = FALSE)
  }
  frames[[name]] <- frame
  connection <- gzfile(file.path(folder, "data", paste0(name, ".csv.gz")), "wb", compression = 9)
  write.csv(frame, connection, row.names = FALSE, quote = FALSE)
  close(connection)
}
levels_of <- function(name) lapply(Filter(is.factor, frames[[name]]), function(x) I(levels(x)))

# 2. fits ----------------------------------------------------------------------------------------------------------------
tight <- glmmTMBControl(optCtrl = list(iter.max = 2000, eval.max = 4000, rel.tol = 1e-13))
bobyqa <- glmerControl(
  optimizer = "bobyqa", optCtrl = list(rhobeg = 0.05, rhoend = 1e-8, maxfun = 1e5), tolPwrss = 1e-11,
  check.conv.singular = .makeCC("ignore", 1e-4)
)
covariances <- function(v) unname(lapply(v, function(m) matrix(digits(as.matrix(m)), nrow(as.matrix(m)))))

by_glmmTMB <- function(formula, frame, family, ...) {
  fit <- glmmTMB(formula, frame, family = family, control = tight, ...)
  coefs <- summary(fit)$coefficients
  found <- glmmTMB::fixef(fit)
  list(
    program = paste("glmmTMB", packageVersion("glmmTMB")), loglik = digits(logLik(fit)),
    names = I(names(found$cond)), beta = I(digits(found$cond)), se = I(digits(coefs$cond[, 2])),
    zero = I(digits(found$zi)), zero_se = if (length(found$zi)) I(digits(coefs$zi[, 2])),
    dispersion = I(digits(found$disp)), sigma = digits(sigma(fit)),
    covariances = covariances(glmmTMB::VarCorr(fit)$cond), zero_covariances = covariances(glmmTMB::VarCorr(fit)$zi),
    extra = tryCatch(digits(glmmTMB::family_params(fit)), error = function(e) NULL),
    gradient = digits(max(abs(fit$sdr$gradient.fixed))), nobs = nobs(fit)
  )
}
by_lme4 <- function(formula, frame, family, points = 1) {
  fit <- glmer(formula, frame, family = family, nAGQ = points, control = bobyqa)
  list(
    program = paste("lme4", packageVersion("lme4")), loglik = digits(logLik(fit)), names = I(names(lme4::fixef(fit))),
    beta = I(digits(lme4::fixef(fit))), se = I(digits(sqrt(diag(as.matrix(vcov(fit)))))),
    covariances = covariances(lme4::VarCorr(fit)), sigma = digits(sigma(fit)), nobs = nobs(fit)
  )
}
by_clmm <- function(formula, frame, link = "logit", points = 1) {
  fit <- clmm(formula, data = frame, link = link, nAGQ = points, control = clmm.control(gradTol = 1e-7))
  list(
    program = paste("ordinal", packageVersion("ordinal")), loglik = digits(logLik(fit)), names = I(names(coef(fit))),
    beta = I(digits(coef(fit))), se = I(digits(sqrt(diag(vcov(fit)))[seq_along(coef(fit))])),
    covariances = covariances(ordinal::VarCorr(fit)), nobs = nobs(fit)
  )
}

records <- list()
# `call` are the arguments of mm.glmm; `fit` the R expression
add <- function(id, data, formula, family, fit, ...) {
  said <- character()
  found <- withCallingHandlers(
    tryCatch(fit, error = function(e) list(error = conditionMessage(e))),
    warning = function(w) {
      said <<- unique(c(said, substr(sub("\n.*", "", conditionMessage(w)), 1, 100)))
      invokeRestart("muffleWarning")
    },
    message = function(m) invokeRestart("muffleMessage")
  )
  records[[id]] <<- c(
    list(id = id, data = data, levels = levels_of(data), call = c(list(formula = formula, family = family), list(...)), warnings = I(said)),
    found
  )
  cat(sprintf("%-24s %s %s\n", id, if (is.null(found$error)) sprintf("%.5f", found$loglik) else found$error, paste(said, collapse = " ")))
}
# `ours` is the formula here where names differ: the `cs` of glmmTMB has a variance for every column
tmb <- function(id, data, formula, family, r_family, zi = NULL, disp = NULL, ours = formula, ...) {
  zero <- if (is.null(zi)) ~0 else as.formula(zi)
  spread <- if (is.null(disp)) ~1 else as.formula(disp)
  add(
    id, data, ours, family,
    by_glmmTMB(as.formula(formula), frames[[data]], r_family, ziformula = zero, dispformula = spread), ...
  )
}

herd <- "cbind(incidence, size - incidence) ~ period + (1 | herd)"
use <- "use ~ a10 + I(a10^2) + urban + livch + (1 | district)"
tmb("cbpp_logit", "cbpp", herd, "binomial", binomial())
tmb("cbpp_probit", "cbpp", herd, "binomial", binomial("probit"), link = "probit")
tmb("cbpp_cloglog", "cbpp", herd, "binomial", binomial("cloglog"), link = "cloglog")
tmb("cbpp_betabinomial", "cbpp", herd, "betabinomial", betabinomial())
tmb("grouseticks", "grouseticks", "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)", "poisson", poisson())
tmb("grouseticks_nb2", "grouseticks", "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | LOCATION)", "nb2", nbinom2())
tmb("contraception", "contraception", use, "binomial", binomial())
tmb("contraception_probit", "contraception", use, "binomial", binomial("probit"), link = "probit")
tmb("contraception_cloglog", "contraception", use, "binomial", binomial("cloglog"), link = "cloglog")
tmb("contraception_slope", "contraception", "use ~ a10 + I(a10^2) + urban + livch + (1 + urban | district)", "binomial", binomial())
tmb("contraception_diag", "contraception", "use ~ a10 + I(a10^2) + urban + livch + diag(1 + urban | district)", "binomial", binomial())
tmb("salamanders_poisson", "salamanders", "count ~ mined + (1 | site)", "poisson", poisson())
tmb("salamanders_crossed", "salamanders", "count ~ mined + (1 | site) + (1 | spp)", "poisson", poisson())
tmb("salamanders_nb2", "salamanders", "count ~ mined + (1 | site)", "nb2", nbinom2())
tmb("salamanders_nb1", "salamanders", "count ~ mined + (1 | site)", "nb1", nbinom1())
tmb("salamanders_nb2_disp", "salamanders", "count ~ mined + (1 | site)", "nb2", nbinom2(), disp = "~mined", dispersion = "~ mined")
tmb("salamanders_genpois", "salamanders", "count ~ mined + (1 | site)", "genpois", genpois())
tmb("cbpp_compois", "cbpp", "incidence ~ period + (1 | herd)", "compois", compois())
tmb("salamanders_zip", "salamanders", "count ~ spp + mined + (1 | site)", "poisson", poisson(), zi = "~mined", zero_inflation = "~ mined")
tmb("salamanders_zi_re", "salamanders", "count ~ mined + (1 | site)", "poisson", poisson(), zi = "~1 + (1 | spp)", zero_inflation = "~ 1 + (1 | spp)")
tmb("salamanders_zinb2", "salamanders", "count ~ spp + mined + (1 | site)", "nb2", nbinom2(), zi = "~mined", zero_inflation = "~ mined")
tmb("salamanders_zinb1", "salamanders", "count ~ mined + (1 | site)", "nb1", nbinom1(), zi = "~1", zero_inflation = "~ 1")
tmb("salamanders_hurdle_poisson", "salamanders", "count ~ mined + (1 | site)", "poisson", truncated_poisson(), zi = "~mined + (1 | site)", hurdle = "~ mined + (1 | site)")
tmb("salamanders_hurdle_nb2", "salamanders", "count ~ spp + mined + (1 | site)", "nb2", truncated_nbinom2(), zi = "~spp + mined", hurdle = "~ spp + mined")
tmb("salamanders_hurdle_nb1", "salamanders", "count ~ mined + (1 | site)", "nb1", truncated_nbinom1(), zi = "~mined", hurdle = "~ mined")
tmb("owls_zinb1", "owls", "ncalls ~ (FoodTreatment + ArrivalTime) * SexParent + offset(log(BroodSize)) + (1 | Nest)", "nb1", nbinom1(), zi = "~1", zero_inflation = "~ 1")
tmb("owls_zip", "owls", "ncalls ~ (FoodTreatment + ArrivalTime) * SexParent + offset(log(BroodSize)) + (1 | Nest)", "poisson", poisson(), zi = "~1", zero_inflation = "~ 1")
tmb("owls_nb2", "owls", "ncalls ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 | Nest)", "nb2", nbinom2())
tmb("owls_poisson_slope", "owls", "ncalls ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 + FoodTreatment | Nest)", "poisson", poisson())
tmb("epil_nb2_slope", "epil2", "y ~ Base * trt + Age + Visit + (Visit | subject)", "nb2", nbinom2())
tmb("epil_poisson_slope", "epil2", "y ~ Base * trt + Age + Visit + (Visit | subject)", "poisson", poisson())
tmb("epil_ar1", "epil2", "y ~ Base * trt + Age + ar1(0 + factor(Visit) | subject)", "poisson", poisson())
tmb("epil_cs", "epil2", "y ~ Base * trt + Age + cs(0 + factor(Visit) | subject)", "poisson", poisson(),
  ours = "y ~ Base * trt + Age + hcs(0 + factor(Visit) | subject)")
tmb("epil_nb1", "epil2", "y ~ Base * trt + Age + Visit + (1 | subject)", "nb1", nbinom1())
tmb("gasoline_beta", "gasoline", "p ~ x + (1 | Sample)", "beta", beta_family())
tmb("gasoline_beta_probit", "gasoline", "p ~ x + (1 | Sample)", "beta", beta_family("probit"), link = "probit")
tmb("gasoline_beta_disp", "gasoline", "p ~ x + (1 | Sample)", "beta", beta_family(), disp = "~x", dispersion = "~ x")
tmb("gasoline_gamma", "gasoline", "yield ~ x + (1 | Sample)", "gamma", Gamma("log"), link = "log")
tmb("gasoline_gamma_disp", "gasoline", "yield ~ x + (1 | Sample)", "gamma", Gamma("log"), disp = "~x", link = "log", dispersion = "~ x")
tmb("gasoline_gamma_inverse", "gasoline", "yield ~ x + (1 | Sample)", "gamma", Gamma("inverse"), link = "inverse")
tmb("positive_gamma", "positive", "z ~ x + (1 | g)", "gamma", Gamma("log"), link = "log")
tmb("positive_tweedie", "positive", "y ~ x + (1 | g)", "tweedie", tweedie())
tmb("positive_hurdle_gamma", "positive", "y ~ x + (1 | g)", "gamma", ziGamma("log"), zi = "~x", link = "log", hurdle = "~ x")
tmb("heavy_t", "heavy", "y ~ x + (1 | g)", "t", t_family())
tmb("heavy_gaussian_disp", "heavy", "y ~ x + (1 | g)", "gaussian", gaussian(), disp = "~x", dispersion = "~ x")
tmb("guprenat_nested", "guprenat", "prenat ~ motherAge + indig + momEd + pcInd81 + (1 | cluster) + (1 | mom)", "binomial", binomial())
tmb("mmmec_offset", "mmmec", "deaths ~ uvb + offset(log(expected)) + (1 | nation) + (1 | region)", "poisson", poisson())
tmb("mmmec_nb2", "mmmec", "deaths ~ uvb + offset(log(expected)) + (1 | nation / region)", "nb2", nbinom2())
tmb("toenail_laplace", "toenail", "y ~ treatment * time + (1 | patientID)", "binomial", binomial())
tmb("ohio_laplace", "ohio", "resp ~ age * smoke + (1 | id)", "binomial", binomial())
tmb("bacteria", "bacteria", "y ~ trt + late + (1 | ID)", "binomial", binomial())
tmb("arabidopsis", "arabidopsis", "total.fruits ~ nutrient * amd + rack + status + (1 | popu) + (1 | gen)", "nb2", nbinom2())
tmb("arabidopsis_slopes", "arabidopsis", "total.fruits ~ nutrient * amd + rack + status + (1 + amd | popu) + (1 | gen)", "nb1", nbinom1())
add("bcg_bivariate", "bcg", "cbind(d, n - d) ~ arm * ablat + (0 + arm | trial)", "binomial",
  by_lme4(cbind(d, n - d) ~ arm * ablat + (0 + arm | trial), frames$bcg, binomial()))
add("cbpp_agq25", "cbpp", herd, "binomial", by_lme4(as.formula(herd), frames$cbpp, binomial(), 25), method = "quadrature", points = 25)
add("ohio_agq25", "ohio", "resp ~ age * smoke + (1 | id)", "binomial",
  by_lme4(resp ~ age * smoke + (1 | id), frames$ohio, binomial(), 25), method = "quadrature", points = 25)
add("toenail_agq25", "toenail", "y ~ treatment * time + (1 | patientID)", "binomial",
  by_lme4(y ~ treatment * time + (1 | patientID), frames$toenail, binomial(), 25), method = "quadrature", points = 25)
add("contraception_agq15", "contraception", use, "binomial", by_lme4(as.formula(use), frames$contraception, binomial(), 15), method = "quadrature", points = 15)
add("salamanders_agq15", "salamanders", "count ~ mined + (1 | site)", "poisson",
  by_lme4(count ~ mined + (1 | site), frames$salamanders, poisson(), 15), method = "quadrature", points = 15)
add("cbpp_probit_expected", "cbpp", herd, "binomial", by_lme4(as.formula(herd), frames$cbpp, binomial("probit")), link = "probit", information = "expected")
# clmm has cloglog and loglog the other way round than clm of the same package, SAS and McCullagh (1980)
turned <- c(logit = "logit", probit = "probit", cloglog = "loglog", loglog = "cloglog", cauchit = "cauchit")
for (link in names(turned)) {
  add(paste0("wine_", turned[[link]]), "wine", "rating ~ temp + contact + (1 | judge)", "ordinal",
    by_clmm(rating ~ temp + contact + (1 | judge), transform(frames$wine, rating = ordered(rating)), link), link = turned[[link]])
}
add("wine_crossed", "wine", "rating ~ temp + contact + (1 | judge) + (1 | bottle)", "ordinal",
  by_clmm(rating ~ temp + contact + (1 | judge) + (1 | bottle), transform(frames$wine, rating = ordered(rating))))
add("wine_agq15", "wine", "rating ~ temp + contact + (1 | judge)", "ordinal",
  by_clmm(rating ~ temp + contact + (1 | judge), transform(frames$wine, rating = ordered(rating)), points = 15), method = "quadrature", points = 15)
add("soup", "soup", "SURENESS ~ PROD + DAY + (1 | RESP)", "ordinal",
  by_clmm(SURENESS ~ PROD + DAY + (1 | RESP), transform(frames$soup, SURENESS = ordered(SURENESS))))

writeLines(toJSON(unname(records), auto_unbox = TRUE, digits = NA, null = "null", na = "null", pretty = FALSE), file.path(folder, "models.json"))
