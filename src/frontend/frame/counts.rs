//! How often which values occur.

use super::{DataFrame, asc, desc, refused};
use crate::error::Result;

impl<M> DataFrame<M> {
    /// How often each combination of values of these columns occurs, as column `count`: the most frequent
    /// first, equally frequent ones in the order of their values.
    ///
    /// NULL counts as a value, as in SQL's GROUP BY. pandas leaves it out: `dropna_in` before does the same.
    ///
    /// ```
    /// use query::blocking::Session;
    ///
    /// let customers = Session::new()?.read_json("testdata/customers.json")?;
    /// let segments = customers.value_counts(["segment"])?;
    /// assert_eq!(segments.columns(), ["segment", "count"]);
    /// assert_eq!(segments.count()?, 4);
    /// assert_eq!(customers.dropna_in(["segment"])?.value_counts(["segment"])?.count()?, 3);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn value_counts(&self, columns: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let columns = self.check_all(columns)?;
        if columns.is_empty() {
            return Err(refused("value_counts needs at least one column"));
        }
        let counted = self.group_by(&columns).agg([super::group::rows().alias("count")])?;
        let order = std::iter::once(desc("count")).chain(columns.iter().map(asc));
        counted.sort(order)
    }
}
