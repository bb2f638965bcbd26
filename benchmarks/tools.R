# One list per R tool: its package, a first fit, and how it fits the model of the case (`model`, from worker.R).

not_offered <- function(...) {
  stop(structure(class = c("not_offered", "error", "condition"), list(message = paste0(...), call = NULL)))
}

quietly <- function(expression) suppressMessages(suppressWarnings(expression))

lme4_tool <- function(lean) {
  # lme4-lean leaves out the finite-difference derivatives that lmer computes after convergence as a check.
  control <- lme4::lmerControl(calc.derivs = !lean)
  # -2 REML log-likelihood from its components: after refit, REMLcrit() of lme4 1.1-31 disagrees with them.
  criterion <- function(fit) {
    parts <- lme4::getME(fit, "devcomp")$cmp
    df <- nobs(fit) - lme4::getME(fit, "p")
    unname(parts["ldL2"] + parts["ldRX2"] + df * (1 + log(2 * pi * parts["pwrss"] / df)))
  }
  glmer_of <- function(data) {
    if (model$family == "nb2") return(quietly(lme4::glmer.nb(as.formula(model$formula), data)))
    quietly(lme4::glmer(as.formula(model$formula), data, family = model$family))
  }
  list(
    package = "lme4",
    warm_up = function() quietly(lme4::lmer(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)),
    fit = function(data) {
      if (!is.null(model$repeated)) not_offered("lme4 has no structured errors")
      if (!is.null(model$family)) return(glmer_of(data))
      quietly(lme4::lmer(as.formula(model$formula), data, REML = TRUE, control = control))
    },
    refit = function(fit, response) quietly(lme4::refit(fit, response, control = control)),
    table = function(fit, ddf) not_offered("lme4 has no table by ", ddf),
    outcome = function(fit) {
      if (lme4::isGLMM(fit)) return(list(criterion = -2 * as.numeric(logLik(fit)), converged = fit@optinfo$conv$opt == 0, remark = ""))
      complaints <- unlist(fit@optinfo$conv$lme4$messages)
      list(
        criterion = criterion(fit), converged = fit@optinfo$conv$opt == 0,
        remark = paste(c(if (lme4::isSingular(fit)) "singular", complaints), collapse = "; ")
      )
    }
  )
}

# Kenward and Roger's covariance, then the degrees of freedom of every coefficient.
pbkrtest_tool <- function() {
  base <- lme4_tool(lean = FALSE)
  table <- function(fit, ddf) {
    if (ddf != "kenward-roger") not_offered("pbkrtest has no table by ", ddf)
    adjusted <- pbkrtest::vcovAdj(fit)
    plain <- as.matrix(vcov(fit))
    unit <- diag(length(lme4::fixef(fit)))
    df <- apply(unit, 1, function(row) pbkrtest::Lb_ddf(row, plain, adjusted))
    list(fit = fit, df = df, se = sqrt(diag(as.matrix(adjusted))))
  }
  list(
    package = "pbkrtest",
    warm_up = function() table(base$warm_up(), "kenward-roger"),
    fit = base$fit, refit = base$refit, table = table,
    outcome = function(found) base$outcome(if (is.list(found)) found$fit else found)
  )
}

fixed_formula <- function() as.formula(paste(model$response, "~", model$fixed))

structured <- function(package) {
  if (is.null(model$repeated)) not_offered(package, " is asked for structured errors only")
  model$repeated
}

nlme_tool <- function() {
  in_the_plane <- function(data, asked) {
    places <- paste(strsplit(asked$position, ", ", fixed = TRUE)[[1]], collapse = " + ")
    nlme::gls(fixed_formula(), data, correlation = nlme::corExp(form = as.formula(paste("~", places, "|", asked$cluster))))
  }
  gls_of <- function(data, asked) {
    if (asked$structure == "exp") return(in_the_plane(data, asked))
    # factors are taken by their codes, as corSymm needs consecutive integers
    data$position_ <- if (is.factor(data[[asked$position]])) as.integer(data[[asked$position]]) else data[[asked$position]]
    within <- as.formula(paste("~ position_ |", asked$cluster))
    by_visit <- as.formula(paste("~ 1 |", asked$position))
    switch(asked$structure,
      us = nlme::gls(fixed_formula(), data,
        correlation = nlme::corSymm(form = within), weights = nlme::varIdent(form = by_visit)
      ),
      car1 = nlme::gls(fixed_formula(), data, correlation = nlme::corCAR1(form = within)),
      not_offered("nlme is not asked for ", asked$structure)
    )
  }
  list(
    package = "nlme",
    warm_up = function() {
      nlme::gls(distance ~ age, nlme::Orthodont, correlation = nlme::corCAR1(form = ~ age | Subject))
    },
    fit = function(data) gls_of(data, structured("nlme")),
    refit = function(...) not_offered("nlme has no refit"),
    table = function(...) not_offered("nlme has no such table"),
    outcome = function(fit) {
      list(criterion = -2 * as.numeric(logLik(fit)), converged = TRUE, remark = paste(fit$numIter, "iterations"))
    }
  )
}

glmmtmb_tool <- function() {
  fit_of <- function(formula, data) {
    control <- glmmTMB::glmmTMBControl(parallel = threads)
    quietly(glmmTMB::glmmTMB(formula, data, REML = TRUE, dispformula = ~0, control = control))
  }
  list(
    package = "glmmTMB",
    warm_up = function() {
      small <- data.frame(lme4::sleepstudy, visit = factor(lme4::sleepstudy$Days %% 3))
      glmmTMB::glmmTMB(Reaction ~ Days + (1 | Subject), small)
    },
    fit = function(data) {
      if (!is.null(model$family)) {
        family <- if (model$family == "nb2") glmmTMB::nbinom2() else model$family
        control <- glmmTMB::glmmTMBControl(parallel = threads)
        return(quietly(glmmTMB::glmmTMB(as.formula(model$formula), data, family = family, control = control)))
      }
      asked <- structured("glmmTMB")
      if (!asked$structure %in% c("us", "ar1")) not_offered("glmmTMB is not asked for ", asked$structure)
      errors <- sprintf("%s(%s + 0 | %s)", asked$structure, asked$position, asked$cluster)
      rest <- if (length(model$bars)) model$formula else paste(model$response, "~", model$fixed)
      fit_of(as.formula(paste(rest, "+", errors)), data)
    },
    refit = function(...) not_offered("glmmTMB is not asked for refits"),
    table = function(...) not_offered("glmmTMB has no such table"),
    outcome = function(fit) {
      list(
        criterion = -2 * as.numeric(logLik(fit)), converged = fit$fit$convergence == 0,
        remark = paste(fit$fit$iterations, "iterations")
      )
    }
  )
}

tool_of <- function(peer) {
  switch(peer,
    "lme4" = lme4_tool(FALSE), "lme4-lean" = lme4_tool(TRUE), "pbkrtest" = pbkrtest_tool(), "nlme" = nlme_tool(),
    "glmmTMB" = glmmtmb_tool(), stop("no tool is called ", peer)
  )
}
