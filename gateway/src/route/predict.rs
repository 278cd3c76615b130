//! How long an answer of one deployment will take, learnt from those before: by the call's input, its expected output and
//! how much is in flight there.
//!
//! The time to the first token is taken to be linear in input and load, that per token of output after it in
//! load: `t = a + b*input + c*load + output*(d + e*load)`. The five are found by recursive least squares with forgetting
//! (Young, Recursive Estimation and Time-Series Analysis, 1984) in its additive form: an answer adds to the sums of products that the
//! normal equations are made of, and sums of several replicas add up, so that they learn together. A stream
//! says two things, when it began and how long the rest took; a plain answer only when all was there. Each is a row of the same
//! equations, weighed by how long such answers take. None of the five is below zero: one that would be is left out (the
//! active set of Lawson and Hanson, 1974). An answer far off counts as one at the edge of what is usual (Huber, 1964).
//!
//! Sums halve every minute; what a deployment does of late shows sooner in a factor on top (`drift`).

/// Milliseconds of a clock that never goes back.
pub type Ms = u64;

/// How many sums are kept of a deployment.
pub const SUMS: usize = 22;
/// The upper triangle of the products of features, then features times seconds; then what was answered and what failed.
/// In thousandths.
pub type Sums = [f64; SUMS];

const FEATURES: usize = 5;
const PRODUCTS: usize = FEATURES * (FEATURES + 1) / 2;
const ANSWERED: usize = 20;
const FAILED: usize = 21;
const SCALE: f64 = 1_000.0;
/// Input tokens and output tokens that count as one.
const INPUT: f64 = 1_000.0;
const OUTPUT: f64 = 100.0;
/// More in flight makes no difference.
const MOST_LOAD: f64 = 1_000.0;
/// A time is not longer, seconds.
const MOST_TIME: f64 = 3_600.0;
/// Answers that speak against a dependence on input or load before the first was seen.
const DOUBT: f64 = 0.3;
/// Of fewer answers, the older counted less, nothing is known.
const LEAST: f64 = 0.25;
/// From so many on an answer may be far off.
const USUAL: f64 = 8.0;
/// Old sums count half after so long, ms; as in the shared state.
const HALF: f64 = 60_000.0;
/// What a deployment does of late counts to its e-th part after so long, ms.
const LATELY: f64 = 4_000.0;
/// Attempts that went well before the first was seen: one failure of few says little.
const PRIOR: f64 = 10.0;
/// What was found is good for so long, ms: many decisions look at it.
const KEPT: Ms = 100;

/// A call, as far as its time depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Size {
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Calls in flight there besides.
    pub load: f64,
}

/// How long an answer took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Took {
    /// Seconds to the first content, of a stream.
    pub first: Option<f64>,
    /// Seconds to the end.
    pub whole: f64,
}

/// The five.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Model {
    factors: [f64; FEATURES],
    answers: f64,
}

/// What one replica knows of one deployment.
#[derive(Debug)]
pub struct Predictor {
    own: Sums, // of this replica alone
    at: Ms,
    kept: Option<(Ms, Model)>,
    off: f64,           // how far answers are off as a rule, as a share
    lately: (f64, f64), // what answers took, and what they should have
    lately_at: Ms,
}

impl Default for Predictor {
    fn default() -> Predictor {
        Predictor { own: [0.0; SUMS], at: 0, kept: None, off: 0.5, lately: (0.0, 0.0), lately_at: 0 }
    }
}

impl Size {
    fn begins(self) -> [f64; FEATURES] {
        [1.0, self.input as f64 / INPUT, self.load.min(MOST_LOAD), 0.0, 0.0]
    }

    fn goes_on(self) -> [f64; FEATURES] {
        let output = self.output as f64 / OUTPUT;
        [0.0, 0.0, 0.0, output, output * self.load.min(MOST_LOAD)]
    }

    /// About how uncertain such times are, by the size alone: by the time itself short ones would count more.
    fn spread(self) -> (f64, f64) {
        (1.0 + self.input as f64 / INPUT / 2.0, 0.3 + self.output as f64 / OUTPUT)
    }
}

impl Model {
    /// Solves the equations.
    pub fn of(sums: &Sums) -> Model {
        let answers = sums[ANSWERED] / SCALE;
        let (mut matrix, mut times) = ([[0.0; FEATURES]; FEATURES], [0.0; FEATURES]);
        let pairs = (0..FEATURES).flat_map(|row| (row..FEATURES).map(move |column| (row, column)));
        for ((row, column), sum) in pairs.zip(sums) {
            matrix[row][column] = sum / SCALE;
            matrix[column][row] = sum / SCALE;
        }
        for row in 0..FEATURES {
            times[row] = sums[PRODUCTS + row] / SCALE;
            matrix[row][row] += if matches!(row, 1 | 2 | 4) { DOUBT } else { 1e-6 };
        }
        let mut used = [true; FEATURES];
        loop {
            let factors = solve(&matrix, &times, &used);
            let least = (0..FEATURES).min_by(|a, b| factors[*a].total_cmp(&factors[*b])).unwrap_or(0);
            if factors[least] >= 0.0 {
                return Model { factors, answers };
            }
            used[least] = false;
        }
    }

    /// Seconds until an answer is complete; none if too little is known.
    pub fn time(&self, size: Size) -> Option<f64> {
        (self.answers >= LEAST)
            .then(|| dot(&self.factors, &size.begins()) + dot(&self.factors, &size.goes_on()))
    }
}

