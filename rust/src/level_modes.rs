//! Laplace's approximation for independent levels of one factor: modes, value, gradient and working information in
//! one pass over the rows of each level.
//!
//! Level j has effects b = Λu, h(u) = −Σℓ_i + ½u'u with its minimum at û, K = Z'WZ, M = I + Λ'KΛ, C = ΛM⁻¹Λ',
//! r = Z's. Rows lie sorted by level, so that the rows of a level stay in cache over the steps of its search.

use crate::level_rows::LevelRows;
use crate::row_densities::{Density, Derivatives, LogSum};
use crate::squares::{cholesky, dot, product, read, solved, times, turned, turned_times, Square};
use crate::threads::map_parts;

const STEPS: usize = 100;
const HALVINGS: usize = 30;
const SUFFICIENT: f64 = 1e-4;
/// A decrement below which one that does not fall any more is rounding.
const STUCK: f64 = 1e-8;

/// Where an evaluation is made.
pub struct At<'a> {
    pub beta: &'a [f64],
    /// Λ by set, (sets, p, p).
    pub roots: &'a [f64],
    /// Decrement of a level at which its search ends.
    pub tolerance: f64,
    /// Σ̇ by direction and set, (k, sets, p, p); with them the information is computed.
    pub directions: Option<&'a [f64]>,
    /// What changed since what is kept was kept: Σ by set, and the coefficients.
    pub moved: Option<(&'a [f64], &'a [f64])>,
}

/// Sums over levels.
#[derive(Clone, Default)]
pub struct Sums {
    pub value: f64,
    /// X'(−2s + v − WZe).
    pub slope: Vec<f64>,
    /// X's at the mode.
    pub score: Vec<f64>,
    /// Γ and T by set, (sets, p, p).
    pub gammas: Vec<f64>,
    pub traces: Vec<f64>,
    /// Half the Hessian of the working model over directions and coefficients.
    pub gram: Vec<f64>,
}

impl Sums {
    pub fn empty(size: usize, coefficients: usize, entries: usize) -> Self {
        Sums {
            value: 0.0,
            slope: vec![0.0; coefficients],
            score: vec![0.0; coefficients],
            gammas: vec![0.0; entries],
            traces: vec![0.0; entries],
            gram: vec![0.0; size * size],
        }
    }

    pub fn add(&mut self, other: &Sums) {
        self.value += other.value;
        for (own, new) in [
            (&mut self.slope, &other.slope),
            (&mut self.score, &other.score),
            (&mut self.gammas, &other.gammas),
            (&mut self.traces, &other.traces),
            (&mut self.gram, &other.gram),
        ] {
            for (a, b) in own.iter_mut().zip(new) {
                *a += b;
            }
        }
    }
}

/// A place of the search of one level.
#[derive(Clone, Copy)]
struct Place<const P: usize> {
    u: [f64; P],
    /// 2h.
    height: f64,
    /// Z's.
    right: [f64; P],
    /// Z'WZ.
    square: Square<P>,
}

struct Level<'a, D> {
    rows: &'a LevelRows,
    density: &'a D,
    first: usize,
    last: usize,
    fixed: &'a [f64],
}

