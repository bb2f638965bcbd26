//! Cross-products that were summed elsewhere, such as from batches of rows: checked before a sweep relies on them.

use crate::cross_product::{ChainFactor, CrossProducts};
use crate::error::{room, KernelError};

/// Refuses cross-products whose parts do not fit together.
pub fn check_products(cross: &CrossProducts) -> Result<(), KernelError> {
    let (width, d) = (cross.tail_width, cross.d);
    room(width as f64 * (width + d) as f64)?;
    let sizes = cross.tail.len() == width * width && cross.tail_dense.len() == width * d;
    fits(sizes && d > 0, "the tail")?;
    for (c, f) in cross.chain.iter().enumerate() {
        check_sizes(f, d)?;
        check_tail(f, width)?;
        let above = &cross.chain[c + 1..];
        fits(
            f.ancestors.len() == above.len()
                && f.ancestor_width == above.iter().map(|g| g.p).sum::<usize>(),
            "ancestors",
        )?;
        for (parent, g) in f.ancestors.iter().zip(above) {
            fits(parent.len() == f.q, "ancestors")?;
            fits(parent.iter().all(|&v| (v as usize) < g.q), "ancestors")?;
            // a later factor's own columns are looked at here, before its turn
            check_tail(g, width)?;
            let met = (0..f.q).all(|u| {
                columns(g, parent[u] as usize).is_some_and(|wide| {
                    columns(f, u)
                        .is_some_and(|own| own.iter().all(|k| wide.binary_search(k).is_ok()))
                })
            });
            fits(met, "tail columns of a level and of the level it lies in")?;
        }
    }
    Ok(())
}

fn fits(holds: bool, what: &str) -> Result<(), KernelError> {
    if holds {
        return Ok(());
    }
    Err(KernelError::Shape(format!(
        "given cross-products do not fit together: {what}"
    )))
}

fn columns(f: &ChainFactor, u: usize) -> Option<&[u32]> {
    f.tail_column.get(f.tail_start[u]..f.tail_start[u + 1])
}

fn check_sizes(f: &ChainFactor, d: usize) -> Result<(), KernelError> {
    let levels = f.q * f.p;
    fits(
        f.block.len() == levels * f.p
            && f.ancestor.len() == levels * f.ancestor_width
            && f.dense.len() == levels * d
            && f.tail.len() == f.tail_column.len() * f.p,
        "numbers of a chain factor",
    )
}

fn check_tail(f: &ChainFactor, width: usize) -> Result<(), KernelError> {
    let ends = f.tail_start.first() == Some(&0)
        && f.tail_start.len() == f.q + 1
        && f.tail_start.last() == Some(&f.tail_column.len())
        && f.tail_start.windows(2).all(|pair| pair[0] <= pair[1]);
    fits(ends, "tail entries of a chain factor")?;
    let sorted = (0..f.q)
        .all(|u| columns(f, u).is_some_and(|own| own.windows(2).all(|pair| pair[0] < pair[1])));
    fits(
        sorted && f.tail_column.iter().all(|&k| (k as usize) < width),
        "tail columns of a chain factor",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested() -> CrossProducts {
        let level =
            |q: usize, ancestors: Vec<Vec<u32>>, start: Vec<usize>, column: Vec<u32>| ChainFactor {
                p: 1,
                q,
                ancestor_width: ancestors.len(),
                block: vec![1.0; q],
                ancestor: vec![1.0; q * ancestors.len()],
                dense: vec![1.0; q * 2],
                tail: vec![1.0; column.len()],
                ancestors,
                tail_start: start,
                tail_column: column,
            };
        CrossProducts {
            chain: vec![
                level(3, vec![vec![0, 0, 1]], vec![0, 1, 2, 3], vec![0, 1, 1]),
                level(2, vec![], vec![0, 2, 3], vec![0, 1, 1]),
            ],
            tail_width: 2,
            d: 2,
            tail: vec![1.0; 4],
            tail_dense: vec![1.0; 4],
        }
    }

    #[test]
    fn what_fits_is_taken() {
        assert!(check_products(&nested()).is_ok());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let spoil: [fn(&mut CrossProducts); 8] = [
            |c| c.tail.push(0.0),
            |c| c.chain[0].dense.truncate(1),
            |c| c.chain[0].ancestors[0][2] = 2,
            |c| c.chain[0].tail_column[0] = 2,
            |c| c.chain[0].tail_start[1] = 9,
            |c| c.chain[1].tail_column[1] = 0,
            |c| c.chain[0].tail_column[2] = 0,
            |c| c.chain[0].ancestors[0] = vec![0, 0],
        ];
        for change in spoil {
            let mut cross = nested();
            change(&mut cross);
            assert!(check_products(&cross).is_err());
        }
    }
}
