# Variance functions: dialysers and soybean plots (nlme), alone and with serial correlation.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
source(file.path(here, "..", "clusters.R"))

case <- new_case("residual_variance", "variance functions of covariates and strata")
dialyzer <- with(Dialyzer, data.frame(
  Subject = factor(as.character(Subject), levels = as.character(1:20)), QB = factor(as.character(QB), levels = c("200", "300")),
  pressure = pressure, rate = rate, index = index
))
dialyzer <- dialyzer[order(dialyzer$Subject, dialyzer$index), ]
own <- case_data(transform(dialyzer, index = as.integer(index)), "dialyzer.csv.gz")
fixed <- rate ~ (pressure + I(pressure^2) + I(pressure^3) + I(pressure^4)) * QB
ours <- "rate ~ (pressure + I(pressure^2) + I(pressure^3) + I(pressure^4)) * QB"
X <- model.matrix(fixed[-2], dialyzer)
v <- dialyzer$pressure
models <- list(
  list("power", "power(pressure)", deviation_power(v), varPower(form = ~pressure)),
  list("exp", "exp(pressure)", deviation_exp(v), varExp(form = ~pressure)),
  list("ident", "ident(QB)", deviation_ident(dialyzer$QB), varIdent(form = ~ 1 | QB)),
  list("fixed", "fixed(pressure)", deviation_fixed(v), varFixed(~pressure)),
  list("power_by", "power(pressure, by=QB)", deviation_power_by(v, dialyzer$QB), varPower(form = ~ pressure | QB)),
  list("product", "ident(QB) * power(pressure)", deviation_product(deviation_ident(dialyzer$QB), deviation_power(v)),
    varComb(varIdent(form = ~ 1 | QB), varPower(form = ~pressure)))
)
for (model in models) {
  for (method in c("reml", if (model[[1]] == "power") "ml")) {
    case <- add(case, paste("dialyzer", model[[1]], method, sep = "_"),
      cluster_fit(dialyzer$rate, X, dialyzer$Subject, deviation = model[[3]], method = method),
      formula = ours, data = own, options = list(variance = model[[2]]),
      witness = witness_of(fit_gls(fixed, dialyzer, toupper(method), weights = model[[4]]))
    )
  }
}
for (model in models[c(1, 3, 6)]) {
  case <- add(case, paste("dialyzer_ar1", model[[1]], sep = "_"),
    cluster_fit(dialyzer$rate, X, dialyzer$Subject, correlation_ar1(dialyzer$index), model[[3]]),
    formula = ours, data = own, options = list(residual = "ar1(index | Subject)", variance = model[[2]]),
    witness = witness_of(fit_gls(fixed, dialyzer, correlation = corAR1(form = ~ index | Subject), weights = model[[4]]))
  )
}
soybean <- with(Soybean, data.frame(
  Plot = factor(as.character(Plot), levels = sort(unique(as.character(Plot)))), Variety = factor(as.character(Variety)),
  Year = factor(as.character(Year)), Time = Time, weight = weight
))
soybean <- soybean[order(soybean$Plot, soybean$Time), ]
soybean$t <- soybean$Time / 10
own <- case_data(soybean, "soybean.csv.gz")
growth <- weight ~ (t + I(t^2) + I(t^3)) * Variety + Year
X <- model.matrix(growth[-2], soybean)
for (model in list(
  list("power", "power(t)", deviation_power(soybean$t), varPower(form = ~t)),
  list("exp", "exp(t)", deviation_exp(soybean$t), varExp(form = ~t))
)) {
  case <- add(case, paste("soybean", model[[1]], sep = "_"), cluster_fit(soybean$weight, X, soybean$Plot, deviation = model[[3]]),
    formula = "weight ~ (t + I(t^2) + I(t^3)) * Variety + Year", data = own, options = list(variance = model[[2]]),
    witness = witness_of(fit_gls(growth, soybean, weights = model[[4]]))
  )
  case <- add(case, paste("soybean_car1", model[[1]], sep = "_"),
    cluster_fit(soybean$weight, X, soybean$Plot, correlation_car1(soybean$t), model[[3]]),
    formula = "weight ~ (t + I(t^2) + I(t^3)) * Variety + Year", data = own,
    options = list(residual = "car1(t | Plot)", variance = model[[2]]),
    witness = witness_of(fit_gls(growth, soybean, correlation = corCAR1(form = ~ t | Plot), weights = model[[4]]))
  )
}
# neither trial has an error floor (the constant would be zero), so an assay that has one is simulated
set.seed(251)
assay <- data.frame(run = factor(rep(1:20, each = 10)), dose = rep(seq(0.5, 5, 0.5), 20))
assay$signal <- round(10 + 3 * assay$dose + (1 + 0.25 * assay$dose^2) * rnorm(200), 3)
own_assay <- case_data(assay, "assay.csv.gz")
for (method in c("reml", "ml")) {
  case <- add(case, paste0("assay_const_power_", method),
    cluster_fit(assay$signal, model.matrix(~dose, assay), assay$run, deviation = deviation_const_power(assay$dose, c(1, 2)), method = method),
    formula = "signal ~ dose", data = own_assay, options = list(variance = "const_power(dose)"),
    witness = witness_of(fit_gls(signal ~ dose, assay, toupper(method), weights = varConstPower(const = 4, power = 2, form = ~dose)))
  )
}

# Variances that follow the fitted values are estimated by nlme in turns: weights from the last fit, then a fit with
# these weights held. The numbers are those of the fixed point, not of a maximum.
turns <- list(criterion = 1e-3, estimate = 1e-4, reason = "nlme alternates until the fitted values settle; it stops at 1e-12.")
case <- add(case, "dialyzer_power_fitted", fit_gls(fixed, dialyzer, weights = varPower()), method = "reml",
  formula = ours, data = case$models[[1]]$data, options = list(variance = "power(fitted)"), tolerance = turns,
  call = "gls(..., weights = varPower())"
)
rats <- dataset("bodyweight")
case <- add(case, "rats_power_fitted", fit_lme(weight ~ Time * Diet, rats, ~ Time | Rat, weights = varPower()), method = "reml",
  formula = "weight ~ Time * Diet + (1 + Time | Rat)", data = "bodyweight", options = list(variance = "power(fitted)"),
  tolerance = turns, call = "lme(weight ~ Time * Diet, random = ~ Time | Rat, weights = varPower())"
)
write_case(case)
