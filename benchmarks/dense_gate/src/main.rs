//! Reads lines `order threads` on stdin; for each prints the seconds of one Cholesky factorisation and of one
//! inverse from the factor, and an error bound. Buffers are reused, as an iterative fit would reuse them.

use std::io::{BufRead, Write};
use std::time::Instant;

use dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::{Mat, Par};

/// A symmetric positive definite matrix of the given order (diagonally dominant, entries from a fixed generator).
fn positive_definite(order: usize) -> Mat<f64> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let mut matrix = Mat::zeros(order, order);
    for j in 0..order {
        matrix[(j, j)] = order as f64;
        for i in j + 1..order {
            let value = uniform();
            matrix[(i, j)] = value;
            matrix[(j, i)] = value;
        }
    }
    matrix
}

/// Largest entry of the first column of `A * inverse - I`, with `inverse` given by its lower triangle.
fn first_column_error(matrix: &Mat<f64>, inverse: &Mat<f64>) -> f64 {
    let order = matrix.nrows();
    (0..order)
        .map(|i| {
            let entry: f64 = (0..order).map(|k| matrix[(k, i)] * inverse[(k, 0)]).sum();
            (entry - f64::from(i == 0)).abs()
        })
        .fold(0.0, f64::max)
}

fn main() {
    let mut matrix = Mat::zeros(0, 0);
    let mut factor = Mat::zeros(0, 0);
    let mut inverse = Mat::zeros(0, 0);
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("readable input");
        let mut words = line.split_whitespace().map(|word| word.parse::<usize>().expect("two integers"));
        let (order, threads) = (words.next().expect("order"), words.next().expect("threads"));
        let par = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
        if matrix.nrows() != order {
            matrix = positive_definite(order);
            factor = Mat::zeros(order, order);
            inverse = Mat::zeros(order, order);
        }
        factor.copy_from(&matrix);
        let mut memory = MemBuffer::new(
            llt::factor::cholesky_in_place_scratch::<f64>(order, par, Default::default())
                .or(llt::inverse::inverse_scratch::<f64>(order, par)),
        );
        let stack = MemStack::new(&mut memory);

        let start = Instant::now();
        llt::factor::cholesky_in_place(factor.as_mut(), Default::default(), par, stack, Default::default())
            .expect("positive definite");
        let cholesky = start.elapsed().as_secs_f64();
        llt::inverse::inverse(inverse.as_mut(), factor.as_ref(), par, stack);
        let total = start.elapsed().as_secs_f64();

        let error = first_column_error(&matrix, &inverse);
        println!("{cholesky} {} {error}", total - cholesky);
        std::io::stdout().flush().expect("writable output");
    }
}
