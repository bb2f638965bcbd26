# Concurvity and k-index of mgcv, R 4.2, mgcv 1.8-41, for tests/unit/postfit/test_smooth_checks.py.
suppressMessages(library(mgcv))
i <- 1:150
x <- (i * 0.6180339887498949) %% 1; w <- (i * 0.7548776662466927) %% 1
z <- x^2 + 0.3 * ((i * 0.5698402909980532) %% 1); y <- sin(9 * x) + z + 0.4 * sin(1.7 * i)
b <- gam(y ~ w + s(x, bs = "cr", k = 5) + s(z, bs = "cr"), method = "REML", control = gam.control(newton = list(conv.tol = 1e-10)))
print(t(concurvity(b))[2:3, ], digits = 9)
print(k.check(b)[, "k-index"], digits = 9)
