# Crossed factors: complete (penicillin) and large and incomplete (insteval).
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("crossed", "crossed random factors", tolerance = default_tolerance)
penicillin <- dataset("penicillin")
for (REML in c(TRUE, FALSE)) {
  suffix <- if (REML) "reml" else "ml"
  case <- add(case, paste0("penicillin_", suffix), fit_lmer(diameter ~ 1 + (1 | plate) + (1 | sample), penicillin, REML),
    formula = "diameter ~ 1 + (1 | plate) + (1 | sample)", data = "penicillin"
  )
}
case <- add(case, "penicillin_fixed_sample", fit_lmer(diameter ~ 0 + sample + (1 | plate), penicillin),
  formula = "diameter ~ 0 + sample + (1 | plate)", data = "penicillin"
)
set.seed(29)
ratings <- expand.grid(subject = 1:30, item = 1:24)
ratings <- ratings[sort(sample(nrow(ratings), 420)), ]
ratings$x <- round(runif(nrow(ratings), -1, 1), 3)
b <- matrix(rnorm(60), 30) %*% chol(matrix(c(1, 0.3, 0.3, 0.5), 2))
ratings$y <- round(4 + ratings$x + b[ratings$subject, 1] + b[ratings$subject, 2] * ratings$x +
  rnorm(24, 0, 0.7)[ratings$item] + 0.4 * rnorm(24)[ratings$item] * ratings$x + rnorm(nrow(ratings)), 3)
ratings[c("subject", "item")] <- lapply(ratings[c("subject", "item")], factor)
own <- case_data(ratings, "ratings.csv.gz")
case <- add(case, "crossed_intercepts", fit_lmer(y ~ x + (1 | subject) + (1 | item), ratings),
  formula = "y ~ x + (1 | subject) + (1 | item)", data = own
)
case <- add(case, "crossed_slopes", fit_lmer(y ~ x + (1 + x | subject) + (1 + x | item), ratings),
  formula = "y ~ x + (1 + x | subject) + (1 + x | item)", data = own
)
case <- add(case, "crossed_mixed_bars", fit_lmer(y ~ x + (1 + x || subject) + (1 | item), ratings, REML = FALSE),
  formula = "y ~ x + (1 + x || subject) + (1 | item)", data = own
)

insteval <- dataset("insteval")
large <- list(
  criterion = 1e-5, estimate = 1e-5,
  reason = "lme4's derivative-free optimum of a criterion near 2.4e5 is polished by Newton steps with numerical derivatives."
)
fit_large <- function(formula, REML = TRUE) fit_lmer(formula, insteval, REML, optimisers = c("bobyqa", "nloptwrap"))
case <- add(case, "insteval_two", fit_large(y ~ service + (1 | s) + (1 | d)),
  formula = "y ~ service + (1 | s) + (1 | d)", data = "insteval", tolerance = large
)
case <- add(case, "insteval_three", fit_large(y ~ 1 + (1 | s) + (1 | d) + (1 | dept)),
  formula = "y ~ 1 + (1 | s) + (1 | d) + (1 | dept)", data = "insteval", tolerance = large
)
case <- add(case, "insteval_dept_service", fit_large(y ~ service + (1 | s) + (1 | d) + (1 | dept:service), REML = FALSE),
  formula = "y ~ service + (1 | s) + (1 | d) + (1 | dept:service)", data = "insteval", tolerance = large
)
write_case(case)
