//! Conditional distributions of one row given its neighbours, and the likelihood that is their product (Vecchia 1988).
//!
//! A set is t rows with the covariance V (lower triangle by rows, t(t+1)/2 numbers) and data Z (t×c), its own row
//! last and its t − 1 neighbours N before it. With V_N = LL',
//!
//! ```text
//! w = [−V_N⁻¹v; 1],   d = w'Vw,   h = Z'w,   G = V_N⁻¹Z_N
//! ```
//!
//! the row has, given its neighbours, the variance d, and Z the residual h. What sets add up to are differences of the
//! same for all t rows and for the t − 1 neighbours alone, so that it is exact wherever all rows before are neighbours.

use crate::error::KernelError;
use crate::small_dense::LogProduct;
use crate::threads::{map_parts, run};

/// Sets a task takes at a time: fixed, so that sums do not depend on the number of threads.
const AT_ONCE: usize = 64;

/// `f` of every part in order: on this thread where one is allowed, else in a pool.
fn each<T: Send, R: Send>(
    threads: usize,
    parts: Vec<T>,
    f: impl Fn(T) -> R + Sync + Send,
) -> Result<Vec<R>, KernelError> {
    if threads <= 1 {
        run(true, 1, || parts.into_iter().map(&f).collect())
    } else {
        run(parts.len() <= 1, threads, || map_parts(parts, &f))
    }
}

/// C sets of t rows: V (C·t(t+1)/2) and Z (C·t·c).
pub struct Sets<'a> {
    pub t: usize,
    pub c: usize,
    pub v: &'a [f64],
    pub z: &'a [f64],
}

impl Sets<'_> {
    pub fn packed(&self) -> usize {
        self.t * (self.t + 1) / 2
    }

    pub fn len(&self) -> usize {
        self.v.len() / self.packed().max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn check(&self) -> Result<(), KernelError> {
        let fits = self.t > 0
            && self.v.len() % self.packed() == 0
            && self.z.len() == self.len() * self.t * self.c;
        if fits {
            Ok(())
        } else {
            Err(KernelError::Shape(
                "covariances and data are not of the same sets".into(),
            ))
        }
    }

    fn chunks(&self) -> Vec<(usize, usize)> {
        (0..self.len())
            .step_by(AT_ONCE)
            .map(|first| (first, (first + AT_ONCE).min(self.len())))
            .collect()
    }
}

#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let (left, right) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = left
        .remainder()
        .iter()
        .zip(right.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in left.zip(right) {
        for (lane, (p, q)) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane += p * q;
        }
    }
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + rest
}

#[inline(always)]
fn row(i: usize) -> usize {
    i * (i + 1) / 2
}

/// One set with its V factored.
struct Set {
    t: usize,
    c: usize,
    /// Cholesky factor of V, packed by rows.
    lower: Vec<f64>,
    /// 1/L_ii.
    inverse: Vec<f64>,
    w: Vec<f64>,
    d: f64,
    h: Vec<f64>,
}

impl Set {
    fn new(t: usize, c: usize) -> Set {
        Set {
            t,
            c,
            lower: vec![0.0; row(t)],
            inverse: vec![0.0; t],
            w: vec![0.0; t],
            d: 0.0,
            h: vec![0.0; c],
        }
    }

    /// Factors V and finds w, d and h; false where V is not positive definite.
    fn condition(&mut self, v: &[f64], z: &[f64]) -> bool {
        let (t, c) = (self.t, self.c);
        for i in 0..t {
            let (before, rest) = self.lower.split_at_mut(row(i));
            let own = &mut rest[..=i];
            own.copy_from_slice(&v[row(i)..row(i) + i + 1]);
            for j in 0..i {
                let other = &before[row(j)..row(j) + j];
                own[j] = (own[j] - dot(&own[..j], other)) * self.inverse[j];
            }
            let pivot = own[i] - dot(&own[..i], &own[..i]);
            if !(pivot > 0.0 && pivot.is_finite()) {
                return false;
            }
            own[i] = pivot.sqrt();
            self.inverse[i] = 1.0 / own[i];
            self.d = pivot;
        }
        let last = &self.lower[row(t - 1)..row(t - 1) + t - 1];
        for (w, l) in self.w.iter_mut().zip(last) {
            *w = -l;
        }
        self.w[t - 1] = 1.0;
        back(&self.lower, &self.inverse, t - 1, &mut self.w);
        self.h.fill(0.0);
        for (w, values) in self.w.iter().zip(z.chunks_exact(c.max(1))) {
            for (h, value) in self.h.iter_mut().zip(values) {
                *h += w * value;
            }
        }
        true
    }
}

