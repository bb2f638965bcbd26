# Errors correlated over the plane: the wheat variety trial (224 plots), and the simulated fields.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
source(file.path(here, "..", "clusters.R"))

case <- new_case("residual_spatial", "isotropic spatial correlation of the errors")
wheat <- with(Wheat2, data.frame(
  Block = factor(as.character(Block), levels = as.character(1:4)), variety = factor(as.character(variety)),
  yield = yield, latitude = latitude, longitude = longitude
))
wheat$field <- factor(rep("all", nrow(wheat)))
own <- case_data(wheat, "wheat.csv.gz")
X <- model.matrix(~ variety, wheat)
coordinates <- wheat[c("latitude", "longitude")]
models <- list(
  list("exp", corExp, FALSE, 10), list("gau", corGaus, FALSE, 5), list("rq", corRatio, FALSE, 5), list("sph", corSpher, FALSE, 25),
  list("exp", corExp, TRUE, 20), list("gau", corGaus, TRUE, 10), list("rq", corRatio, TRUE, 12), list("sph", corSpher, TRUE, 28),
  list("lin_sp", corLin, FALSE, 20)
)
for (model in models) {
  start <- c(model[[4]], if (model[[3]]) 0.2)
  text <- sprintf("%s(latitude, longitude | field%s)", model[[1]], if (model[[3]]) ", nugget=True" else "")
  witness <- fit_gls(yield ~ variety, wheat, correlation = model[[2]](start, form = ~ latitude + longitude, nugget = model[[3]]))
  found <- log(coef(witness$modelStruct$corStruct, unconstrained = FALSE)[1])
  rest <- if (model[[3]]) -1.5
  case <- add(case, paste0("wheat_", model[[1]], if (model[[3]]) "_nugget"),
    cluster_fit(wheat$yield, X, wheat$field, correlation_distance(model[[1]], coordinates, log(model[[4]]), model[[3]]),
      other_starts = list(c(found, rest, 2))
    ), formula = "yield ~ variety", data = own, options = list(residual = text), witness = witness_of(witness)
  )
}
write_case(case)
