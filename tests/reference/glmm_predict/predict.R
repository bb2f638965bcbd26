# Predictions that several linear predictors have a part in, by glmmTMB and ordinal, as the reference of
# tests/reference/test_glmm_predict.py.
#
#   Rscript predict.R > predict.json
suppressWarnings(suppressPackageStartupMessages({
  library(glmmTMB)
  library(ordinal)
  library(jsonlite)
}))
rows <- c(1, 31, 101, 301)
salamanders <- glmmTMB::Salamanders
tight <- glmmTMBControl(optCtrl = list(iter.max = 2000, eval.max = 2000, rel.tol = 1e-13))
fits <- list(
  zip_glm = glmmTMB(count ~ mined + spp, ziformula = ~mined, family = poisson, data = salamanders, control = tight),
  hurdle_glm = glmmTMB(count ~ mined, ziformula = ~mined, family = truncated_nbinom2, data = salamanders, control = tight),
  nb2_glm = glmmTMB(count ~ mined, dispformula = ~mined, family = nbinom2, data = salamanders, control = tight),
  zip = glmmTMB(count ~ mined + spp + (1 | site), ziformula = ~ mined + (1 | spp), family = poisson,
                data = salamanders, control = tight)
)
types <- c(link = "link", response = "response", conditional = "conditional", zero = "zprob", dispersion = "disp")
out <- list()
for (name in names(fits)) {
  for (type in names(types)) {
    if (type == "dispersion" && name != "nb2_glm") next
    if (type == "zero" && name == "nb2_glm") next
    found <- lapply(predict(fits[[name]], type = types[[type]], se.fit = TRUE), function(x) x[rows])
    out[[length(out) + 1]] <- list(
      model = name, type = type, fit = unname(found$fit), se = unname(found$se.fit), theta = name == "zip"
    )
  }
}
wine <- ordinal::wine
clm1 <- clm(rating ~ temp + contact, data = wine)
at <- expand.grid(temp = c("cold", "warm"), rating = factor(1:5, ordered = TRUE))
at$contact <- factor(ifelse(at$temp == "cold", "no", "yes"), levels = c("no", "yes"))
found <- predict(clm1, newdata = at, se.fit = TRUE, interval = TRUE)
for (k in 1:5) {
  own <- at$rating == k
  out[[length(out) + 1]] <- list(model = "clm", type = as.character(k), fit = found$fit[own], se = found$se.fit[own],
    lower = found$lwr[own], upper = found$upr[own])
}
cat(toJSON(out, digits = 10, auto_unbox = TRUE, pretty = TRUE), "\n")