/// L'⁻¹b of the leading n rows, in place.
#[inline(always)]
fn back(lower: &[f64], inverse: &[f64], n: usize, b: &mut [f64]) {
    for i in (0..n).rev() {
        let x = b[i] * inverse[i];
        b[i] = x;
        for (value, l) in b[..i].iter_mut().zip(&lower[row(i)..row(i) + i]) {
            *value -= x * l;
        }
    }
}

/// L⁻¹b of the leading n rows, in place.
#[inline(always)]
fn forward(lower: &[f64], inverse: &[f64], n: usize, b: &mut [f64]) {
    for i in 0..n {
        b[i] = (b[i] - dot(&lower[row(i)..row(i) + i], &b[..i])) * inverse[i];
    }
}

/// Vb into `out` for a symmetric V of n rows, packed.
#[inline(always)]
fn symmetric(v: &[f64], n: usize, b: &[f64], out: &mut [f64]) {
    out[..n].fill(0.0);
    for i in 0..n {
        let (own, x) = (&v[row(i)..row(i) + i], b[i]);
        out[i] += dot(own, &b[..i]) + v[row(i) + i] * x;
        for (value, entry) in out[..i].iter_mut().zip(own) {
            *value += entry * x;
        }
    }
}

type Sums = (f64, Vec<f64>);

/// Σ log d and Σ hh'/d (c·c); `NotPositiveDefinite` carries the set whose V is not.
pub fn sums(sets: &Sets<'_>, threads: usize) -> Result<Sums, KernelError> {
    sets.check()?;
    let (t, c, p) = (sets.t, sets.c, sets.packed());
    let chunks = sets.chunks();
    let found: Vec<Result<Sums, KernelError>> = each(threads, chunks, |(first, stop)| {
        let mut set = Set::new(t, c);
        let (mut logdet, mut total) = (LogProduct::one(), vec![0.0; c * c]);
        for i in first..stop {
            let z = &sets.z[i * t * c..(i + 1) * t * c];
            if !set.condition(&sets.v[i * p..(i + 1) * p], z) {
                return Err(KernelError::NotPositiveDefinite(i));
            }
            logdet.multiply(set.d);
            for (sum, h) in total.chunks_exact_mut(c.max(1)).zip(&set.h) {
                let scaled = h / set.d;
                for (value, other) in sum.iter_mut().zip(&set.h) {
                    *value += scaled * other;
                }
            }
        }
        Ok((logdet.logarithm(), total))
    })?;
    let (mut logdet, mut total) = (0.0, vec![0.0; c * c]);
    for one in found {
        let (own, part) = one?;
        logdet += own;
        add(&mut total, &part);
    }
    Ok((logdet, total))
}

fn add(total: &mut [f64], part: &[f64]) {
    for (value, own) in total.iter_mut().zip(part) {
        *value += own;
    }
}

/// w (C·t) and d (C) of every set.
pub fn weights(sets: &Sets<'_>, threads: usize) -> Result<(Vec<f64>, Vec<f64>), KernelError> {
    sets.check()?;
    let (t, c, p) = (sets.t, sets.c, sets.packed());
    let (mut w, mut d) = (vec![0.0; sets.len() * t], vec![0.0; sets.len()]);
    let parts: Vec<_> = w
        .chunks_mut(AT_ONCE * t)
        .zip(d.chunks_mut(AT_ONCE))
        .zip(sets.chunks())
        .collect();
    let found: Vec<Result<(), KernelError>> = each(threads, parts, |((w, d), (first, _))| {
        let mut set = Set::new(t, c);
        for (k, (own_w, own_d)) in w.chunks_exact_mut(t).zip(d.iter_mut()).enumerate() {
            let i = first + k;
            let z = &sets.z[i * t * c..(i + 1) * t * c];
            if !set.condition(&sets.v[i * p..(i + 1) * p], z) {
                return Err(KernelError::NotPositiveDefinite(i));
            }
            own_w.copy_from_slice(&set.w);
            *own_d = set.d;
        }
        Ok(())
    })?;
    found.into_iter().collect::<Result<(), _>>()?;
    Ok((w, d))
}

