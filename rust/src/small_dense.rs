//! Dense algebra on p×p blocks with p small, row-major slices.
//!
//! `P` is the block size when it is known at compile time and 0 when it is not, so that the compiler unrolls the
//! common sizes and one source serves all.

/// The block size in use: `P` when fixed at compile time, else `p`.
#[inline(always)]
pub fn block_size<const P: usize>(p: usize) -> usize {
    if P > 0 {
        P
    } else {
        p
    }
}

/// E = Λ(Λ'AΛ + I)⁻¹Λ' into `e`; returns log|Λ'AΛ + I|. `scratch` holds 2p² numbers.
///
/// Nothing is inverted when Λ is singular, and the matrix factored is never smaller than the identity.
#[inline(always)]
pub fn posterior_block<const P: usize>(
    p: usize,
    a: &[f64],
    lambda: &[f64],
    e: &mut [f64],
    scratch: &mut [f64],
) -> f64 {
    let p = block_size::<P>(p);
    if p == 1 {
        let l2 = lambda[0] * lambda[0];
        let m = l2 * a[0] + 1.0;
        e[0] = l2 / m;
        return m.ln();
    }
    let (t, m) = scratch.split_at_mut(p * p);
    for i in 0..p {
        for j in 0..p {
            t[i * p + j] = (j..p).map(|k| a[i * p + k] * lambda[k * p + j]).sum();
        }
    }
    for i in 0..p {
        for j in 0..=i {
            let s: f64 = (i..p).map(|k| lambda[k * p + i] * t[k * p + j]).sum();
            m[i * p + j] = s + if i == j { 1.0 } else { 0.0 };
        }
    }
    let mut determinant = 1.0;
    let mut logdet = 0.0;
    for j in 0..p {
        let pivot = m[j * p + j] - (0..j).map(|k| m[j * p + k] * m[j * p + k]).sum::<f64>();
        determinant *= pivot;
        if determinant > 1e200 {
            logdet += determinant.ln();
            determinant = 1.0;
        }
        let root = pivot.sqrt();
        m[j * p + j] = root;
        for i in j + 1..p {
            let s = m[i * p + j] - (0..j).map(|k| m[i * p + k] * m[j * p + k]).sum::<f64>();
            m[i * p + j] = s / root;
        }
    }
    logdet += determinant.ln();
    // t = K⁻¹Λ', then E = t't
    for i in 0..p {
        for j in 0..p {
            let s = lambda[j * p + i] - (0..i).map(|k| m[i * p + k] * t[k * p + j]).sum::<f64>();
            t[i * p + j] = s / m[i * p + i];
        }
    }
    for i in 0..p {
        for j in 0..=i {
            let s: f64 = (0..p).map(|k| t[k * p + i] * t[k * p + j]).sum();
            e[i * p + j] = s;
            e[j * p + i] = s;
        }
    }
    logdet
}

/// J = I − AE = (I + AΣ)⁻¹ into `out`, where E is the block from [`posterior_block`] and Σ = ΛΛ'.
#[inline(always)]
pub fn shrinkage<const P: usize>(p: usize, a: &[f64], e: &[f64], lambda: &[f64], out: &mut [f64]) {
    let p = block_size::<P>(p);
    if p == 1 {
        // exact even when λ²a is so large that 1 − ae would cancel
        out[0] = 1.0 / (lambda[0] * lambda[0] * a[0] + 1.0);
        return;
    }
    for i in 0..p {
        for j in 0..p {
            let s: f64 = (0..p).map(|k| a[i * p + k] * e[k * p + j]).sum();
            out[i * p + j] = if i == j { 1.0 } else { 0.0 } - s;
        }
    }
}

/// out (p×w) = B (p×p) · N (p×w)
#[inline(always)]
pub fn multiply<const P: usize>(p: usize, w: usize, b: &[f64], n: &[f64], out: &mut [f64]) {
    let p = block_size::<P>(p);
    for i in 0..p {
        for j in 0..w {
            out[i * w + j] = (0..p).map(|k| b[i * p + k] * n[k * w + j]).sum();
        }
    }
}

/// ΛΛ' of a lower triangular Λ.
pub fn outer_product(p: usize, lambda: &[f64]) -> Vec<f64> {
    let mut sigma = vec![0.0; p * p];
    for i in 0..p {
        for j in 0..p {
            sigma[i * p + j] = (0..=i.min(j))
                .map(|k| lambda[i * p + k] * lambda[j * p + k])
                .sum();
        }
    }
    sigma
}

/// Calls `$f::<P>` with the compile-time block size for p ≤ 4 and 0 otherwise.
#[macro_export]
macro_rules! by_block_size {
    ($p:expr, $f:ident, $($argument:expr),* $(,)?) => {
        match $p {
            1 => $f::<1>($($argument),*),
            2 => $f::<2>($($argument),*),
            3 => $f::<3>($($argument),*),
            4 => $f::<4>($($argument),*),
            _ => $f::<0>($($argument),*),
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_and_free_sizes_agree_with_the_definition() {
        let a = [4.0, 1.0, 1.0, 3.0];
        let lambda = [0.7, 0.0, -0.2, 0.5];
        let (mut e2, mut e0) = ([0.0; 4], [0.0; 4]);
        let mut scratch = [0.0; 8];
        let d2 = posterior_block::<2>(2, &a, &lambda, &mut e2, &mut scratch);
        let d0 = posterior_block::<0>(2, &a, &lambda, &mut e0, &mut scratch);
        assert_eq!(e2, e0);
        assert_eq!(d2, d0);
        // |I + AΣ| by hand
        let s = outer_product(2, &lambda);
        let (b11, b12) = (1.0 + a[0] * s[0] + a[1] * s[2], a[0] * s[1] + a[1] * s[3]);
        let (b21, b22) = (a[2] * s[0] + a[3] * s[2], 1.0 + a[2] * s[1] + a[3] * s[3]);
        let determinant: f64 = b11 * b22 - b12 * b21;
        assert!((d2 - determinant.ln()).abs() < 1e-14);
        // J (I + AΣ) = I
        let mut j = [0.0; 4];
        shrinkage::<2>(2, &a, &e2, &lambda, &mut j);
        assert!((j[0] * b11 + j[1] * b21 - 1.0).abs() < 1e-14);
        assert!((j[0] * b12 + j[1] * b22).abs() < 1e-14);
    }

    #[test]
    fn a_singular_factor_is_no_obstacle() {
        let mut e = [9.0; 4];
        let logdet =
            posterior_block::<2>(2, &[4.0, 1.0, 1.0, 3.0], &[0.0; 4], &mut e, &mut [0.0; 8]);
        assert_eq!((logdet, e), (0.0, [0.0; 4]));
    }
}
