# Fits on the boundary: dyestuff2, constructed singular covariances, and forty small random-slope problems.
# For the small problems the best criterion over lme4's four optimisers and three starts counts.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("singular", "fits with a singular random-effects covariance, and close to one")
dyestuff2 <- dataset("dyestuff2")
for (REML in c(TRUE, FALSE)) {
  case <- add(case, paste0("dyestuff2_", if (REML) "reml" else "ml"), fit_lmer(Yield ~ 1 + (1 | Batch), dyestuff2, REML),
    formula = "Yield ~ 1 + (1 | Batch)", data = "dyestuff2"
  )
}
dyestuff2$x <- rep(c(-2, -1, 0, 1, 2), 6)
own <- case_data(dyestuff2, "dyestuff2.csv.gz")
case <- add(case, "dyestuff2_slope", fit_lmer(Yield ~ x + (1 + x | Batch), dyestuff2),
  formula = "Yield ~ x + (1 + x | Batch)", data = own
)
case <- add(case, "dyestuff2_slope_uncorrelated", fit_lmer(Yield ~ x + (1 + x || Batch), dyestuff2),
  formula = "Yield ~ x + (1 + x || Batch)", data = own
)
pastes <- dataset("pastes")
case <- add(case, "pastes_wrong_nesting", fit_lmer(strength ~ 1 + (1 | batch) + (1 | cask), pastes),
  formula = "strength ~ 1 + (1 | batch) + (1 | cask)", data = "pastes"
)

draw_problem <- function(problem) {
  set.seed(problem)
  groups <- sample(6:14, 1)
  each <- sample(4:8, 1)
  frame <- data.frame(problem = problem, g = rep(seq_len(groups), each = each), x = round(rnorm(groups * each), 3))
  sd <- c(sample(c(0, 0.3, 1), 1), sample(c(0, 0.1, 0.3), 1))
  correlation <- sample(c(-0.95, 0, 0.8), 1)
  z <- matrix(rnorm(2 * groups), groups)
  b0 <- sd[1] * z[, 1]
  b1 <- sd[2] * (correlation * z[, 1] + sqrt(1 - correlation^2) * z[, 2])
  frame$y <- round(1 + 0.5 * frame$x + b0[frame$g] + b1[frame$g] * frame$x + rnorm(nrow(frame)), 4)
  frame
}
problems <- do.call(rbind, lapply(1:40, draw_problem))
problems$g <- factor(problems$g)
own <- case_data(transform(problems, problem = as.integer(problem)), "problems.csv.gz")

best_of_starts <- function(frame) {
  starts <- list(c(1, 0, 1), c(0.3, 0.1, 0.1), c(0.5, -0.5, 0.5))
  fits <- lapply(starts, function(start) {
    fit_lmer(y ~ x + (1 + x | g), frame, REML = frame$problem[1] %% 2 == 1, start = start)
  })
  fits[[which.min(vapply(fits, function(fit) -2 * as.numeric(logLik(fit)), 0))]]
}
flat <- list(criterion = 1e-5, estimate = 2e-3, reason = paste(
  "The intercept's standard deviation is 5e-5 of the error's at the optimum; within 1e-7 of the minimum of -2l it can",
  "be anything from 0 to 1e-4, and lme4's optimisers spread over that range."
))
for (problem in 1:40) {
  frame <- droplevels(problems[problems$problem == problem, ])
  fit <- best_of_starts(frame)
  case <- add(case, sprintf("slopes_%02d", problem), fit,
    formula = "y ~ x + (1 + x | g)", data = c(own, list(where = list(problem = problem))),
    tolerance = if (problem == 26) flat
  )
}
write_case(case)
