//! Square matrices and vectors of a size known when compiled, by value.

pub type Square<const P: usize> = [[f64; P]; P];

#[inline(always)]
pub fn times<const P: usize>(m: &Square<P>, v: &[f64; P]) -> [f64; P] {
    std::array::from_fn(|a| (0..P).map(|b| m[a][b] * v[b]).sum())
}

#[inline(always)]
pub fn turned_times<const P: usize>(m: &Square<P>, v: &[f64; P]) -> [f64; P] {
    std::array::from_fn(|a| (0..P).map(|b| m[b][a] * v[b]).sum())
}

pub fn product<const P: usize>(one: &Square<P>, two: &Square<P>) -> Square<P> {
    std::array::from_fn(|a| std::array::from_fn(|b| (0..P).map(|c| one[a][c] * two[c][b]).sum()))
}

pub fn turned<const P: usize>(m: &Square<P>) -> Square<P> {
    std::array::from_fn(|a| std::array::from_fn(|b| m[b][a]))
}

pub fn read<const P: usize>(from: &[f64]) -> Square<P> {
    std::array::from_fn(|a| std::array::from_fn(|b| from[a * P + b]))
}

#[inline(always)]
pub fn dot<const P: usize>(one: &[f64; P], two: &[f64; P]) -> f64 {
    (0..P).map(|a| one[a] * two[a]).sum()
}

/// The Cholesky factor of a matrix, None where it has none.
#[inline(always)]
pub fn cholesky<const P: usize>(m: &Square<P>) -> Option<Square<P>> {
    let mut lower = [[0.0; P]; P];
    for a in 0..P {
        for b in 0..=a {
            let left: f64 = (0..b).map(|c| lower[a][c] * lower[b][c]).sum();
            let own = m[a][b] - left;
            if a == b {
                if own.is_nan() || own <= 0.0 {
                    return None;
                }
                lower[a][a] = own.sqrt();
            } else {
                lower[a][b] = own / lower[b][b];
            }
        }
    }
    Some(lower)
}

#[inline(always)]
pub fn solved<const P: usize>(lower: &Square<P>, v: &[f64; P]) -> [f64; P] {
    let mut out = *v;
    for a in 0..P {
        let left: f64 = (0..a).map(|b| lower[a][b] * out[b]).sum();
        out[a] = (out[a] - left) / lower[a][a];
    }
    for a in (0..P).rev() {
        let left: f64 = (a + 1..P).map(|b| lower[b][a] * out[b]).sum();
        out[a] = (out[a] - left) / lower[a][a];
    }
    out
}
