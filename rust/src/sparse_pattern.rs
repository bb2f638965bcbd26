//! Block structure of the sparse Cholesky factor.
//!
//! Consecutive columns with (nearly) the same rows below them form a *supernode*, stored as one dense column-major
//! block: first the triangle of its own columns, then its rows further down. Everything here depends on the positions
//! of the non-zeros only and is computed once.

use crate::error::KernelError;
use crate::sparse_order::{eliminate, Elimination, NONE};

/// The rows `begin..end` of the row list of supernode `from` are columns of the supernode the update belongs to.
#[derive(Clone, Copy)]
pub struct Update {
    pub from: u32,
    pub begin: u32,
    pub end: u32,
}

/// Supernodes of the factor, in elimination order.
pub struct Pattern {
    pub order: usize,
    pub permutation: Vec<u32>,
    pub position: Vec<u32>,
    /// Supernode s owns the columns `start[s]..start[s + 1]`.
    pub start: Vec<u32>,
    /// The supernode that owns each column.
    pub owner: Vec<u32>,
    row_start: Vec<usize>,
    rows: Vec<u32>,
    /// The values of supernode s are `offset[s]..offset[s + 1]`.
    pub offset: Vec<usize>,
    update_start: Vec<usize>,
    updates: Vec<Update>,
    /// Supernodes by height above the leaves: a supernode is updated by lower levels only.
    pub by_height: Vec<Vec<u32>>,
    /// Supernodes by depth below the roots: the inverse of a supernode needs shallower levels only.
    pub by_depth: Vec<Vec<u32>>,
    /// Non-zeros of the factor, without those stored only to make blocks dense.
    pub fill: usize,
    /// Multiplications and additions of one factorisation.
    pub flops: f64,
}

impl Pattern {
    /// Structure for the symmetric matrix whose off-diagonal entries are `pairs` (either triangle, repeats allowed).
    pub fn new(
        order: usize,
        pairs: impl Iterator<Item = (u32, u32)> + Clone,
        permutation: Option<&[u32]>,
    ) -> Result<Pattern, KernelError> {
        let elimination = eliminate(order, pairs, permutation)?;
        let start = merge_columns(&elimination);
        let owner = owners(&start, order);
        let (row_start, rows) = row_lists(&elimination, &start, &owner);
        let offset = offsets(&start, &row_start);
        let (update_start, updates) = updates(&owner, &row_start, &rows, start.len() - 1);
        let parent: Vec<Option<usize>> = (0..start.len() - 1)
            .map(|s| {
                (row_start[s] < row_start[s + 1])
                    .then(|| owner[rows[row_start[s]] as usize] as usize)
            })
            .collect();
        let Elimination {
            permutation,
            position,
            count,
            ..
        } = elimination;
        Ok(Pattern {
            order,
            permutation,
            position,
            start,
            owner,
            row_start,
            rows,
            offset,
            update_start,
            updates,
            by_height: by_height(&parent),
            by_depth: by_depth(&parent),
            fill: count.iter().map(|&c| c as usize).sum(),
            flops: count.iter().map(|&c| f64::from(c) * f64::from(c)).sum(),
        })
    }

    pub fn supernodes(&self) -> usize {
        self.start.len() - 1
    }

    /// Numbers stored for the factor.
    pub fn stored(&self) -> usize {
        self.offset[self.supernodes()]
    }

    pub fn first_column(&self, s: usize) -> usize {
        self.start[s] as usize
    }

    pub fn width(&self, s: usize) -> usize {
        (self.start[s + 1] - self.start[s]) as usize
    }

    /// Rows below the triangle of supernode s.
    pub fn rows(&self, s: usize) -> &[u32] {
        &self.rows[self.row_start[s]..self.row_start[s + 1]]
    }

    /// Length of each column in the block of supernode s.
    pub fn height(&self, s: usize) -> usize {
        self.width(s) + self.row_start[s + 1] - self.row_start[s]
    }

    pub fn updates(&self, s: usize) -> &[Update] {
        &self.updates[self.update_start[s]..self.update_start[s + 1]]
    }

    /// Threads that pay for a factorisation of this size.
    pub fn workers(&self, threads: usize) -> usize {
        const WORTH_SHARING: f64 = 2e8;
        if self.flops < WORTH_SHARING {
            1
        } else {
            threads.max(1)
        }
    }