impl<D: Density> Level<'_, D> {
    fn place<const P: usize>(&self, u: [f64; P], root: &Square<P>) -> Place<P> {
        let b = times(root, &u);
        let mut sum = LogSum::default();
        let (mut right, mut square) = ([0.0; P], [[0.0; P]; P]);
        for i in self.first..self.last {
            let z = self.rows.z::<P>(i);
            let row = self.rows.response(i);
            let found =
                self.density
                    .slopes(row, self.fixed[i - self.first] + dot(&z, &b), &mut sum);
            let (score, weight) = (row.frequency * found.score, row.frequency * found.weight);
            for a in 0..P {
                right[a] += z[a] * score;
                for c in 0..=a {
                    square[a][c] += z[a] * z[c] * weight;
                }
            }
        }
        for a in 0..P {
            for c in 0..a {
                square[c][a] = square[a][c];
            }
        }
        let height = dot(&u, &u) - 2.0 * sum.total();
        Place {
            u,
            height: if height.is_finite() {
                height
            } else {
                f64::INFINITY
            },
            right,
            square,
        }
    }

    /// The place next to the mode, the factor of M, the step that was not taken and its decrement.
    #[allow(clippy::type_complexity)]
    fn mode<const P: usize>(
        &self,
        start: [f64; P],
        root: &Square<P>,
        tolerance: f64,
    ) -> Option<(Place<P>, Square<P>, [f64; P], f64)> {
        let mut place = self.place(start, root);
        if !place.height.is_finite() {
            place = self.place([0.0; P], root);
            if !place.height.is_finite() {
                return None;
            }
        }
        let mut last = f64::INFINITY;
        for _ in 0..STEPS {
            let mut inside = product(&turned(root), &product(&place.square, root));
            for a in 0..P {
                inside[a][a] += 1.0;
            }
            let lower = cholesky(&inside)?;
            let pull = turned_times(root, &place.right);
            let slope: [f64; P] = std::array::from_fn(|a| pull[a] - place.u[a]);
            let step = solved(&lower, &slope);
            let decrement = dot(&step, &slope);
            if !decrement.is_finite() {
                return None;
            }
            if decrement <= tolerance || (decrement <= STUCK && decrement > 0.5 * last) {
                return Some((place, lower, step, decrement));
            }
            let rounding = 1e-13 * (place.height.abs() + (self.last - self.first) as f64);
            let mut length = 1.0;
            let mut found = None;
            for _ in 0..HALVINGS {
                let u = std::array::from_fn(|a| place.u[a] + length * step[a]);
                let next = self.place(u, root);
                if next.height <= place.height - SUFFICIENT * length * decrement + rounding {
                    found = Some(next);
                    break;
                }
                length *= 0.5;
            }
            place = found?;
            last = decrement;
        }
        None
    }
}

/// What a part of the levels writes: what is kept, and b with its dual.
struct Written<'a> {
    kept: &'a mut [f64],
    effects: &'a mut [f64],
    duals: &'a mut [f64],
}

/// Evaluates all levels; None where a mode is not found. `base` is what was kept where derivatives were last taken,
/// `duals` the duals of b to start from where nothing moved since, and both modes and duals are written.
pub fn evaluate<const P: usize, D: Density>(
    rows: &LevelRows,
    density: &D,
    at: &At<'_>,
    base: &[f64],
    kept: &mut [f64],
    effects: &mut [f64],
    duals: &mut [f64],
) -> Option<Sums> {
    let per = rows.kept(P);
    let parts = rows.parts();
    let mut work = Vec::with_capacity(parts.len());
    let (mut kept, mut effects, mut duals) = (kept, effects, duals);
    let writes = at.directions.is_some();
    for &(first, last) in &parts {
        let count = last - first;
        let (own, rest) = kept.split_at_mut(if writes { count * per } else { 0 });
        kept = rest;
        let (b, rest) = effects.split_at_mut(count * P);
        effects = rest;
        let (rho, rest) = duals.split_at_mut(count * P);
        duals = rest;
        work.push((
            first,
            last,
            Written {
                kept: own,
                effects: b,
                duals: rho,
            },
        ));
    }
    let found = map_parts(work, |(first, last, mut out)| {
        part::<P, D>(rows, density, at, base, first, last, &mut out)
    });
    let size = rows.k + rows.coefficients();
    let size = if writes { size } else { 0 };
    let mut total = Sums::empty(size, rows.coefficients(), rows.n_sets * P * P);
    for one in found {
        total.add(&one?);
    }
    if writes {
        for a in 0..size {
            for b in 0..a {
                total.gram[b * size + a] = total.gram[a * size + b];
            }
        }
    }
    Some(total)
}