/// The slopes of `log_weight`·Σ log d + tr(W Σ hh'/d) in V, packed (C·t(t+1)/2) with both halves of V in one: the
/// products with V̇ packed likewise add up to the derivative.
///
/// ww'(1/d − h'Wh/d²) − wq' − qw' with q = V_N⁻¹Z_N Wh/d and W (c·c) symmetric.
pub fn slopes(
    sets: &Sets<'_>,
    weight: &[f64],
    log_weight: f64,
    threads: usize,
) -> Result<Vec<f64>, KernelError> {
    sets.check()?;
    let (t, c, p) = (sets.t, sets.c, sets.packed());
    if weight.len() != c * c {
        return Err(KernelError::Shape(
            "the weight is not that of the data".into(),
        ));
    }
    let mut out = vec![0.0; sets.v.len()];
    let parts: Vec<_> = out.chunks_mut(AT_ONCE * p).zip(sets.chunks()).collect();
    let found: Vec<Result<(), KernelError>> = each(threads, parts, |(out, (first, _))| {
        let (mut set, n) = (Set::new(t, c), t - 1);
        let (mut moved, mut q) = (vec![0.0; c], vec![0.0; t]);
        for (k, own) in out.chunks_exact_mut(p).enumerate() {
            let i = first + k;
            let z = &sets.z[i * t * c..(i + 1) * t * c];
            if !set.condition(&sets.v[i * p..(i + 1) * p], z) {
                return Err(KernelError::NotPositiveDefinite(i));
            }
            for (value, weights) in moved.iter_mut().zip(weight.chunks_exact(c.max(1))) {
                *value = dot(weights, &set.h);
            }
            for (value, data) in q[..n].iter_mut().zip(z.chunks_exact(c.max(1))) {
                *value = dot(data, &moved) / set.d;
            }
            forward(&set.lower, &set.inverse, n, &mut q);
            back(&set.lower, &set.inverse, n, &mut q);
            q[n] = 0.0;
            let scale = (log_weight - dot(&moved, &set.h) / set.d) / set.d;
            for a in 0..t {
                let (left, less) = (scale * set.w[a] - q[a], set.w[a]);
                let target = &mut own[row(a)..row(a) + a + 1];
                for (value, (w, q)) in target.iter_mut().zip(set.w.iter().zip(&q)) {
                    *value = 2.0 * (left * w - less * q);
                }
                target[a] *= 0.5;
            }
        }
        Ok(())
    })?;
    found.into_iter().collect::<Result<(), _>>()?;
    Ok(out)
}

/// What sets add to second-order sums along k directions: E (k·k), P (k·c·c) and Q (k·k·c·c), where
///
/// ```text
/// E_ab = tr(V⁻¹V̇_aV⁻¹V̇_b),   P_a = −Z'V⁻¹V̇_aV⁻¹Z,   Q_ab = Z'V⁻¹V̇_aV⁻¹V̇_bV⁻¹Z,
/// ```
///
/// each of all rows less that of the neighbours.
pub type Products = (Vec<f64>, Vec<f64>, Vec<f64>);

struct Moved {
    /// V̇w (t), w'V̇w, L⁻¹(V̇w)_N (t), L⁻¹V̇_N G (c columns of t), Z'V⁻¹V̇w (c), by direction.
    p: Vec<f64>,
    s: f64,
    a: Vec<f64>,
    b: Vec<f64>,
    v: Vec<f64>,
    /// B'A of every direction a with this one's B: (k·c), made when all are known.
    ba: Vec<f64>,
}

/// See `Products`; `directions` holds V̇ of every direction, (k·C·t(t+1)/2).
pub fn products(
    sets: &Sets<'_>,
    directions: &[f64],
    k: usize,
    threads: usize,
) -> Result<Products, KernelError> {
    sets.check()?;
    if directions.len() != k * sets.v.len() {
        return Err(KernelError::Shape(
            "directions are not of the same sets".into(),
        ));
    }
    let c = sets.c;
    let chunks = sets.chunks();
    let found: Vec<Result<Products, KernelError>> = each(threads, chunks, |span| {
        chunk_products(sets, directions, k, span)
    })?;
    let mut out = (
        vec![0.0; k * k],
        vec![0.0; k * c * c],
        vec![0.0; k * k * c * c],
    );
    for one in found {
        let (e, p, q) = one?;
        add(&mut out.0, &e);
        add(&mut out.1, &p);
        add(&mut out.2, &q);
    }
    Ok(out)
}

