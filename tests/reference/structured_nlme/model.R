# Covariance structures of the random effects that nlme has: pdDiag, pdIdent, pdCompSymm, pdSymm, pdBlocked.
# nlme's criterion is the witness; the numbers kept come from the exact criterion minimised to rounding (dense.R),
# because lme() stops at a relative change that leaves variances uncertain in the fifth digit.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("structured_nlme", "pdMat structures of nlme on the G side")
orth <- dataset("orthodont")
machines <- dataset("machines")
oats <- dataset("oats")
oats$level <- factor(oats$nitro)

fixed_matrix <- function(formula, frame) model.matrix(formula, frame)
log_sd <- function(y, m) rep(log(sd(y) / 2), m)

sex_X <- fixed_matrix(~ 0 + fem + male + fem:age + male:age, orth)
sex_Z <- as.matrix(orth[c("fem", "male")])
for (method in c("reml", "ml")) {
  case <- add(case, paste0("pdDiag_sex_", method),
    dense_fit(orth$Y, sex_X, list(dense_term("id", orth$id, sex_Z, structures$diag(2), log_sd(orth$Y, 2))), method),
    formula = "Y ~ 0 + fem + male + fem:age + male:age + diag(0 + fem + male | id)", data = "orthodont",
    call = "lme(Y ~ 0 + fem + male + fem:age + male:age, random = list(id = pdDiag(~ 0 + fem + male)))",
    witness = witness_of(fit_lme(Y ~ 0 + fem + male + fem:age + male:age, orth, list(id = pdDiag(~ 0 + fem + male)),
      method = toupper(method)
    ))
  )
}
by_sex <- function(sex, columns, structure, start) {
  rows <- orth$sex == sex
  term <- dense_term("id", orth$id, columns * rows, structure, start, label = sex)
  # only the children of this sex carry these effects
  keep <- vapply(term$levels, function(level) any(rows[orth$id == level]), TRUE)
  term$Z <- term$Z[, rep(keep, each = ncol(columns)), drop = FALSE]
  term$levels <- term$levels[keep]
  term$kernel <- term$kernel_root <- diag(sum(keep))
  term
}
one <- cbind("(Intercept)" = rep(1, nrow(orth)))
case <- add(case, "intercept_by_sex",
  dense_fit(orth$Y, fixed_matrix(~ age * sex, orth), list(
    by_sex("F", one, structures$diag(1), 0.5), by_sex("M", one, structures$diag(1), 0.5)
  )),
  formula = "Y ~ age * sex + (1 | id, by=sex)", data = "orthodont",
  call = "lme(Y ~ age * sex, random = list(id = pdDiag(~ 0 + fem + male)))",
  witness = witness_of(fit_lme(Y ~ age * sex, orth, list(id = pdDiag(~ 0 + fem + male))))
)
slope <- cbind(one, age = orth$age)
case <- add(case, "slope_by_sex",
  dense_fit(orth$Y, fixed_matrix(~ age * sex, orth), list(
    by_sex("F", slope, structures$us(2), c(2, -0.1, 0.2)), by_sex("M", slope, structures$us(2), c(2, -0.1, 0.2))
  ), "ml"),
  formula = "Y ~ age * sex + (1 + age | id, by=sex)", data = "orthodont",
  call = "lme(Y ~ age * sex, random = list(id = pdBlocked(list(pdSymm(~ 0 + fem + fem:age), pdSymm(~ 0 + male + male:age)))))",
  witness = witness_of(fit_lme(Y ~ age * sex, orth,
    list(id = pdBlocked(list(pdSymm(~ 0 + fem + fem:age), pdSymm(~ 0 + male + male:age)))), method = "ML"
  ))
)
case <- add(case, "pdDiag_slope",
  dense_fit(orth$Y, fixed_matrix(~ age * sex, orth), list(dense_term("id", orth$id, slope, structures$diag(2), c(0.5, -2)))),
  formula = "Y ~ age * sex + diag(1 + age | id)", data = "orthodont",
  call = "lme(Y ~ age * sex, random = list(id = pdDiag(~ age)))",
  witness = witness_of(fit_lme(Y ~ age * sex, orth, list(id = pdDiag(~age))))
)

