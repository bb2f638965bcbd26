# Writes every teaching data set of the package: <name>.csv.gz (or <name>.bin.gz) and <name>.json in data/.
#
#   Rscript src/mixedmodels/datasets/export.R
#
# The measurements come from R packages, which reproduce published tables; what is marked "simulated" is drawn here
# with a fixed seed. Needs lme4, nlme, glmmTMB, ordinal, geepack, HSAUR3, MASS, jsonlite.

suppressPackageStartupMessages({
  library(lme4)
  library(nlme)
  library(jsonlite)
})
RNGkind("Mersenne-Twister", "Inversion", "Rejection")

script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
folder <- file.path(dirname(normalizePath(script)), "data")
dir.create(folder, showWarnings = FALSE)

exported_from <- function(package, licence) {
  paste(
    "The measurements are facts published in the source named above. They were exported from the R package", package,
    as.character(packageVersion(package)), paste0("(licence: ", licence, ");"),
    "nothing but the numbers and names was taken."
  )
}
lme4_licence <- paste(
  "The measurements are facts published in the source named above. They were exported from the R package lme4",
  as.character(packageVersion("lme4")), "(licence: GPL >= 2); nothing but the numbers and names was taken."
)
nlme_licence <- paste(
  "The measurements are facts published in the source named above. They were exported from the R package nlme",
  as.character(packageVersion("nlme")), "(licence: GPL >= 2); nothing but the numbers and names was taken."
)
own_licence <- "Simulated for this package; MIT, as the package."

# 1. how a column is described: kind, levels in order, and what it measures -----------------------------------
describe_column <- function(name, x, meaning) {
  kind <- if (is.ordered(x)) "ordered" else if (is.factor(x)) "factor" else if (is.integer(x)) "integer" else "number"
  c(
    list(name = unbox(name), kind = unbox(kind), meaning = unbox(meaning)),
    if (is.factor(x)) list(levels = levels(x))
  )
}

write_packed <- function(frame, name) {
  # one block of little-endian unsigned integers per column: codes from 0 for factors, the value otherwise
  path <- file.path(folder, paste0(name, ".bin.gz"))
  connection <- gzfile(path, "wb", compression = 9)
  for (column in frame) {
    values <- if (is.factor(column)) as.integer(column) - 1L else column
    stopifnot(is.integer(values), min(values) >= 0L, max(values) < 65536L)
    writeBin(values, connection, size = if (max(values) > 255L) 2L else 1L, endian = "little")
  }
  close(connection)
  basename(path)
}

write_text <- function(frame, name) {
  path <- file.path(folder, paste0(name, ".csv.gz"))
  connection <- gzfile(path, "wb", compression = 9)
  text <- lapply(frame, function(x) if (is.double(x)) sprintf("%.15g", x) else as.character(x))
  lines <- do.call(paste, c(text, sep = ","))
  stopifnot(!grepl("[\",]", unlist(text)))
  writeLines(c(paste(names(frame), collapse = ","), lines), connection)
  close(connection)
  basename(path)
}

export <- function(name, frame, title, source, licence, meanings, note = "", packed = FALSE) {
  frame <- as.data.frame(frame)
  stopifnot(identical(names(meanings), names(frame)), !anyNA(frame))
  if (packed) file <- write_packed(frame, name) else file <- write_text(frame, name)
  columns <- Map(describe_column, names(frame), frame, meanings)
  if (packed) {
    widths <- vapply(frame, function(x) {
      if (max(as.integer(x)) - is.factor(x) > 255L) "uint16" else "uint8"
    }, "")
    columns <- Map(function(column, width) c(column, list(stored = unbox(width))), columns, widths)
  }
  record <- list(
    name = unbox(name), title = unbox(title), rows = unbox(nrow(frame)), file = unbox(file),
    source = unbox(source), licence = unbox(licence), note = unbox(note), columns = unname(columns)
  )
  # one column per line keeps the file readable and its differences small
  parts <- vapply(names(record)[names(record) != "columns"], function(key) {
    paste0("  ", toJSON(unbox(key)), ": ", toJSON(record[[key]]), ",")
  }, "")
  rows <- paste0("    ", vapply(record$columns, toJSON, ""), collapse = ",\n")
  writeLines(
    c("{", parts, "  \"columns\": [", rows, "  ]", "}"),
    file.path(folder, paste0(name, ".json")), useBytes = TRUE
  )
}