fn chunk_products(
    sets: &Sets<'_>,
    directions: &[f64],
    k: usize,
    (first, stop): (usize, usize),
) -> Result<Products, KernelError> {
    let (t, c, packed) = (sets.t, sets.c, sets.packed());
    let n = t - 1;
    let mut set = Set::new(t, c);
    // columns of G one after another, each of t numbers
    let mut g = vec![0.0; c * t];
    let mut moved: Vec<Moved> = (0..k)
        .map(|_| Moved {
            p: vec![0.0; t],
            s: 0.0,
            a: vec![0.0; t],
            b: vec![0.0; c * t],
            v: vec![0.0; c],
            ba: vec![0.0; k * c],
        })
        .collect();
    let mut out = (
        vec![0.0; k * k],
        vec![0.0; k * c * c],
        vec![0.0; k * k * c * c],
    );
    for i in first..stop {
        let z = &sets.z[i * t * c..(i + 1) * t * c];
        if !set.condition(&sets.v[i * packed..(i + 1) * packed], z) {
            return Err(KernelError::NotPositiveDefinite(i));
        }
        for (j, column) in g.chunks_exact_mut(t).enumerate() {
            for (value, data) in column[..n].iter_mut().zip(z.chunks_exact(c)) {
                *value = data[j];
            }
            forward(&set.lower, &set.inverse, n, column);
            back(&set.lower, &set.inverse, n, column);
        }
        for (one, all) in moved.iter_mut().zip(directions.chunks_exact(sets.v.len())) {
            let dot_v = &all[i * packed..(i + 1) * packed];
            symmetric(dot_v, t, &set.w, &mut one.p);
            one.s = dot(&one.p, &set.w);
            one.a.copy_from_slice(&one.p);
            forward(&set.lower, &set.inverse, n, &mut one.a);
            for (j, (column, solved)) in
                one.b.chunks_exact_mut(t).zip(g.chunks_exact(t)).enumerate()
            {
                one.v[j] = dot(&one.p[..n], &solved[..n]) + one.s * set.h[j] / set.d;
                symmetric(dot_v, n, solved, column);
                forward(&set.lower, &set.inverse, n, column);
            }
        }
        add_products(&set, &mut moved, &mut out);
    }
    Ok(out)
}

fn add_products(set: &Set, moved: &mut [Moved], out: &mut Products) {
    let (k, c, n, d) = (moved.len(), set.c, set.t - 1, set.d);
    let firsts: Vec<Vec<f64>> = moved.iter().map(|one| one.a[..n].to_vec()).collect();
    for one in moved.iter_mut() {
        for (a, first) in firsts.iter().enumerate() {
            for j in 0..c {
                one.ba[a * c + j] = dot(&one.b[j * set.t..j * set.t + n], first);
            }
        }
    }
    for (a, one) in moved.iter().enumerate() {
        let own = &mut out.1[a * c * c..(a + 1) * c * c];
        for i in 0..c {
            for j in 0..c {
                let crossed = one.v[i] * set.h[j] + set.h[i] * one.v[j];
                own[i * c + j] -= (crossed - one.s * set.h[i] * set.h[j] / d) / d;
            }
        }
        for (b, other) in moved.iter().enumerate() {
            let inner = dot(&firsts[a], &firsts[b]);
            out.0[a * k + b] += (one.s * other.s / d + 2.0 * inner) / d;
            let place = (a * k + b) * c * c;
            let own = &mut out.2[place..place + c * c];
            for i in 0..c {
                // B_a'A_b and A_a'B_b
                let left = one.ba[b * c + i] + inner * set.h[i] / d;
                for j in 0..c {
                    let right = other.ba[a * c + j];
                    own[i * c + j] +=
                        (left * set.h[j] + set.h[i] * right + one.v[i] * other.v[j]) / d;
                }
            }
        }
    }
}

