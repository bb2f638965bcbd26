# Tests, degrees of freedom and means by lmerTest, pbkrtest, nlme and emmeans: crossed, nested, unbalanced, singular and
# structured models.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
suppressPackageStartupMessages({
  library(lmerTest)
  library(emmeans)
})
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e6), calc.derivs = FALSE,
  check.conv.singular = "ignore")
tables <- list()
add_table <- function(...) tables[[length(tables) + 1]] <<- Filter(Negate(is.null), list(...))

tests_of_lmer <- function(id, formula, data, frame, ddf = c("Satterthwaite", "Kenward-Roger"), types = 1:3, ours = NULL) {
  fit <- suppressMessages(lmerTest::lmer(formula, frame, control = tight))
  text <- if (is.null(ours)) squash(formula) else ours
  for (method in ddf) {
    coefficients <- coef(summary(fit, ddf = method))
    add_table(id = paste(id, tolower(method), "coefficients", sep = "_"), kind = "coefficients", formula = text, data = data,
      ddf = tolower(method), term = rownames(coefficients), estimate = unname(coefficients[, 1]),
      std_error = unname(coefficients[, 2]), df = unname(coefficients[, 3]), p_value = unname(coefficients[, 5]))
    for (type in types) {
      printed <- suppressMessages(anova(fit, type = type, ddf = method))
      add_table(id = paste(id, tolower(method), type, sep = "_"), kind = "anova", formula = text, data = data,
        ddf = tolower(method), type = type, term = rownames(printed), num_df = printed$NumDF, den_df = printed$DenDF,
        statistic = printed$`F value`, p_value = printed$`Pr(>F)`)
    }
  }
  fit
}

set.seed(21)
crossed <- expand.grid(subject = factor(1:9), item = factor(1:7))
crossed$condition <- factor(c("a", "b", "c")[1 + (as.integer(crossed$subject) + as.integer(crossed$item)) %% 3])
crossed$group <- factor(ifelse(as.integer(crossed$subject) <= 4, "old", "young"))
crossed$x <- round(rnorm(nrow(crossed)), 3)
crossed$y <- round(10 + (crossed$condition == "b") + 0.5 * crossed$x + rnorm(9, 0, 1.5)[crossed$subject] +
  rnorm(7, 0, 1)[crossed$item] + rnorm(nrow(crossed)), 4)
crossed <- crossed[-c(3, 8, 17, 18, 33, 41, 60), ]
where <- case_data(crossed, "crossed.csv.gz")
fit <- tests_of_lmer("crossed", y ~ group * condition + x + (1 | subject) + (1 | item), where, crossed)
tests_of_lmer("crossed_interaction", y ~ condition * x + (1 | subject) + (1 | item), where, crossed)
tests_of_lmer("crossed_slopes", y ~ condition + x + (1 + x || subject) + (1 | item), where, crossed)

set.seed(22)
nested <- data.frame(site = factor(rep(1:6, c(8, 11, 6, 14, 9, 12))))
nested$ward <- factor(paste0(nested$site, letters[unlist(lapply(table(nested$site), function(k) sample(1:3, k, TRUE)))]))
nested$treated <- factor(ifelse(as.integer(nested$site) %% 2 == 0, "no", "yes"))
nested$dose <- round(runif(nrow(nested), 0, 4), 2)
nested$sex <- factor(sample(c("f", "m"), nrow(nested), TRUE))
nested$y <- round(5 + nested$dose + rnorm(6)[nested$site] + rnorm(nlevels(nested$ward), 0, 0.7)[nested$ward] + rnorm(nrow(nested)), 4)
inside <- case_data(nested, "nested.csv.gz")
tests_of_lmer("nested", y ~ treated * dose + sex + (1 | site) + (1 | ward), inside, nested)
tests_of_lmer("nested_slopes", y ~ sex * dose + (dose | site), inside, nested, ddf = "Satterthwaite")

# a variance of zero: lmerTest leaves its direction out as we do, pbkrtest does not (see the test)
set.seed(23)
flat <- data.frame(block = factor(rep(1:5, each = 8)), plot = factor(rep(1:20, each = 2)), variety = factor(rep(1:4, 10)))
flat$y <- round(20 + as.integer(flat$variety) + rep(c(-1, 1), 20) * 0.8 + rnorm(40, 0, 0.3), 4)
plain <- case_data(flat, "flat.csv.gz")
fit <- tests_of_lmer("singular", y ~ variety + (1 | block) + (1 | plot), plain, flat, ddf = "Satterthwaite")
stopifnot(isSingular(fit))

