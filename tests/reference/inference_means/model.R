# Estimated marginal means, comparisons under every adjustment, slopes and joint tests by R's emmeans.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
suppressPackageStartupMessages({
  library(lmerTest)
  library(emmeans)
})
set.seed(1)
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e6), calc.derivs = FALSE)
tables <- list()
put <- function(id, formula, data, call, printed) {
  printed <- as.data.frame(printed)
  pick <- function(...) {
    found <- intersect(c(...), names(printed))
    if (length(found)) printed[[found[1]]]
  }
  tables[[length(tables) + 1]] <<- Filter(Negate(is.null), list(
    id = id, formula = formula, data = data, call = call,
    estimate = pick("estimate", "emmean", "Days.trend", "nitro.trend"), std_error = pick("SE"), df = pick("df"),
    statistic = pick("t.ratio", "F.ratio"), p_value = pick("p.value"), conf_low = pick("lower.CL"),
    conf_high = pick("upper.CL"), num_df = pick("df1"), den_df = pick("df2"), group = pick(".group")
  ))
}
contrasts_of <- function(id, formula, data, specs, means, methods) {
  for (method in methods) {
    put(paste(id, method, sep = "_"), formula, data, list(specs = specs, contrast = method),
      summary(contrast(means, method), infer = TRUE))
  }
}

oats <- dataset("oats")
oats$nitrogen <- factor(oats$nitro)
names(oats)[names(oats) == "yield"] <- "response"
whole <- case_data(oats, "oats.csv.gz")
text <- "response ~ Variety * nitrogen + (1 | Block) + (1 | Block:Variety)"
fit <- lmer(response ~ Variety * nitrogen + (1 | Block) + (1 | Block:Variety), oats, control = tight)
put("oats_variety", text, whole, list(specs = "Variety"), emmeans(fit, "Variety"))
put("oats_overall", text, whole, list(specs = "1"), emmeans(fit, "1"))
put("oats_within", text, whole, list(specs = "Variety", by = "nitrogen"), emmeans(fit, "Variety", by = "nitrogen"))
nitrogen <- emmeans(fit, "nitrogen")
contrasts_of("oats", text, whole, "nitrogen", nitrogen,
  c("pairwise", "revpairwise", "trt.vs.ctrl", "trt.vs.ctrlk", "consec", "poly", "eff", "del.eff", "mean_chg"))
for (adjust in c("sidak", "bonferroni", "holm", "hochberg", "hommel", "BH", "BY", "scheffe", "mvt", "none", "tukey")) {
  put(paste0("oats_adjust_", adjust), text, whole, list(specs = "nitrogen", contrast = "pairwise", adjust = tolower(adjust)),
    summary(contrast(nitrogen, "pairwise", adjust = adjust), infer = TRUE))
}
put("oats_pairs_within", text, whole, list(specs = "Variety", by = "nitrogen", contrast = "pairwise"),
  summary(pairs(emmeans(fit, "Variety", by = "nitrogen")), infer = TRUE))
put("oats_interaction", text, whole, list(specs = c("Variety", "nitrogen"), interaction = c("pairwise", "poly")),
  summary(contrast(emmeans(fit, c("Variety", "nitrogen")), interaction = c("pairwise", "poly")), infer = TRUE))
put("oats_joint", text, whole, list(joint = TRUE), joint_tests(fit))

gaps <- oats[!(oats$Variety == "Victory" & oats$nitro == 0.6), ]
gaps <- gaps[seq_len(nrow(gaps) - 5), ]
holed <- case_data(gaps, "gaps.csv.gz")
fit <- lmer(response ~ Variety * nitrogen + (1 | Block) + (1 | Block:Variety), gaps, control = tight)
put("gaps_variety", text, holed, list(specs = "Variety"), emmeans(fit, "Variety"))
for (weights in c("cells", "proportional", "outer")) {
  put(paste0("gaps_", weights), text, holed, list(specs = "nitrogen", weights = weights),
    emmeans(fit, "nitrogen", weights = weights))
}
main <- "response ~ Variety + nitrogen + (1 | Block) + (1 | Block:Variety)"
fit <- lmer(response ~ Variety + nitrogen + (1 | Block) + (1 | Block:Variety), gaps, control = tight)
for (weights in c("equal", "cells", "proportional", "outer")) {
  put(paste0("gaps_main_", weights), main, holed, list(specs = "nitrogen", weights = weights),
    emmeans(fit, "nitrogen", weights = weights))
}
put("gaps_main_pairs", main, holed, list(specs = "Variety", contrast = "pairwise"),
  summary(pairs(emmeans(fit, "Variety")), infer = TRUE))