fn part<const P: usize, D: Density>(
    rows: &LevelRows,
    density: &D,
    at: &At<'_>,
    base: &[f64],
    first: usize,
    last: usize,
    out: &mut Written<'_>,
) -> Option<Sums> {
    let (r, coefficients, k) = (rows.r, rows.coefficients(), rows.k);
    let dispersed = rows.scale != 0.0;
    let writes = at.directions.is_some();
    let size = if writes { k + coefficients } else { 0 };
    let per = rows.kept(P);
    let mut sums = Sums::empty(size, coefficients, rows.n_sets * P * P);
    let longest = (first..last)
        .map(|j| rows.starts[j + 1] - rows.starts[j])
        .max()
        .unwrap_or(0);
    let mut fixed = vec![0.0; longest];
    let mut own = vec![Derivatives::default(); longest];
    let mut bends = vec![0.0; longest];
    // B = [KD, Z'WX], C B
    let mut pushed = vec![0.0; P * (k + coefficients)];
    let mut back = vec![0.0; P * (k + coefficients)];
    for level in first..last {
        let (start, end) = (rows.starts[level], rows.starts[level + 1]);
        for i in start..end {
            fixed[i - start] = rows.fixed(i, at.beta);
        }
        let set = rows.sets[level] as usize;
        let root: Square<P> = read(&at.roots[set * P * P..]);
        let place_of = level - first;
        let mut dual: [f64; P] = std::array::from_fn(|a| out.duals[place_of * P + a]);
        if let Some((sigma, beta)) = at.moved {
            dual = predicted::<P>(&base[level * per..(level + 1) * per], set, sigma, beta);
        }
        let searched = Level {
            rows,
            density,
            first: start,
            last: end,
            fixed: &fixed,
        };
        let begin = turned_times(&root, &dual);
        let (place, lower, step, decrement) = searched.mode(begin, &root, at.tolerance)?;
        // C, and what the step that was not taken moves b by
        let mut half = [[0.0; P]; P];
        for a in 0..P {
            let column = solved(&lower, &root[a]);
            for c in 0..P {
                half[c][a] = column[c];
            }
        }
        let spread = product(&root, &half);
        let b = times(&root, &place.u);
        let ahead = times(&root, &step);
        let mut pull = [0.0; P];
        for i in start..end {
            let z = rows.z::<P>(i);
            let row = rows.response(i);
            let mut found = density.derivatives(row, fixed[i - start] + dot(&z, &b));
            if row.frequency != 1.0 {
                found = found.scaled(row.frequency);
            }
            let bend = -dot(&z, &times(&spread, &z)) * found.third;
            for a in 0..P {
                pull[a] += z[a] * bend;
            }
            own[i - start] = found;
            bends[i - start] = bend;
        }
        let adjoint = times(&spread, &pull);
        let mut turn = [0.0; P];
        let place_kept = place_of * per;
        if writes {
            out.kept[place_kept..place_kept + per].fill(0.0);
        }
        let mixed = P + 2 * P * P;
        for i in start..end {
            let z = rows.z::<P>(i);
            let x = rows.x(i);
            let found = &own[i - start];
            let (carried, moved) = (dot(&z, &adjoint), dot(&z, &ahead));
            let score = found.score - found.weight * moved;
            let bent = bends[i - start] - found.weight * carried;
            let whole = bent - 2.0 * score;
            for a in 0..P {
                turn[a] += z[a] * bent;
            }
            for (sum, x) in sums.slope[..r].iter_mut().zip(x) {
                *sum += x * whole;
            }
            for (sum, x) in sums.score[..r].iter_mut().zip(x) {
                *sum += x * score;
            }
            if dispersed {
                let score = found.score_zeta - found.weight_mixed * moved;
                let bend = -dot(&z, &times(&spread, &z)) * found.third_mixed;
                let bent = bend - found.weight_mixed * carried;
                sums.slope[r] += rows.scale * (bent - 2.0 * score);
                sums.score[r] += rows.scale * score;
            }
            if writes {
                for a in 0..r {
                    let weighed = found.weight * x[a];
                    let line = (k + a) * size + k;
                    for (sum, x) in sums.gram[line..=line + a].iter_mut().zip(x) {
                        *sum += weighed * x;
                    }
                    for c in 0..P {
                        out.kept[place_kept + mixed + c * coefficients + a] += weighed * z[c];
                    }
                }
                if dispersed {
                    let weighed = found.weight_mixed * rows.scale;
                    let line = (k + r) * size + k;
                    for c in 0..r {
                        sums.gram[line + c] += weighed * x[c];
                    }
                    sums.gram[line + r] += found.weight_zeta * rows.scale * rows.scale;
                    for c in 0..P {
                        out.kept[place_kept + mixed + c * coefficients + r] += weighed * z[c];
                    }
                }
            }
        }
        let lean = times(&place.square, &ahead);
        let right: [f64; P] = std::array::from_fn(|a| place.right[a] - lean[a]);
        let taken = product(&place.square, &product(&spread, &place.square));
        for a in 0..P {
            for c in 0..P {
                let trace = place.square[a][c] - taken[a][c];
                let entry = (set * P + a) * P + c;
                sums.traces[entry] += trace;
                sums.gammas[entry] +=
                    trace - right[a] * right[c] + 0.5 * (turn[a] * right[c] + right[a] * turn[c]);
            }
        }
        let logdet: f64 = (0..P).map(|a| 2.0 * lower[a][a].ln()).sum();
        let slope = turned_times(&root, &place.right);
        // e'(r − ρ) = a'Λ'(r − ρ) with Λa = e
        let dual_pull = solved(&lower, &turned_times(&root, &pull));
        let left: f64 = (0..P).map(|a| dual_pull[a] * (slope[a] - place.u[a])).sum();
        sums.value += place.height + logdet - decrement + left;
        for a in 0..P {
            out.effects[place_of * P + a] = b[a] + ahead[a];
            out.duals[place_of * P + a] = right[a];
        }
        if writes {
            let directions = at.directions.unwrap_or(&[]);
            let keep = &mut out.kept[place_kept..place_kept + per];
            for a in 0..P {
                keep[a] = right[a];
                for c in 0..P {
                    keep[P + a * P + c] = place.square[a][c];
                    keep[P + P * P + a * P + c] = spread[a][c];
                }
            }
            for which in 0..k {
                let sigma: Square<P> = read(&directions[(which * rows.n_sets + set) * P * P..]);
                let moved = times(&sigma, &right);
                let weighed = times(&place.square, &moved);
                for a in 0..P {
                    keep[mixed + P * coefficients + a * k + which] = moved[a];
                    pushed[a * size + which] = weighed[a];
                }
            }
            for a in 0..P {
                for c in 0..coefficients {
                    pushed[a * size + k + c] = keep[mixed + a * coefficients + c];
                }
            }
            for a in 0..P {
                for c in 0..size {
                    back[a * size + c] = (0..P).map(|e| spread[a][e] * pushed[e * size + c]).sum();
                }
            }
            let moved = &keep[mixed + P * coefficients..];
            for a in 0..size {
                for c in 0..=a {
                    let mut entry = 0.0;
                    for e in 0..P {
                        entry -= pushed[e * size + a] * back[e * size + c];
                        if c < k {
                            // D'[KD, Z'WX]
                            entry += moved[e * k + c] * pushed[e * size + a];
                        }
                    }
                    sums.gram[a * size + c] += entry;
                }
            }
        }
    }
    Some(sums)
}

/// The dual of the mode to first order in what moved: with t = Z'W(ZΔGr + XΔβ), r − t + KCt.
fn predicted<const P: usize>(
    base: &[f64],
    set: usize,
    moved_sigma: &[f64],
    moved_beta: &[f64],
) -> [f64; P] {
    let right: [f64; P] = std::array::from_fn(|a| base[a]);
    let square: Square<P> = read(&base[P..]);
    let spread: Square<P> = read(&base[P + P * P..]);
    let mixed = &base[P + 2 * P * P..];
    let sigma: Square<P> = read(&moved_sigma[set * P * P..]);
    let own = times(&square, &times(&sigma, &right));
    let count = moved_beta.len();
    let change: [f64; P] = std::array::from_fn(|a| {
        let by: f64 = (0..count)
            .map(|c| mixed[a * count + c] * moved_beta[c])
            .sum();
        own[a] + by
    });
    let back = times(&square, &times(&spread, &change));
    std::array::from_fn(|a| right[a] - change[a] + back[a])
}
