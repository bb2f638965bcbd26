# Shared by every tests/reference/<case>/model.R: read the data, fit tightly, write what the program printed.
#
#   source("tests/reference/fit_to_json.R")      (found from the path of the calling script)
#   case <- new_case("rail", "one-way random effects")
#   case <- add(case, "reml", fit_lmer(travel ~ 1 + (1 | Rail), dataset("rail")), data = "rail")
#   write_case(case)

suppressPackageStartupMessages({
  library(jsonlite)
  library(Matrix)
  library(nlme)
  library(lme4)
})
options(contrasts = c("contr.treatment", "contr.treatment"), digits = 12)
RNGkind("Mersenne-Twister", "Inversion", "Rejection")

script_path <- normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
case_folder <- dirname(script_path)
reference_folder <- dirname(case_folder)
data_folder <- file.path(dirname(dirname(reference_folder)), "src", "mixedmodels", "datasets", "data")
source(file.path(reference_folder, "dense.R"))

# 1. data -----------------------------------------------------------------------------------------------------
restore_factors <- function(frame, columns) {
  for (column in columns) {
    if (column$kind %in% c("factor", "ordered")) {
      # ordered factors become plain ones, so that both sides use treatment coding
      frame[[column$name]] <- factor(frame[[column$name]], levels = unlist(column$levels))
    } else {
      frame[[column$name]] <- as.numeric(frame[[column$name]])
    }
  }
  frame
}

dataset <- function(name) {
  record <- fromJSON(file.path(data_folder, paste0(name, ".json")), simplifyVector = FALSE)
  path <- file.path(data_folder, record$file)
  if (grepl("[.]csv[.]gz$", path)) {
    return(restore_factors(read.csv(path, colClasses = "character"), record$columns))
  }
  connection <- gzfile(path, "rb")
  on.exit(close(connection))
  frame <- lapply(record$columns, function(column) {
    size <- if (column$stored == "uint16") 2L else 1L
    values <- readBin(connection, "integer", record$rows, size = size, signed = FALSE, endian = "little")
    if (is.null(column$levels)) values else factor(unlist(column$levels)[values + 1], levels = unlist(column$levels))
  })
  names(frame) <- vapply(record$columns, `[[`, "", "name")
  as.data.frame(frame)
}

# Writes a frame beside the script; the returned description (file, column kinds, level order) goes into the JSON.
case_data <- function(frame, file) {
  text <- lapply(frame, function(x) if (is.double(x)) sprintf("%.17g", x) else as.character(x))
  connection <- gzfile(file.path(case_folder, file), "wb", compression = 9)
  writeLines(c(paste(names(frame), collapse = ","), do.call(paste, c(unname(text), sep = ","))), connection)
  close(connection)
  columns <- Map(function(name, x) {
    kind <- if (is.factor(x)) "factor" else if (is.integer(x)) "integer" else "number"
    c(list(name = name, kind = kind), if (is.factor(x)) list(levels = I(levels(x))))
  }, names(frame), frame)
  list(file = file, columns = unname(columns))
}

# 2. fits to tight convergence --------------------------------------------------------------------------------
lmer_optimisers <- list(
  bobyqa = lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.1, rhoend = 1e-8, maxfun = 1e5)),
  nloptwrap = lmerControl(
    optimizer = "nloptwrap", optCtrl = list(xtol_abs = 1e-10, ftol_abs = 1e-12, xtol_rel = 0, ftol_rel = 0, maxeval = 1e5)
  ),
  Nelder_Mead = lmerControl(optimizer = "Nelder_Mead", optCtrl = list(FtolAbs = 1e-12, XtolRel = 1e-12, maxfun = 1e5)),
  nlminbwrap = lmerControl(optimizer = "nlminbwrap", optCtrl = list(rel.tol = 1e-14, x.tol = 1e-12))
)

quiet_control <- function(control) {
  control$checkConv <- list()
  control$checkControl[] <- lapply(control$checkControl, function(action) if (is.character(action)) "ignore" else action)
  control$checkControl$check.rankX <- "silent.drop.cols"
  control
}

