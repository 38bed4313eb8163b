//! Parts of a frame: samples and splits.

use datafusion::functions::expr_fn::random;
use datafusion::logical_expr::{Expr, lit};

use super::{DataFrame, col, refused};
use crate::error::Result;
use crate::frontend::functions;

/// Keeps the numbers that samples and splits go by apart, so that a sample of a split is a sample.
const SAMPLE: &str = "sample";
const SPLIT: &str = "split";

impl<M> DataFrame<M> {
    /// Each row with probability `fraction`, other ones in each run. Streams.
    ///
    /// # Errors
    /// A fraction below 0 or above 1.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert!(sales.sample(0.5)?.count()? <= 46);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn sample(&self, fraction: f64) -> Result<Self> {
        check_fraction(fraction)?;
        self.filter(random().lt(lit(fraction)))
    }

    /// About `fraction` of the rows, the same ones in each run: rows are chosen by a hash of their values
    /// and the seed, so equal rows come together or not at all.
    ///
    /// # Errors
    /// A fraction below 0 or above 1.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.sample_seeded(0.5, 7)?.count()?, sales.sample_seeded(0.5, 7)?.count()?);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn sample_seeded(&self, fraction: f64, seed: u64) -> Result<Self> {
        check_fraction(fraction)?;
        self.between(self.row_hash(SAMPLE, seed), 0.0, fraction)
    }

    /// The rows in parts, about as large as their weights (`[0.8, 0.2]`, or `[4.0, 1.0]`). Each row is in one part,
    /// which depends on its values and the seed alone: not on files, partitions or order, and not on the
    /// machine. Equal rows are in the same part.
    ///
    /// # Errors
    /// Weights that are negative, infinite or all zero.
    ///
    /// ```
    /// use query::blocking::Session;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let parts = sales.random_split([0.8, 0.2], 42)?;
    /// assert_eq!(parts[0].count()? + parts[1].count()?, 46);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn random_split(&self, weights: impl IntoIterator<Item = f64>, seed: u64) -> Result<Vec<Self>> {
        let weights: Vec<f64> = weights.into_iter().collect();
        let total: f64 = weights.iter().sum();
        if !(total.is_finite() && total > 0.0) || weights.iter().any(|weight| *weight < 0.0) {
            return Err(refused("the weights of a split are numbers from 0 up, and not all 0"));
        }
        let hash = self.row_hash(SPLIT, seed);
        let mut from = 0.0;
        let mut parts = Vec::with_capacity(weights.len());
        // The last part takes what rounding leaves.
        let last = weights.iter().rposition(|weight| *weight > 0.0);
        for (at, weight) in weights.iter().enumerate() {
            let to = if Some(at) >= last { 1.0 } else { from + weight / total };
            parts.push(self.between(hash.clone(), from, to)?);
            from = to;
        }
        Ok(parts)
    }

    fn row_hash(&self, purpose: &str, seed: u64) -> Expr {
        let columns = self.columns().into_iter().map(col);
        functions::row_hash([lit(purpose), lit(seed)].into_iter().chain(columns).collect())
    }

    /// Rows whose hash lies between two fractions of all hashes.
    fn between(&self, hash: Expr, from: f64, to: f64) -> Result<Self> {
        // 2⁶⁴ as a float; the conversion back takes what is too large for the largest number there is.
        let place = |fraction: f64| (fraction * 18_446_744_073_709_551_616.0) as u64;
        let above = hash.clone().gt_eq(lit(place(from)));
        match (from < to, to < 1.0) {
            (false, _) => self.filter(lit(false)),
            (true, true) => self.filter(above.and(hash.lt(lit(place(to))))),
            (true, false) => self.filter(above),
        }
    }
}

fn check_fraction(fraction: f64) -> Result<()> {
    match (0.0..=1.0).contains(&fraction) {
        true => Ok(()),
        false => Err(refused(format!("a fraction is between 0 and 1, not {fraction}"))),
    }
}
