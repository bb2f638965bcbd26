# X with aliased columns: in-order pivoting keeps the first of each dependent set, as lme4 does.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("rank_deficient", "aliased fixed-effect columns and empty cells")
oats <- dataset("oats")
oats$nitro_again <- 2 * oats$nitro + 1
own <- case_data(oats, "oats.csv.gz")
case <- add(case, "duplicate_covariate", fit_lmer(yield ~ nitro + nitro_again + Variety + (1 | Block / Variety), oats),
  formula = "yield ~ nitro + nitro_again + Variety + (1 | Block/Variety)", data = own
)
cake <- dataset("cake")
case <- add(case, "covariate_in_factor", fit_lmer(angle ~ temp + temperature + recipe + (1 | recipe:replicate), cake),
  formula = "angle ~ temp + temperature + recipe + (1 | recipe:replicate)", data = "cake"
)
holes <- subset(oats, !(Variety == "Victory" & nitro == 0.6) & !(Variety == "Marvellous" & nitro == 0))
holes$level <- factor(holes$nitro)
own <- case_data(holes, "holes.csv.gz")
for (REML in c(TRUE, FALSE)) {
  case <- add(case, paste0("empty_cells_", if (REML) "reml" else "ml"),
    fit_lmer(yield ~ Variety * level + (1 | Block / Variety), holes, REML),
    formula = "yield ~ Variety * level + (1 | Block/Variety)", data = own
  )
}
write_case(case)
