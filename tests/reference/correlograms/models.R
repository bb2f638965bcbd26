# Autocorrelations and semivariograms of Pearson residuals by nlme, of lme (conditional residuals) and gls.
#   Rscript models.R > correlograms.json
library(nlme); library(jsonlite)
ovary <- Ovary; ovary$Mare <- factor(as.character(ovary$Mare))
mares <- lme(follicles ~ sin(2*pi*Time) + cos(2*pi*Time), random = ~ 1 | Mare, data = ovary,
             control = lmeControl(msTol = 1e-10, tolerance = 1e-10))
rows <- ACF(mares, maxLag = 8, resType = "pearson")
orth <- as.data.frame(Orthodont)
visits <- gls(distance ~ Sex * age, orth, correlation = corAR1(form = ~ 1 | Subject))
lags <- ACF(visits, form = ~ 1 | Subject, resType = "pearson")
pairs <- Variogram(visits, form = ~ age | Subject, resType = "pearson")
cat(toJSON(list(r = R.version.string, nlme = as.character(packageVersion("nlme")),
  mares = list(lag = rows$lag, acf = rows$ACF),
  visits = list(lag = lags$lag, acf = lags$ACF),
  variogram = list(dist = pairs$dist, variog = pairs$variog)), digits = 10, auto_unbox = TRUE, pretty = TRUE))
