# Hotelling-Lawley traces of repeated measures as R's multivariate linear model has them: two complete designs.
library(nlme); library(jsonlite)
growth <- as.data.frame(Orthodont)
wide <- function(y, id, t) { m <- tapply(y, list(id, t), identity); m[order(rownames(m)), ] }
rows <- function(table) {
  list(term = rownames(table), statistic = table[["Hotelling-Lawley"]], f = table[["approx F"]],
       num_df = table[["num Df"]], den_df = table[["den Df"]], p = table[["Pr(>F)"]])
}
one <- wide(growth$distance, as.character(growth$Subject), growth$age)
sex <- factor(substr(rownames(one), 1, 1))
contrasts(sex) <- contr.sum(2)
within <- anova(lm(one ~ sex), X = ~1, test = "Hotelling-Lawley")
set.seed(4)
n <- 21; arm <- factor(rep(c("a", "b", "c"), each = 7))
y <- matrix(rnorm(n * 4), n) %*% chol(toeplitz(c(1, .5, .3, .2))) + outer(as.numeric(arm), c(0, .2, .5, .9))
y <- round(y, 3)
contrasts(arm) <- contr.sum(3)
three <- anova(lm(y ~ arm), X = ~1, test = "Hotelling-Lawley")
cat(toJSON(list(growth = rows(within), three = list(y = y, arm = as.character(arm), table = rows(three))),
           digits = 12, pretty = TRUE, auto_unbox = TRUE))
