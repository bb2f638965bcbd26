# What R's emmeans does beyond means and pairs: transformed responses, nuisance factors, offsets, tests against margins,
# letters, tests by group, contrasts of trends, custom contrasts.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
suppressPackageStartupMessages({
  library(lmerTest)
  library(emmeans)
  library(multcomp)
})
set.seed(1)
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e6), calc.derivs = FALSE)
tables <- list()
put <- function(id, model, call, printed) {
  printed <- as.data.frame(printed)
  pick <- function(...) {
    found <- intersect(c(...), names(printed))
    if (length(found)) printed[[found[1]]]
  }
  tables[[length(tables) + 1]] <<- Filter(Negate(is.null), list(
    id = id, model = model, call = call,
    estimate = pick("estimate", "emmean", "response", "ratio", "x.trend", "the.emmean"),
    std_error = pick("SE"), df = pick("df"), statistic = pick("t.ratio", "F.ratio"), p_value = pick("p.value"),
    conf_low = pick("lower.CL"), conf_high = pick("upper.CL"), num_df = pick("df1"), den_df = pick("df2"),
    group = pick(".group"), by_level = if (!is.null(call$joint_tests$by)) as.character(pick(call$joint_tests$by)),
    term = as.character(pick("model term"))
  ))
}
set.seed(31)
n <- 72
plants <- data.frame(plot = factor(rep(1:12, each = 6)), soil = factor(rep(c("clay", "loam", "sand"), 24)),
  water = factor(rep(c("high", "high", "low"), length.out = n)[sample(n)]), year = factor(sample(2021:2024, n, TRUE)),
  lab = factor(sample(letters[1:5], n, TRUE)), x = round(runif(n, 0, 3), 3), t = round(runif(n, 1, 4), 3))
eta <- 1 + 0.3 * (plants$soil == "loam") + 0.2 * plants$x * (plants$water == "low") + rnorm(12, 0, 0.3)[plants$plot]
plants$y <- round(exp(eta + rnorm(n, 0, 0.25)), 4)
plants <- plants[-c(4, 9, 30, 31, 50), ]
where <- case_data(plants, "plants.csv.gz")
formulas <- list(
  log = "log(y) ~ soil * water + x + (1 | plot)",
  sqrt = "sqrt(y) ~ soil + water + x + (1 | plot)",
  shifted = "log(y + 1) ~ soil + water + x + (1 | plot)",
  plain = "y ~ soil * water + x + lab + year + (1 | plot)",
  offset = "y ~ soil + water + offset(log(t)) + (1 | plot)",
  slopes = "y ~ soil * x + water + (1 | plot)"
)
fits <- lapply(formulas, function(text) {
  do.call(lmerTest::lmer, list(as.formula(text), data = quote(plants), control = quote(tight)), quote = FALSE)
})

soil <- emmeans(fits$log, "soil")
put("log_link", "log", list(specs = "soil"), summary(soil, infer = TRUE))
put("log_response", "log", list(specs = "soil", type = "response"), summary(soil, type = "response", infer = c(TRUE, FALSE)))
put("log_ratios", "log", list(specs = "soil", type = "response", contrast = "pairwise"),
  summary(pairs(soil), type = "response", infer = TRUE))
put("log_bias", "log", list(specs = "soil", type = "response", bias_sigma = 0.4),
  summary(soil, type = "response", bias.adjust = TRUE, sigma = 0.4, infer = c(TRUE, FALSE)))
put("log_regrid", "log", list(specs = "soil", regrid = TRUE), summary(regrid(soil), infer = c(TRUE, FALSE)))
put("log_regrid_pairs", "log", list(specs = "soil", regrid = TRUE, contrast = "pairwise", adjust = "none"),
  summary(pairs(regrid(soil), adjust = "none"), infer = TRUE))
put("log_regrid_bias", "log", list(specs = "soil", regrid = TRUE, bias_sigma = 0.4),
  summary(regrid(soil, bias.adjust = TRUE, sigma = 0.4), infer = c(TRUE, FALSE)))
for (name in c("sqrt", "shifted")) {
  means <- emmeans(fits[[name]], "soil")
  put(paste0(name, "_response"), name, list(specs = "soil", type = "response"), summary(means, type = "response", infer = c(TRUE, FALSE)))
  put(paste0(name, "_bias"), name, list(specs = "soil", type = "response", bias_sigma = 0.3),
    summary(means, type = "response", bias.adjust = TRUE, sigma = 0.3, infer = c(TRUE, FALSE)))
  put(paste0(name, "_regrid"), name, list(specs = "soil", regrid = TRUE), summary(regrid(means), infer = c(TRUE, FALSE)))
}

plain <- fits$plain
put("nuisance", "plain", list(specs = c("soil", "water"), nuisance = c("lab", "year")),
  summary(emmeans(plain, c("soil", "water"), nuisance = c("lab", "year")), infer = c(TRUE, FALSE)))
put("nuisance_by", "plain", list(specs = "soil", by = "water", nuisance = "lab"),
  summary(emmeans(plain, "soil", by = "water", nuisance = "lab"), infer = c(TRUE, FALSE)))
put("offset", "offset", list(specs = "soil"), summary(emmeans(fits$offset, "soil"), infer = c(TRUE, FALSE)))
put("offset_given", "offset", list(specs = "soil", offset = 0.5), summary(emmeans(fits$offset, "soil", offset = 0.5), infer = c(TRUE, FALSE)))

