# Tests of model terms by lmerTest: types 1 to 3, Satterthwaite and Kenward-Roger (pbkrtest, expected information).
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))
suppressPackageStartupMessages(library(lmerTest))

tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e6), calc.derivs = FALSE)
tables <- list()
add_tables <- function(id, formula, ours, data, frame, ddf = c("Satterthwaite", "Kenward-Roger"), types = 1:3) {
  fit <- lmerTest::lmer(formula, frame, control = tight)
  for (method in ddf) {
    for (type in types) {
      printed <- suppressMessages(anova(fit, type = type, ddf = method))
      tables[[length(tables) + 1]] <<- list(
        id = paste(id, tolower(method), type, sep = "_"), formula = ours, data = data, ddf = tolower(method), type = type,
        term = rownames(printed), num_df = printed$NumDF, den_df = printed$DenDF, statistic = printed$`F value`,
        p_value = printed$`Pr(>F)`
      )
    }
  }
}

oats <- dataset("oats")
oats$nitrogen <- factor(oats$nitro)
names(oats)[names(oats) == "yield"] <- "response"
whole <- case_data(oats, "oats.csv.gz")
add_tables("oats", response ~ Variety * nitrogen + (1 | Block) + (1 | Block:Variety),
  "response ~ Variety * nitrogen + (1 | Block) + (1 | Block:Variety)", whole, oats)
add_tables("oats_slope", response ~ Variety * nitro + (1 | Block) + (1 | Block:Variety),
  "response ~ Variety * nitro + (1 | Block) + (1 | Block:Variety)", whole, oats)

gaps <- oats[!(oats$Variety == "Victory" & oats$nitro == 0.6), ]
gaps <- gaps[seq_len(nrow(gaps) - 5), ]
holed <- case_data(gaps, "gaps.csv.gz")
add_tables("gaps", response ~ Variety * nitrogen + (1 | Block) + (1 | Block:Variety),
  "response ~ Variety * nitrogen + (1 | Block) + (1 | Block:Variety)", holed, gaps)
add_tables("gaps_main", response ~ Variety + nitrogen + (1 | Block) + (1 | Block:Variety),
  "response ~ Variety + nitrogen + (1 | Block) + (1 | Block:Variety)", holed, gaps)
add_tables("gaps_slope", response ~ Variety * nitro + (1 | Block) + (1 | Block:Variety),
  "response ~ Variety * nitro + (1 | Block) + (1 | Block:Variety)", holed, gaps)

cake <- dataset("cake")
add_tables("cake", angle ~ recipe * temperature + (1 | recipe:replicate),
  "angle ~ recipe * temperature + (1 | recipe:replicate)", "cake", cake)
add_tables("sleepstudy", Reaction ~ Days + (Days | Subject), "Reaction ~ Days + (Days | Subject)", "sleepstudy",
  dataset("sleepstudy"))
machines <- dataset("machines")
add_tables("machines", score ~ Machine + (Machine | Worker), "score ~ Machine + (Machine | Worker)", "machines", machines)

write_json(list(
  about = "Tests of model terms by lmerTest and pbkrtest",
  software = paste("lmerTest", packageVersion("lmerTest"), "pbkrtest", packageVersion("pbkrtest"), "lme4", packageVersion("lme4")),
  tables = tables
), file.path(here, "tables.json"), auto_unbox = TRUE, digits = 12, na = "null")
