//! Dense kernels on the blocks of a sparse factor: column-major slices, plain loops for the many small blocks and
//! faer for the few large ones.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Accum, MatMut, MatRef, Par};

/// Blocks of at least this many columns go to faer.
pub const WIDE: usize = 24;

/// Additions and multiplications below which waking another thread costs more than it saves.
const SHARED_WORK: usize = 4_000_000;

/// faer's parallelism for a number of threads and an amount of work.
fn parallelism(threads: usize, work: usize) -> Par {
    if threads <= 1 || work < SHARED_WORK {
        Par::Seq
    } else {
        Par::rayon(threads)
    }
}

/// Replaces [A; B] (width columns of the given height, A square on top) by [L; B L⁻ᵀ] with LL' = A.
///
/// Only the lower triangle of A is read and written. The error is the column whose pivot is not positive.
pub fn factor_panel(
    block: &mut [f64],
    width: usize,
    height: usize,
    threads: usize,
) -> Result<(), usize> {
    if width < WIDE {
        return factor_narrow(block, width, height);
    }
    let panel = MatMut::from_column_major_slice_mut(block, height, width);
    let (mut top, below) = panel.split_at_row_mut(width);
    // On two threads faer's Cholesky is slower than on one below about this order.
    let par = parallelism(
        if width < 2000 { 1 } else { threads },
        width * width * width / 6,
    );
    let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(
        width,
        par,
        Default::default(),
    ));
    let stack = MemStack::new(&mut memory);
    llt::factor::cholesky_in_place(
        top.as_mut(),
        Default::default(),
        par,
        stack,
        Default::default(),
    )
    .map_err(|error| match error {
        llt::factor::LltError::NonPositivePivot { index } => index,
    })?;
    // An infinite pivot passes for positive.
    if let Some(index) = (0..width).find(|&k| !top[(k, k)].is_finite()) {
        return Err(index);
    }
    if height > width {
        solve_lower_triangular_in_place(
            top.as_ref(),
            below.transpose_mut(),
            parallelism(threads, width * width * height / 2),
        );
    }
    Ok(())
}

fn factor_narrow(block: &mut [f64], width: usize, height: usize) -> Result<(), usize> {
    for k in 0..width {
        let (left, right) = block.split_at_mut((k + 1) * height);
        let column = &mut left[k * height..];
        let pivot = column[k];
        // The negated comparison also catches NaN.
        if !(pivot > 0.0 && pivot.is_finite()) {
            return Err(k);
        }
        let root = pivot.sqrt();
        let reciprocal = 1.0 / root;
        column[k] = root;
        column[k + 1..]
            .iter_mut()
            .for_each(|value| *value *= reciprocal);
        for (later, j) in right.chunks_exact_mut(height).zip(k + 1..width) {
            subtract_multiple(&mut later[j..], &column[j..], column[j]);
        }
    }
    Ok(())
}

/// target −= factor · source
#[inline(always)]
fn subtract_multiple(target: &mut [f64], source: &[f64], factor: f64) {
    for (t, s) in target.iter_mut().zip(source) {
        *t -= factor * s;
    }
}

/// The lower trapezoid of D E', where E is the top `columns` rows of D (`rows` × `width`, columns `stride` apart).
///
/// `out` is column-major with `rows` rows; what is above its diagonal is unspecified.
pub fn outer_trapezoid(
    d: &[f64],
    stride: usize,
    (rows, columns, width): (usize, usize, usize),
    out: &mut [f64],
    threads: usize,
) {
    if width * columns < 64 || rows < 8 {
        for k in 0..columns {
            let target = &mut out[k * rows + k..(k + 1) * rows];
            target.fill(0.0);
            for column in d.chunks(stride) {
                subtract_multiple(target, &column[k..rows], -column[k]);
            }
        }
        return;
    }
    let par = parallelism(threads, rows * columns * width);
    let d = MatRef::from_column_major_slice_with_stride(d, rows, width, stride);
    let top = d.subrows(0, columns);
    let out = MatMut::from_column_major_slice_mut(out, rows, columns);
    let (upper, lower) = out.split_at_row_mut(columns);
    triangular::matmul(
        upper,
        BlockStructure::TriangularLower,
        Accum::Replace,
        top,
        BlockStructure::Rectangular,
        top.transpose(),
        BlockStructure::Rectangular,
        1.0,
        par,
    );
    matmul(
        lower,
        Accum::Replace,
        d.subrows(columns, rows - columns),
        top.transpose(),
        1.0,
        par,
    );
}

/// Splits the factored panel [L; B] into Y = B L⁻¹ (column-major, packed into `y`) and, in `triangle`, (LL')⁻¹.
pub fn invert_panel(
    panel: &[f64],
    (width, height): (usize, usize),
    y: &mut [f64],
    triangle: &mut [f64],
    threads: usize,
) {
    let below = height - width;
    for j in 0..width {
        y[j * below..(j + 1) * below].copy_from_slice(&panel[j * height + width..(j + 1) * height]);
    }
    if width < WIDE {
        solve_from_the_right(panel, width, height, y);
        invert_narrow(panel, width, height, triangle);
        return;
    }
    let par = parallelism(threads, width * width * height / 2);
    let l = MatRef::from_column_major_slice_with_stride(panel, width, width, height);
    if below > 0 {
        let y = MatMut::from_column_major_slice_mut(y, below, width);
        solve_upper_triangular_in_place(l.transpose(), y.transpose_mut(), par);
    }
    let mut memory = MemBuffer::new(llt::inverse::inverse_scratch::<f64>(width, par));
    let out = MatMut::from_column_major_slice_mut(triangle, width, width);
    llt::inverse::inverse(out, l, par, MemStack::new(&mut memory));
}