/// Euclidean distances of all pairs of t positions (C·t·k coordinates), packed as V is.
pub fn pair_distances(
    coordinates: &[f64],
    t: usize,
    k: usize,
    threads: usize,
) -> Result<Vec<f64>, KernelError> {
    let p = row(t);
    if t == 0 || k == 0 || coordinates.len() % (t * k) != 0 {
        return Err(KernelError::Shape(
            "coordinates are not those of whole sets".into(),
        ));
    }
    let count = coordinates.len() / (t * k);
    let mut out = vec![0.0; count * p];
    let parts: Vec<_> = out
        .chunks_mut(AT_ONCE * p)
        .zip(coordinates.chunks(AT_ONCE * t * k))
        .collect();
    each(threads, parts, |(out, points)| {
        let mut columns = vec![0.0; t * k];
        for (own, set) in out.chunks_exact_mut(p).zip(points.chunks_exact(t * k)) {
            for i in 0..t {
                for j in 0..k {
                    columns[j * t + i] = set[i * k + j];
                }
            }
            for i in 0..t {
                let target = &mut own[row(i)..row(i) + i + 1];
                target.fill(0.0);
                for column in columns.chunks_exact(t) {
                    let x = column[i];
                    for (value, y) in target.iter_mut().zip(column) {
                        *value += (x - y) * (x - y);
                    }
                }
                for value in target.iter_mut() {
                    *value = value.sqrt();
                }
            }
        }
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    // two neighbours: V = [[2, .5, .3], [.5, 1.5, .2], [.3, .2, 1]]
    const V: [f64; 6] = [2.0, 0.5, 1.5, 0.3, 0.2, 1.0];
    const Z: [f64; 6] = [1.0, 0.4, 1.0, -0.7, 1.0, 0.9];
    const DIRECTION: [f64; 6] = [0.3, 0.1, 0.2, -0.1, 0.25, 0.4];

    fn sets(v: &[f64]) -> Sets<'_> {
        Sets {
            t: 3,
            c: 2,
            v,
            z: &Z,
        }
    }

    fn moved(step: f64) -> Vec<f64> {
        V.iter()
            .zip(DIRECTION)
            .map(|(v, slope)| v + step * slope)
            .collect()
    }

    #[test]
    fn a_set_is_its_conditional_distribution() {
        let (logdet, total) = sums(&sets(&V), 1).unwrap();
        // V_N⁻¹v by hand
        let det = 2.0 * 1.5 - 0.25;
        let b = [(1.5 * 0.3 - 0.5 * 0.2) / det, (2.0 * 0.2 - 0.5 * 0.3) / det];
        let d: f64 = 1.0 - b[0] * 0.3 - b[1] * 0.2;
        let h = [1.0 - b[0] - b[1], 0.9 - 0.4 * b[0] + 0.7 * b[1]];
        assert!((logdet - d.ln()).abs() < 1e-14);
        assert!((total[1] - h[0] * h[1] / d).abs() < 1e-14);
        let (w, variance) = weights(&sets(&V), 1).unwrap();
        assert!((w[0] + b[0]).abs() < 1e-14 && w[2] == 1.0 && (variance[0] - d).abs() < 1e-14);
    }

    #[test]
    fn slopes_and_products_are_derivatives() {
        let weight = [0.7, -0.2, -0.2, 1.1];
        let value = |step: f64| {
            let v = moved(step);
            let (logdet, total) = sums(&sets(&v), 1).unwrap();
            (logdet, dot(&weight, &total))
        };
        let first = |step: f64| {
            let v = moved(step);
            dot(&slopes(&sets(&v), &weight, 1.0, 1).unwrap(), &DIRECTION)
        };
        let step = 1e-6;
        let (up, down) = (value(step), value(-step));
        let expected = (up.0 + up.1 - down.0 - down.1) / (2.0 * step);
        assert!((first(0.0) - expected).abs() < 1e-9);
        let (e, p, q) = products(&sets(&V), &DIRECTION, 1, 1).unwrap();
        assert!((dot(&p, &weight) - (up.1 - down.1) / (2.0 * step)).abs() < 1e-9);
        // the second derivative of a V that is linear in the step is −E + 2⟨W, Q⟩
        let second = (first(step) - first(-step)) / (2.0 * step);
        assert!((second - (2.0 * dot(&q, &weight) - e[0])).abs() < 1e-8);
    }

    #[test]
    fn distances_are_packed_by_rows() {
        let points = [0.0, 0.0, 3.0, 4.0, 0.0, 1.0];
        let found = pair_distances(&points, 3, 2, 1).unwrap();
        assert_eq!(found[..4], [0.0, 5.0, 0.0, 1.0]);
        assert!((found[4] - 18.0_f64.sqrt()).abs() < 1e-15 && found[5] == 0.0);
        assert!(sums(&sets(&[1.0; 6]), 1) == Err(KernelError::NotPositiveDefinite(0)));
    }
}