lab <- emmeans(plain, "lab")
for (method in c("pairwise", "revpairwise", "trt.vs.ctrl", "trt.vs.ctrlk", "consec", "poly", "eff", "del.eff", "mean_chg")) {
  put(paste0("lab_", method), "plain", list(specs = "lab", contrast = method, adjust = "none"),
    summary(contrast(lab, method, adjust = "none"), infer = TRUE))
}
for (adjust in c("tukey", "sidak", "bonferroni", "holm", "hochberg", "hommel", "BH", "BY", "scheffe", "mvt")) {
  put(paste0("lab_adjust_", adjust), "plain", list(specs = "lab", contrast = "pairwise", adjust = tolower(adjust)),
    summary(contrast(lab, "pairwise", adjust = adjust), infer = TRUE))
}
put("lab_dunnettx", "plain", list(specs = "lab", contrast = "trt.vs.ctrl", adjust = "dunnettx"),
  summary(contrast(lab, "trt.vs.ctrl", adjust = "dunnettx"), infer = TRUE))
put("lab_ref", "plain", list(specs = "lab", contrast = "trt.vs.ctrl", ref = "c", adjust = "none"),
  summary(contrast(lab, "trt.vs.ctrl", ref = "c", adjust = "none"), infer = TRUE))
custom <- list(ends = c(-1, 0, 0, 0, 1), "a,b against rest" = c(0.5, 0.5, -1 / 3, -1 / 3, -1 / 3))
put("lab_custom", "plain", list(specs = "lab", custom = custom), summary(contrast(lab, custom), infer = TRUE))
put("lab_custom_joint", "plain", list(specs = "lab", custom = custom, joint = TRUE), test(contrast(emmeans(plain, "lab", lmer.df = "satterthwaite"), custom), joint = TRUE))
pairs_of_lab <- pairs(lab, adjust = "none")
for (side in c("noninferiority", "equivalence", "nonsuperiority")) {
  put(paste0("lab_", side), "plain", list(specs = "lab", contrast = "pairwise", adjust = "none",
    test = list(side = side, delta = 1.2)), test(pairs_of_lab, side = side, delta = 1.2, adjust = "none"))
}
put("lab_less", "plain", list(specs = "lab", test = list(side = "less", null = 6)), test(lab, null = 6, side = "<"))
put("lab_greater", "plain", list(specs = "lab", test = list(side = "greater", null = 4, adjust = "holm")),
  test(lab, null = 4, side = ">", adjust = "holm"))
put("lab_null", "plain", list(specs = "lab", test = list(null = 5)), test(lab, null = 5))
# letters by multcomp, of a linear model with pairs that differ
groups <- transform(plants, lift = y + as.integer(lab) * rep(c(0.5, 1.2), length.out = nrow(plants)))
lifted <- case_data(groups, "groups.csv.gz")
letters_of <- cld(summary(glht(lm(lift ~ lab, groups), mcp(lab = "Tukey")), test = adjusted("none")))$mcletters
put("letters", "lifted", list(specs = "lab", letters = names(letters_of$Letters)),
  list(.group = unname(letters_of$monospacedLetters)))
put("interaction", "plain", list(specs = c("soil", "water"), interaction = c("consec", "pairwise")),
  summary(contrast(emmeans(plain, c("soil", "water")), interaction = c("consec", "pairwise")), infer = TRUE))
put("by_pairs", "plain", list(specs = "soil", by = "water", contrast = "pairwise"),
  summary(pairs(emmeans(plain, "soil", by = "water")), infer = TRUE))
put("simple", "plain", list(specs = "water", by = "soil", contrast = "revpairwise"),
  summary(contrast(emmeans(plain, "water", by = "soil"), "revpairwise"), infer = TRUE))
put("joint", "plain", list(joint_tests = list()), joint_tests(plain, lmer.df = "satterthwaite"))
put("joint_by", "plain", list(joint_tests = list(by = "water")), joint_tests(plain, by = "water", lmer.df = "satterthwaite"))
put("joint_slopes", "slopes", list(joint_tests = list()), joint_tests(fits$slopes, lmer.df = "satterthwaite"))
put("joint_slopes_by", "slopes", list(joint_tests = list(by = "soil")), joint_tests(fits$slopes, by = "soil", lmer.df = "satterthwaite"))
trends <- emtrends(fits$slopes, "soil", var = "x")
put("trends", "slopes", list(specs = "soil", trend = "x"), summary(trends, infer = TRUE))
put("trend_pairs", "slopes", list(specs = "soil", trend = "x", contrast = "pairwise"), summary(pairs(trends), infer = TRUE))
put("at_by", "slopes", list(specs = "soil", by = "x", at = list(x = c(0, 1.5, 3)), contrast = "pairwise"),
  summary(pairs(emmeans(fits$slopes, "soil", by = "x", at = list(x = c(0, 1.5, 3)))), infer = TRUE))

write_json(list(
  about = "emmeans beyond means and pairs, Kenward-Roger df of pbkrtest (expected information)",
  software = paste("emmeans", packageVersion("emmeans"), "multcomp", packageVersion("multcomp"), "lme4", packageVersion("lme4")),
  formulas = c(formulas, lifted = "lift ~ lab"), data = where, lifted = lifted, tables = tables
), file.path(here, "tables.json"), auto_unbox = TRUE, digits = 12, na = "null")
cat(length(tables), "tables\n")
