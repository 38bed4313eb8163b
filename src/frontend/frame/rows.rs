//! Rows: which there are, and in which order.

use super::{DataFrame, IntoExpr, IntoSort, refused};
use crate::error::Result;

impl<M> DataFrame<M> {
    /// The rows for which a condition is true; not those for which it is NULL. Their order stays.
    ///
    /// # Errors
    /// Unknown columns, a condition that is no boolean, aggregates and window functions.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let large = sales.filter(col("region").eq(lit("north")).and(col("amount").gt(lit(50))))?;
    /// assert_eq!(large.count()?, 7);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn filter(&self, condition: impl IntoExpr) -> Result<Self> {
        let condition = self.bind_plain(condition, "filter")?;
        self.derive(|plan| plan.filter(condition))
    }

    /// All rows in the order of the given keys: names (ascending), or [`asc`](super::asc) and
    /// [`desc`](super::desc) of names or expressions. NULLs come last unless asked for otherwise. Rows that are equal
    /// in all keys come in any order.
    ///
    /// Holds all rows, and spills them to disk when memory is short. The order lasts through `select`,
    /// `with_column`, `filter`, `limit` and writing; grouping and joining lose it.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let best = sales.sort([desc("amount"), asc("day")])?.limit(3)?;
    /// assert_eq!(best.count()?, 3);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn sort(&self, keys: impl IntoIterator<Item = impl IntoSort>) -> Result<Self> {
        let keys = self.bind_sorts(keys)?;
        if keys.is_empty() {
            return Err(refused("sort needs at least one key"));
        }
        for key in &keys {
            self.bind_plain(&key.expr, "sort")?;
        }
        self.derive(|plan| plan.sort(keys))
    }

    /// The first `rows` rows; any that many if the frame has no order.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.limit(5)?.count()?, 5);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn limit(&self, rows: usize) -> Result<Self> {
        let rows = counted(rows)?;
        self.derive(|plan| plan.limit(0, Some(rows)))
    }

    /// All rows but the first `rows`.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.sort(["day"])?.offset(40)?.limit(5)?.count()?, 5);
    /// assert_eq!(sales.offset(40)?.count()?, 6);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn offset(&self, rows: usize) -> Result<Self> {
        let rows = counted(rows)?;
        self.derive(|plan| plan.limit(rows, None))
    }

    /// Each different row once; NULLs are equal to each other here. Holds the different rows.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.select(["region"])?.distinct()?.count()?, 4);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn distinct(&self) -> Result<Self> {
        self.derive(|plan| plan.distinct())
    }
}

/// The engine counts rows in signed numbers.
fn counted(rows: usize) -> Result<usize> {
    match i64::try_from(rows) {
        Ok(_) => Ok(rows),
        Err(_) => Err(refused(format!("{rows} rows are more than can be counted"))),
    }
}
