# The tutorial's lmer model for the orthodontic growth data, and every bar form on the same data.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("orthodont_lmer", "separate random intercepts by sex, intercepts and slopes, every bar form")
orth <- dataset("orthodont")

both <- function(case, id, formula, ours, methods = c("reml", "ml")) {
  for (method in methods) {
    case <- add(case, paste0(id, "_", method), fit_lmer(formula, orth, REML = method == "reml"), formula = ours,
      data = "orthodont"
    )
  }
  case
}
case <- both(case, "seed", Y ~ 0 + fem + male + fem:age + male:age + (0 + fem | id) + (0 + male | id),
  "Y ~ 0 + fem + male + fem:age + male:age + (0 + fem | id) + (0 + male | id)"
)
case <- both(case, "intercept", Y ~ age * sex + (1 | id), "Y ~ age * sex + (1 | id)")
case <- both(case, "slope", Y ~ age * sex + (1 + age | id), "Y ~ age * sex + (age | id)")
case <- both(case, "slope_centred", Y ~ I(age - 11) * sex + (1 + I(age - 11) | id),
  "Y ~ I(age - 11) * sex + (1 + I(age - 11) | id)", "reml"
)
case <- both(case, "uncorrelated", Y ~ age * sex + (1 | id) + (0 + age | id), "Y ~ age * sex + (1 + age || id)", "reml")
case <- both(case, "slope_only", Y ~ age + sex + (0 + age | id), "Y ~ age + sex + (0 + age | id)", "reml")
case <- both(case, "repeated_measures_anova", Y ~ sex * factor(age) + (1 | id), "Y ~ sex * factor(age) + (1 | id)", "reml")
case <- both(case, "quadratic", Y ~ sex + age + I(age^2) + (1 | id), "Y ~ sex + age + I(age^2) + (1 | id)", "ml")
write_case(case)