/// Y ← Y L⁻¹ for the packed Y under the panel's triangle L.
fn solve_from_the_right(panel: &[f64], width: usize, height: usize, y: &mut [f64]) {
    let below = height - width;
    if below == 0 {
        return;
    }
    for j in (0..width).rev() {
        let (left, right) = y.split_at_mut((j + 1) * below);
        let target = &mut left[j * below..];
        for (column, k) in right.chunks_exact(below).zip(j + 1..width) {
            subtract_multiple(target, column, panel[j * height + k]);
        }
        let reciprocal = 1.0 / panel[j * height + j];
        target.iter_mut().for_each(|value| *value *= reciprocal);
    }
}

/// Lower triangle of (LL')⁻¹ into the width × width `out`.
fn invert_narrow(panel: &[f64], width: usize, height: usize, out: &mut [f64]) {
    // Column j of the inverse from its diagonal down, last column first: X L = L⁻ᵀ, whose strict lower part is zero.
    for j in (0..width).rev() {
        let pivot = panel[j * height + j];
        let column = &panel[j * height..];
        let entry = |out: &[f64], i: usize, k: usize| out[i.min(k) * width + i.max(k)];
        for i in (j + 1..width).rev() {
            let sum: f64 = (j + 1..width).map(|k| entry(out, i, k) * column[k]).sum();
            out[j * width + i] = -sum / pivot;
        }
        let sum: f64 = (j + 1..width).map(|k| out[j * width + k] * column[k]).sum();
        out[j * width + j] = (1.0 / pivot - sum) / pivot;
    }
}

/// out −= G Y for the columns `first..` of a symmetric G given by the lower part of some of its columns.
///
/// `g` holds, column-major with `size - first` rows, the columns `first..first + g.len() / (size - first)` of G from row
/// `first` on. `y` and `out` are column-major with `size` rows and `width` columns.
pub fn subtract_symmetric_product(
    g: &[f64],
    first: usize,
    (size, width): (usize, usize),
    y: &[f64],
    out: &mut [f64],
    threads: usize,
) {
    let rows = size - first;
    let columns = g.len() / rows;
    if width < 8 || columns < 8 {
        for c in 0..columns {
            let column = &g[c * rows + c..(c + 1) * rows];
            for j in 0..width {
                let range = j * size + first + c..(j + 1) * size;
                symmetric_column(column, &y[range.clone()], &mut out[range]);
            }
        }
        return;
    }
    let par = parallelism(threads, 2 * rows * columns * width);
    let g = MatRef::from_column_major_slice(g, rows, columns);
    let y = MatRef::from_column_major_slice(y, size, width);
    let out = MatMut::from_column_major_slice_mut(out, size, width);
    let (mut near, mut far) = out.split_at_row_mut(first).1.split_at_row_mut(columns);
    let (y_near, y_far) = (
        y.subrows(first, columns),
        y.subrows(first + columns, rows - columns),
    );
    let (diagonal, lower) = (g.subrows(0, columns), g.subrows(columns, rows - columns));
    let whole = BlockStructure::Rectangular;
    let mut triangle = |left, structure| {
        let out = near.as_mut();
        triangular::matmul(
            out,
            whole,
            Accum::Add,
            left,
            structure,
            y_near,
            whole,
            -1.0,
            par,
        );
    };
    triangle(diagonal, BlockStructure::TriangularLower);
    triangle(diagonal.transpose(), BlockStructure::StrictTriangularUpper);
    matmul(far.as_mut(), Accum::Add, lower, y_near, -1.0, par);
    matmul(near, Accum::Add, lower.transpose(), y_far, -1.0, par);
}

/// out −= (one column of a symmetric matrix, from the diagonal down, and its mirror) · y
#[inline(always)]
fn symmetric_column(column: &[f64], y: &[f64], out: &mut [f64]) {
    let (head, tail) = (y[0], &y[1..]);
    subtract_multiple(&mut out[1..], &column[1..], head);
    out[0] -= column[0] * head + dot(&column[1..], tail);
}

/// Sum of products in eight interleaved partial sums, which the compiler can keep in vector registers.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_blocks
        .remainder()
        .iter()
        .zip(b_blocks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    let mut sums = [0.0; 8];
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// triangle −= Y' Z (lower part), with Y and Z column-major of `rows` rows and `width` columns.
pub fn subtract_cross_product(
    y: &[f64],
    z: &[f64],
    (rows, width): (usize, usize),
    triangle: &mut [f64],
    threads: usize,
) {
    if rows == 0 {
        return;
    }
    if width < WIDE {
        for (j, z_column) in z.chunks_exact(rows).enumerate() {
            for (i, y_column) in y.chunks_exact(rows).enumerate().skip(j) {
                triangle[j * width + i] -= dot(y_column, z_column);
            }
        }
        return;
    }
    triangular::matmul(
        MatMut::from_column_major_slice_mut(triangle, width, width),
        BlockStructure::TriangularLower,
        Accum::Add,
        MatRef::from_column_major_slice(y, rows, width).transpose(),
        BlockStructure::Rectangular,
        MatRef::from_column_major_slice(z, rows, width),
        BlockStructure::Rectangular,
        -1.0,
        parallelism(threads, rows * width * width / 2),
    );
}
