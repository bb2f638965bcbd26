# Known covariance among the levels: an additive relationship matrix A of 60 animals, by dense algebra.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "..", "fit_to_json.R"))

set.seed(91)
animals <- 60
sire <- dam <- rep(0L, animals)
for (i in 13:animals) {
  pool <- max(1, i - 25):(i - 1)
  sire[i] <- sample(pool[pool %% 2 == 1], 1)
  dam[i] <- sample(pool[pool %% 2 == 0], 1)
}
# tabular method: a_ij = (a_j,sire(i) + a_j,dam(i)) / 2, a_ii = 1 + a_sire,dam / 2
A <- diag(animals)
for (i in seq_len(animals)) {
  if (sire[i] > 0) {
    before <- seq_len(i - 1)
    A[i, before] <- A[before, i] <- (A[before, sire[i]] + A[before, dam[i]]) / 2
    A[i, i] <- 1 + A[sire[i], dam[i]] / 2
  }
}
name <- sprintf("a%02d", seq_len(animals))
dimnames(A) <- list(name, name)
breeding <- drop(t(chol(A)) %*% rnorm(animals)) * 2
permanent <- rnorm(animals, 0, 1)
recorded <- setdiff(seq_len(animals), c(1, 4, 9, 60))
records <- data.frame(animal = rep(recorded, times = sample(1:4, length(recorded), replace = TRUE)))
records$x <- round(rnorm(nrow(records)), 3)
records$sex <- factor(ifelse(records$animal %% 2 == 1, "male", "female"))
records$y <- round(20 + 1.5 * (records$sex == "male") + breeding[records$animal] + permanent[records$animal] +
  records$x * (1 + 0.7 * rnorm(animals)[records$animal]) + rnorm(nrow(records), 0, 1.2), 3)
records$animal <- factor(name[records$animal], levels = name[recorded])
own <- case_data(records, "records.csv.gz")

write_matrix <- function(matrix, file) {
  connection <- gzfile(file.path(case_folder, file), "wb", compression = 9)
  lines <- apply(matrix, 1, function(row) paste(sprintf("%.17g", row), collapse = ","))
  writeLines(c(paste(colnames(matrix), collapse = ","), lines), connection)
  close(connection)
  file
}
precision <- solve(A)
precision[abs(precision) < 1e-10] <- 0
dimnames(precision) <- dimnames(A)
relationship <- list(A = write_matrix(A, "A.csv.gz"), Q = write_matrix(precision, "Q.csv.gz"))

case <- new_case("kernel", "known covariance or precision matrices among levels")
one <- cbind("(Intercept)" = rep(1, nrow(records)))
X <- model.matrix(~ sex + x, records)
genetic <- dense_term("animal", records$animal, one, structures$diag(1), 0.3, kernel = A)
environment_term <- dense_term("animal", records$animal, one, structures$diag(1), 0.1)
for (method in c("reml", "ml")) {
  case <- add(case, paste0("animal_", method), dense_fit(records$y, X, list(genetic), method),
    formula = "y ~ sex + x + (1 | animal, cov=A)", data = own, options = list(known = relationship["A"])
  )
}
case <- add(case, "animal_precision", dense_fit(records$y, X, list(genetic)),
  formula = "y ~ sex + x + (1 | animal, precision=Q)", data = own, options = list(known = relationship["Q"])
)
case <- add(case, "animal_and_permanent_environment", dense_fit(records$y, X, list(genetic, environment_term)),
  formula = "y ~ sex + x + (1 | animal, cov=A) + (1 | animal)", data = own, options = list(known = relationship["A"])
)
reaction <- cbind(one, x = records$x)
case <- add(case, "reaction_norm", dense_fit(records$y, X, list(
  dense_term("animal", records$animal, reaction, structures$us(2), c(1.5, 0.2, 0.7), kernel = A)
)), formula = "y ~ sex + x + (1 + x | animal, cov=A)", data = own, options = list(known = relationship["A"]))
case <- add(case, "reaction_norm_diagonal", dense_fit(records$y, X, list(
  dense_term("animal", records$animal, reaction, structures$diag(2), c(0.4, -0.3), kernel = A)
)), formula = "y ~ sex + x + diag(1 + x | animal, cov=A)", data = own, options = list(known = relationship["A"]))
write_case(case)