plain <- function(x, levels = NULL) {
  # the groupedData classes of nlme order grouping levels by the response; here they go back to natural order
  x <- as.character(x)
  if (is.null(levels)) {
    levels <- unique(x)
    levels <- if (all(grepl("^[0-9]+$", levels))) levels[order(as.integer(levels))] else sort(levels)
  }
  factor(x, levels = levels)
}
natural_order <- "Levels are in natural order; nlme orders them by the response."

# 2. published data -------------------------------------------------------------------------------------------
export("rail", with(Rail, data.frame(Rail = plain(Rail), travel = travel)),
  title = "Travel time of an ultrasonic wave in six railway rails, three tests each",
  source = paste(
    "Devore (2000), Probability and Statistics for Engineering and the Sciences, 5th ed., example 10.10;",
    "Pinheiro and Bates (2000), Mixed-Effects Models in S and S-PLUS, appendix A.26."
  ),
  licence = nlme_licence, note = natural_order,
  meanings = c(Rail = "rail", travel = "travel time minus 36100, nanoseconds")
)

orthodont <- local({
  person <- as.character(Orthodont$Subject)
  female <- Orthodont$Sex == "Female"
  id <- as.integer(substring(person, 2)) + ifelse(female, 0L, 11L)
  frame <- data.frame(
    id = factor(id, levels = 1:27), age = as.integer(Orthodont$age), Y = Orthodont$distance,
    sex = factor(ifelse(female, "F", "M"), levels = c("F", "M")), fem = as.integer(female), male = as.integer(!female)
  )
  frame[order(id, frame$age), ]
})
export("orthodont", orthodont,
  title = "Distance from pituitary to pterygomaxillary fissure of 27 children at ages 8, 10, 12 and 14",
  source = paste(
    "Potthoff and Roy (1964), Biometrika 51, 313-326; Pinheiro and Bates (2000), Mixed-Effects Models in S and",
    "S-PLUS, appendix A.17."
  ),
  licence = nlme_licence,
  note = paste(
    "Ids: the females F01 to F11 of nlme::Orthodont are 1 to 11, the males M01 to M16 are 12 to 27;",
    "Y is distance, and rows are sorted by id and age."
  ),
  meanings = c(
    id = "child", age = "age, years", Y = "distance, mm", sex = "F female, M male", fem = "1 for females, else 0",
    male = "1 for males, else 0"
  )
)

export("sleepstudy", transform(sleepstudy, Days = as.integer(Days)),
  title = "Mean reaction time of 18 people on ten days of sleep restriction",
  source = "Belenky et al. (2003), Journal of Sleep Research 12, 1-12 (the group with 3 hours in bed).",
  licence = lme4_licence,
  note = "Days 0 and 1 were adaptation and training, day 2 the baseline; restriction started after day 2.",
  meanings = c(Reaction = "mean reaction time, ms", Days = "day of the study", Subject = "person")
)

