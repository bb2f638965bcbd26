# Rubin's rules and D1 of mice over linear models of three imputations. Prints JSON.
suppressMessages({library(mice); library(jsonlite)})
set.seed(1)
imp <- mice(nhanes, m = 5, print = FALSE, seed = 12)
data <- lapply(1:5, function(i) complete(imp, i))
fits <- with(imp, lm(chl ~ age + bmi))
null <- with(imp, lm(chl ~ 1))
s <- summary(pool(fits), conf.int = TRUE)
p <- pool(fits)$pooled
d1 <- D1(fits, null)
big <- summary(pool(fits, dfcom = Inf))
cat(toJSON(list(mice = as.character(packageVersion("mice")), data = data, estimate = s$estimate, std_error = s$std.error,
  df = s$df, statistic = s$statistic, p_value = s$p.value, conf_low = s$`2.5 %`, conf_high = s$`97.5 %`, fmi = p$fmi,
  riv = p$riv, d1 = as.numeric(d1$result), df_large = big$df), digits = 12, auto_unbox = TRUE))