slope <- "response ~ Variety * nitro + (1 | Block) + (1 | Block:Variety)"
fit <- lmer(response ~ Variety * nitro + (1 | Block) + (1 | Block:Variety), gaps, control = tight)
put("gaps_slope_variety", slope, holed, list(specs = "Variety"), emmeans(fit, "Variety"))
put("gaps_slope_at", slope, holed, list(specs = "Variety", by = "nitro", at = list(nitro = c(0, 0.5))),
  emmeans(fit, "Variety", by = "nitro", at = list(nitro = c(0, 0.5))))
put("gaps_trends", slope, holed, list(specs = "Variety", trend = "nitro"), emtrends(fit, "Variety", var = "nitro"))

text <- "Reaction ~ Days + (Days | Subject)"
fit <- lmer(Reaction ~ Days + (Days | Subject), dataset("sleepstudy"), control = tight)
put("sleepstudy_overall", text, "sleepstudy", list(specs = "1"), emmeans(fit, "1"))
put("sleepstudy_days", text, "sleepstudy", list(specs = "Days", at = list(Days = c(0, 4, 9))),
  emmeans(fit, "Days", at = list(Days = c(0, 4, 9))))
put("sleepstudy_trend", text, "sleepstudy", list(specs = "1", trend = "Days"), emtrends(fit, ~1, var = "Days"))

text <- "score ~ Machine + (Machine | Worker)"
fit <- lmer(score ~ Machine + (Machine | Worker), dataset("machines"), control = tight)
put("machines_means", text, "machines", list(specs = "Machine"), emmeans(fit, "Machine"))
put("machines_pairs", text, "machines", list(specs = "Machine", contrast = "pairwise"),
  summary(pairs(emmeans(fit, "Machine")), infer = TRUE))

text <- "diameter ~ 1 + (1 | plate) + (1 | sample)"
fit <- lmer(diameter ~ 1 + (1 | plate) + (1 | sample), dataset("penicillin"), control = tight)
put("penicillin_overall", text, "penicillin", list(specs = "1"), emmeans(fit, "1"))

text <- "angle ~ recipe * temperature + (1 | recipe:replicate)"
fit <- lmer(angle ~ recipe * temperature + (1 | recipe:replicate), dataset("cake"), control = tight)
put("cake_temperature", text, "cake", list(specs = "temperature"), emmeans(fit, "temperature"))
put("cake_pairs", text, "cake", list(specs = "temperature", contrast = "pairwise"),
  summary(pairs(emmeans(fit, "temperature")), infer = TRUE))
put("cake_joint", text, "cake", list(joint = TRUE), joint_tests(fit))

# towns nested in countries, a predictor of two values, an interaction, unbalanced throughout
set.seed(3)
towns <- data.frame(town = factor(rep(c("a", "b", "c", "d", "e"), 18)), block = factor(rep(1:15, each = 6)))
towns$country <- factor(ifelse(towns$town %in% c("a", "b"), "X", "Y"))
towns$treatment <- factor(sample(c("p", "q", "r"), 90, TRUE))
towns$half <- as.integer(sample(0:1, 90, TRUE))
towns$x <- round(rnorm(90), 3)
towns$y <- round(rnorm(90) + (towns$country == "Y") + towns$x * (towns$treatment == "q") + rnorm(15)[towns$block], 4)
nested <- case_data(towns, "towns.csv.gz")
text <- "y ~ country + country:town + treatment * half + x + (1 | block)"
fit <- lmer(y ~ country + country:town + treatment * half + x + (1 | block), towns, control = tight)
put("towns_country", text, nested, list(specs = "country"), emmeans(fit, "country"))
put("towns_town", text, nested, list(specs = "town"), emmeans(fit, "town"))
put("towns_treatment", text, nested, list(specs = "treatment"), emmeans(fit, "treatment"))
put("towns_half", text, nested, list(specs = "treatment", by = "half"), emmeans(fit, "treatment", by = "half"))
for (weights in c("proportional", "cells")) {
  put(paste0("towns_", weights), text, nested, list(specs = "treatment", weights = weights),
    emmeans(fit, "treatment", weights = weights))
}
put("towns_pairs", text, nested, list(specs = c("treatment", "country"), contrast = "pairwise"),
  summary(pairs(emmeans(fit, c("treatment", "country"))), infer = TRUE))

write_json(list(
  about = "Estimated marginal means by emmeans with Kenward-Roger df of pbkrtest (expected information)",
  software = paste("emmeans", packageVersion("emmeans"), "pbkrtest", packageVersion("pbkrtest"), "lme4", packageVersion("lme4")),
  tables = tables
), file.path(here, "tables.json"), auto_unbox = TRUE, digits = 12, na = "null")