# Best of lme4's optimisers, then Newton steps on lme4's own deviance function over the interior parameters.
fit_lmer <- function(formula, data, REML = TRUE, weights = NULL, offset = NULL, optimisers = names(lmer_optimisers),
                     polish = TRUE, start = NULL) {
  data$.weights <- if (is.null(weights)) 1 else weights
  data$.offset <- if (is.null(offset)) 0 else offset
  environment(formula) <- environment()
  criteria <- NULL
  best <- NULL
  for (name in optimisers) {
    control <- quiet_control(lmer_optimisers[[name]])
    arguments <- list(formula, data, REML = REML, control = control)
    if (!is.null(weights)) arguments$weights <- quote(.weights)
    if (!is.null(offset)) arguments$offset <- quote(.offset)
    if (!is.null(start)) arguments$start <- start
    fit <- suppressMessages(suppressWarnings(do.call(lmer, arguments)))
    value <- -2 * as.numeric(logLik(fit))
    criteria[name] <- value
    if (is.null(best) || value < -2 * as.numeric(logLik(best)) - 1e-12) {
      best <- fit
      winner <- name
    }
  }
  if (polish) best <- polish_lmer(best)
  attr(best, "reference") <- list(
    optimizer = paste0("lmer: ", winner, if (polish) " + Newton"), criteria = as.list(criteria),
    call = squash(bquote(lmer(.(formula), REML = .(REML)))), weighted = !is.null(weights), has_offset = !is.null(offset)
  )
  best
}

squash <- function(expression) gsub("\\s+", " ", paste(deparse(expression, width.cutoff = 500L), collapse = " "))

# theta with every term's Sigma in its lower Cholesky form: a pivot below `tolerance` is zero with its column, so
# that a singular Sigma has one representative and the nonzero entries are free parameters.
canonical_theta <- function(theta, sizes, tolerance) {
  start <- 0
  for (m in sizes) {
    own <- start + seq_len(m * (m + 1) / 2)
    L <- matrix(0, m, m)
    L[lower.tri(L, diag = TRUE)] <- theta[own]
    sigma <- tcrossprod(L)
    L[] <- 0
    for (j in seq_len(m)) {
      pivot <- sigma[j, j] - sum(L[j, ]^2)
      if (sqrt(max(pivot, 0)) <= tolerance) next
      below <- j:m
      L[below, j] <- (sigma[below, j] - L[below, , drop = FALSE] %*% L[j, ]) / sqrt(pivot)
    }
    theta[own] <- L[lower.tri(L, diag = TRUE)]
    start <- max(own)
  }
  theta
}

polish_lmer <- function(fit) {
  deviance_of <- update(fit, devFunOnly = TRUE)
  found <- getME(fit, "theta")
  before <- deviance_of(found)
  sizes <- lengths(getME(fit, "cnms"))
  for (tolerance in c(1e-3, 1e-5, 1e-8)) {
    theta <- canonical_theta(found, sizes, tolerance)
    inside <- theta != 0
    if (!any(inside)) next
    reduced <- function(own) deviance_of(replace(theta, inside, own))
    theta[inside] <- polish_newton(reduced, theta[inside])
    if (deviance_of(theta) <= before + 1e-9) {
      return(refit_at(fit, deviance_of, theta))
    }
  }
  refit_at(fit, deviance_of, ifelse(found < 1e-6 & getME(fit, "lower") == 0, 0, found))
}

refit_at <- function(fit, deviance_of, theta) {
  optimum <- list(par = theta, fval = deviance_of(theta), conv = 0, message = "polished", feval = 0)
  mkMerMod(environment(deviance_of), optimum, reTrms_of(fit), fr = fit@frame, mc = fit@call)
}
reTrms_of <- function(fit) {
  list(
    Zt = getME(fit, "Zt"), theta = getME(fit, "theta"), Lind = getME(fit, "Lind"), Gp = getME(fit, "Gp"),
    lower = getME(fit, "lower"), Lambdat = getME(fit, "Lambdat"), flist = getME(fit, "flist"), cnms = getME(fit, "cnms")
  )
}