export("dyestuff", Dyestuff,
  title = "Yield of dyestuff from five preparations of each of six batches",
  source = "Davies and Goldsmith (1972), Statistical Methods in Research and Production, 4th ed., section 6.4.",
  licence = lme4_licence, meanings = c(Batch = "batch of the intermediate product", Yield = "yield, g of standard colour")
)
export("dyestuff2", Dyestuff2,
  title = "Constructed data in the layout of dyestuff whose batch variance is estimated as zero",
  source = "Box and Tiao (1973), Bayesian Inference in Statistical Analysis, section 5.1.2.",
  licence = lme4_licence, meanings = c(Batch = "batch", Yield = "yield")
)
export("penicillin", Penicillin,
  title = "Zone of growth inhibition of six penicillin samples on each of 24 plates",
  source = "Davies and Goldsmith (1972), Statistical Methods in Research and Production, 4th ed., section 6.6.",
  licence = lme4_licence,
  meanings = c(diameter = "diameter of the inhibited zone, mm", plate = "assay plate", sample = "penicillin sample")
)
export("pastes", Pastes,
  title = "Strength of a chemical paste: two assays of three casks from each of ten deliveries",
  source = "Davies and Goldsmith (1972), Statistical Methods in Research and Production, 4th ed., section 6.5.",
  licence = lme4_licence, note = "cask is numbered within batch; sample is batch and cask together.",
  meanings = c(strength = "paste strength", batch = "delivery", cask = "cask within the delivery", sample = "batch:cask")
)
export("cake", transform(cake, temp = as.integer(temp)),
  title = "Breakage angle of chocolate cakes: three recipes, six baking temperatures, fifteen replicates",
  source = paste(
    "Cook (1938), Chocolate cake I: Optimum baking temperature, Iowa State College; Cochran and Cox (1957),",
    "Experimental Designs, 2nd ed., p. 300."
  ),
  licence = lme4_licence, note = "replicate is numbered within recipe.",
  meanings = c(
    replicate = "replicate within recipe", recipe = "recipe", temperature = "baking temperature, degrees F, ordered",
    angle = "breakage angle, degrees", temp = "baking temperature, degrees F"
  )
)
export("oats", with(Oats, data.frame(
  Block = plain(Block, c("I", "II", "III", "IV", "V", "VI")), Variety = factor(as.character(Variety)), nitro = nitro,
  yield = yield
)),
title = "Split-plot experiment: three oat varieties on whole plots, four nitrogen levels on subplots",
source = "Yates (1935), Journal of the Royal Statistical Society Supplement 2, 181-247.",
licence = nlme_licence, note = natural_order,
meanings = c(
  Block = "block", Variety = "variety, on whole plots", nitro = "nitrogen, hundredweight per acre, on subplots",
  yield = "yield, quarter pounds per subplot"
)
)
export("machines", with(Machines, data.frame(Worker = plain(Worker), Machine = factor(as.character(Machine)), score = score)),
  title = "Productivity of six workers on each of three machines, three times each",
  source = "Milliken and Johnson (1992), Analysis of Messy Data I: Designed Experiments, p. 285.",
  licence = nlme_licence, note = natural_order,
  meanings = c(Worker = "worker", Machine = "machine brand", score = "productivity score")
)
export("ergostool", with(ergoStool, data.frame(effort = effort, Type = factor(as.character(Type)), Subject = plain(Subject))),
  title = "Effort of nine people to rise from each of four types of stool",
  source = paste(
    "Devore (2000), Probability and Statistics for Engineering and the Sciences, 5th ed., from Ergonomics (1993);",
    "Pinheiro and Bates (2000), Mixed-Effects Models in S and S-PLUS, appendix A.9."
  ),
  licence = nlme_licence, note = natural_order,
  meanings = c(effort = "effort, Borg scale", Type = "type of stool", Subject = "person")
)
export("ovary", with(Ovary, data.frame(Mare = plain(Mare), Time = Time, follicles = as.integer(follicles))),
  title = "Number of large ovarian follicles of eleven mares, daily over the oestrus cycle",
  source = "Pierson and Ginther (1987), Animal Reproduction Science 14, 219-231.",
  licence = nlme_licence, note = natural_order,
  meanings = c(
    Mare = "mare", Time = "time in the cycle; ovulations are at 0 and 1",
    follicles = "number of follicles over 10 mm in diameter"
  )
)
export("bodyweight", with(BodyWeight, data.frame(
  weight = weight, Time = as.integer(Time), Rat = plain(Rat), Diet = factor(as.character(Diet))
)),
title = "Body weight of 16 rats on three diets over 64 days",
source = "Crowder and Hand (1990), Analysis of Repeated Measures, table 2.4.",
licence = nlme_licence, note = natural_order,
meanings = c(weight = "body weight, g", Time = "day", Rat = "rat", Diet = "diet")
)
export("insteval", InstEval,
  title = "73421 ratings of 1128 lecturers by 2972 students of ETH Zurich",
  source = "Student evaluation of lectures at ETH Zurich, anonymised; distributed with lme4 as InstEval.",
  licence = lme4_licence,
  note = "Every lecturer belongs to one department; a lecture is a service when held for another department.",
  meanings = c(
    s = "student", d = "lecturer", studage = "semesters the student had been enrolled, ordered",
    lectage = "semesters since the lecture, ordered", service = "1 for a service lecture", dept = "department of the lecture",
    y = "rating from 1 (poor) to 5 (very good)"
  ),
  packed = TRUE
)

