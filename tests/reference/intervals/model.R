# Profile likelihood intervals of lme4, on models fitted by maximum likelihood.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
one <- function(fit) {
  pr <- profile(fit, signames = FALSE)
  ci <- confint(pr)
  list(term = rownames(ci), low = unname(ci[, 1]), high = unname(ci[, 2]))
}
control <- lmerControl(optimizer = "bobyqa")
oats <- dataset("oats")
growth <- dataset("orthodont")[-c(3, 10, 44, 45), ]
models <- list(
  sleepstudy = lmer(Reaction ~ Days + (Days | Subject), dataset("sleepstudy"), REML = FALSE, control = control),
  dyestuff = lmer(Yield ~ 1 + (1 | Batch), dataset("dyestuff"), REML = FALSE, control = control),
  dyestuff2 = lmer(Yield ~ 1 + (1 | Batch), dataset("dyestuff2"), REML = FALSE, control = control),
  penicillin = lmer(diameter ~ 1 + (1 | plate) + (1 | sample), dataset("penicillin"), REML = FALSE, control = control),
  uncorrelated = lmer(Reaction ~ Days + (1 | Subject) + (0 + Days | Subject), dataset("sleepstudy"), REML = FALSE, control = control),
  split_plot = lmer(yield ~ nitro + Variety + (1 | Block) + (1 | Block:Variety), oats, REML = FALSE, control = control),
  pastes = lmer(strength ~ 1 + (1 | batch) + (1 | sample), dataset("pastes"), REML = FALSE, control = control),
  cake = lmer(angle ~ recipe + temp + (1 | recipe:replicate), dataset("cake"), REML = FALSE, control = control),
  unbalanced = lmer(Y ~ age * sex + (1 | id), growth, REML = FALSE, control = control)
)
write_json(lapply(models, one), file.path(here, "intervals.json"), digits = 10, auto_unbox = TRUE, pretty = TRUE)
