# The R twin of worker.py: holds lme4 and one case's data, answers one JSON object a line.
#   Rscript worker.R <peer> <data folder> <model as JSON> <threads>
suppressPackageStartupMessages({
  library(lme4)
  library(jsonlite)
})

arguments <- commandArgs(trailingOnly = TRUE)
peer <- arguments[1]
folder <- arguments[2]
model <- fromJSON(arguments[3], simplifyVector = FALSE)

reply <- function(answer) {
  cat("@@", toJSON(answer, auto_unbox = TRUE, digits = NA, null = "null"), "\n", sep = "")
  flush(stdout())
}

read_columns <- function(folder) {
  description <- fromJSON(file.path(folder, "columns.json"), simplifyVector = FALSE)
  columns <- list()
  for (entry in description$columns) {
    path <- file.path(folder, paste0(entry$name, ".bin"))
    kind <- if (entry$kind == "number") "double" else "integer"
    numbers <- readBin(path, kind, n = description$rows, endian = "little")
    if (entry$kind == "factor") {
      labels <- readLines(file.path(folder, paste0(entry$name, ".labels")))
      numbers <- structure(numbers + 1L, levels = labels, class = "factor")
    }
    columns[[entry$name]] <- numbers
  }
  as.data.frame(columns, check.names = FALSE)
}

# lme4-lean leaves out the finite-difference derivatives that lmer computes after convergence as a check.
control <- lmerControl(calc.derivs = peer != "lme4-lean")

fit_model <- function(formula, data, reml = TRUE) {
  suppressMessages(suppressWarnings(lmer(formula, data, REML = reml, control = control)))
}

# -2 REML log-likelihood from its components: after refit, REMLcrit() of lme4 1.1-31 disagrees with them.
reml_criterion <- function(fit) {
  parts <- getME(fit, "devcomp")$cmp
  df <- nobs(fit) - getME(fit, "p")
  unname(parts["ldL2"] + parts["ldRX2"] + df * (1 + log(2 * pi * parts["pwrss"] / df)))
}

outcome <- function(fit) {
  complaints <- unlist(fit@optinfo$conv$lme4$messages)
  remark <- paste(c(if (isSingular(fit)) "singular", complaints), collapse = "; ")
  list(
    criterion = reml_criterion(fit), method = "REML", model = model$formula,
    converged = fit@optinfo$conv$opt == 0, remark = remark
  )
}

status_bytes <- function(field) {
  line <- grep(paste0("^", field, ":"), readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) * 1024
}

failure <- function(condition) {
  list(error = substr(gsub("\\s+", " ", conditionMessage(condition)), 1, 300), kind = "failed")
}

measure <- function(operation, repetitions) {
  invisible(gc())
  start <- Sys.time()
  processor_start <- sum(proc.time()[1:2])
  for (k in seq_len(repetitions)) fit <- operation()
  elapsed <- as.numeric(difftime(Sys.time(), start, units = "secs"))
  processor <- sum(proc.time()[1:2]) - processor_start
  list(seconds = elapsed / repetitions, processor_seconds = processor / repetitions, fit = fit)
}

answer <- function(request, operation, data) {
  switch(request$command,
    calibrate = {
      operation()
      seconds <- measure(operation, 1)$seconds
      list("repeat" = max(1, min(500, round(0.2 / seconds))))
    },
    time = {
      measured <- measure(operation, request[["repeat"]])
      list(
        seconds = measured$seconds, processor_seconds = measured$processor_seconds,
        outcome = outcome(measured$fit)
      )
    },
    memory = {
      invisible(gc())
      cat("5", file = "/proc/self/clear_refs")
      before <- status_bytes("VmRSS")
      fit <- operation()
      peak <- status_bytes("VmHWM")
      kept <- status_bytes("VmRSS")
      list(before = before, increment = peak - before, kept = kept - before, data = as.numeric(object.size(data)))
    },
    stop("lme4 does not answer ", request$command)
  )
}

serve <- function() {
  data <- read_columns(folder)
  formula <- as.formula(model$formula)
  operation <- function() fit_model(formula, data)
  fit_model(Reaction ~ Days + (Days | Subject), sleepstudy)
  if (model$operation == "refit") {
    base <- fit_model(formula, data)
    operation <- function() suppressMessages(suppressWarnings(refit(base, data$new_response, control = control)))
  }
  session <- sessionInfo()
  reply(list(
    version = as.character(packageVersion("lme4")), rows = nrow(data),
    detail = paste0("R ", getRversion(), ", BLAS ", session$BLAS)
  ))
  input <- file("stdin", "r")
  while (length(line <- readLines(input, n = 1)) == 1) {
    request <- fromJSON(line, simplifyVector = FALSE)
    reply(tryCatch(answer(request, operation, data), error = failure))
  }
}

tryCatch(serve(), error = function(condition) reply(failure(condition)))
