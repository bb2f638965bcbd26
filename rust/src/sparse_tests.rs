//! The sparse kernels against dense algebra written out from its definition.

use super::*;

/// Uniform numbers in (−½, ½) from a linear congruential generator: the same matrices on every machine.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }

    fn below(&mut self, bound: usize) -> usize {
        (((self.next() + 0.5) * bound as f64) as usize).min(bound - 1)
    }
}

/// A symmetric matrix, dense and as a compressed lower triangle.
struct Case {
    order: usize,
    dense: Vec<f64>,
    indptr: Vec<i64>,
    indices: Vec<i32>,
    values: Vec<f64>,
}

/// Diagonally dominant values on the pattern of the given pairs.
fn case(order: usize, pairs: &[(usize, usize)], seed: u64) -> Case {
    let mut random = Uniform(seed);
    let mut dense = vec![0.0; order * order];
    for &(i, j) in pairs.iter().filter(|(i, j)| i != j) {
        let value = random.next();
        dense[i * order + j] = value;
        dense[j * order + i] = value;
    }
    for i in 0..order {
        let sum: f64 = (0..order).map(|j| dense[i * order + j].abs()).sum();
        dense[i * order + i] = sum + 0.5 + random.next().abs();
    }
    compressed(order, dense, true)
}

fn compressed(order: usize, dense: Vec<f64>, lower: bool) -> Case {
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for j in 0..order {
        for i in if lower { j } else { 0 }..order {
            if dense[i * order + j] != 0.0 {
                indices.push(i as i32);
                values.push(dense[i * order + j]);
            }
        }
        indptr.push(indices.len() as i64);
    }
    Case {
        order,
        dense,
        indptr,
        indices,
        values,
    }
}

/// Log-determinant and inverse by unpivoted Gauss–Jordan elimination.
fn dense_inverse(order: usize, dense: &[f64]) -> (f64, Vec<f64>) {
    let mut a = dense.to_vec();
    let mut logdet = 0.0;
    for k in 0..order {
        let pivot = a[k * order + k];
        logdet += pivot.ln();
        a[k * order + k] = 1.0;
        a[k * order..(k + 1) * order]
            .iter_mut()
            .for_each(|value| *value /= pivot);
        let row = a[k * order..(k + 1) * order].to_vec();
        for i in (0..order).filter(|&i| i != k) {
            let factor = std::mem::replace(&mut a[i * order + k], 0.0);
            for (value, r) in a[i * order..(i + 1) * order].iter_mut().zip(&row) {
                *value -= factor * r;
            }
        }
    }
    (logdet, a)
}

fn random_pairs(order: usize, count: usize, seed: u64) -> Vec<(usize, usize)> {
    let mut random = Uniform(seed);
    (0..count)
        .map(|_| (random.below(order), random.below(order)))
        .collect()
}

fn clique(columns: std::ops::Range<usize>) -> Vec<(usize, usize)> {
    columns
        .clone()
        .flat_map(|i| columns.clone().map(move |j| (i, j)))
        .collect()
}

/// Rows of a design with three crossed factors: each contributes a triangle of pairs.
fn crossed_pairs(levels: [usize; 3], rows: usize, seed: u64) -> Vec<(usize, usize)> {
    let mut random = Uniform(seed);
    let mut pairs = Vec::new();
    for _ in 0..rows {
        let a = random.below(levels[0]);
        let b = levels[0] + random.below(levels[1]);
        let c = levels[0] + levels[1] + random.below(levels[2]);
        pairs.extend([(b, a), (c, a), (c, b)]);
    }
    pairs
}

fn close(found: f64, expected: f64) -> bool {
    // Diagonally dominant, so condition is modest: a few hundred roundings at most.
    (found - expected).abs() <= 1e-12 * expected.abs().max(1.0)
}

fn check(case: &Case, threads: usize) {
    let order = case.order;
    let (logdet, inverse) = dense_inverse(order, &case.dense);
    let mut sparse = SparseSymmetric::new(order, &case.indptr, &case.indices, None).unwrap();
    for _ in 0..2 {
        // twice: the second factorisation reuses every buffer
        let found = sparse.factor(&case.values, threads).unwrap();
        assert!(
            (found - logdet).abs() <= 1e-11 * logdet.abs().max(1.0),
            "{found} {logdet}"
        );
    }
    let selected = sparse.selected_inverse(threads).unwrap();
    for ((i, j), found) in coordinates(&case.indptr, &case.indices).zip(&selected) {
        assert!(
            close(*found, inverse[i as usize * order + j as usize]),
            "({i}, {j})"
        );
    }
    for columns in [1, 3, 36] {
        check_solves(&sparse, &inverse, (order, columns), threads);
    }
}

