# Correlated and uncorrelated intercepts and slopes; a factor under | and ||.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("sleepstudy", "random intercepts and slopes; | and || with a numeric and with a factor")
frame <- dataset("sleepstudy")
frame$phase <- factor(ifelse(frame$Days < 2, "training", ifelse(frame$Days < 6, "early", "late")),
  levels = c("training", "early", "late")
)
frame$phasetraining <- as.numeric(frame$phase == "training")
frame$phaseearly <- as.numeric(frame$phase == "early")
frame$phaselate <- as.numeric(frame$phase == "late")
own <- case_data(frame[c("Reaction", "Days", "Subject", "phase")], "data.csv.gz")

for (REML in c(TRUE, FALSE)) {
  suffix <- if (REML) "reml" else "ml"
  case <- add(case, paste0("slope_", suffix), fit_lmer(Reaction ~ Days + (Days | Subject), frame, REML),
    formula = "Reaction ~ Days + (Days | Subject)", data = "sleepstudy"
  )
  case <- add(case, paste0("uncorrelated_", suffix), fit_lmer(Reaction ~ Days + (Days || Subject), frame, REML),
    formula = "Reaction ~ Days + (Days || Subject)", data = "sleepstudy"
  )
}
case <- add(case, "intercept", fit_lmer(Reaction ~ Days + (1 | Subject), frame),
  formula = "Reaction ~ Days + (1 | Subject)", data = "sleepstudy"
)
case <- add(case, "two_bars", fit_lmer(Reaction ~ 1 + Days + (1 | Subject) + (0 + Days | Subject), frame),
  formula = "Reaction ~ 1 + Days + (1 | Subject) + (0 + Days | Subject)", data = "sleepstudy"
)
case <- add(case, "slope_only", fit_lmer(Reaction ~ Days + (0 + Days | Subject), frame),
  formula = "Reaction ~ Days + (Days - 1 | Subject)", data = "sleepstudy"
)
case <- add(case, "log_response", fit_lmer(log(Reaction) ~ Days + I(Days^2) + (Days | Subject), frame),
  formula = "log(Reaction) ~ Days + I(Days^2) + (Days | Subject)", data = "sleepstudy"
)
# three correlated effects; the optimum is on the boundary of the parameter space
case <- add(case, "factor_correlated", fit_lmer(Reaction ~ phase + (0 + phase | Subject), frame),
  formula = "Reaction ~ phase + (0 + phase | Subject)", data = own
)
# || with a factor means one variance per column of its coding, never a correlation
case <- add(case, "factor_uncorrelated", fit_lmer(
  Reaction ~ phase + (1 | Subject) + (0 + phaseearly | Subject) + (0 + phaselate | Subject), frame
), formula = "Reaction ~ phase + (phase || Subject)", data = own, note = "lme4 model written with dummy columns")
case <- add(case, "factor_uncorrelated_by_level", fit_lmer(
  Reaction ~ phase + (0 + phasetraining | Subject) + (0 + phaseearly | Subject) + (0 + phaselate | Subject), frame
), formula = "Reaction ~ phase + (0 + phase || Subject)", data = own, note = "lme4 model written with dummy columns")
case <- add(case, "intercept_and_interaction", fit_lmer(Reaction ~ Days + (1 | Subject) + (1 | Subject:phase), frame),
  formula = "Reaction ~ Days + (1 | Subject/phase)", data = own
)
write_case(case)
