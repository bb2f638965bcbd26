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
  list("const_power", "const_power(pressure)", deviation_const_power(v, c(-1, 1)), varConstPower(const = 0.3, power = 1, form = ~pressure)),
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
for (model in models[c(1, 4, 7)]) {
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
fixed <- weight ~ (t + I(t^2) + I(t^3)) * Variety + Year
X <- model.matrix(fixed[-2], soybean)
for (model in list(
  list("power", "power(t)", deviation_power(soybean$t), varPower(form = ~t)),
  list("exp", "exp(t)", deviation_exp(soybean$t), varExp(form = ~t))
)) {
  case <- add(case, paste("soybean", model[[1]], sep = "_"), cluster_fit(soybean$weight, X, soybean$Plot, deviation = model[[3]]),
    formula = "weight ~ (t + I(t^2) + I(t^3)) * Variety + Year", data = own, options = list(variance = model[[2]]),
    witness = witness_of(fit_gls(fixed, soybean, weights = model[[4]]))
  )
  case <- add(case, paste("soybean_car1", model[[1]], sep = "_"),
    cluster_fit(soybean$weight, X, soybean$Plot, correlation_car1(soybean$t), model[[3]]),
    formula = "weight ~ (t + I(t^2) + I(t^3)) * Variety + Year", data = own,
    options = list(residual = "car1(t | Plot)", variance = model[[2]]),
    witness = witness_of(fit_gls(fixed, soybean, correlation = corCAR1(form = ~ t | Plot), weights = model[[4]]))
  )
}
write_case(case)
