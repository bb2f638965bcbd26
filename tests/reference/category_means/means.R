# Means of ordered categories by ordinal and emmeans: prints figures.json. Rscript means.R > figures.json
suppressMessages({library(ordinal); library(emmeans); library(jsonlite)})
data(wine)
fits <- list(
  fixed = clm(rating ~ temp + contact, data = wine),
  mixed = clmm(rating ~ temp + contact + (1 | judge), data = wine),
  probit = clmm(rating ~ temp * contact + (1 | judge), data = wine, link = "probit")
)
modes <- c(latent = "latent", mean = "mean.class")
found <- lapply(fits, function(fit) {
  out <- lapply(modes, function(mode) {
    found <- as.data.frame(emmeans(fit, "temp", mode = mode))
    list(level = as.character(found$temp), estimate = found[[2]], std_error = found$SE)
  })
  prob <- as.data.frame(emmeans(fit, ~ rating | temp, mode = "prob"))
  out$prob <- list(level = paste(prob$temp, prob$rating), estimate = prob$prob, std_error = prob$SE)
  cum <- as.data.frame(emmeans(fit, ~ cut | temp, mode = "cum.prob"))
  out$cumulative <- list(level = paste(cum$temp, sub("\\|.*", "", cum$cut)), estimate = cum$cumprob, std_error = cum$SE)
  pairs <- as.data.frame(pairs(emmeans(fit, ~ temp | rating, mode = "prob")))
  out$pairs <- list(level = as.character(pairs$rating), estimate = pairs$estimate, std_error = pairs$SE)
  out
})
cat(toJSON(found, digits = 12, auto_unbox = TRUE, pretty = FALSE), "\n")
