//! Numbers about columns: `describe` and `quantile`.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::functions_aggregate::expr_fn::{approx_percentile_cont, avg, count, max, min, stddev};
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast, lit};

use super::{DataFrame, asc, col, quantile, refused};
use crate::error::Result;

/// How quantiles are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantile {
    /// Between the two nearest values by linear interpolation, as pandas does. Holds all values of a column.
    Exact,
    /// By a t-digest, as Dask does: close to the exact one, in a few kilobytes. The answer may depend on how
    /// rows are spread over partitions.
    Approximate,
}

impl Quantile {
    fn of(self, name: &str, q: f64) -> Expr {
        let value = cast(col(name), DataType::Float64);
        match self {
            Self::Exact => quantile(value, q),
            Self::Approximate => approx_percentile_cont(asc(value), lit(q), None),
        }
    }
}

impl<M> DataFrame<M> {
    /// Eight numbers about each column of numbers: `count` (of values that are not NULL), `mean`, `std`
    /// (of a sample: n − 1), `min`, the exact quartiles `25%`, `50%`, `75%`, and `max`. The first column,
    /// `statistic`, names them.
    ///
    /// One pass. For the quartiles all values are held, three times;
    /// [`describe_approx`](Self::describe_approx) does without.
    ///
    /// # Errors
    /// No column of numbers.
    ///
    /// ```
    /// use query::blocking::Session;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let about = sales.describe()?;
    /// assert_eq!(about.columns(), ["statistic", "customer", "quantity", "amount"]);
    /// assert_eq!(about.count()?, 8);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn describe(&self) -> Result<Self> {
        self.described(Quantile::Exact)
    }

    /// [`describe`](Self::describe) with approximate quartiles, in little memory whatever the number of rows.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.describe_approx()?.count()?, 8);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn describe_approx(&self) -> Result<Self> {
        self.described(Quantile::Approximate)
    }

    /// Quantiles of columns of numbers: one row for each of `quantiles` (each from 0 to 1), the first column
    /// `quantile` says which, then one column of floats for each of `columns`. NULLs are left out.
    ///
    /// # Errors
    /// Unknown columns, columns without numbers, a quantile below 0 or above 1.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let high = sales.quantile(["amount"], [0.5, 0.95], Quantile::Exact)?;
    /// assert_eq!(high.columns(), ["quantile", "amount"]);
    /// assert_eq!(high.count()?, 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn quantile(
        &self,
        columns: impl IntoIterator<Item = impl Into<String>>,
        quantiles: impl IntoIterator<Item = f64>,
        how: Quantile,
    ) -> Result<Self> {
        let columns = self.check_all(columns)?;
        let quantiles: Vec<f64> = quantiles.into_iter().collect();
        if columns.is_empty() || quantiles.is_empty() {
            return Err(refused("quantile needs at least one column and one quantile"));
        }
        if let Some(wrong) = quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            return Err(refused(format!("a quantile is between 0 and 1, not {wrong}")));
        }
        let numeric = self.numeric();
        if let Some(other) = columns.iter().find(|name| !numeric.contains(name)) {
            return Err(refused(format!("column '{other}' has no numbers, so it has no quantiles")));
        }
        let statistics = |name: &str| quantiles.iter().map(|q| how.of(name, *q)).collect();
        let labels = quantiles.iter().map(|q| lit(*q)).collect();
        self.upright("quantile", labels, &columns, statistics)
    }

    fn described(&self, how: Quantile) -> Result<Self> {
        let numeric = self.numeric();
        if numeric.is_empty() {
            return Err(refused("describe is about columns of numbers, and there is none: see value_counts"));
        }
        let labels = ["count", "mean", "std", "min", "25%", "50%", "75%", "max"].map(lit).to_vec();
        self.upright("statistic", labels, &numeric, |name| {
            let value = || cast(col(name), DataType::Float64);
            let quartiles = [0.25, 0.5, 0.75].map(|q| how.of(name, q));
            let [first, second, third] = quartiles;
            vec![
                count(col(name)),
                avg(value()),
                stddev(value()),
                min(value()),
                first,
                second,
                third,
                max(value()),
            ]
        })
    }

    fn numeric(&self) -> Vec<String> {
        let schema = self.schema();
        let numeric = schema.fields().iter().filter(|field| field.data_type().is_numeric());
        numeric.map(|field| field.name().clone()).collect()
    }

    /// Aggregates of several columns one below the other: a row for each label, a column for each column.
    fn upright(
        &self,
        label: &str,
        labels: Vec<Expr>,
        columns: &[String],
        statistics: impl Fn(&str) -> Vec<Expr>,
    ) -> Result<Self> {
        if columns.iter().any(|name| name == label) {
            return Err(refused(format!(
                "a column is named '{label}', as the result's first one: rename it"
            )));
        }
        let mut aggregates = Vec::new();
        let mut arrays = vec![make_array(labels).alias(label)];
        for (at, name) in columns.iter().enumerate() {
            let mut cells = Vec::new();
            for (row, statistic) in statistics(name).into_iter().enumerate() {
                let place = format!("{at}:{row}");
                aggregates.push(self.bind(statistic)?.alias(&place));
                cells.push(cast(col(place), DataType::Float64));
            }
            arrays.push(make_array(cells).alias(name));
        }
        let lists = std::iter::once(label).chain(columns.iter().map(String::as_str));
        let lists = lists.map(Column::from_name).collect();
        let plan = self.builder().aggregate(Vec::<Expr>::new(), aggregates)?.project(arrays)?.build()?;
        let plan = LogicalPlanBuilder::from(plan).unnest_columns_with_options(lists, Default::default())?;
        Self::new(self.context().clone(), plan.build()?)
    }
}
