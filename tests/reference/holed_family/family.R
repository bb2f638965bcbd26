# Pairwise comparisons of which some are not estimable: how emmeans counts the family.
#   Rscript family.R      (Debian: r-cran-emmeans, r-cran-jsonlite)
suppressMessages({library(emmeans); library(jsonlite)})
d <- data.frame(a = rep(c("x", "y", "z"), each = 6), b = rep(c("p", "q"), 9))
d$y <- c(2.1, 3.4, 1.2, 2.8, 2.6, 3.9, 4.0, 5.1, 3.2, 4.4, 4.9, 5.3, 6.1, 7.0, 5.2, 6.6, 5.9, 7.4)
d <- d[!(d$a == "z" & d$b == "q"), ]
f <- lm(y ~ a * b, d)
m <- emmeans(f, "a")
one <- function(adjust) as.data.frame(summary(contrast(m, "pairwise", adjust = adjust)))$p.value[1]
kinds <- c("tukey", "sidak", "bonferroni", "holm", "hochberg", "hommel", "BH")
out <- list(data = as.list(d), p = lapply(setNames(kinds, kinds), one), version = as.character(packageVersion("emmeans")))
write(toJSON(out, digits = NA, auto_unbox = TRUE), "family.json")
