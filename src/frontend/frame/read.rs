//! How files are read into a frame.

use datafusion::logical_expr::Expr;

use super::IntoExpr;

/// How files are read: all of their rows, unless something else is said.
///
/// ```
/// use query::blocking::Session;
/// use query::prelude::*;
///
/// let options = ReadOptions::new().filters(col("region").eq(lit("north")));
/// let north = Session::new()?.read_csv_with("testdata/sales/*.csv", &options)?;
/// assert_eq!(north.count()?, 14);
/// # Ok::<(), query::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    filter: Option<Expr>,
}

impl ReadOptions {
    /// All rows.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv_with("testdata/sales/*.csv", &ReadOptions::new())?;
    /// assert_eq!(sales.count()?, 46);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Only the rows for which a condition is true, as by [`filter`](super::DataFrame::filter). What it says of keys
    /// in the names of folders (`year=2026`), between its ANDs, leaves out files before they are opened: then
    /// the frame has the columns that some of the files left have. Several conditions have to hold together.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// # use query::prelude::*;
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("sales").display().to_string();
    /// let session = Session::new()?;
    /// session.read_csv("testdata/sales/*.csv")?.partition_by(["region"])?.write_csv(&path)?;
    /// let options = ReadOptions::new().filters(col("region").eq(lit("north")).and(col("amount").gt(lit(50))));
    /// assert_eq!(session.read_csv_with(&path, &options)?.count()?, 7);
    /// # Ok::<(), query::Error>(())
    /// ```
    #[must_use]
    pub fn filters(self, condition: impl IntoExpr) -> Self {
        let condition = condition.into_expr();
        let filter = match self.filter {
            Some(filter) => filter.and(condition),
            None => condition,
        };
        Self { filter: Some(filter) }
    }

    /// The condition on rows, if there is one.
    pub(crate) fn filter(&self) -> Option<&Expr> {
        self.filter.as_ref()
    }
}