# nlme: sequential and marginal tests, degrees of freedom by grouping level, and what emmeans makes of them
tests_of_nlme <- function(id, fit, data, formula, options, specs, nested_fit = TRUE, balanced = FALSE) {
  method <- if (nested_fit) "inner-outer" else "residual"
  for (type in c("sequential", "marginal")) {
    printed <- anova(fit, type = type)
    inner <- rownames(printed) != "(Intercept)"
    den <- if (nested_fit) printed$denDF else rep(fit$dims$N - fit$dims$p, nrow(printed))
    # sequential tests of nlme are those of X'V^-1X, ours and SAS's those of X'X: the same in balanced data
    if (type == "marginal" || balanced) {
      add_table(id = paste(id, type, sep = "_"), kind = if (type == "marginal") "marginal" else "anova", formula = formula,
        data = data, options = options, ddf = method, type = 1, term = rownames(printed)[inner],
        num_df = printed$numDF[inner], den_df = den[inner], statistic = printed$`F-value`[inner],
        p_value = printed$`p-value`[inner])
    }
  }
  t_table <- summary(fit)$tTable
  df <- if (nested_fit) unname(t_table[, "DF"]) else rep(fit$dims$N - fit$dims$p, nrow(t_table))
  add_table(id = paste(id, "coefficients", sep = "_"), kind = "coefficients", formula = formula, data = data,
    options = options, ddf = method, term = rownames(t_table), estimate = unname(t_table[, "Value"]),
    std_error = unname(t_table[, "Std.Error"]), df = df, p_value = unname(t_table[, "p-value"]))
  mode <- if (nested_fit) "containment" else "df.error"
  # emmeans takes the parameters of the correlation off the degrees of freedom of gls, nlme does not
  own <- function(x) if (nested_fit) x
  printed <- as.data.frame(emmeans(fit, specs, mode = mode))
  add_table(id = paste(id, "means", sep = "_"), kind = "means", formula = formula, data = data, options = options,
    ddf = method, specs = specs, estimate = printed$emmean, std_error = printed$SE, df = own(printed$df))
  printed <- as.data.frame(pairs(emmeans(fit, specs, mode = mode)))
  add_table(id = paste(id, "pairs", sep = "_"), kind = "pairs", formula = formula, data = data, options = options,
    ddf = method, specs = specs, estimate = printed$estimate, std_error = printed$SE, df = own(printed$df),
    p_value = own(printed$p.value))
}
exact <- lmeControl(msMaxIter = 500, niterEM = 100, tolerance = 1e-12, msTol = 1e-13, returnObject = TRUE)
oats <- dataset("oats")
oats$nitrogen <- factor(oats$nitro)
names(oats)[names(oats) == "yield"] <- "response"
whole <- case_data(oats, "oats.csv.gz")
gaps <- oats[-c(5, 17, 30, 31, 55), ]
holed <- case_data(gaps, "gaps.csv.gz")
for (part in list(list("oats", oats, whole), list("gaps", gaps, holed))) {
  frame <- part[[2]]
  fit <- lme(response ~ Variety * nitrogen, random = ~ 1 | Block / Variety, data = frame, control = exact)
  tests_of_nlme(paste0("lme_", part[[1]]), fit, part[[3]], "response ~ Variety * nitrogen + (1 | Block) + (1 | Block:Variety)", NULL, "nitrogen", balanced = part[[1]] == "oats")
  tests_of_nlme(paste0("lme_whole_plots_", part[[1]]), fit, part[[3]], "response ~ Variety * nitrogen + (1 | Block) + (1 | Block:Variety)", NULL, "Variety")
}
orthodont <- as.data.frame(nlme::Orthodont)
orthodont <- data.frame(y = orthodont$distance, age = orthodont$age, id = factor(as.character(orthodont$Subject)), sex = factor(orthodont$Sex))
orthodont <- orthodont[-c(4, 21, 40, 62, 63), ]
orthodont$visit <- factor(orthodont$age)
growth <- case_data(orthodont, "growth.csv.gz")
fit <- lme(y ~ sex * age, random = ~ age | id, data = orthodont, control = exact)
tests_of_nlme("lme_slopes", fit, growth, "y ~ sex * age + (age | id)", NULL, "sex")
fit <- lme(y ~ sex * age, random = ~ 1 | id, weights = varIdent(form = ~ 1 | sex), data = orthodont, control = exact)
tests_of_nlme("lme_unequal", fit, growth, "y ~ sex * age + (1 | id)", list(variance = "ident(sex)"), "sex")
fit <- lme(y ~ sex * visit, random = ~ 1 | id, correlation = corAR1(form = ~ as.integer(visit) | id), data = orthodont, control = exact)
tests_of_nlme("lme_serial", fit, growth, "y ~ sex * visit + (1 | id)", list(residual = "ar1(visit | id)"), "sex")
correlations <- list(
  cs = list(corCompSymm(form = ~ 1 | id), "cs(1 | id)"), ar1 = list(corAR1(form = ~ as.integer(visit) | id), "ar1(visit | id)")
)
for (name in names(correlations)) {
  fit <- gls(y ~ sex * visit, correlation = correlations[[name]][[1]], data = orthodont,
    control = glsControl(msMaxIter = 500, tolerance = 1e-12, msTol = 1e-13))
  tests_of_nlme(paste0("gls_", name), fit, growth, "y ~ sex * visit", list(residual = correlations[[name]][[2]]), "visit", FALSE)
}

write_json(list(
  about = "Tests, degrees of freedom and means of crossed, nested, singular and structured models",
  software = paste("lmerTest", packageVersion("lmerTest"), "pbkrtest", packageVersion("pbkrtest"), "nlme", packageVersion("nlme"),
    "emmeans", packageVersion("emmeans")),
  tables = tables
), file.path(here, "tables.json"), auto_unbox = TRUE, digits = 12, na = "null")
cat(length(tables), "tables\n")
