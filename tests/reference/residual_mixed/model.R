# Random effects together with structured or unequal errors, as in lme(..., correlation =, weights =).
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
source(file.path(here, "..", "clusters.R"))

case <- new_case("residual_mixed", "random effects with structured or heteroscedastic errors")
intercept <- function(frame, group) list(
  Z = matrix(1, nrow(frame), 1), structure = structures$diag(1), start = log(1.5), group = group, names = "(Intercept)"
)
orth <- dataset("orthodont")
orth$visit <- (orth$age - 6) / 2
own <- case_data(transform(orth, visit = factor(visit)), "orthodont.csv.gz")
seed_X <- model.matrix(~ 0 + fem + male + fem:age + male:age, orth)
for (method in c("reml", "ml")) {
  case <- add(case, paste0("tutorial_", method), cluster_fit(orth$Y, seed_X, orth$id, deviation = deviation_ident(orth$sex),
    random = list(Z = as.matrix(orth[c("fem", "male")]), structure = structures$diag(2), start = c(0.4, 0.4), group = "id", names = c("fem", "male")),
    method = method
  ), formula = "Y ~ 0 + fem + male + fem:age + male:age + diag(0 + fem + male | id)", data = own,
  options = list(variance = "ident(sex)"), witness = witness_of(fit_lme(Y ~ 0 + fem + male + fem:age + male:age, orth,
    list(id = pdDiag(~ 0 + fem + male)), toupper(method), weights = varIdent(form = ~ 1 | sex)
  )))
}
X <- model.matrix(~ age * sex, orth)
case <- add(case, "intercept_ar1", cluster_fit(orth$Y, X, orth$id, correlation_ar1(orth$visit), random = intercept(orth, "id")),
  formula = "Y ~ age * sex + (1 | id)", data = own, options = list(residual = "ar1(visit | id)"),
  witness = witness_of(fit_lme(Y ~ age * sex, orth, ~ 1 | id, correlation = corAR1(form = ~ visit | id)))
)
case <- add(case, "intercept_ident", cluster_fit(orth$Y, X, orth$id, deviation = deviation_ident(orth$sex), random = intercept(orth, "id")),
  formula = "Y ~ age * sex + (1 | id)", data = own, options = list(variance = "ident(sex)"),
  witness = witness_of(fit_lme(Y ~ age * sex, orth, ~ 1 | id, weights = varIdent(form = ~ 1 | sex)))
)
case <- add(case, "slope_ident", cluster_fit(orth$Y, X, orth$id, deviation = deviation_ident(orth$sex), random = list(
  Z = cbind(1, orth$age), structure = structures$us(2), start = c(2, -0.1, 0.2), group = "id", names = c("(Intercept)", "age")
)), formula = "Y ~ age * sex + (1 + age | id)", data = own, options = list(variance = "ident(sex)"),
witness = witness_of(fit_lme(Y ~ age * sex, orth, ~ age | id, weights = varIdent(form = ~ 1 | sex))))
case <- add(case, "intercept_power", cluster_fit(orth$Y, X, orth$id, deviation = deviation_power(orth$age), random = intercept(orth, "id")),
  formula = "Y ~ age * sex + (1 | id)", data = own, options = list(variance = "power(age)"),
  witness = witness_of(fit_lme(Y ~ age * sex, orth, ~ 1 | id, weights = varPower(form = ~age)))
)

ovary <- dataset("ovary")
ovary <- ovary[order(ovary$Mare, ovary$Time), ]
ovary$day <- ave(ovary$Time, ovary$Mare, FUN = seq_along)
ovary$s <- sin(2 * pi * ovary$Time)
ovary$c <- cos(2 * pi * ovary$Time)
own <- case_data(transform(ovary, day = as.integer(day)), "ovary.csv.gz")
X <- model.matrix(~ s + c, ovary)
diagonal <- list(Z = cbind(1, ovary$s), structure = structures$diag(2), start = c(1, 0.5), group = "Mare", names = c("(Intercept)", "s"))
for (model in list(
  list("ar1", "ar1(day | Mare)", correlation_ar1(ovary$day), corAR1(form = ~ day | Mare)),
  list("arma11", "arma(1, 1)(day | Mare)", correlation_arma(ovary$day, 1, 1), corARMA(form = ~ day | Mare, p = 1, q = 1)),
  list("ma2", "arma(0, 2)(day | Mare)", correlation_arma(ovary$day, 0, 2, c(-0.3, -0.2)), corARMA(form = ~ day | Mare, q = 2)),
  list("exp", "exp(Time | Mare)", correlation_distance("exp", ovary["Time"], -3), corExp(0.05, form = ~ Time | Mare)),
  list("car1", "car1(Time | Mare)", correlation_car1(ovary$Time, -15), corCAR1(1e-6, form = ~ Time | Mare))
)) {
  case <- add(case, paste0("ovary_intercept_", model[[1]]), cluster_fit(ovary$follicles, X, ovary$Mare, model[[3]], random = intercept(ovary, "Mare")),
    formula = "follicles ~ s + c + (1 | Mare)", data = own, options = list(residual = model[[2]]),
    witness = witness_of(fit_lme(follicles ~ s + c, ovary, ~ 1 | Mare, correlation = model[[4]]))
  )
}
case <- add(case, "ovary_diagonal_ar1", cluster_fit(ovary$follicles, X, ovary$Mare, correlation_ar1(ovary$day), random = diagonal),
  formula = "follicles ~ s + c + diag(1 + s | Mare)", data = own, options = list(residual = "ar1(day | Mare)"),
  witness = witness_of(fit_lme(follicles ~ s + c, ovary, list(Mare = pdDiag(~s)), correlation = corAR1(form = ~ day | Mare)))
)

