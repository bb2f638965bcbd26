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

/// The logarithm of a product of positive numbers, taken when the product becomes large or small rather than for each
/// of them; not a number where one of them is negative, as pivots of equations that are not positive definite are.
pub struct LogProduct {
    product: f64,
    total: f64,
}

impl LogProduct {
    const LARGE: f64 = 1e150;
    const SMALL: f64 = 1e-150;

    pub fn one() -> LogProduct {
        LogProduct {
            product: 1.0,
            total: 0.0,
        }
    }

    #[inline(always)]
    pub fn multiply(&mut self, factor: f64) {
        if factor > Self::SMALL && factor < Self::LARGE {
            self.product *= factor;
            if self.product > Self::LARGE || self.product < Self::SMALL {
                self.total += self.product.ln();
                self.product = 1.0;
            }
        } else {
            // also where it is negative or not a number
            self.total += factor.ln();
        }
    }

    pub fn logarithm(&self) -> f64 {
        self.total + self.product.ln()
    }
}

/// The Cholesky factor K of Λ'AΛ + I into `k` (lower triangle; for p = 1 the number λ²/(λ²a + 1) itself); its pivots,
/// whose product is |Λ'AΛ + I|, are multiplied into `determinant`. `scratch` holds p² numbers.
///
/// With it E = Λ(KK')⁻¹Λ' is applied by substitution and never formed: where A is ill-conditioned an explicit E would
/// lose the digits that cancel in N'EN. Nothing is inverted when Λ is singular, and KK' is never smaller than I.
#[inline(always)]
pub fn posterior_block<const P: usize>(
    p: usize,
    a: &[f64],
    lambda: &[f64],
    k: &mut [f64],
    scratch: &mut [f64],
    determinant: &mut LogProduct,
) {
    let p = block_size::<P>(p);
    if p == 1 {
        let l2 = lambda[0] * lambda[0];
        let m = l2 * a[0] + 1.0;
        k[0] = l2 / m;
        determinant.multiply(m);
        return;
    }
    let t = &mut scratch[..p * p];
    for i in 0..p {
        for j in 0..p {
            t[i * p + j] = (j..p).map(|m| a[i * p + m] * lambda[m * p + j]).sum();
        }
    }
    for i in 0..p {
        for j in 0..=i {
            let s: f64 = (i..p).map(|m| lambda[m * p + i] * t[m * p + j]).sum();
            k[i * p + j] = s + if i == j { 1.0 } else { 0.0 };
        }
    }
    for j in 0..p {
        let pivot = k[j * p + j] - (0..j).map(|m| k[j * p + m] * k[j * p + m]).sum::<f64>();
        determinant.multiply(pivot);
        let root = pivot.sqrt();
        k[j * p + j] = root;
        let inverse = 1.0 / root;
        for i in j + 1..p {
            let s = k[i * p + j] - (0..j).map(|m| k[i * p + m] * k[j * p + m]).sum::<f64>();
            k[i * p + j] = s * inverse;
        }
    }
}

/// W = K⁻¹Λ'N into `out` (p×w), so that N'EN = W'W.
#[inline(always)]
pub fn half_posterior<const P: usize>(
    p: usize,
    w: usize,
    k: &[f64],
    lambda: &[f64],
    n: &[f64],
    out: &mut [f64],
) {
    let p = block_size::<P>(p);
    if p == 1 {
        let root = k[0].sqrt();
        for (o, v) in out[..w].iter_mut().zip(n) {
            *o = root * v;
        }
        return;
    }
    for i in 0..p {
        let inverse = 1.0 / k[i * p + i];
        for j in 0..w {
            let s: f64 = (i..p).map(|m| lambda[m * p + i] * n[m * w + j]).sum();
            let known: f64 = (0..i).map(|m| k[i * p + m] * out[m * w + j]).sum();
            out[i * w + j] = (s - known) * inverse;
        }
    }
}

/// E N into `out` (p×w), by substitution.
#[inline(always)]
pub fn apply_posterior<const P: usize>(
    p: usize,
    w: usize,
    k: &[f64],
    lambda: &[f64],
    n: &[f64],
    out: &mut [f64],
) {
    let p = block_size::<P>(p);
    if p == 1 {
        for (o, v) in out[..w].iter_mut().zip(n) {
            *o = k[0] * v;
        }
        return;
    }
    half_posterior::<P>(p, w, k, lambda, n, out);
    for i in (0..p).rev() {
        let inverse = 1.0 / k[i * p + i];
        for j in 0..w {
            let known: f64 = (i + 1..p).map(|m| k[m * p + i] * out[m * w + j]).sum();
            out[i * w + j] = (out[i * w + j] - known) * inverse;
        }
    }
    for i in (0..p).rev() {
        for j in 0..w {
            out[i * w + j] = (0..=i).map(|m| lambda[i * p + m] * out[m * w + j]).sum();
        }
    }
}