machine_X <- fixed_matrix(~Machine, machines)
machine_Z <- fixed_matrix(~ 0 + Machine, machines)
machine_models <- list(
  list("pdDiag", "diag", log_sd(machines$score, 3), pdDiag(~ 0 + Machine)),
  list("pdIdent", "homdiag", log_sd(machines$score, 1), pdIdent(~ 0 + Machine)),
  list("pdCompSymm", "cs", c(log_sd(machines$score, 1), 0), pdCompSymm(~ 0 + Machine)),
  list("pdSymm", "us", c(4, 2, 2, 4, 2, 4), pdSymm(~ 0 + Machine))
)
for (model in machine_models) {
  for (method in c("reml", "ml")) {
    case <- add(case, paste(model[[1]], "machines", method, sep = "_"),
      dense_fit(machines$score, machine_X, list(
        dense_term("Worker", machines$Worker, machine_Z, structures[[model[[2]]]](3), model[[3]])
      ), method),
      formula = sprintf("score ~ Machine + %s(0 + Machine | Worker)", model[[2]]), data = "machines",
      call = sprintf("lme(score ~ Machine, random = list(Worker = %s(~ 0 + Machine)))", model[[1]]),
      witness = witness_of(fit_lme(score ~ Machine, machines, list(Worker = model[[4]]), method = toupper(method)))
    )
  }
}

one <- cbind("(Intercept)" = rep(1, nrow(oats)))
variety_Z <- fixed_matrix(~ 0 + Variety, oats)
case <- add(case, "pdBlocked_oats",
  dense_fit(oats$yield, fixed_matrix(~nitro, oats), list(
    dense_term("Block", oats$Block, one, structures$diag(1), 2),
    dense_term("Block", oats$Block, variety_Z, structures$homdiag(3), 2)
  )),
  formula = "yield ~ nitro + (1 | Block) + homdiag(0 + Variety | Block)", data = "oats",
  call = "lme(yield ~ nitro, random = list(Block = pdBlocked(list(pdIdent(~ 1), pdIdent(~ 0 + Variety)))))",
  witness = witness_of(fit_lme(yield ~ nitro, oats, list(Block = pdBlocked(list(pdIdent(~1), pdIdent(~ 0 + Variety))))))
)
case <- add(case, "pdCompSymm_oats",
  dense_fit(oats$yield, fixed_matrix(~ nitro, oats), list(
    dense_term("Block", oats$Block, variety_Z, structures$cs(3), c(2, 0))
  )),
  formula = "yield ~ nitro + cs(0 + Variety | Block)", data = "oats",
  call = "lme(yield ~ nitro, random = list(Block = pdCompSymm(~ 0 + Variety)))",
  witness = witness_of(fit_lme(yield ~ nitro, oats, list(Block = pdCompSymm(~ 0 + Variety))))
)
penicillin <- dataset("penicillin")
penicillin$all <- factor(rep("all", nrow(penicillin)))
own <- case_data(penicillin, "penicillin.csv.gz")
sample_Z <- fixed_matrix(~ 0 + sample, penicillin)
one <- cbind("(Intercept)" = rep(1, nrow(penicillin)))
case <- add(case, "one_group_shared_variance",
  dense_fit(penicillin$diameter, one, list(
    dense_term("plate", penicillin$plate, one, structures$diag(1), 0),
    dense_term("all", penicillin$all, sample_Z, structures$homdiag(6), 0)
  )),
  formula = "diameter ~ 1 + (1 | plate) + homdiag(0 + sample | all)", data = own,
  call = "lmer(diameter ~ 1 + (1 | plate) + (1 | sample))",
  witness = witness_of(fit_lmer(diameter ~ 1 + (1 | plate) + (1 | sample), penicillin))
)
write_case(case)