fn check_solves(
    sparse: &SparseSymmetric,
    inverse: &[f64],
    (order, columns): (usize, usize),
    threads: usize,
) {
    let mut random = Uniform(order as u64);
    let b: Vec<f64> = (0..order * columns).map(|_| random.next()).collect();
    let expected = |i: usize, c: usize| -> f64 {
        (0..order)
            .map(|j| inverse[i * order + j] * b[j * columns + c])
            .sum()
    };
    let mut x = b.clone();
    sparse.solve(&mut x, columns, Half::Both, threads).unwrap();
    let mut h = b.clone();
    sparse
        .solve(&mut h, columns, Half::Forward, threads)
        .unwrap();
    for c in 0..columns {
        for i in 0..order {
            assert!(close(x[i * columns + c], expected(i, c)));
        }
        let quadratic: f64 = (0..order)
            .map(|i| b[i * columns + c] * expected(i, c))
            .sum();
        let squares: f64 = (0..order).map(|i| h[i * columns + c].powi(2)).sum();
        assert!((squares - quadratic).abs() <= 1e-11 * quadratic.max(1.0));
    }
    sparse
        .solve(&mut h, columns, Half::Backward, threads)
        .unwrap();
    assert!(h.iter().zip(&x).all(|(a, b)| close(*a, *b)));
}

#[test]
fn random_sparse_matrices() {
    for seed in 1..40u64 {
        let order = 1 + (seed as usize * 7) % 60;
        let pairs = random_pairs(order, order * (seed as usize % 5), seed);
        check(&case(order, &pairs, seed), 1 + (seed as usize) % 2);
    }
}

#[test]
fn diagonal_disconnected_and_dense() {
    check(&case(1, &[], 1), 1);
    check(&case(30, &[], 2), 2);
    let mut pieces = clique(0..5);
    pieces.extend(clique(5..40));
    pieces.extend(
        random_pairs(20, 30, 5)
            .iter()
            .map(|(i, j)| (i + 45, j + 45)),
    );
    for threads in [1, 2] {
        check(&case(70, &pieces, 3), threads);
        check(&case(160, &clique(0..160), 4), threads);
    }
}

#[test]
fn arrow_and_bordered_band() {
    let mut arrow: Vec<(usize, usize)> = (1..80).map(|i| (i, 0)).collect();
    check(&case(80, &arrow, 1), 1);
    arrow.extend((2..80).map(|i| (i, i - 1)));
    arrow.extend((1..80).map(|i| (i, 40)));
    check(&case(80, &arrow, 2), 2);
}

#[test]
fn crossed_factors_fill_a_wide_tail() {
    for threads in [1, 2] {
        check(
            &case(430, &crossed_pairs([200, 190, 40], 2500, 9), 6),
            threads,
        );
    }
}

#[test]
fn grid_has_supernodes_of_every_size() {
    let side = 26;
    let mut pairs = Vec::new();
    for r in 0..side {
        for c in 0..side {
            pairs.extend((c > 0).then(|| (r * side + c, r * side + c - 1)));
            pairs.extend((r > 0).then(|| (r * side + c, (r - 1) * side + c)));
        }
    }
    for threads in [1, 2] {
        check(&case(side * side, &pairs, 12), threads);
    }
}

#[test]
fn wide_supernodes_with_many_rows_in_several_ancestors() {
    // A (0..30) meets B (30..60) and most of C, B meets all of C (60..320): every block takes the large-block path,
    // and the rows of A are gathered from two ancestors and in more than one piece.
    let mut pairs = clique(30..320);
    pairs.extend(clique(0..250));
    for threads in [1, 2] {
        let case = case(320, &pairs, 21);
        check(&case, threads);
        let sparse = SparseSymmetric::new(320, &case.indptr, &case.indices, None).unwrap();
        assert!(sparse.pattern.supernodes() >= 2);
    }
}

#[test]
fn entries_beyond_the_matrix_but_on_the_factor() {
    // A path eliminated end first fills nothing; a cycle does, and the fill is part of the selected inverse.
    let cycle: Vec<(usize, usize)> = (0..12).map(|i| (i, (i + 1) % 12)).collect();
    let case = case(12, &cycle, 3);
    let natural: Vec<u32> = (0..12).collect();
    let mut sparse = SparseSymmetric::new(12, &case.indptr, &case.indices, Some(&natural)).unwrap();
    sparse.factor(&case.values, 1).unwrap();
    let (_, inverse) = dense_inverse(12, &case.dense);
    let found = sparse.inverse_entries(&[11, 3, 7], &[3, 11, 7], 1).unwrap();
    assert!(
        close(found[0], inverse[11 * 12 + 3])
            && close(found[1], found[0])
            && close(found[2], inverse[7 * 12 + 7])
    );
    assert!(matches!(
        sparse.inverse_entries(&[5], &[0], 1),
        Err(KernelError::Shape(_))
    ));
    assert!(matches!(
        sparse.inverse_entries(&[12], &[0], 1),
        Err(KernelError::Shape(_))
    ));
}

