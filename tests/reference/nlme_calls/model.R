# Calls of lme and gls as people write them; what nlme printed for each goes into calls.json, with the text of the call.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

growth <- "Y ~ age * sex"
season <- "follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)"
weight <- "weight ~ Time * Diet"
lme_calls <- list(
  list("orthodont", growth, "~ 1 | id"),
  list("orthodont", growth, "~ age | id"),
  list("orthodont", growth, "~ age | id", method = "ML"),
  list("orthodont", growth, "list(id = pdDiag(~ age))"),
  list("orthodont", growth, "list(id = pdLogChol(form = ~ age))", method = "ML"),
  list("orthodont", growth, "list(id = pdNatural(~ age))"),
  list("orthodont", growth, "list(id = pdIdent(~ fem + male - 1))"),
  list("orthodont", growth, "list(id = pdBlocked(list(pdSymm(~ 1), pdIdent(~ age - 1))))"),
  list("orthodont", growth, "list(id = pdBlocked(list(~ 1, ~ age - 1), pdClass = \"pdIdent\"))"),
  list("orthodont", growth, "reStruct(list(id = ~ 1))"),
  list("orthodont", "Y ~ 0 + fem + male + fem:age + male:age", "list(id = pdDiag(form = ~ -1 + fem + male))",
    weights = "varIdent(form = ~ 1 | sex)"),
  list("orthodont", growth, "~ 1 | id", correlation = "corAR1(form = ~ as.integer(factor(age)) | id)"),
  list("orthodont", growth, "~ 1 | id", correlation = "corAR1()"),
  list("orthodont", growth, "~ age | id", weights = "varIdent(form = ~ 1 | sex)"),
  list("orthodont", growth, "~ 1 | id", weights = "varIdent(form = ~ 1 | sex * age)"),
  list("orthodont", growth, "~ 1 | id", weights = "varPower(form = ~ age)"),
  list("orthodont", growth, "~ 1 | id", weights = "varPower(form = ~ age | sex)"),
  list("orthodont", growth, "~ 1 | id", weights = "varPower(form = ~ age, fixed = 0.5)"),
  list("orthodont", growth, "~ 1 | id", weights = "varExp(form = ~ age)"),
  list("orthodont", growth, "~ 1 | id", weights = "varFixed(~ age)"),
  list("orthodont", growth, "~ 1 | id", weights = "~ age"),
  list("orthodont", growth, "~ 1 | id", weights = "varFixed(~ 1/age)"),
  list("orthodont", growth, "~ 1 | id",
    weights = "varComb(varIdent(form = ~ 1 | sex), varPower(form = ~ age))"),
  list("machines", "score ~ Machine", "~ 1 | Worker/Machine"),
  list("machines", "score ~ Machine", "list(Worker = ~ 1, Machine = ~ 1)"),
  list("machines", "score ~ Machine", "~ Machine - 1 | Worker"),
  list("machines", "score ~ Machine", "list(Worker = pdCompSymm(~ Machine - 1))"),
  list("machines", "score ~ Machine", "list(Worker = pdBlocked(list(pdIdent(~ 1), pdIdent(~ Machine - 1))))"),
  list("oats", "yield ~ factor(nitro) * Variety", "~ 1 | Block/Variety"),
  list("oats", "yield ~ nitro * Variety", "list(Block = pdIdent(~ 1), Variety = pdIdent(~ 1))", method = "ML"),
  list("pastes", "strength ~ 1", "~ 1 | batch/cask"),
  list("ovary", season, "list(Mare = pdDiag(~ sin(2 * pi * Time)))"),
  list("ovary", season, "~ 1 | Mare", correlation = "corAR1(form = ~ 1 | Mare)"),
  list("ovary", season, "~ 1 | Mare", correlation = "corARMA(q = 2)"),
  list("ovary", season, "~ 1 | Mare", correlation = "corARMA(form = ~ 1, p = 1, q = 1)"),
  list("ovary", season, "~ 1 | Mare", correlation = "corCAR1(form = ~ Time)"),
  list("bodyweight", weight, "~ Time | Rat", weights = "varPower()"),
  list("bodyweight", weight, "~ Time | Rat", correlation = "corExp(form = ~ Time)", weights = "varPower()"),
  list("bodyweight", weight, "~ Time | Rat", correlation = "corExp(form = ~ Time | Rat, nugget = TRUE)"),
  list("bodyweight", weight, "~ Time | Rat", correlation = "corGaus(form = ~ Time | Rat)"),
  list("bodyweight", weight, "~ Time | Rat", correlation = "corRatio(form = ~ Time | Rat)"),
  list("bodyweight", weight, "~ Time | Rat", correlation = "corSpher(5, form = ~ Time | Rat)"),
  list("sleepstudy", "Reaction ~ Days", "~ Days | Subject"),
  list("sleepstudy", "Reaction ~ Days + I(Days^2)", "list(Subject = pdDiag(~ Days))", method = "ML"),
  list("penicillin", "diameter ~ 1", "~ 1 | plate"),
  list("rail", "travel ~ 1", "~ 1 | Rail")
)
gls_calls <- list(
  list("rail", "travel ~ 1", correlation = "corCompSymm(form = ~ 1 | Rail)"),
  list("orthodont", growth, correlation = "corCompSymm(form = ~ 1 | id)", weights = "varIdent(form = ~ 1 | sex)"),
  list("orthodont", growth, correlation = "corAR1(form = ~ 1 | id)", method = "ML"),
  list("orthodont", growth, correlation = "corAR1(0.3, form = ~ 1 | id, fixed = TRUE)"),
  list("orthodont", growth, correlation = "corSymm(form = ~ as.integer(factor(age)) | id)",
    weights = "varIdent(form = ~ 1 | age)"),
  list("orthodont", growth, correlation = "corARMA(form = ~ 1 | id, p = 1, q = 1)"),
  list("orthodont", growth, correlation = "corCAR1(form = ~ age | id)"),
  list("ovary", season, correlation = "corAR1(form = ~ 1 | Mare)"),
  list("ovary", season, correlation = "corARMA(form = ~ 1 | Mare, p = 2)"),
  list("bodyweight", weight, correlation = "corExp(form = ~ Time | Rat)"),
  list("bodyweight", weight, weights = "varPower(form = ~ Time)"),
  list("orthodont", growth, weights = "varIdent(form = ~ 1 | sex)")
)

