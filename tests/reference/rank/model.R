# Which columns lm() and lmer() keep of designs with powers, copies in other units, dummies and empty cells.
library(jsonlite)
library(lme4)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))

rows <- 0:119
data <- data.frame(
  t = rows %% 10, h = factor(c("a", "b")[1 + rows %/% 10 %% 2]), k = factor(c("u", "v", "w")[1 + rows %/% 20 %% 3]),
  g = factor(sprintf("g%02d", rows %/% 10)), z = round(sin(rows * 1.7), 2), y = round(cos(rows * 0.9) + 0.2 * (rows %% 10), 3)
)
data$year <- 2010 + data$t
data$day <- 44927 + 30 * data$t
data$fahrenheit <- 1.8 * data$z + 32
data$total <- data$z + data$year
data$a <- round(abs(sin(rows * 0.7)) / 3, 3)
data$b <- round(abs(cos(rows * 0.4)) / 3, 3)
data$c <- 1 - data$a - data$b
formulas <- list(
  list("years squared by a factor", "y ~ (year + I(year^2)) * h", "y ~ (year + I(year**2)) * h"),
  list("years cubed", "y ~ year + I(year^2) + I(year^3)", "y ~ year + I(year**2) + I(year**3)"),
  list("the square about its centre again", "y ~ year + I(year^2) + I((year - 2014)^2)", "y ~ year + I(year**2) + I((year - 2014)**2)"),
  list("other units", "y ~ z + fahrenheit + h", "y ~ z + fahrenheit + h"),
  list("a sum", "y ~ z + year + total + h", "y ~ z + year + total + h"),
  list("fractions of a whole", "y ~ a + b + c + h", "y ~ a + b + c + h"),
  list("cell means and a slope each", "y ~ 0 + k + year + k:year", "y ~ 0 + k + year + k:year"),
  list("days squared", "y ~ day + I(day^2) + h", "y ~ day + I(day**2) + h"),
  list("years by a factor, years before", "y ~ year * h + I(year - 2000)", "y ~ year * h + I(year - 2000)"),
  list("an interaction with an empty cell", "y ~ h * k", "y ~ h * k")
)
results <- lapply(formulas, function(asked) {
  used <- if (grepl("empty", asked[[1]])) subset(data, !(h == "b" & k == "w")) else data
  ordinary <- lm(as.formula(asked[[2]]), used)
  mixed <- suppressMessages(suppressWarnings(lmer(as.formula(paste(asked[[2]], "+ (1 | g)")), used)))
  list(
    id = unbox(asked[[1]]), call = unbox(asked[[2]]), formula = unbox(asked[[3]]), n = unbox(nrow(used)),
    aliased_lm = is.na(unname(coef(ordinary))),
    kept_lmer = unbox(length(fixef(mixed))),
    fitted_first = unname(fitted(ordinary))[1:5], rss = unbox(sum(resid(ordinary)^2))
  )
})
columns <- lapply(data, function(x) if (is.factor(x)) as.character(x) else x)
write_json(
  list(case = unbox("rank"), R = unbox(R.version.string), data = columns, models = results),
  file.path(here, "columns.json"), digits = NA, pretty = FALSE
)
