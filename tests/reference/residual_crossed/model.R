# Crossed random effects together with structured or unequal errors: 14 subjects rated at 6 visits by 8 raters.
# The reference is V in full, minimised directly; nlme fits the same with one dummy group for the crossed terms.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

set.seed(211)
subjects <- 14
visits <- 6
raters <- 8
ratings <- expand.grid(visit = seq_len(visits), id = seq_len(subjects))
ratings$rater <- sample(rep(seq_len(raters), length.out = nrow(ratings)))
ratings$x <- round(rnorm(nrow(ratings)), 3)
ratings$form <- ifelse(runif(nrow(ratings)) < 0.45, "long", "short")
lag <- abs(outer(seq_len(visits), seq_len(visits), "-"))
errors <- matrix(rnorm(subjects * visits), subjects) %*% chol(0.6^lag)
spread <- ifelse(ratings$form == "long", 1.5, 1)
level <- rnorm(subjects, 0, 0.9)
rater <- rnorm(raters, 0, 0.7)
ratings$y <- round(3 + 0.5 * ratings$x + level[ratings$id] + rater[ratings$rater] + spread * errors[cbind(ratings$id, ratings$visit)], 3)
ratings <- ratings[-c(5, 18, 19, 40, 66, 71), ]
ratings$id <- factor(ratings$id)
ratings$rater <- factor(ratings$rater)
ratings$form <- factor(ratings$form)
own <- case_data(transform(ratings, visit = factor(visit))[c("id", "visit", "rater", "form", "x", "y")], "ratings.csv.gz")
ratings$one <- factor(1)

X <- model.matrix(~x, ratings)
ones <- cbind("(Intercept)" = rep(1, nrow(ratings)))
same <- outer(ratings$id, ratings$id, "==")
gap <- abs(outer(ratings$visit, ratings$visit, "-"))
serial <- function(z) tanh(z)^gap * same
unequal <- function(log_ratio) diag(ifelse(ratings$form == "short", exp(2 * log_ratio), 1))
subject <- dense_term("id", ratings$id, ones, structures$diag(1), -0.2)
by_rater <- dense_term("rater", ratings$rater, ones, structures$diag(1), -0.2)
slopes <- dense_term("rater", ratings$rater, cbind("(Intercept)" = 1, x = ratings$x), structures$us(2), c(0.7, 0.1, 0.3))
crossed <- function(formula, method, ...) {
  parts <- pdBlocked(list(pdIdent(~ 0 + id), pdIdent(~ 0 + rater)))
  witness_of(fit_lme(formula, ratings, list(one = parts), toupper(method), ...))
}
case <- new_case("residual_crossed", "crossed random effects with structured or heteroscedastic errors")
for (method in c("reml", "ml")) {
  case <- add(case, paste0("ar1_", method),
    dense_fit(ratings$y, X, list(subject, by_rater), method, residual = serial, residual_start = 0.5),
    formula = "y ~ x + (1 | id) + (1 | rater)", data = own, options = list(residual = "ar1(visit | id)"),
    witness = crossed(y ~ x, method, correlation = corAR1(form = ~ visit | one / id))
  )
  case <- add(case, paste0("ident_", method),
    dense_fit(ratings$y, X, list(subject, by_rater), method, residual = unequal, residual_start = 0.3),
    formula = "y ~ x + (1 | id) + (1 | rater)", data = own, options = list(variance = "ident(form)"),
    witness = crossed(y ~ x, method, weights = varIdent(form = ~ 1 | form))
  )
}
case <- add(case, "ar1_ident",
  dense_fit(ratings$y, X, list(by_rater), "reml",
    residual = function(theta) {
      root <- sqrt(unequal(theta[2]))
      root %*% serial(theta[1]) %*% root
    }, residual_start = c(0.5, 0.3)
  ),
  formula = "y ~ x + (1 | rater)", data = own, options = list(residual = "ar1(visit | id)", variance = "ident(form)"),
  witness = witness_of(fit_lme(y ~ x, ratings, list(one = pdIdent(~ 0 + rater)), "REML",
    correlation = corAR1(form = ~ visit | one / id), weights = varIdent(form = ~ 1 | form)
  ))
)
case <- add(case, "slopes_cs",
  dense_fit(ratings$y, X, list(slopes), "reml",
    residual = function(z) {
      rho <- -1 / (visits - 1) + (1 + 1 / (visits - 1)) * plogis(z)
      ifelse(same, rho, 0) + diag(1 - rho, nrow(ratings))
    }, residual_start = 0
  ),
  formula = "y ~ x + (1 + x | rater)", data = own, options = list(residual = "cs(visit | id)")
)
write_case(case)
