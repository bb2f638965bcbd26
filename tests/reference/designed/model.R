# The designs of the tutorial: blocks, split plots, Latin square, stores within cities, repeated machines.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

case <- new_case("designed", "RCBD, split plot, Latin square, stores within cities, machines, cake")
fit_both <- function(case, id, formula, ours, data, methods = "reml") {
  frame <- dataset(data)
  for (method in methods) {
    name <- if (length(methods) > 1) paste0(id, "_", method) else id
    case <- add(case, name, fit_lmer(formula, frame, REML = method == "reml"), formula = ours, data = data)
  }
  case
}
case <- fit_both(case, "rcbd", effort ~ Type + (1 | Subject), "effort ~ Type + (1 | Subject)", "ergostool", c("reml", "ml"))
case <- fit_both(case, "rcbd_cell_means", effort ~ 0 + Type + (1 | Subject), "effort ~ 0 + Type + (1 | Subject)", "ergostool")
case <- fit_both(case, "split_plot", yield ~ Variety * factor(nitro) + (1 | Block / Variety),
  "yield ~ Variety*factor(nitro) + (1 | Block/Variety)", "oats", c("reml", "ml")
)
case <- fit_both(case, "split_plot_linear", yield ~ Variety + nitro + (1 | Block) + (1 | Block:Variety),
  "yield ~ Variety + nitro + (1 | Block) + (1 | Block:Variety)", "oats"
)
case <- fit_both(case, "latin_square", value ~ treatment + (1 | row) + (1 | column),
  "value ~ treatment + (1 | row) + (1 | column)", "latin_square", c("reml", "ml")
)
case <- fit_both(case, "stores", soft ~ chain + (1 | city) + (1 | city:chain:store),
  "soft ~ chain + (1 | city) + (1 | city:chain:store)", "stores", c("reml", "ml")
)
case <- fit_both(case, "stores_unique_labels", soft ~ chain + (1 | city) + (1 | store_id),
  "soft ~ chain + (1 | city) + (1 | store_id)", "stores"
)
case <- fit_both(case, "stores_nested", soft ~ 1 + (1 | chain) + (1 | city / store_id),
  "soft ~ 1 + (1 | chain) + (1 | city/store_id)", "stores"
)
case <- fit_both(case, "machines_interaction", score ~ Machine + (1 | Worker) + (1 | Worker:Machine),
  "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", "machines", c("reml", "ml")
)
case <- fit_both(case, "cake", angle ~ recipe * temperature + (1 | recipe:replicate),
  "angle ~ recipe * temperature + (1 | recipe:replicate)", "cake", c("reml", "ml")
)
case <- fit_both(case, "cake_linear", angle ~ recipe + temp + (1 | recipe:replicate),
  "angle ~ recipe + temp + (1 | recipe:replicate)", "cake", "ml"
)
write_case(case)
