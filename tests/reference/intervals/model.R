suppressMessages({library(lme4); library(jsonlite)})
one <- function(fit) {
  pr <- profile(fit, signames = FALSE)
  ci <- confint(pr)
  list(term = rownames(ci), low = unname(ci[, 1]), high = unname(ci[, 2]))
}
control <- lmerControl(optimizer = "bobyqa")
models <- list(
  sleepstudy = lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE, control = control),
  dyestuff = lmer(Yield ~ 1 + (1 | Batch), Dyestuff, REML = FALSE, control = control),
  dyestuff2 = lmer(Yield ~ 1 + (1 | Batch), Dyestuff2, REML = FALSE, control = control),
  penicillin = lmer(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin, REML = FALSE, control = control)
)
write_json(lapply(models, one), "intervals.json", digits = 10, auto_unbox = TRUE, pretty = TRUE)
