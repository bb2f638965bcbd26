//! Elimination order of a symmetric sparse matrix: minimum degree, elimination tree, postorder, column counts.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::sparse::linalg::amd;
use faer::sparse::SymbolicSparseColMatRef;

use crate::error::KernelError;

/// Marks the absence of a column, as the parent of a root.
pub const NONE: u32 = u32::MAX;

/// Lists of sorted, distinct indices: those of list `i` are `index[start[i]..start[i + 1]]`.
pub struct Lists {
    pub start: Vec<usize>,
    pub index: Vec<u32>,
}

impl Lists {
    pub fn get(&self, i: usize) -> &[u32] {
        &self.index[self.start[i]..self.start[i + 1]]
    }

    /// The lists of a set of pairs `(list, member)`; members come out sorted and distinct.
    fn from_pairs(order: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Lists {
        // Two counting sorts: by member, then stably by list.
        let by_member = scatter(order, pairs.clone().map(|(list, member)| (member, list)));
        let flat =
            (0..order).flat_map(|m| by_member.get(m).iter().map(move |&list| (list, m as u32)));
        let mut sorted = scatter(order, flat);
        sorted.remove_repeats();
        sorted
    }

    /// The same set of pairs with the roles of list and member exchanged.
    pub fn transposed(&self) -> Lists {
        let order = self.start.len() - 1;
        scatter(
            order,
            (0..order).flat_map(|i| self.get(i).iter().map(move |&j| (j, i as u32))),
        )
    }

    fn remove_repeats(&mut self) {
        let mut kept = 0;
        let mut begin = 0;
        for i in 0..self.start.len() - 1 {
            let end = self.start[i + 1];
            let first = kept;
            for k in begin..end {
                let member = self.index[k];
                if kept == first || self.index[kept - 1] != member {
                    self.index[kept] = member;
                    kept += 1;
                }
            }
            begin = end;
            self.start[i + 1] = kept;
        }
        self.index.truncate(kept);
    }
}

fn scatter(order: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Lists {
    let mut start = vec![0usize; order + 1];
    for (list, _) in pairs.clone() {
        start[list as usize + 1] += 1;
    }
    for i in 0..order {
        start[i + 1] += start[i];
    }
    let mut next = start.clone();
    let mut index = vec![0; start[order]];
    for (list, member) in pairs {
        index[next[list as usize]] = member;
        next[list as usize] += 1;
    }
    Lists { start, index }
}

/// Elimination order with the tree it induces; everything but `permutation` is numbered in that order.
pub struct Elimination {
    /// `permutation[k]`: the caller's number of the column eliminated k-th.
    pub permutation: Vec<u32>,
    /// `position[j]`: when the caller's column j is eliminated.
    pub position: Vec<u32>,
    /// The parent of each column in the elimination tree, or `NONE`.
    pub parent: Vec<u32>,
    /// Non-zeros of each column of the factor, diagonal included.
    pub count: Vec<u32>,
    /// The rows below the diagonal that each column of the permuted matrix holds.
    pub below: Lists,
}

/// Analyses the symmetric matrix whose off-diagonal entries are `pairs`; orders by minimum degree unless told.
pub fn eliminate(
    order: usize,
    pairs: impl Iterator<Item = (u32, u32)> + Clone,
    permutation: Option<&[u32]>,
) -> Result<Elimination, KernelError> {
    let mut permutation = match permutation {
        Some(given) => checked_permutation(order, given)?,
        None => minimum_degree(order, pairs.clone())?,
    };
    let before = permuted(order, pairs.clone(), &inverse(&permutation));
    let parent = elimination_tree(&before);
    let count = column_counts(&before, &parent);
    // Any postorder of the tree gives the same fill; it makes every subtree, hence every supernode, contiguous.
    let visit = postorder(&parent, &count);
    let place = inverse(&visit);
    permutation = visit.iter().map(|&j| permutation[j as usize]).collect();
    let relabelled = |j: u32| if j == NONE { NONE } else { place[j as usize] };
    let position = inverse(&permutation);
    let below = permuted(order, pairs, &position).transposed();
    Ok(Elimination {
        parent: visit
            .iter()
            .map(|&j| relabelled(parent[j as usize]))
            .collect(),
        count: visit.iter().map(|&j| count[j as usize]).collect(),
        permutation,
        position,
        below,
    })
}

/// For each row of the permuted matrix, the columns to the left of the diagonal.
fn permuted(
    order: usize,
    pairs: impl Iterator<Item = (u32, u32)> + Clone,
    position: &[u32],
) -> Lists {
    let placed = pairs.map(|(i, j)| (position[i as usize], position[j as usize]));
    Lists::from_pairs(order, placed.map(|(i, j)| (i.max(j), i.min(j))))
}

fn inverse(permutation: &[u32]) -> Vec<u32> {
    let mut inverse = vec![0; permutation.len()];
    for (k, &j) in permutation.iter().enumerate() {
        inverse[j as usize] = k as u32;
    }
    inverse
}

fn checked_permutation(order: usize, given: &[u32]) -> Result<Vec<u32>, KernelError> {
    let mut seen = vec![false; order];
    let distinct = given.iter().all(|&j| {
        seen.get_mut(j as usize)
            .is_some_and(|s| !std::mem::replace(s, true))
    });
    if given.len() != order || !distinct {
        return Err(KernelError::Shape(format!(
            "permutation must hold each of 0..{order} once"
        )));
    }
    Ok(given.to_vec())
}

/// Elimination order with little fill: approximate minimum degree (Amestoy, Davis & Duff 1996).
fn minimum_degree(
    order: usize,
    pairs: impl Iterator<Item = (u32, u32)> + Clone,
) -> Result<Vec<u32>, KernelError> {
    let lists = Lists::from_pairs(order, pairs.map(|(i, j)| (i.max(j), i.min(j))));
    // The narrow index is markedly faster; the entries of both triangles and some slack must fit it.
    if lists.index.len() + order < (i32::MAX / 4) as usize {
        approximate_minimum_degree::<u32>(&lists)
    } else {
        approximate_minimum_degree::<usize>(&lists)
    }
}

fn approximate_minimum_degree<I: faer::Index>(lists: &Lists) -> Result<Vec<u32>, KernelError> {
    let order = lists.start.len() - 1;
    let start: Vec<I> = lists.start.iter().map(|&k| I::truncate(k)).collect();
    let index: Vec<I> = lists
        .index
        .iter()
        .map(|&j| I::truncate(j as usize))
        .collect();
    let matrix = SymbolicSparseColMatRef::new_checked(order, order, &start, None, &index);
    let (mut forward, mut backward) = (vec![I::truncate(0); order], vec![I::truncate(0); order]);
    let mut memory = MemBuffer::new(amd::order_scratch::<I>(order, index.len()));
    let stack = MemStack::new(&mut memory);
    amd::order(
        &mut forward,
        &mut backward,
        matrix,
        amd::Control::default(),
        stack,
    )
    .map_err(|error| KernelError::Shape(format!("matrix too large to order: {error}")))?;
    Ok(forward.iter().map(|j| j.zx() as u32).collect())
}

/// Liu's algorithm: `before` lists, for each row, the columns left of the diagonal.
fn elimination_tree(before: &Lists) -> Vec<u32> {
    let order = before.start.len() - 1;
    let mut parent = vec![NONE; order];
    let mut ancestor = vec![NONE; order];
    for i in 0..order {
        for &k in before.get(i) {
            let mut j = k;
            while j != NONE && j as usize != i {
                let next = std::mem::replace(&mut ancestor[j as usize], i as u32);
                if next == NONE {
                    parent[j as usize] = i as u32;
                }
                j = next;
            }
        }
    }
    parent
}

/// Row i of the factor is the part of the tree between the entries of row i and i itself; count what it visits.
fn column_counts(before: &Lists, parent: &[u32]) -> Vec<u32> {
    let mut count = vec![1u32; parent.len()];
    let mut visited = vec![NONE; parent.len()];
    for i in 0..parent.len() {
        visited[i] = i as u32;
        for &k in before.get(i) {
            let mut j = k as usize;
            while visited[j] != i as u32 {
                visited[j] = i as u32;
                count[j] += 1;
                j = parent[j] as usize;
            }
        }
    }
    count
}

/// Depth-first postorder in which the child with the longest column comes last, next to its parent.
fn postorder(parent: &[u32], count: &[u32]) -> Vec<u32> {
    let order = parent.len();
    let by_count = scatter(order + 1, (0..order).map(|j| (count[j], j as u32)));
    let (mut first, mut sibling) = (vec![NONE; order], vec![NONE; order]);
    for &j in by_count.index.iter().rev() {
        let p = parent[j as usize];
        if p != NONE {
            sibling[j as usize] = std::mem::replace(&mut first[p as usize], j);
        }
    }
    let mut visit = Vec::with_capacity(order);
    let mut path = Vec::new();
    for root in (0..order).filter(|&j| parent[j] == NONE) {
        path.push(root as u32);
        while let Some(&j) = path.last() {
            let child = first[j as usize];
            if child == NONE {
                visit.push(j);
                path.pop();
            } else {
                first[j as usize] = sibling[child as usize];
                path.push(child);
            }
        }
    }
    visit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrow_matrix_keeps_its_dense_row_last() {
        let pairs: Vec<(u32, u32)> = (1..50).map(|i| (i, 0)).collect();
        let found = eliminate(50, pairs.iter().copied(), None).unwrap();
        assert_eq!(found.count.iter().sum::<u32>(), 49 * 2 + 1);
        assert!(found.position[0] >= 48);
    }

    #[test]
    fn tree_and_counts_of_a_cycle_in_the_given_order() {
        // 0-1-2-3-0 eliminated as numbered: 0 links 1 and 3, 1 links 2 and 3.
        let pairs = [(1, 0), (2, 1), (3, 2), (3, 0)];
        let found = eliminate(4, pairs.into_iter(), Some(&[0, 1, 2, 3])).unwrap();
        assert_eq!(found.parent, vec![1, 2, 3, NONE]);
        assert_eq!(found.count, vec![3, 3, 2, 1]);
        assert_eq!(found.permutation, vec![0, 1, 2, 3]);
    }

    #[test]
    fn repeated_pairs_and_wrong_permutations() {
        let twice = [(1, 0), (1, 0), (0, 1)];
        assert_eq!(
            eliminate(2, twice.into_iter(), None)
                .unwrap()
                .count
                .iter()
                .sum::<u32>(),
            3
        );
        for wrong in [&[0u32][..], &[0, 0], &[0, 2]] {
            assert!(eliminate(2, twice.into_iter(), Some(wrong)).is_err());
        }
    }
}
