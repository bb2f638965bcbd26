# Serially correlated random effects of 20 plots over 5 weeks, measured twice a week: every structure over an ordered
# factor. glmmTMB (its cs and toep have one variance per position: hcs and htoep here) and nlme are witnesses.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

suppressPackageStartupMessages(library(glmmTMB))

set.seed(73)
weeks <- 5
plots <- expand.grid(replicate = 1:2, week = seq_len(weeks), plot = 1:20)
plots$treatment <- factor(ifelse(plots$plot <= 10, "control", "treated"))
correlation <- 0.7^abs(outer(seq_len(weeks), seq_len(weeks), "-"))
sd <- c(1, 1.3, 1.6, 1.4, 1.8)
effects <- matrix(rnorm(20 * weeks), 20) %*% chol(correlation * tcrossprod(sd))
plots$y <- round(10 + 0.4 * plots$week * (plots$plot > 10) + effects[cbind(plots$plot, plots$week)] + rnorm(nrow(plots), 0, 0.8), 3)
plots <- plots[-c(3, 4, 57, 88, 89, 120), ]
plots$week <- factor(plots$week)
plots$plot <- factor(plots$plot)
own <- case_data(plots[c("plot", "week", "treatment", "y")], "plots.csv.gz")

case <- new_case("structured_time", "structures over an ordered factor on the G side")
X <- model.matrix(~ treatment * week, plots)
Z <- model.matrix(~ 0 + week, plots)
tight <- glmmTMBControl(optCtrl = list(rel.tol = 1e-14, x.tol = 1e-12, iter.max = 2000, eval.max = 4000))
tmb <- function(formula, method) {
  fit <- suppressWarnings(glmmTMB(formula, plots, REML = method == "reml", control = tight))
  witness_of(fit)
}
fit_plots <- function(structure, start, method = "reml", X. = X, other = list()) {
  term <- dense_term("plot", plots$plot, Z, structure, start)
  dense_fit(plots$y, X., list(term), method, other_starts = other)
}
start_het <- rep(0.3, weeks)
models <- list(
  list("diag", structures$diag(weeks), start_het, y ~ treatment * week + diag(0 + week | plot)),
  list("homdiag", structures$homdiag(weeks), 0.3, NULL),
  list("cs", structures$cs(weeks), c(0.3, 0), NULL),
  list("hcs", structures$hcs(weeks), c(start_het, 0), y ~ treatment * week + cs(0 + week | plot)),
  list("ar1", structures$ar1(weeks), c(0.3, 0.5), y ~ treatment * week + ar1(0 + week | plot)),
  list("har1", structures$har1(weeks), c(start_het, 0.5), NULL),
  list("toep", structures$toep(weeks), c(0.3, 0.5, 0, 0, 0), NULL),
  list("htoep", structures$htoep(weeks), c(start_het, 0.5, 0, 0, 0), y ~ treatment * week + toep(0 + week | plot)),
  list("ante1", structures$ante1(weeks), c(start_het, rep(0.5, weeks - 1)), NULL),
  list("us", structures$us(weeks), diag(weeks)[lower.tri(diag(weeks), diag = TRUE)], y ~ treatment * week + us(0 + week | plot)),
  list("fa(1)", structures$fa(weeks, 1), c(rep(1, weeks), rep(-0.5, weeks)), NULL),
  list("fa0(2)", structures$fa0(weeks, 2), c(rep(1, weeks), 1, 0.8, 0.6, 0.4), NULL)
)
for (model in models) {
  for (method in c("reml", if (model[[1]] %in% c("cs", "ar1", "htoep", "diag")) "ml")) {
    formula <- model[[4]]
    witness <- if (!is.null(formula)) tmb(formula, method)
    if (model[[1]] == "cs") {
      witness <- witness_of(fit_lme(y ~ treatment * week, plots, list(plot = pdCompSymm(~ 0 + week)), toupper(method)))
    }
    case <- add(case, paste(gsub("[()]", "", model[[1]]), method, sep = "_"), fit_plots(model[[2]], model[[3]], method),
      formula = sprintf("y ~ treatment * week + %s(0 + week | plot)", model[[1]]), data = own,
      call = if (!is.null(formula)) paste0("glmmTMB(", squash(formula), ")"), witness = witness
    )
  }
}
# separate parameters for each treatment
half <- function(name) {
  rows <- plots$treatment == name
  term <- dense_term("plot", plots$plot[rows], Z[rows, ], structures$ar1(weeks), c(0.3, 0.5), label = name)
  full <- matrix(0, nrow(plots), ncol(term$Z))
  full[rows, ] <- term$Z
  term$Z <- full
  term
}
case <- add(case, "ar1_by_treatment", dense_fit(plots$y, X, list(half("control"), half("treated"))),
  formula = "y ~ treatment * week + ar1(0 + week | plot, by=treatment)", data = own
)
write_case(case)