#[test]
fn full_pattern_gives_the_same_and_repeats_add_up() {
    let lower = case(40, &random_pairs(40, 70, 8), 8);
    let full = compressed(40, lower.dense.clone(), false);
    check(&full, 1);
    // entry (1, 0) given in two pieces
    let mut twice = SparseSymmetric::new(2, &[0, 3, 4], &[0, 1, 1, 1], None).unwrap();
    let determinant = twice.factor(&[2.0, 0.25, 0.75, 3.0], 1).unwrap().exp();
    assert!(close(determinant, 5.0));
}

#[test]
fn the_offending_column_is_the_callers() {
    for (order, bad, threads) in [(3, 1, 1), (200, 150, 1), (200, 3, 2)] {
        let mut found = case(order, &clique(0..order), 5);
        found.dense[bad * order + bad] = -1.0;
        let case = compressed(order, found.dense, true);
        let natural: Vec<u32> = (0..order as u32).collect();
        let mut sparse =
            SparseSymmetric::new(order, &case.indptr, &case.indices, Some(&natural)).unwrap();
        assert_eq!(
            sparse.factor(&case.values, threads),
            Err(KernelError::NotPositiveDefinite(bad))
        );
        assert!(matches!(
            sparse.selected_inverse(1),
            Err(KernelError::Shape(_))
        ));
        assert!(matches!(
            sparse.solve(&mut vec![0.0; order], 1, Half::Both, threads),
            Err(KernelError::Shape(_))
        ));
    }
    // isolated, so any order meets it: also a diagonal that is absent, and one that is not a number
    let mut isolated = SparseSymmetric::new(4, &[0, 1, 2, 2, 3], &[0, 1, 3], None).unwrap();
    assert_eq!(
        isolated.factor(&[1.0, 1.0, 1.0], 1),
        Err(KernelError::NotPositiveDefinite(2))
    );
    let mut diagonal = SparseSymmetric::new(2, &[0, 1, 2], &[0, 1], None).unwrap();
    assert_eq!(
        diagonal.factor(&[1.0, f64::NAN], 1),
        Err(KernelError::NotPositiveDefinite(1))
    );
    assert_eq!(
        diagonal.factor(&[1.0, f64::INFINITY], 1),
        Err(KernelError::NotPositiveDefinite(1))
    );
    assert!(diagonal.factor(&[1.0, 2.0], 1).is_ok());
    for wild in [f64::NAN, f64::INFINITY] {
        let mut dense = case(100, &clique(0..100), 5);
        dense.dense[20 * 101] = wild;
        let dense = compressed(100, dense.dense, true);
        let natural: Vec<u32> = (0..100).collect();
        let mut sparse =
            SparseSymmetric::new(100, &dense.indptr, &dense.indices, Some(&natural)).unwrap();
        assert_eq!(
            sparse.factor(&dense.values, 1),
            Err(KernelError::NotPositiveDefinite(20))
        );
    }
}

#[test]
fn malformed_patterns_are_refused() {
    let wrong: [(&[i64], &[i32]); 6] = [
        (&[0, 1], &[0]),
        (&[0, 2, 1], &[0]),
        (&[0, 1, 2], &[0, 2]),
        (&[0, 1, 2], &[0, -1]),
        (&[1, 1, 2], &[0, 1]),
        (&[0, 2, 4], &[0, 1, 1, 1]),
    ];
    for (indptr, indices) in &wrong[..5] {
        assert!(matches!(
            SparseSymmetric::new(2, indptr, indices, None),
            Err(KernelError::Shape(_))
        ));
    }
    assert!(
        SparseSymmetric::new(2, wrong[5].0, wrong[5].1, None).is_ok(),
        "repeats are allowed"
    );
    // entries in both triangles, but not the same ones
    let lopsided = SparseSymmetric::new(3, &[0, 2, 3, 5], &[0, 1, 1, 1, 2], None);
    assert!(matches!(lopsided, Err(KernelError::Shape(_))));
    let mut sparse = SparseSymmetric::new(1, &[0, 1], &[0], None).unwrap();
    assert!(matches!(
        sparse.factor(&[1.0, 2.0], 1),
        Err(KernelError::Shape(_))
    ));
}

#[test]
fn empty_matrix() {
    let mut empty = SparseSymmetric::new(0, &[0], &[], None).unwrap();
    assert_eq!(empty.factor(&[], 1), Ok(0.0));
    assert_eq!(empty.selected_inverse(2), Ok(vec![]));
}