tight_lme <- lmeControl(maxIter = 500, msMaxIter = 1000, msMaxEval = 5000, niterEM = 60, tolerance = 1e-9, msTol = 1e-11,
  returnObject = TRUE)
tight_gls <- glsControl(maxIter = 500, msMaxIter = 1000, tolerance = 1e-9, msTol = 1e-11)
run_call <- function(parts, verb) {
  names(parts)[1:2] <- c("data", "fixed")
  if (verb == "lme") names(parts)[3] <- "random"
  method <- if (is.null(parts$method)) "REML" else parts$method
  written <- parts[intersect(names(parts), c("random", "correlation", "weights"))]
  inside <- c(parts$fixed, paste("data =", parts$data), paste(names(written), "=", unlist(written)),
    if (method == "ML") "method = \"ML\"")
  call <- paste0(verb, "(", paste(inside, collapse = ", "), ")")
  space <- list2env(setNames(list(dataset(parts$data)), parts$data))
  control <- if (verb == "lme") "tight_lme" else "tight_gls"
  fit <- eval(parse(text = sub("\\)$", paste0(", control = ", control, ")"), call)), space)
  table <- summary(fit)$tTable
  c(parts, list(verb = verb, call = call, loglik = as.numeric(logLik(fit)), sigma = fit$sigma,
    terms = rownames(table), estimate = unname(table[, "Value"]), std_error = unname(table[, "Std.Error"]),
    df = if (verb == "lme") unname(table[, "DF"])))
}
found <- c(lapply(lme_calls, run_call, "lme"), lapply(gls_calls, run_call, "gls"))
write(toJSON(list(versions = list(R = R.version.string, nlme = as.character(packageVersion("nlme"))), calls = found),
  auto_unbox = TRUE, digits = 12, null = "null", pretty = TRUE), file.path(here, "calls.json"))