# counts, proportions, categories
export("cbpp", transform(cbpp, incidence = as.integer(incidence), size = as.integer(size)),
  title = "New cases of contagious bovine pleuropneumonia in fifteen herds of zebu cattle over four periods",
  source = "Lesnoff et al. (2004), Preventive Veterinary Medicine 64, 27-40.",
  licence = lme4_licence,
  meanings = c(
    herd = "herd", incidence = "new serological cases in the period", size = "animals at the start of the period",
    period = "period of the outbreak"
  )
)
export("epil", with(MASS::epil, data.frame(
  subject = factor(subject), trt = trt, base = base, age = age, period = period, y = y
)),
title = "Seizures of 59 people with epilepsy in four periods of two weeks, on placebo or progabide",
source = "Thall and Vail (1990), Biometrics 46, 657-671.",
licence = exported_from("MASS", "GPL-2 | GPL-3"),
meanings = c(
  subject = "person", trt = "treatment", base = "seizures in the eight weeks before", age = "age, years",
  period = "period", y = "seizures in the period"
)
)
export("salamanders", with(glmmTMB::Salamanders, data.frame(
  site = plain(site, levels(site)), mined = mined, cover = cover, sample = sample, DOP = DOP, Wtemp = Wtemp, DOY = DOY,
  spp = spp, count = count
)),
title = "Salamanders of seven species and stages counted four times in 23 streams, with and without mining upstream",
source = "Price et al. (2016), Journal of Applied Ecology 53, 459-468.",
licence = exported_from("glmmTMB", "AGPL-3"),
meanings = c(
  site = "stream", mined = "whether mountaintop mining affected the stream", cover = "cover objects, standardised",
  sample = "repeated count", DOP = "days since rain, standardised", Wtemp = "water temperature, standardised",
  DOY = "day of the year, standardised", spp = "species, with the life stage of some", count = "animals seen"
)
)
export("owls", with(glmmTMB::Owls, data.frame(
  Nest = Nest, FoodTreatment = FoodTreatment, SexParent = SexParent, ArrivalTime = ArrivalTime, BroodSize = BroodSize,
  SiblingNegotiation = SiblingNegotiation
)),
title = "Calls of barn owl nestlings before a parent arrives, in 27 nests on two nights",
source = "Roulin and Bersier (2007), Animal Behaviour 74, 1099-1106; Zuur et al. (2009), Mixed Effects Models, ch. 13.",
licence = exported_from("glmmTMB", "AGPL-3"),
meanings = c(
  Nest = "nest", FoodTreatment = "whether the brood was fed beforehand", SexParent = "parent that arrives",
  ArrivalTime = "time of arrival, hours (24 is midnight)", BroodSize = "nestlings",
  SiblingNegotiation = "calls of all nestlings in the 15 minutes before the arrival"
)
)
export("ohio", local({
  data(ohio, package = "geepack", envir = environment())
  with(ohio, data.frame(id = factor(id), age = age, smoke = smoke, resp = resp))
}),
title = "Wheezing of 537 children of Steubenville at ages 7 to 10, and whether the mother smoked",
source = "Ware et al. (1984), American Review of Respiratory Disease 129, 366-374; Fitzmaurice and Laird (1993), Biometrika 80, 141-151.",
licence = exported_from("geepack", "GPL (>= 3)"),
meanings = c(id = "child", age = "age minus 9, years", smoke = "1 if the mother smoked in the first year", resp = "1 for wheezing")
)
export("toenail", local({
  data(toenail, package = "HSAUR3", envir = environment())
  with(toenail, data.frame(
    patientID = patientID, outcome = outcome, treatment = treatment, time = time, visit = visit
  ))
}),
title = "Separation of the toenail of 294 people in a trial of two oral treatments, up to seven visits",
source = "De Backer et al. (1998), Journal of the American Academy of Dermatology 38, S57-S63; Lesaffre and Spiessens (2001), Applied Statistics 50, 325-335.",
licence = exported_from("HSAUR3", "GPL-2"),
meanings = c(
  patientID = "person", outcome = "degree of onycholysis, two levels", treatment = "treatment",
  time = "time of the visit, months", visit = "visit"
)
)
export("wine", with(ordinal::wine, data.frame(
  response = response, rating = rating, temp = temp, contact = contact, bottle = bottle, judge = judge
)),
title = "Bitterness of white wine from eight bottles as rated by nine judges",
source = "Randall (1989), Biometrical Journal 31, 781-793.",
licence = exported_from("ordinal", "GPL (>= 2)"),
meanings = c(
  response = "bitterness on a scale of 0 to 100", rating = "bitterness in five ordered categories",
  temp = "temperature of the grapes while crushing", contact = "contact of juice and skins", bottle = "bottle",
  judge = "judge"
)
)

