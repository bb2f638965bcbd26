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
  list("exp", corExp, FALSE), list("gau", corGaus, FALSE), list("rq", corRatio, FALSE),
  list("gau", corGaus, TRUE), list("rq", corRatio, TRUE)
)
# Left out: exp and sph with a nugget, whose range grows without bound on these data (a linear variogram), and sph and
# lin_sp without one, whose likelihood has a kink at every distance between plots and many local minima.
for (model in models) {
  text <- sprintf("%s(latitude, longitude | field%s)", model[[1]], if (model[[3]]) ", nugget=True" else "")
  fit <- cluster_fit(wheat$yield, X, wheat$field, correlation_distance(model[[1]], coordinates, 2, model[[3]]),
    other_starts = lapply(seq(0.5, 3.5, 0.5), function(range) c(range, if (model[[3]]) -1.5, 2))
  )
  case <- add(case, paste0("wheat_", model[[1]], if (model[[3]]) "_nugget"), fit,
    formula = "yield ~ variety", data = own, options = list(residual = text),
    witness = witness_at(yield ~ variety, wheat, fit, model[[2]], ~ latitude + longitude)
  )
}
write_case(case)
