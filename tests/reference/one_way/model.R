# One-way random effects: rail (the tutorial's first model) and dyestuff.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("one_way", "one-way random effects, REML and ML")
rail <- dataset("rail")
dyestuff <- dataset("dyestuff")
for (REML in c(TRUE, FALSE)) {
  suffix <- if (REML) "reml" else "ml"
  case <- add(case, paste0("rail_", suffix), fit_lmer(travel ~ 1 + (1 | Rail), rail, REML),
    formula = "travel ~ 1 + (1 | Rail)", data = "rail"
  )
  case <- add(case, paste0("dyestuff_", suffix), fit_lmer(Yield ~ 1 + (1 | Batch), dyestuff, REML),
    formula = "Yield ~ 1 + (1 | Batch)", data = "dyestuff"
  )
}
write_case(case)
