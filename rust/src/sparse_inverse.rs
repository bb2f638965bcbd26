//! Selected inverse of a supernodal factor: the entries of C⁻¹ on the pattern of L, block by block from the root down.
//!
//! With columns J, rows I below them and Y = L_IJ L_JJ⁻¹ (Takahashi, Fagan & Chin 1973, in block form):
//! Z_IJ = −Z_II Y and Z_JJ = (L_JJ L_JJ')⁻¹ − Y' Z_IJ. All of Z_II lies in blocks nearer to the root.

use rayon::prelude::*;

use crate::sparse_blocks::{invert_panel, subtract_cross_product, subtract_symmetric_product};
use crate::sparse_pattern::Pattern;

/// Columns of Z_II gathered at a time, which bounds the workspace of a supernode with many rows.
const GATHERED_COLUMNS: usize = 128;

/// Buffers that one worker reuses from supernode to supernode.
#[derive(Default)]
struct Workspace {
    y: Vec<f64>,
    product: Vec<f64>,
    triangle: Vec<f64>,
    gathered: Vec<f64>,
    local: Vec<u32>,
}

/// Writes the inverse into `inverse`, laid out as the factor (lower triangles of the blocks).
pub fn selected_inverse(pattern: &Pattern, factor: &[f64], inverse: &mut [f64], threads: usize) {
    if pattern.workers(threads) == 1 {
        let mut workspace = Workspace::default();
        for s in (0..pattern.supernodes()).rev() {
            let (head, done) = inverse.split_at_mut(pattern.offset[s + 1]);
            let block = &mut head[pattern.offset[s]..];
            invert_supernode(
                pattern,
                factor,
                s,
                (done, pattern.offset[s + 1]),
                block,
                1,
                &mut workspace,
            );
        }
        return;
    }
    for level in &pattern.by_depth {
        // Many small supernodes: one thread each. Few, hence large ones near the root: all threads inside each.
        let inner = if pattern.is_shared(level) { 1 } else { threads };
        let known = &*inverse;
        let invert = |workspace: &mut Workspace, &s: &u32| {
            let s = s as usize;
            let mut block = vec![0.0; pattern.offset[s + 1] - pattern.offset[s]];
            invert_supernode(pattern, factor, s, (known, 0), &mut block, inner, workspace);
            (s, block)
        };
        let blocks: Vec<(usize, Vec<f64>)> = if inner > 1 {
            let mut workspace = Workspace::default();
            level.iter().map(|s| invert(&mut workspace, s)).collect()
        } else {
            level
                .par_iter()
                .map_init(Workspace::default, invert)
                .collect()
        };
        for (s, block) in blocks {
            inverse[pattern.offset[s]..pattern.offset[s + 1]].copy_from_slice(&block);
        }
    }
}

/// One block of the inverse; `known` are finished values and the number in the layout of the first of them.
fn invert_supernode(
    pattern: &Pattern,
    factor: &[f64],
    s: usize,
    known: (&[f64], usize),
    block: &mut [f64],
    threads: usize,
    workspace: &mut Workspace,
) {
    let (width, height) = (pattern.width(s), pattern.height(s));
    let below = height - width;
    let Workspace {
        y,
        product,
        triangle,
        gathered,
        local,
    } = workspace;
    for (buffer, size) in [
        (&mut *y, below * width),
        (&mut *product, below * width),
        (&mut *triangle, width * width),
    ] {
        buffer.clear();
        buffer.resize(size, 0.0);
    }
    let panel = &factor[pattern.offset[s]..pattern.offset[s + 1]];
    invert_panel(panel, (width, height), y, triangle, threads);
    let mut begin = 0;
    while begin < below {
        let end = gather_columns(pattern, s, begin, known, gathered, local);
        subtract_symmetric_product(gathered, begin, (below, width), y, product, threads);
        begin = end;
    }
    subtract_cross_product(y, product, (below, width), triangle, threads);
    for j in 0..width {
        let column = &mut block[j * height..(j + 1) * height];
        column[j..width].copy_from_slice(&triangle[j * width + j..(j + 1) * width]);
        column[width..].copy_from_slice(&product[j * below..(j + 1) * below]);
    }
}

/// Gathers the columns of Z_II from number `begin` on that one ancestor owns; returns the end of those gathered.
fn gather_columns(
    pattern: &Pattern,
    s: usize,
    begin: usize,
    (known, origin): (&[f64], usize),
    gathered: &mut Vec<f64>,
    local: &mut Vec<u32>,
) -> usize {
    let rows = &pattern.rows(s)[begin..];
    let ancestor = pattern.owner[rows[0] as usize] as usize;
    let (first, width) = (pattern.start[ancestor], pattern.width(ancestor));
    let boundary = pattern.start[ancestor + 1];
    let own = rows.partition_point(|&row| row < boundary);
    locate_rows(
        rows,
        own,
        first,
        width as u32,
        pattern.rows(ancestor),
        local,
    );
    let columns = own.min(GATHERED_COLUMNS);
    gathered.clear();
    gathered.resize(rows.len() * columns, 0.0);
    let height = pattern.height(ancestor);
    for (c, target) in gathered.chunks_exact_mut(rows.len()).enumerate() {
        let at = pattern.offset[ancestor] - origin + local[c] as usize * height;
        let column = &known[at..at + height];
        for (value, &row) in target[c..].iter_mut().zip(&local[c..]) {
            *value = column[row as usize];
        }
    }
    begin + columns
}

/// Positions of sorted `rows` in a block: the first `own` are its columns, the others are in the list `further`.
fn locate_rows(
    rows: &[u32],
    own: usize,
    first: u32,
    width: u32,
    further: &[u32],
    local: &mut Vec<u32>,
) {
    local.clear();
    local.extend(rows[..own].iter().map(|&row| row - first));
    let mut at = 0;
    for &row in &rows[own..] {
        // Neighbours are common, so look at the next before searching.
        if further[at] != row {
            at += further[at..].partition_point(|&other| other < row);
        }
        local.push(width + at as u32);
        at += 1;
    }
}
