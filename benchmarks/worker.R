# The R twin of worker.py: holds one R tool and one case's data, answers one JSON object a line.
#   Rscript worker.R <peer> <data folder> <model as JSON> <threads>
suppressPackageStartupMessages(library(jsonlite))

arguments <- commandArgs(trailingOnly = TRUE)
peer <- arguments[1]
folder <- arguments[2]
model <- fromJSON(arguments[3], simplifyVector = FALSE)
threads <- as.integer(arguments[4])

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
source(file.path(here, "tools.R"))

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

status_bytes <- function(field) {
  line <- grep(paste0("^", field, ":"), readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) * 1024
}

failure <- function(condition) {
  kind <- if (inherits(condition, "not_offered")) "not offered" else "failed"
  list(error = substr(gsub("\\s+", " ", conditionMessage(condition)), 1, 300), kind = kind)
}

seconds_of <- function(work) {
  start <- Sys.time()
  value <- work()
  list(seconds = as.numeric(difftime(Sys.time(), start, units = "secs")), value = value)
}

measure <- function(operation, given, repetitions) {
  invisible(gc())
  processor_start <- sum(proc.time()[1:2])
  measured <- seconds_of(function() {
    for (k in seq_len(repetitions)) fit <- operation(given)
    fit
  })
  processor <- sum(proc.time()[1:2]) - processor_start
  list(
    seconds = measured$seconds / repetitions, processor_seconds = processor / repetitions, fit = measured$value
  )
}

answer <- function(request, tool, work, data) {
  switch(request$command,
    calibrate = {
      work$operation(work$given())
      seconds <- measure(work$operation, work$given(), 1)$seconds
      list("repeat" = max(1, min(500, round(0.2 / seconds))))
    },
    time = {
      before <- seconds_of(work$given)
      measured <- measure(work$operation, before$value, request[["repeat"]])
      list(
        seconds = measured$seconds, processor_seconds = measured$processor_seconds,
        fit_seconds = if (!is.null(before$value)) before$seconds,
        outcome = c(
          tool$outcome(measured$fit), method = if (is.null(model$family)) "REML" else "Laplace", model = model$formula)
      )
    },
    memory = {
      given <- work$given()
      invisible(gc())
      cat("5", file = "/proc/self/clear_refs")
      before <- status_bytes("VmRSS")
      fit <- work$operation(given)
      peak <- status_bytes("VmHWM")
      kept <- status_bytes("VmRSS")
      list(before = before, increment = peak - before, kept = kept - before, data = as.numeric(object.size(data)))
    },
    stop(tool$package, " does not answer ", request$command)
  )
}

# What is timed, and what it is given: made before the clock starts.
work_of <- function(tool, data) {
  fit <- function(...) tool$fit(data)
  nothing <- function() NULL
  if (model$operation == "fit") {
    return(list(given = nothing, operation = fit))
  }
  if (model$operation == "refit") {
    base <- fit()
    return(list(given = nothing, operation = function(given) tool$refit(base, data$new_response)))
  }
  list(given = fit, operation = function(given) tool$table(given, model$operation))
}

serve <- function() {
  tool <- tool_of(peer)
  suppressPackageStartupMessages(library(tool$package, character.only = TRUE))
  data <- read_columns(folder)
  tool$warm_up()
  work <- work_of(tool, data)
  session <- sessionInfo()
  reply(list(
    version = as.character(packageVersion(tool$package)), rows = nrow(data),
    detail = paste0("R ", getRversion(), ", BLAS ", session$BLAS)
  ))
  input <- file("stdin", "r")
  while (length(line <- readLines(input, n = 1)) == 1) {
    request <- fromJSON(line, simplifyVector = FALSE)
    reply(tryCatch(answer(request, tool, work, data), error = failure))
  }
}

tryCatch(serve(), error = function(condition) reply(failure(condition)))
