# Serial correlation over long, unequally spaced series: follicles of mares and weights of rats.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
source(file.path(here, "..", "clusters.R"))

case <- new_case("residual_serial", "serial and distance correlations in time")
ovary <- dataset("ovary")
ovary <- ovary[order(ovary$Mare, ovary$Time), ]
ovary$day <- ave(ovary$Time, ovary$Mare, FUN = seq_along)
ovary$s <- sin(2 * pi * ovary$Time)
ovary$c <- cos(2 * pi * ovary$Time)
own <- case_data(transform(ovary, day = as.integer(day)), "ovary.csv.gz")
X <- model.matrix(~ s + c, ovary)
day <- ovary$day
models <- list(
  list("ar1", "ar1(day | Mare)", correlation_ar1(day), corAR1(form = ~ day | Mare)),
  list("arma11", "arma(1, 1)(day | Mare)", correlation_arma(day, 1, 1), corARMA(form = ~ day | Mare, p = 1, q = 1)),
  list("arma20", "arma(2, 0)(day | Mare)", correlation_arma(day, 2, 0), corARMA(form = ~ day | Mare, p = 2)),
  list("arma02", "arma(0, 2)(day | Mare)", correlation_arma(day, 0, 2, c(-0.3, -0.2)), corARMA(form = ~ day | Mare, q = 2)),
  list("car1", "car1(Time | Mare)", correlation_car1(ovary$Time), corCAR1(0.01, form = ~ Time | Mare)),
  list("exp", "exp(Time | Mare)", correlation_distance("exp", ovary["Time"], -2), corExp),
  list("gau", "gau(Time | Mare)", correlation_distance("gau", ovary["Time"], -3), corGaus),
  list("rq", "rq(Time | Mare)", correlation_distance("rq", ovary["Time"], -3), corRatio),
  list("exp_nugget", "exp(Time | Mare, nugget=True)", correlation_distance("exp", ovary["Time"], -2, TRUE), corExp),
  list("gau_nugget", "gau(Time | Mare, nugget=True)", correlation_distance("gau", ovary["Time"], -2, TRUE), corGaus),
  list("rq_nugget", "rq(Time | Mare, nugget=True)", correlation_distance("rq", ovary["Time"], -2, TRUE), corRatio)
)
for (model in models) {
  for (method in c("reml", if (model[[1]] %in% c("ar1", "arma11", "exp")) "ml")) {
    nugget <- grepl("nugget", model[[1]])
    fit <- cluster_fit(ovary$follicles, X, ovary$Mare, model[[3]], method = method,
      other_starts = if (is.function(model[[4]])) lapply(seq(-4, 0, 0.5), function(range) c(range, if (nugget) 0, 1.5)) else list()
    )
    witness <- if (is.function(model[[4]])) {
      witness_at(follicles ~ s + c, ovary, fit, model[[4]], ~ Time | Mare, toupper(method))
    } else {
      witness_of(fit_gls(follicles ~ s + c, ovary, toupper(method), correlation = model[[4]]))
    }
    case <- add(case, paste("ovary", model[[1]], method, sep = "_"), fit,
      formula = "follicles ~ s + c", data = own, options = list(residual = model[[2]]), witness = witness
    )
  }
}
rats <- dataset("bodyweight")
X <- model.matrix(~ Time * Diet, rats)
for (name in c("exp", "rq", "lin_sp", "sph")) {
  constructor <- list(exp = corExp, rq = corRatio, lin_sp = corLin, sph = corSpher)[[name]]
  start <- list(exp = 50, rq = 20, lin_sp = 80, sph = 80)[[name]]
  fit <- cluster_fit(rats$weight, X, rats$Rat, correlation_distance(name, rats["Time"], log(start)),
    other_starts = lapply(seq(2.5, 6.5, 0.5), function(range) c(range, 3))
  )
  case <- add(case, paste0("rats_", name), fit, formula = "weight ~ Time * Diet", data = "bodyweight",
    options = list(residual = sprintf("%s(Time | Rat)", name)),
    witness = witness_at(weight ~ Time * Diet, rats, fit, constructor, ~ Time | Rat)
  )
}
write_case(case)
