# Structured errors over four visits: every correlation structure on the growth data, with and without unequal variances.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
source(file.path(here, "..", "clusters.R"))

case <- new_case("residual_growth", "residual structures over four visits of the growth data")
orth <- dataset("orthodont")
orth$visit <- (orth$age - 6) / 2
orth$occasion <- factor(orth$age)
own <- case_data(transform(orth, visit = factor(visit)), "orthodont.csv.gz")
X <- model.matrix(~ age * sex, orth)
by_visit <- deviation_ident(orth$occasion)
models <- list(
  list("cs", "cs(visit | id)", correlation_cs(4), deviation_none, corCompSymm(form = ~ 1 | id), NULL),
  list("hcs", "hcs(visit | id)", correlation_cs(4), by_visit, corCompSymm(form = ~ 1 | id), varIdent(form = ~ 1 | occasion)),
  list("ar1", "ar1(visit | id)", correlation_ar1(orth$visit), deviation_none, corAR1(form = ~ visit | id), NULL),
  list("har1", "har1(visit | id)", correlation_ar1(orth$visit), by_visit, corAR1(form = ~ visit | id), varIdent(form = ~ 1 | occasion)),
  list("toep", "toep(visit | id)", correlation_toeplitz(orth$visit, 4), deviation_none, corARMA(form = ~ visit | id, p = 3), NULL),
  list("htoep", "htoep(visit | id)", correlation_toeplitz(orth$visit, 4), by_visit, corARMA(form = ~ visit | id, p = 3), varIdent(form = ~ 1 | occasion)),
  list("unr", "unr(visit | id)", correlation_free(orth$visit, 4), by_visit, corSymm(form = ~ visit | id), varIdent(form = ~ 1 | occasion)),
  list("us", "us(visit | id)", correlation_free(orth$visit, 4), by_visit, corSymm(form = ~ visit | id), varIdent(form = ~ 1 | occasion)),
  list("ante1", "ante1(visit | id)", correlation_ante(orth$visit, 4), by_visit, NULL, NULL),
  list("diag", "diag(visit | id)", correlation_none, by_visit, NULL, varIdent(form = ~ 1 | occasion)),
  list("car1", "car1(age | id)", correlation_car1(orth$age), deviation_none, corCAR1(form = ~ age | id), NULL),
  list("arma11", "arma(1, 1)(visit | id)", correlation_arma(orth$visit, 1, 1), deviation_none, corARMA(form = ~ visit | id, p = 1, q = 1), NULL)
)
for (model in models) {
  for (method in c("reml", if (model[[1]] %in% c("us", "cs", "ar1")) "ml")) {
    witness <- if (!is.null(model[[5]]) || !is.null(model[[6]])) {
      witness_of(fit_gls(Y ~ age * sex, orth, toupper(method), correlation = model[[5]], weights = model[[6]]))
    }
    # unequal variances are part of the structure here, so sigma has no counterpart
    case <- add(case, paste(model[[1]], method, sep = "_"),
      cluster_fit(orth$Y, X, orth$id, model[[3]], model[[4]], method = method),
      formula = "Y ~ age * sex", data = own, options = list(residual = model[[2]]), witness = witness
    )
  }
}
# parameters by group: REPEATED / TYPE=CS GROUP=SEX, and an unstructured matrix for each sex
by_sex <- function(size_of, start, build) list(
  start = c(start, start),
  matrix = function(z, rows) {
    own <- if (orth$sex[rows[1]] == "F") z[seq_along(start)] else z[length(start) + seq_along(start)]
    build(own)[orth$visit[rows], orth$visit[rows]]
  },
  natural = function(z) list(theta = z)
)
seed_X <- model.matrix(~ 0 + fem + male + fem:age + male:age, orth)
for (method in c("reml", "ml")) {
  case <- add(case, paste0("cs_by_sex_", method),
    cluster_fit(orth$Y, seed_X, orth$id, residual = by_sex(4, c(0.7, 0.5), structures$cs(4)), method = method),
    formula = "Y ~ 0 + fem + male + fem:age + male:age", data = own, options = list(residual = "cs(visit | id, by=sex)"),
    witness = witness_of(fit_lme(Y ~ 0 + fem + male + fem:age + male:age, orth, list(id = pdDiag(~ 0 + fem + male)),
      toupper(method), weights = varIdent(form = ~ 1 | sex)
    )), note = "the tutorial's second PROC MIXED program; nlme writes it with random intercepts"
  )
}
case <- add(case, "us_by_sex", cluster_fit(orth$Y, seed_X, orth$id, residual = by_sex(4, c(2, 1, 1, 1, 2, 1, 1, 2, 1, 2), structures$us(4))),
  formula = "Y ~ 0 + fem + male + fem:age + male:age", data = own, options = list(residual = "us(visit | id, by=sex)")
)
case <- add(case, "ar1_by_sex", cluster_fit(orth$Y, seed_X, orth$id, residual = by_sex(4, c(0.7, 0.5), structures$ar1(4))),
  formula = "Y ~ 0 + fem + male + fem:age + male:age", data = own, options = list(residual = "ar1(visit | id, by=sex)")
)
case <- add(case, "ident_sex", cluster_fit(orth$Y, X, orth$id, correlation_cs(4), deviation_ident(orth$sex)),
  formula = "Y ~ age * sex", data = own, options = list(residual = "cs(visit | id)", variance = "ident(sex)"),
  witness = witness_of(fit_gls(Y ~ age * sex, orth, correlation = corCompSymm(form = ~ 1 | id), weights = varIdent(form = ~ 1 | sex)))
)
# missing visits: one child has one, others two or three
set.seed(211)
holes <- orth[-sample(nrow(orth), 25), ]
own_holes <- case_data(transform(holes, visit = factor(visit)), "holes.csv.gz")
X_holes <- model.matrix(~ age * sex, holes)
for (model in models[c(1, 3, 5, 8, 9)]) {
  correlation <- switch(model[[1]], cs = correlation_cs(4), ar1 = correlation_ar1(holes$visit),
    toep = correlation_toeplitz(holes$visit, 4), us = correlation_free(holes$visit, 4), ante1 = correlation_ante(holes$visit, 4)
  )
  unequal <- model[[1]] %in% c("us", "ante1")
  case <- add(case, paste0(model[[1]], "_holes"), cluster_fit(holes$Y, X_holes, holes$id, correlation,
    if (unequal) deviation_ident(holes$occasion) else deviation_none
  ), formula = "Y ~ age * sex", data = own_holes, options = list(residual = model[[2]]),
  witness = if (!is.null(model[[5]])) {
    witness_of(fit_gls(Y ~ age * sex, holes, correlation = model[[5]], weights = model[[6]]))
  })
}
write_case(case)