/// What an answer adds to the sums. `usual`: how far from what was expected it may be, as a factor.
fn rows(size: Size, took: Took, model: &Model, usual: f64) -> Sums {
    let mut sums = [0.0; SUMS];
    sums[ANSWERED] = SCALE;
    let (begins, goes_on, (early, late)) = (size.begins(), size.goes_on(), size.spread());
    match took.first {
        Some(first) => {
            add(&mut sums, &begins, near(first, dot(&model.factors, &begins), usual), early);
            if size.output > 0 {
                let rest = (took.whole - first).max(0.0);
                add(&mut sums, &goes_on, near(rest, dot(&model.factors, &goes_on), usual), late);
            }
        }
        None => {
            let both = std::array::from_fn(|at| begins[at] + goes_on[at]);
            add(&mut sums, &both, near(took.whole, dot(&model.factors, &both), usual), early.max(late));
        }
    }
    sums
}

/// The seconds, as far from those expected as is usual at most.
fn near(seconds: f64, expected: f64, usual: f64) -> f64 {
    let seconds = seconds.clamp(0.0, MOST_TIME);
    if expected > 0.0 { seconds.clamp(expected / usual, expected * usual) } else { seconds }
}

fn add(sums: &mut Sums, features: &[f64; FEATURES], seconds: f64, spread: f64) {
    let weight = SCALE / (spread * spread);
    let mut at = 0;
    for row in 0..FEATURES {
        for column in row..FEATURES {
            sums[at] += weight * features[row] * features[column];
            at += 1;
        }
        sums[PRODUCTS + row] += weight * features[row] * seconds;
    }
}

fn dot(a: &[f64; FEATURES], b: &[f64; FEATURES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Gaussian elimination over those used; the matrix is positive definite, so no row need be exchanged.
fn solve(
    matrix: &[[f64; FEATURES]; FEATURES],
    times: &[f64; FEATURES],
    used: &[bool; FEATURES],
) -> [f64; FEATURES] {
    let (mut m, mut t) = (*matrix, *times);
    let rows = || (0..FEATURES).filter(|row| used[*row]);
    for pivot in rows() {
        for row in rows().filter(|row| *row > pivot) {
            let part = m[row][pivot] / m[pivot][pivot];
            (pivot..FEATURES).for_each(|column| m[row][column] -= part * m[pivot][column]);
            t[row] -= part * t[pivot];
        }
    }
    let mut found = [0.0; FEATURES];
    for row in rows().collect::<smallvec::SmallVec<[usize; FEATURES]>>().into_iter().rev() {
        let known: f64 =
            rows().filter(|column| *column > row).map(|column| m[row][column] * found[column]).sum();
        found[row] = (t[row] - known) / m[row][row];
    }
    found
}

impl Predictor {
    /// An answer of such a size took so long; `common`: the sums of all replicas. What it adds to them.
    pub fn answered(&mut self, size: Size, took: Took, common: &Sums, now: Ms) -> Sums {
        let model = self.model(common, now);
        let expected = model.time(size).filter(|_| model.answers >= USUAL);
        let usual = expected.map_or(f64::INFINITY, |_| 2.0 + 4.0 * self.off);
        if let Some(expected) = expected.filter(|expected| *expected > 0.0) {
            let whole = near(took.whole, expected, usual);
            self.off += ((whole / expected - 1.0).abs() - self.off) * 0.1;
            let weight = self.fading(now);
            self.lately = (self.lately.0 * weight + whole, self.lately.1 * weight + expected);
            self.lately_at = now;
        }
        let sums = rows(size, took, &model, usual);
        self.note(&sums, now);
        sums
    }

    /// An attempt failed. What that adds to the sums of all replicas.
    pub fn failed(&mut self, now: Ms) -> Sums {
        let mut sums = [0.0; SUMS];
        sums[FAILED] = SCALE;
        self.note(&sums, now);
        sums
    }

    /// Seconds until an answer of such a size is complete; none if too little is known, here or anywhere.
    pub fn time(&mut self, size: Size, common: &Sums, now: Ms) -> Option<f64> {
        let expected = self.model(common, now).time(size)?;
        let weight = self.fading(now);
        let (took, due) = (self.lately.0 * weight, self.lately.1 * weight);
        let drift = (took + 3.0 * expected) / (due + 3.0 * expected).max(1e-9);
        Some(expected * drift.clamp(0.5, 4.0))
    }

    /// The share of attempts that fail, as far as anybody knows.
    pub fn errors(&self, common: &Sums, now: Ms) -> f64 {
        let sums = self.better(common, now);
        sums[FAILED] / (sums[FAILED] + sums[ANSWERED] + PRIOR * SCALE)
    }

    fn fading(&self, now: Ms) -> f64 {
        (-(now.saturating_sub(self.lately_at) as f64) / LATELY).exp()
    }

    fn model(&mut self, common: &Sums, now: Ms) -> Model {
        match self.kept {
            Some((at, model)) if now.saturating_sub(at) < KEPT && model.answers >= USUAL => model,
            _ => {
                let model = Model::of(&self.better(common, now));
                self.kept = Some((now, model));
                model
            }
        }
    }

    /// What all know, or what this replica does if that is much more: the shared state may have lost it.
    fn better(&self, common: &Sums, now: Ms) -> Sums {
        let own = self.faded(now);
        let all = |sums: &Sums| sums[ANSWERED] + sums[FAILED];
        if all(common) * 2.0 >= all(&own) { *common } else { own }
    }

    fn faded(&self, now: Ms) -> Sums {
        let weight = (-(now.saturating_sub(self.at) as f64) / HALF).exp2();
        self.own.map(|sum| sum * weight)
    }

    fn note(&mut self, sums: &Sums, now: Ms) {
        self.own = self.faded(now);
        self.own.iter_mut().zip(sums).for_each(|(sum, more)| *sum += more);
        self.at = now;
    }
}

#[cfg(test)]
#[path = "predict_tests.rs"]
mod tests;