fit_lme <- function(fixed, data, random, method = "REML", ...) {
  # pdMat objects rule out nlme's analytic gradient, so several tight runs are compared
  controls <- list(
    nlminb = lmeControl(opt = "nlminb", maxIter = 1000, msMaxIter = 1000, msMaxEval = 5000, niterEM = 100,
      tolerance = 1e-12, msTol = 1e-14, returnObject = TRUE
    ),
    optim = lmeControl(opt = "optim", maxIter = 1000, msMaxIter = 1000, niterEM = 100, tolerance = 1e-12, msTol = 1e-14,
      returnObject = TRUE
    )
  )
  runs <- lapply(controls, function(control) {
    tryCatch(
      suppressWarnings(do.call(lme, list(fixed, data = data, random = random, method = method, control = control, ...))),
      error = function(e) NULL
    )
  })
  runs <- Filter(Negate(is.null), runs)
  values <- vapply(runs, function(run) -2 * as.numeric(logLik(run)), 0)
  best <- runs[[which.min(values)]]
  attr(best, "reference") <- list(optimizer = paste("lme:", names(which.min(values))), criteria = as.list(values))
  best
}

# 3. what is kept of a fit ------------------------------------------------------------------------------------
matrix_rows <- function(matrix) unname(lapply(seq_len(nrow(matrix)), function(i) I(unname(matrix[i, ]))))

covariance_record <- function(group, matrix, label = NULL) {
  names <- colnames(matrix)
  c(
    list(group = group, names = I(names), matrix = matrix_rows(unname(matrix))),
    if (!is.null(label)) list(label = label)
  )
}

fixed_record <- function(beta, vcov) {
  vcov <- as.matrix(vcov)
  c(
    list(terms = I(names(beta)), beta = I(unname(beta)), std_error = I(unname(sqrt(diag(vcov))))),
    if (length(beta) <= 30) list(vcov = matrix_rows(vcov))
  )
}

# The first levels of every group are enough to compare; a full InstEval would be megabytes.
trim_effects <- function(effects, levels_kept = 60L) {
  keep <- unlist(lapply(split(seq_len(nrow(effects)), effects$group), function(rows) {
    rows[effects$level[rows] %in% head(unique(effects$level[rows]), levels_kept)]
  }))
  effects[sort(keep), ]
}

expected <- function(fit, ...) UseMethod("expected")

expected.lmerMod <- function(fit, dense = nobs(fit) <= 800, ...) {
  reference <- attr(fit, "reference")
  flist <- getME(fit, "flist")
  cnms <- getME(fit, "cnms")
  groups <- names(flist)[attr(flist, "assign")]
  variances <- lapply(seq_along(cnms), function(k) {
    matrix <- as.matrix(VarCorr(fit)[[k]])
    attributes(matrix) <- list(dim = dim(matrix), dimnames = list(cnms[[k]], cnms[[k]]))
    covariance_record(groups[k], matrix)
  })
  effects <- as.data.frame(ranef(fit, condVar = FALSE))
  effects <- data.frame(
    group = as.character(effects$grpvar), level = as.character(effects$grp), term = as.character(effects$term),
    estimate = effects$condval
  )
  if (dense) effects <- merge_prediction_errors(effects, fit, groups, cnms, flist)
  c(
    list(
      software = paste("lme4", packageVersion("lme4")), optimizer = reference$optimizer, criteria = reference$criteria,
      criterion = -2 * as.numeric(logLik(fit)), aic = AIC(fit), bic = BIC(fit), npar = attr(logLik(fit), "df"),
      nobs = nobs(fit), sigma = sigma(fit), theta = I(unname(getME(fit, "theta"))), singular = isSingular(fit)
    ),
    fixed_record(fixef(fit), vcov(fit)),
    list(covariances = variances, random_effects = trim_effects(effects), fitted = I(unname(head(fitted(fit), 20))))
  )
}

# lme4's own criterion, BLUPs and fixed effects are held against dense algebra at the same theta.
merge_prediction_errors <- function(effects, fit, groups, cnms, flist) {
  Z <- as.matrix(getME(fit, "Z"))
  Lambda <- as.matrix(getME(fit, "Lambda"))
  G <- sigma(fit)^2 * tcrossprod(Lambda)
  R <- diag(sigma(fit)^2 / weights(fit))
  method <- if (isREML(fit)) "reml" else "ml"
  y <- getME(fit, "y") - getME(fit, "offset")
  solution <- dense_solution(y, getME(fit, "X"), Z, G, R, method)
  stopifnot(abs(solution$criterion + 2 * as.numeric(logLik(fit))) < 1e-6)
  own <- dense_random_effects(solution, Z, G)
  key <- unlist(lapply(seq_along(cnms), function(k) {
    level <- levels(flist[[groups[k]]])
    paste(groups[k], rep(level, each = length(cnms[[k]])), rep(cnms[[k]], length(level)), sep = "\r")
  }))
  at <- match(with(effects, paste(group, level, term, sep = "\r")), key)
  stopifnot(!anyNA(at), max(abs(own$estimate[at] - effects$estimate)) < 1e-5 * (1e-3 + max(abs(effects$estimate))))
  effects$std_error <- own$std_error[at]
  effects$conditional_sd <- own$conditional_sd[at]
  effects
}

