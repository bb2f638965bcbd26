# Correlation matrices of nlme's corStruct classes. Run in this folder: Rscript nlme_correlations.R
library(nlme)
library(jsonlite)

times <- c(0, 0.7, 1, 2.5, 4)
plane <- data.frame(x = c(0, 1, 0.5, 2, 1.5), y = c(0, 0.2, 1, 1.5, 0.1), t = times, o = 1:5)
m <- function(structure) {
  out <- corMatrix(Initialize(structure, plane))
  unname(matrix(as.numeric(out), 5, 5))
}
cases <- list(
  list(structure = "cs", values = c(0.3), matrix = m(corCompSymm(0.3, ~1))),
  list(structure = "ar1", values = c(-0.6), matrix = m(corAR1(-0.6, ~o))),
  list(structure = "car1", coordinates = "t", values = c(0.4), matrix = m(corCAR1(0.4, ~t))),
  list(structure = "arma", order = c(2, 0), values = c(0.5, 0.2), matrix = m(corARMA(c(0.5, 0.2), ~o, p = 2, q = 0))),
  list(structure = "arma", order = c(0, 2), values = c(0.5, 0.2), matrix = m(corARMA(c(0.5, 0.2), ~o, p = 0, q = 2))),
  list(structure = "arma", order = c(2, 1), values = c(0.5, -0.3, 0.4),
       matrix = m(corARMA(c(0.5, -0.3, 0.4), ~o, p = 2, q = 1))),
  list(structure = "exp", coordinates = "xy", values = c(1.3), matrix = m(corExp(1.3, ~ x + y))),
  list(structure = "gau", coordinates = "xy", values = c(1.3), matrix = m(corGaus(1.3, ~ x + y))),
  list(structure = "rq", coordinates = "xy", values = c(1.3), matrix = m(corRatio(1.3, ~ x + y))),
  list(structure = "sph", coordinates = "xy", values = c(1.3), matrix = m(corSpher(1.3, ~ x + y))),
  list(structure = "lin_sp", coordinates = "t", values = c(1 / 2.6), matrix = m(corLin(2.6, ~t))),
  list(structure = "exp", coordinates = "xy", values = c(1.3), nugget = 0.2,
       matrix = m(corExp(c(1.3, 0.2), ~ x + y, nugget = TRUE)))
)
write_json(list(
  versions = list(R = paste(R.version$major, R.version$minor, sep = "."), nlme = as.character(packageVersion("nlme"))),
  plane = plane, cases = cases
), "nlme_correlations.json", digits = NA, auto_unbox = FALSE, pretty = TRUE)
