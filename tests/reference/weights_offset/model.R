# Known precision weights, var(e_i) = sigma^2 / w_i, and offsets.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("weights_offset", "precision weights and offsets")
set.seed(41)
sleep <- dataset("sleepstudy")
sleep$w <- sample(1:6, nrow(sleep), replace = TRUE)
sleep$shift <- round(5 * sin(sleep$Days) + rnorm(nrow(sleep)), 3)
own <- case_data(transform(sleep, w = as.integer(w)), "sleepstudy.csv.gz")
for (REML in c(TRUE, FALSE)) {
  suffix <- if (REML) "reml" else "ml"
  case <- add(case, paste0("weights_", suffix), fit_lmer(Reaction ~ Days + (Days | Subject), sleep, REML, weights = sleep$w),
    formula = "Reaction ~ Days + (Days | Subject)", data = own, weights = "w"
  )
  case <- add(case, paste0("offset_", suffix), fit_lmer(Reaction ~ Days + (1 | Subject), sleep, REML, offset = sleep$shift),
    formula = "Reaction ~ Days + offset(shift) + (1 | Subject)", data = own
  )
}
case <- add(case, "weights_and_offset", fit_lmer(Reaction ~ Days + (1 + Days || Subject), sleep,
  weights = sleep$w, offset = sleep$shift
), formula = "Reaction ~ Days + offset(shift) + (1 + Days || Subject)", data = own, weights = "w")
penicillin <- dataset("penicillin")
penicillin$w <- round(runif(nrow(penicillin), 0.2, 3), 3)
own <- case_data(penicillin, "penicillin.csv.gz")
case <- add(case, "crossed_weights", fit_lmer(diameter ~ 1 + (1 | plate) + (1 | sample), penicillin, weights = penicillin$w),
  formula = "diameter ~ 1 + (1 | plate) + (1 | sample)", data = own, weights = "w"
)
write_case(case)