expected.dense_fit <- function(fit, ...) {
  beta <- fit$solution$beta
  names(beta) <- colnames(fit$X)
  effects <- do.call(rbind, lapply(fit$terms, function(term) {
    data.frame(
      group = term$group, level = rep(term$levels, each = length(term$names)), term = rep(term$names, length(term$levels))
    )
  }))
  effects <- cbind(effects, as.data.frame(fit$effects))
  covariances <- Map(function(term, sigma) {
    dimnames(sigma) <- list(term$names, term$names)
    covariance_record(term$group, sigma, term$label)
  }, fit$terms, fit$parts$sigmas)
  fitted <- drop(fit$X %*% beta + fit$Z %*% fit$effects$estimate)
  c(
    list(
      software = "dense algebra in R (tests/reference/dense.R)", optimizer = "nlminb + Newton",
      criterion = fit$solution$criterion, aic = fit$solution$criterion + 2 * fit$npar, npar = fit$npar,
      nobs = length(fit$y), sigma = fit$parts$sigma, max_gradient = fit$gradient
    ),
    fixed_record(beta, fit$solution$vcov),
    list(covariances = unname(covariances), random_effects = trim_effects(effects), fitted = I(unname(head(fitted, 20))))
  )
}

# 4. cases ----------------------------------------------------------------------------------------------------
default_tolerance <- list(
  criterion = 1e-5, estimate = 1e-5,
  reason = "Both programs minimise the same smooth function; the R optimum is polished by Newton steps."
)

new_case <- function(name, about, tolerance = default_tolerance) {
  list(case = name, about = about, tolerance = tolerance, models = list())
}

# `options` are further arguments of mixedmodels.lmm(); `witness` is the -2 log-likelihood of a second program.
add <- function(case, id, fit, formula, data, method = NULL, weights = NULL, options = NULL, call = NULL, witness = NULL,
                tolerance = NULL, note = NULL, ...) {
  result <- expected(fit, ...)
  if (is.null(method)) method <- if (inherits(fit, "dense_fit")) fit$method else if (isREML(fit)) "reml" else "ml"
  if (is.null(call)) call <- attr(fit, "reference")$call
  if (!is.null(witness)) {
    difference <- result$criterion - witness$criterion
    cat(sprintf("  witness %s: difference %.2e\n", witness$software, difference))
    stopifnot(abs(difference) < 1e-4)
  }
  model <- list(
    id = id, call = call, formula = formula, data = data, method = method, weights = weights, options = options,
    note = note, tolerance = tolerance, witness = witness, expected = result
  )
  model <- model[!vapply(model, is.null, TRUE)]
  cat(sprintf("%-34s %-4s criterion %.8f  sigma %.8f\n", id, method, result$criterion, result$sigma))
  case$models[[length(case$models) + 1]] <- model
  case
}

witness_of <- function(fit) {
  software <- if (inherits(fit, "glmmTMB")) "glmmTMB" else if (inherits(fit, c("lme", "gls"))) "nlme" else "lme4"
  list(software = paste(software, packageVersion(software)), criterion = -2 * as.numeric(logLik(fit)))
}

write_case <- function(case) {
  # one model per block, long arrays on one line: small files, readable differences
  text <- toJSON(case, digits = NA, auto_unbox = TRUE, null = "null", na = "null", dataframe = "columns")
  text <- gsub('(\\{"id":|"expected":|"random_effects":|"covariances":|"vcov":|"tolerance":|"models":)', "\n\\1", text)
  writeLines(text, file.path(case_folder, "result.json"))
  cat(length(case$models), "models in", basename(case_folder), "\n")
}