# 3. simulated data -------------------------------------------------------------------------------------------
latin_square <- local({
  set.seed(1935)
  order <- 6
  square <- outer(seq_len(order), seq_len(order), function(i, j) (i + j - 2) %% order + 1)
  square <- square[sample(order), sample(order)]
  cell <- expand.grid(column = seq_len(order), row = seq_len(order))
  treatment <- square[cbind(cell$row, cell$column)]
  mean <- c(48, 51, 52.5, 50, 55, 53)[treatment]
  value <- mean + rnorm(order, 0, 3)[cell$row] + rnorm(order, 0, 2)[cell$column] + rnorm(nrow(cell), 0, 1.5)
  data.frame(
    row = factor(cell$row), column = factor(cell$column), treatment = factor(LETTERS[treatment]),
    value = round(value, 1)
  )
})
export("latin_square", latin_square,
  title = "A 6 by 6 Latin square: six treatments over crossed rows and columns",
  source = "Simulated by export.R (seed 1935): standard deviations 3 (rows), 2 (columns), 1.5 (error).",
  licence = own_licence,
  meanings = c(row = "row of the field", column = "column of the field", treatment = "treatment", value = "response")
)

stores <- local({
  set.seed(4531)
  frame <- expand.grid(bag = 1:10, store = 1:5, city = 1:4, chain = 1:3)
  store_id <- with(frame, store + 5L * (city - 1L) + 20L * (chain - 1L))
  soft <- c(0.12, 0.15, 0.10)[frame$chain] + rnorm(4, 0, 0.02)[frame$city] + rnorm(60, 0, 0.03)[store_id] +
    rnorm(nrow(frame), 0, 0.025)
  data.frame(
    chain = factor(c("A", "B", "C")[frame$chain]), city = factor(frame$city), store = factor(frame$store),
    store_id = factor(store_id), bag = frame$bag, soft = pmax(round(soft, 3), 0)
  )
})
export("stores", stores,
  title = "Proportion of soft grapes in ten bags from each of five stores of three chains in four cities",
  source = paste(
    "Simulated by export.R (seed 4531): standard deviations 0.02 (cities), 0.03 (stores), 0.025 (bags);",
    "proportions rounded to three decimals, never below zero."
  ),
  licence = own_licence, note = "store is numbered within chain and city; store_id numbers all 60 stores.",
  meanings = c(
    chain = "grocery chain", city = "city", store = "store within chain and city", store_id = "store",
    bag = "bag within store", soft = "proportion of soft or rotted grapes"
  )
)

curve <- local({
  set.seed(2003)
  x <- sort(round(runif(100, 0, 10), 3))
  data.frame(x = x, y = round(2 + 3 * sin(x) * exp(-x / 6) + 0.15 * x + rnorm(100, 0, 0.4), 3))
})
export("curve", curve,
  title = "A smooth curve observed with error at 100 points, for penalised splines",
  source = "Simulated by export.R (seed 2003): y = 2 + 3 sin(x) exp(-x/6) + 0.15 x + error of standard deviation 0.4.",
  licence = own_licence, meanings = c(x = "position", y = "response")
)