    /// Whether a level has enough supernodes, and enough in them, to be spread over threads.
    pub fn is_shared(&self, level: &[u32]) -> bool {
        const SUPERNODES: usize = 8;
        const VALUES: usize = 20_000;
        let values = |&s: &u32| self.offset[s as usize + 1] - self.offset[s as usize];
        level.len() >= SUPERNODES && level.iter().map(values).sum::<usize>() >= VALUES
    }

    /// Where entry (row, column), row ≥ column in elimination order, is stored; `None` when it is not on the pattern.
    pub fn locate(&self, row: usize, column: usize) -> Option<usize> {
        let s = self.owner[column] as usize;
        let first = self.first_column(s);
        let width = self.width(s);
        let local = if row < first + width {
            row - first
        } else {
            width + self.rows(s).binary_search(&(row as u32)).ok()?
        };
        Some(self.offset[s] + (column - first) * self.height(s) + local)
    }
}

/// Supernode boundaries: columns with nested rows join first, then supernodes join their parents if few zeros result.
fn merge_columns(elimination: &Elimination) -> Vec<u32> {
    let columns = (0..elimination.count.len()).map(|j| Merged {
        first: j,
        width: 1,
        height: elimination.count[j] as usize,
        zeros: 0,
    });
    let exact = merge(columns, &elimination.parent, |joined| joined.zeros == 0);
    let relaxed = merge(
        exact.into_iter(),
        &elimination.parent,
        Merged::is_worth_its_zeros,
    );
    let end = elimination.count.len() as u32;
    relaxed
        .iter()
        .map(|m| m.first as u32)
        .chain(std::iter::once(end))
        .collect()
}

fn merge(
    groups: impl Iterator<Item = Merged>,
    parent: &[u32],
    accept: impl Fn(&Merged) -> bool,
) -> Vec<Merged> {
    let mut merged: Vec<Merged> = Vec::new();
    for mut top in groups {
        while let Some(child) = merged.last() {
            let above = parent[child.first + child.width - 1] as usize;
            let adjacent = (top.first..top.first + top.width).contains(&above);
            match child
                .joined(&top)
                .filter(|joined| adjacent && accept(joined))
            {
                Some(joined) => {
                    merged.pop();
                    top = joined;
                }
                None => break,
            }
        }
        merged.push(top);
    }
    merged
}

struct Merged {
    first: usize,
    width: usize,
    /// Rows of the first column, its own triangle included.
    height: usize,
    /// Stored entries that are structurally zero.
    zeros: usize,
}

impl Merged {
    fn joined(&self, parent: &Merged) -> Option<Merged> {
        let height = self.width + parent.height;
        let extra = height.checked_sub(self.height)?;
        Some(Merged {
            first: self.first,
            width: self.width + parent.width,
            height,
            zeros: self.zeros + parent.zeros + self.width * extra,
        })
    }

    /// Dense arithmetic gains more than the zeros cost: nearly any for a few columns, ever fewer for many.
    fn is_worth_its_zeros(&self) -> bool {
        let stored = self.width * self.height - self.width * (self.width - 1) / 2;
        let share = self.zeros as f64 / stored as f64;
        match self.width {
            0..=4 => share < 0.4,
            5..=16 => share < 0.25,
            17..=48 => share < 0.1,
            _ => share < 0.03,
        }
    }
}

fn owners(start: &[u32], order: usize) -> Vec<u32> {
    let mut owner = vec![0; order];
    for s in 0..start.len() - 1 {
        owner[start[s] as usize..start[s + 1] as usize].fill(s as u32);
    }
    owner
}

/// Rows of a supernode: those of its columns in the matrix and those left over from its children.
fn row_lists(elimination: &Elimination, start: &[u32], owner: &[u32]) -> (Vec<usize>, Vec<u32>) {
    let supernodes = start.len() - 1;
    let mut row_start = vec![0usize; supernodes + 1];
    let mut rows: Vec<u32> = Vec::new();
    let mut seen = vec![NONE; owner.len()];
    let (mut first_child, mut sibling) = (vec![NONE; supernodes], vec![NONE; supernodes]);
    for s in 0..supernodes {
        let begin = rows.len();
        let (columns, end) = (start[s] as usize..start[s + 1] as usize, start[s + 1]);
        let mut collect = |rows: &mut Vec<u32>, row: u32| {
            if row >= end && std::mem::replace(&mut seen[row as usize], s as u32) != s as u32 {
                rows.push(row);
            }
        };
        for j in columns {
            for &row in elimination.below.get(j) {
                collect(&mut rows, row);
            }
        }
        let mut child = first_child[s];
        while child != NONE {
            for k in row_start[child as usize]..row_start[child as usize + 1] {
                let row = rows[k];
                collect(&mut rows, row);
            }
            child = sibling[child as usize];
        }
        rows[begin..].sort_unstable();
        row_start[s + 1] = rows.len();
        if let Some(&row) = rows.get(begin) {
            let parent = owner[row as usize] as usize;
            sibling[s] = std::mem::replace(&mut first_child[parent], s as u32);
        }
    }
    (row_start, rows)
}

