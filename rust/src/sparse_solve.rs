//! Triangular solves with a supernodal factor, several right-hand sides at a time.

use rayon::prelude::*;

use crate::sparse_pattern::Pattern;

/// Which of the two triangular systems to solve; `Both` gives C⁻¹b.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// L⁻¹ P b, in elimination order.
    Forward,
    /// P' L⁻ᵀ b, for b in elimination order.
    Backward,
    Both,
}

/// Solves for the row-major order × `columns` matrix `b`, in place.
///
/// With more than one thread it runs in the current thread pool.
pub fn solve(
    pattern: &Pattern,
    factor: &[f64],
    b: &mut [f64],
    columns: usize,
    half: Half,
    threads: usize,
) {
    // A few columns at a time: each number of the factor is then used several times when it is read.
    match columns {
        0 => (),
        1 => solve_batches::<1>(pattern, factor, b, columns, half, threads),
        2..=4 => solve_batches::<4>(pattern, factor, b, columns, half, threads),
        _ => solve_batches::<16>(pattern, factor, b, columns, half, threads),
    }
}

fn solve_batches<const C: usize>(
    pattern: &Pattern,
    factor: &[f64],
    b: &mut [f64],
    columns: usize,
    half: Half,
    threads: usize,
) {
    let starts: Vec<usize> = (0..columns).step_by(C).collect();
    let solved = |b: &[f64], first: usize| {
        let mut x = vec![[0.0; C]; pattern.order];
        gather(pattern, b, columns, first, half, &mut x);
        substitute(pattern, factor, &mut x, half);
        x
    };
    // One batch per thread at a time: the workspace is a batch per thread however many right-hand sides there are.
    for group in starts.chunks(threads.max(1)) {
        let source = &*b;
        let batches: Vec<Vec<[f64; C]>> = match group {
            [only] => vec![solved(source, *only)],
            several => several
                .par_iter()
                .map(|&first| solved(source, first))
                .collect(),
        };
        for (x, &first) in batches.iter().zip(group) {
            spread(pattern, x, columns, first, half, b);
        }
    }
}

/// Copies columns `first..first + C` (zero past the last) into elimination order.
fn gather<const C: usize>(
    pattern: &Pattern,
    b: &[f64],
    columns: usize,
    first: usize,
    half: Half,
    x: &mut [[f64; C]],
) {
    let used = C.min(columns - first);
    for (k, target) in x.iter_mut().enumerate() {
        let row = if half == Half::Backward {
            k
        } else {
            pattern.permutation[k] as usize
        };
        *target = [0.0; C];
        target[..used].copy_from_slice(&b[row * columns + first..][..used]);
    }
}

fn spread<const C: usize>(
    pattern: &Pattern,
    x: &[[f64; C]],
    columns: usize,
    first: usize,
    half: Half,
    b: &mut [f64],
) {
    let used = C.min(columns - first);
    for (k, source) in x.iter().enumerate() {
        let row = if half == Half::Forward {
            k
        } else {
            pattern.permutation[k] as usize
        };
        b[row * columns + first..][..used].copy_from_slice(&source[..used]);
    }
}

fn substitute<const C: usize>(pattern: &Pattern, factor: &[f64], x: &mut [[f64; C]], half: Half) {
    if half != Half::Backward {
        (0..pattern.supernodes()).for_each(|s| forward(pattern, factor, s, x));
    }
    if half != Half::Forward {
        (0..pattern.supernodes())
            .rev()
            .for_each(|s| backward(pattern, factor, s, x));
    }
}

fn forward<const C: usize>(pattern: &Pattern, factor: &[f64], s: usize, x: &mut [[f64; C]]) {
    let (first, width, height) = (pattern.first_column(s), pattern.width(s), pattern.height(s));
    let rows = pattern.rows(s);
    let block = &factor[pattern.offset[s]..pattern.offset[s + 1]];
    for (j, column) in block.chunks_exact(height).enumerate() {
        let (own, below) = column.split_at(width);
        let reciprocal = 1.0 / own[j];
        let solved = x[first + j].map(|value| value * reciprocal);
        x[first + j] = solved;
        for (target, &l) in x[first + j + 1..first + width]
            .iter_mut()
            .zip(&own[j + 1..])
        {
            subtract(target, l, &solved);
        }
        for (&row, &l) in rows.iter().zip(below) {
            subtract(&mut x[row as usize], l, &solved);
        }
    }
}

fn backward<const C: usize>(pattern: &Pattern, factor: &[f64], s: usize, x: &mut [[f64; C]]) {
    let (first, width, height) = (pattern.first_column(s), pattern.width(s), pattern.height(s));
    let rows = pattern.rows(s);
    let block = &factor[pattern.offset[s]..pattern.offset[s + 1]];
    for (j, column) in block.chunks_exact(height).enumerate().rev() {
        let (own, below) = column.split_at(width);
        let mut sum = x[first + j];
        for (source, &l) in x[first + j + 1..first + width].iter().zip(&own[j + 1..]) {
            subtract(&mut sum, l, source);
        }
        for (&row, &l) in rows.iter().zip(below) {
            subtract(&mut sum, l, &x[row as usize]);
        }
        let reciprocal = 1.0 / own[j];
        x[first + j] = sum.map(|value| value * reciprocal);
    }
}

#[inline(always)]
fn subtract<const C: usize>(target: &mut [f64; C], factor: f64, source: &[f64; C]) {
    for (t, s) in target.iter_mut().zip(source) {
        *t -= factor * s;
    }
}
