# Several correlated random effects per level: factors and polynomials.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("vector_effects", "vector-valued random effects")
machines <- dataset("machines")
for (REML in c(TRUE, FALSE)) {
  suffix <- if (REML) "reml" else "ml"
  case <- add(case, paste0("machine_by_worker_", suffix), fit_lmer(score ~ Machine + (0 + Machine | Worker), machines, REML),
    formula = "score ~ Machine + (0 + Machine | Worker)", data = "machines"
  )
}
case <- add(case, "machine_with_intercept", fit_lmer(score ~ Machine + (Machine | Worker), machines),
  formula = "score ~ Machine + (Machine | Worker)", data = "machines"
)
ovary <- dataset("ovary")
ovary$angle <- 2 * pi * ovary$Time
own <- case_data(ovary, "ovary.csv.gz")
case <- add(case, "ovary_waves", fit_lmer(follicles ~ sin(angle) + cos(angle) + (1 + sin(angle) | Mare), ovary),
  formula = "follicles ~ sin(angle) + cos(angle) + (1 + sin(angle) | Mare)", data = own
)
bodyweight <- dataset("bodyweight")
case <- add(case, "growth_slope", fit_lmer(weight ~ Time * Diet + (Time | Rat), bodyweight),
  formula = "weight ~ Time * Diet + (Time | Rat)", data = "bodyweight"
)
case <- add(case, "growth_quadratic", fit_lmer(
  weight ~ Diet * I(Time / 10) + I((Time / 10)^2) + (1 + I(Time / 10) + I((Time / 10)^2) | Rat), bodyweight
), formula = "weight ~ Diet * I(Time / 10) + I((Time / 10)^2) + (1 + I(Time / 10) + I((Time / 10)^2) | Rat)", data = "bodyweight")
oats <- dataset("oats")
case <- add(case, "variety_by_block", fit_lmer(yield ~ Variety * nitro + (0 + Variety | Block), oats),
  formula = "yield ~ Variety * nitro + (0 + Variety | Block)", data = "oats"
)
write_case(case)