fn offsets(start: &[u32], row_start: &[usize]) -> Vec<usize> {
    let mut offset = vec![0; start.len()];
    for s in 0..start.len() - 1 {
        let width = (start[s + 1] - start[s]) as usize;
        offset[s + 1] = offset[s] + width * (width + row_start[s + 1] - row_start[s]);
    }
    offset
}

/// For each supernode the earlier supernodes with rows among its columns.
fn updates(
    owner: &[u32],
    row_start: &[usize],
    rows: &[u32],
    supernodes: usize,
) -> (Vec<usize>, Vec<Update>) {
    let mut found: Vec<(u32, Update)> = Vec::new();
    for s in 0..supernodes {
        let list = &rows[row_start[s]..row_start[s + 1]];
        let mut begin = 0;
        while begin < list.len() {
            let target = owner[list[begin] as usize];
            let end = begin + list[begin..].partition_point(|&row| owner[row as usize] == target);
            found.push((
                target,
                Update {
                    from: s as u32,
                    begin: begin as u32,
                    end: end as u32,
                },
            ));
            begin = end;
        }
    }
    let mut start = vec![0usize; supernodes + 1];
    for (target, _) in &found {
        start[*target as usize + 1] += 1;
    }
    for s in 0..supernodes {
        start[s + 1] += start[s];
    }
    let mut next = start.clone();
    let mut sorted = vec![
        Update {
            from: 0,
            begin: 0,
            end: 0
        };
        found.len()
    ];
    for (target, update) in found {
        sorted[next[target as usize]] = update;
        next[target as usize] += 1;
    }
    (start, sorted)
}

fn by_height(parent: &[Option<usize>]) -> Vec<Vec<u32>> {
    let mut height = vec![0usize; parent.len()];
    for (s, p) in parent.iter().enumerate() {
        if let Some(p) = *p {
            height[p] = height[p].max(height[s] + 1);
        }
    }
    grouped(&height)
}

fn by_depth(parent: &[Option<usize>]) -> Vec<Vec<u32>> {
    let mut depth = vec![0usize; parent.len()];
    for s in (0..parent.len()).rev() {
        depth[s] = parent[s].map_or(0, |p| depth[p] + 1);
    }
    grouped(&depth)
}

fn grouped(level: &[usize]) -> Vec<Vec<u32>> {
    let mut groups = vec![Vec::new(); level.iter().map(|l| l + 1).max().unwrap_or(0)];
    for (s, &l) in level.iter().enumerate() {
        groups[l].push(s as u32);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(side: u32) -> Vec<(u32, u32)> {
        let across =
            (0..side).flat_map(|r| (1..side).map(move |c| (r * side + c, r * side + c - 1)));
        let down =
            (1..side).flat_map(|r| (0..side).map(move |c| (r * side + c, r * side + c - side)));
        across.chain(down).collect()
    }

    #[test]
    fn every_row_of_a_supernode_lies_in_its_parent() {
        let pattern = Pattern::new(400, grid(20).into_iter(), None).unwrap();
        for s in 0..pattern.supernodes() {
            let Some((&first, rest)) = pattern.rows(s).split_first() else {
                continue;
            };
            assert!(pattern.rows(s).is_sorted());
            for &row in rest {
                assert!(pattern.locate(row as usize, first as usize).is_some());
            }
        }
        assert!(pattern.stored() >= pattern.fill);
    }

    #[test]
    fn dense_matrix_is_one_supernode() {
        let pairs = (0..30u32).flat_map(|i| (0..i).map(move |j| (i, j)));
        let pattern = Pattern::new(30, pairs, None).unwrap();
        assert_eq!((pattern.supernodes(), pattern.fill), (1, 465));
        assert_eq!(pattern.by_height.len(), 1);
    }

    #[test]
    fn diagonal_and_empty_matrices() {
        let diagonal = Pattern::new(5, std::iter::empty(), None).unwrap();
        assert_eq!((diagonal.supernodes(), diagonal.stored()), (5, 5));
        assert_eq!(
            Pattern::new(0, std::iter::empty(), None).unwrap().stored(),
            0
        );
    }
}
