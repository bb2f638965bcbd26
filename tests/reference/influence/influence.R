# Deletion diagnostics of the orthodontic growth data by child from refits, and R's own of lm. Prints JSON.
suppressMessages({library(lme4); library(nlme); library(jsonlite)})
d <- as.data.frame(Orthodont)
d$Subject <- as.character(d$Subject)
d <- d[order(d$Subject, d$age), ]
d$male <- as.numeric(d$Sex == "Male")
control <- lmerControl(optCtrl = list(xtol_rel = 1e-12, ftol_rel = 1e-14, xtol_abs = 1e-12, ftol_abs = 1e-14))
fit <- function(rows) lmer(distance ~ male * age + (1 | Subject), rows, control = control)
full <- fit(d); b <- fixef(full); C <- as.matrix(vcov(full)); p <- length(b)
one <- function(child) {
  other <- fit(d[d$Subject != child, ])
  delta <- b - fixef(other); CU <- as.matrix(vcov(other)); own <- d[d$Subject == child, ]
  X <- model.matrix(~ male * age, own)
  share <- solve(C, CU)
  outer <- fit(d)
  # (X'V^-1 X)^-1 of all rows at the covariance without the child
  s2 <- sigma(other)^2; g2 <- as.numeric(VarCorr(other)$Subject)
  A <- Reduce(`+`, lapply(split(d, d$Subject), function(one) {
    Xi <- model.matrix(~ male * age, one); t(Xi) %*% solve(g2 + diag(s2, nrow(one)), Xi) }))
  list(cooks_d = as.numeric(t(delta) %*% solve(C, delta)) / p, mdffits = as.numeric(t(delta) %*% solve(CU, delta)) / p,
       covratio = det(share), covtrace = abs(sum(diag(share)) - p), press = sum((own$distance - X %*% fixef(other))^2),
       dfbetas = as.numeric(delta / sqrt(diag(solve(A)))))
}
children <- unique(d$Subject)
found <- lapply(children, one)
mixed <- sapply(c("cooks_d", "mdffits", "covratio", "covtrace", "press"), function(k) sapply(found, `[[`, k), simplify = FALSE)
mixed$dfbetas <- t(sapply(found, `[[`, "dfbetas"))
m <- lm(distance ~ male * age, d)
own <- list(cooks_d = cooks.distance(m), dffits = dffits(m), covratio = covratio(m), hat = hatvalues(m),
            rstudent = rstudent(m), dfbetas = unname(dfbetas(m)))
conditional <- hatvalues(full)
cat(toJSON(list(R = R.version.string, lme4 = as.character(packageVersion("lme4")), children = children, refit = mixed,
                lm = lapply(own, unname), hat = unname(conditional)), digits = 12, auto_unbox = TRUE))