rats <- dataset("bodyweight")
X <- model.matrix(~ Time * Diet, rats)
slope <- list(Z = cbind(1, rats$Time), structure = structures$us(2), start = c(36, 0, 0.25), group = "Rat", names = c("(Intercept)", "Time"))
for (name in c("exp", "gau", "rq")) {
  constructor <- list(exp = corExp, gau = corGaus, rq = corRatio)[[name]]
  fit <- cluster_fit(rats$weight, X, rats$Rat, correlation_distance(name, rats["Time"], log(5)), random = slope,
    other_starts = lapply(seq(0, 4, 1), function(range) c(slope$start, range, 1.5))
  )
  case <- add(case, paste0("rats_slope_", name), fit,
    formula = "weight ~ Time * Diet + (1 + Time | Rat)", data = "bodyweight", options = list(residual = sprintf("%s(Time | Rat)", name)),
    witness = witness_at(weight ~ Time * Diet, rats, fit, constructor, ~ Time | Rat, random = ~ Time | Rat)
  )
}
case <- add(case, "rats_slope_ident", cluster_fit(rats$weight, X, rats$Rat, deviation = deviation_ident(rats$Diet), random = slope),
  formula = "weight ~ Time * Diet + (1 + Time | Rat)", data = "bodyweight", options = list(variance = "ident(Diet)"),
  witness = witness_of(fit_lme(weight ~ Time * Diet, rats, ~ Time | Rat, weights = varIdent(form = ~ 1 | Diet)))
)
oats <- dataset("oats")
oats$plot <- interaction(oats$Block, oats$Variety, drop = TRUE)
case <- add(case, "oats_plots_cs", cluster_fit(oats$yield, model.matrix(~ nitro, oats), oats$Block, correlation_cs(4),
  random = within(intercept(oats, "Block"), start <- 2), inner = oats$plot
), formula = "yield ~ nitro + (1 | Block)", data = "oats", options = list(residual = "cs(1 | Block:Variety)"),
witness = witness_of(fit_lme(yield ~ nitro, oats, ~ 1 | Block, correlation = corCompSymm(form = ~ 1 | Block / Variety))))

spruce <- with(Spruce, data.frame(
  Tree = factor(as.character(Tree), levels = unique(as.character(Tree))), plot = factor(as.character(plot)), days = days / 100, logSize = logSize
))
own <- case_data(spruce, "spruce.csv.gz")
X <- model.matrix(~ (days + I(days^2)) * plot, spruce)
case <- add(case, "spruce_car1", cluster_fit(spruce$logSize, X, spruce$Tree, correlation_car1(spruce$days), random = within(intercept(spruce, "Tree"), start <- -0.5)),
  formula = "logSize ~ (days + I(days^2)) * plot + (1 | Tree)", data = own, options = list(residual = "car1(days | Tree)"),
  witness = witness_of(fit_lme(logSize ~ (days + I(days^2)) * plot, spruce, ~ 1 | Tree, correlation = corCAR1(form = ~ days | Tree)))
)
case <- add(case, "spruce_gls_car1", cluster_fit(spruce$logSize, X, spruce$Tree, correlation_car1(spruce$days)),
  formula = "logSize ~ (days + I(days^2)) * plot", data = own, options = list(residual = "car1(days | Tree)"),
  witness = witness_of(fit_gls(logSize ~ (days + I(days^2)) * plot, spruce, correlation = corCAR1(form = ~ days | Tree)))
)
write_case(case)
