# Nested factors in every spelling.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("nested", "casks within batches, blocks and plots, three levels of nesting")
pastes <- dataset("pastes")
for (REML in c(TRUE, FALSE)) {
  suffix <- if (REML) "reml" else "ml"
  case <- add(case, paste0("pastes_slash_", suffix), fit_lmer(strength ~ 1 + (1 | batch / cask), pastes, REML),
    formula = "strength ~ 1 + (1 | batch/cask)", data = "pastes"
  )
}
case <- add(case, "pastes_unique_labels", fit_lmer(strength ~ 1 + (1 | batch) + (1 | sample), pastes),
  formula = "strength ~ 1 + (1 | batch) + (1 | sample)", data = "pastes"
)
case <- add(case, "pastes_sample_only", fit_lmer(strength ~ 1 + (1 | sample), pastes),
  formula = "strength ~ (1 | sample)", data = "pastes"
)
oats <- dataset("oats")
case <- add(case, "oats_intercepts", fit_lmer(yield ~ nitro + (1 | Block / Variety), oats),
  formula = "yield ~ nitro + (1 | Block/Variety)", data = "oats"
)
case <- add(case, "oats_slope", fit_lmer(yield ~ nitro + (1 + nitro | Block) + (1 | Block:Variety), oats),
  formula = "yield ~ nitro + (1 + nitro | Block) + (1 | Block:Variety)", data = "oats"
)
set.seed(17)
schools <- expand.grid(pupil = 1:5, class = 1:3, school = 1:8, district = 1:4)
schools <- schools[-sample(nrow(schools), 40), ]
school <- interaction(schools$school, schools$district)
class <- interaction(schools$class, school)
schools$x <- round(rnorm(nrow(schools)), 3)
schools$score <- round(50 + 2 * schools$x + rnorm(4, 0, 3)[schools$district] + rnorm(32, 0, 2)[school] +
  rnorm(96, 0, 1.5)[class] + rnorm(nrow(schools), 0, 4), 2)
schools[c("class", "school", "district")] <- lapply(schools[c("class", "school", "district")], factor)
own <- case_data(schools[c("district", "school", "class", "x", "score")], "schools.csv.gz")
case <- add(case, "three_levels", fit_lmer(score ~ x + (1 | district / school / class), schools),
  formula = "score ~ x + (1 | district/school/class)", data = own
)
case <- add(case, "three_levels_slope", fit_lmer(
  score ~ x + (1 | district) + (1 + x | district:school) + (1 | district:school:class), schools, REML = FALSE
), formula = "score ~ x + (1 | district) + (1 + x | district:school) + (1 | district:school:class)", data = own)
write_case(case)