/// What is left of couplings once the block is integrated out: N − A E N = (I + AΣ)⁻¹N into `out` (p×w).
/// `scratch` holds p·w numbers.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
pub fn remaining<const P: usize>(
    p: usize,
    w: usize,
    a: &[f64],
    k: &[f64],
    lambda: &[f64],
    n: &[f64],
    out: &mut [f64],
    scratch: &mut [f64],
) {
    let p = block_size::<P>(p);
    if p == 1 {
        // exact even when λ²a is so large that 1 − aλ²/(λ²a + 1) would cancel
        let left = 1.0 / (lambda[0] * lambda[0] * a[0] + 1.0);
        for (o, v) in out[..w].iter_mut().zip(n) {
            *o = left * v;
        }
        return;
    }
    apply_posterior::<P>(p, w, k, lambda, n, scratch);
    for i in 0..p {
        for j in 0..w {
            let lost: f64 = (0..p).map(|m| a[i * p + m] * scratch[m * w + j]).sum();
            out[i * w + j] = n[i * w + j] - lost;
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

    const A: [f64; 4] = [4.0, 1.0, 1.0, 3.0];
    const LAMBDA: [f64; 4] = [0.7, 0.0, -0.2, 0.5];

    #[test]
    fn fixed_and_free_sizes_agree_with_the_definition() {
        let (mut k2, mut k0) = ([0.0; 4], [0.0; 4]);
        let (mut d2, mut d0) = (LogProduct::one(), LogProduct::one());
        posterior_block::<2>(2, &A, &LAMBDA, &mut k2, &mut [0.0; 4], &mut d2);
        posterior_block::<0>(2, &A, &LAMBDA, &mut k0, &mut [0.0; 4], &mut d0);
        let (d2, d0) = (d2.logarithm(), d0.logarithm());
        assert_eq!((d2, k2), (d0, k0));
        // B = I + AΣ by hand
        let s = outer_product(2, &LAMBDA);
        let (b11, b12) = (1.0 + A[0] * s[0] + A[1] * s[2], A[0] * s[1] + A[1] * s[3]);
        let (b21, b22) = (A[2] * s[0] + A[3] * s[2], 1.0 + A[2] * s[1] + A[3] * s[3]);
        let determinant: f64 = b11 * b22 - b12 * b21;
        assert!((d2 - determinant.ln()).abs() < 1e-14);
        // (I + AΣ) times what remains of N gives N back
        let n = [1.0, -2.0, 0.5, 3.0];
        let (mut left, mut scratch) = ([0.0; 4], [0.0; 4]);
        remaining::<2>(2, 2, &A, &k2, &LAMBDA, &n, &mut left, &mut scratch);
        for j in 0..2 {
            assert!((b11 * left[j] + b12 * left[2 + j] - n[j]).abs() < 1e-14);
            assert!((b21 * left[j] + b22 * left[2 + j] - n[2 + j]).abs() < 1e-14);
        }
        // N'EN from both halves
        let (mut half, mut en) = ([0.0; 4], [0.0; 4]);
        half_posterior::<2>(2, 2, &k2, &LAMBDA, &n, &mut half);
        apply_posterior::<2>(2, 2, &k2, &LAMBDA, &n, &mut en);
        let whole = n[0] * en[1] + n[2] * en[3];
        assert!((half[0] * half[1] + half[2] * half[3] - whole).abs() < 1e-14);
    }

    #[test]
    fn a_singular_factor_is_no_obstacle() {
        let mut k = [9.0; 4];
        let mut determinant = LogProduct::one();
        posterior_block::<2>(2, &A, &[0.0; 4], &mut k, &mut [0.0; 4], &mut determinant);
        let logdet = determinant.logarithm();
        let mut en = [9.0; 2];
        apply_posterior::<2>(2, 1, &k, &[0.0; 4], &[1.0, 2.0], &mut en);
        assert_eq!((logdet, en), (0.0, [0.0; 2]));
    }

    #[test]
    fn logarithms_of_products_are_sums_of_logarithms() {
        let mut product = LogProduct::one();
        let mut expected = 0.0;
        for k in 1..2000 {
            let factor = 1.0 + f64::from(k) * 1e3;
            product.multiply(factor);
            expected += factor.ln();
        }
        product.multiply(1e300);
        expected += 1e300_f64.ln();
        assert!((product.logarithm() / expected - 1.0).abs() < 1e-14);
        product.multiply(f64::NAN);
        assert!(product.logarithm().is_nan());
    }
}
