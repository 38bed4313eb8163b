//! Columns: which there are, what they hold and what they are called.

use std::collections::HashSet;

use datafusion::logical_expr::utils::find_window_exprs;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};

use super::{DataFrame, IntoExpr, col, refused};
use crate::error::Result;

impl<M> DataFrame<M> {
    /// The given columns, and no others. Rows, their order and partitions stay.
    ///
    /// # Errors
    /// Unknown columns, aggregates, two columns of one name.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.select(["region", "amount"])?.columns(), ["region", "amount"]);
    /// let price = (col("amount") / col("quantity")).alias("price");
    /// assert_eq!(sales.select([col("product"), price])?.columns(), ["product", "price"]);
    /// let wrong = sales.select(["regoin"]).unwrap_err().to_string();
    /// assert_eq!(wrong, "column 'regoin' does not exist: did you mean 'region'?");
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn select(&self, columns: impl IntoIterator<Item = impl IntoExpr>) -> Result<Self> {
        let columns = columns.into_iter().map(|column| self.bind_row(column)).collect::<Result<Vec<_>>>()?;
        self.project(columns)
    }

    /// Adds a column, or puts another in the place of the one with that name.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let priced = sales.with_column("price", col("amount") / col("quantity"))?;
    /// assert_eq!(priced.columns().last(), Some(&"price"));
    /// assert_eq!(sales.with_column("region", upper(col("region")))?.columns(), sales.columns());
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn with_column(&self, name: &str, expr: impl IntoExpr) -> Result<Self> {
        self.with_columns([expr.into_expr().alias(name)])
    }

    /// Adds or replaces several columns at once; each is named by its `alias` and sees the columns as they
    /// were before.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let frame = Session::new()?.sql("select 1 as a, 2 as b")?;
    /// let swapped = frame.with_columns([col("b").alias("a"), col("a").alias("b")])?;
    /// assert!(swapped.to_text()?.contains("2 ┆ 1"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn with_columns(&self, columns: impl IntoIterator<Item = impl IntoExpr>) -> Result<Self> {
        let columns = columns.into_iter().map(|column| self.bind_row(column)).collect::<Result<Vec<_>>>()?;
        self.with_bound(columns)
    }

    /// [`with_columns`](Self::with_columns) of expressions that are checked already.
    pub(super) fn with_bound(&self, columns: Vec<Expr>) -> Result<Self> {
        check_names(&columns)?;
        let mut added: Vec<Option<Expr>> = columns.into_iter().map(Some).collect();
        let mut all: Vec<Expr> = Vec::with_capacity(self.columns().len() + added.len());
        for name in self.columns() {
            let replaced = added.iter_mut().find(|new| new.as_ref().is_some_and(|new| name_of(new) == name));
            all.push(replaced.and_then(Option::take).unwrap_or_else(|| col(name)));
        }
        all.extend(added.into_iter().flatten());
        self.project(all)
    }

    /// Gives columns other names: pairs of the old and the new one.
    ///
    /// # Errors
    /// Unknown columns, a new name that another column has.
    ///
    /// ```
    /// use query::blocking::Session;
    ///
    /// let frame = Session::new()?.sql("select 1 as a, 2 as b")?;
    /// assert_eq!(frame.rename([("a", "x")])?.columns(), ["x", "b"]);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn rename<A: Into<String>, B: Into<String>>(
        &self,
        names: impl IntoIterator<Item = (A, B)>,
    ) -> Result<Self> {
        let names: Vec<(String, String)> =
            names.into_iter().map(|(old, new)| (old.into(), new.into())).collect();
        names.iter().try_for_each(|(old, _)| self.check(old))?;
        let new_name = |old: &str| names.iter().find(|(from, _)| from == old).map(|(_, to)| to.clone());
        let columns = self.columns().into_iter().map(|name| match new_name(name) {
            Some(new) => col(name).alias(new),
            None => col(name),
        });
        self.project(columns.collect())
    }

    /// All columns but these.
    ///
    /// # Errors
    /// Unknown columns, no column left.
    ///
    /// ```
    /// use query::blocking::Session;
    ///
    /// let frame = Session::new()?.sql("select 1 as a, 2 as b, 3 as c")?;
    /// assert_eq!(frame.drop(["a", "c"])?.columns(), ["b"]);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn drop(&self, columns: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let dropped = self.check_all(columns)?;
        let kept = self.columns().into_iter().filter(|name| !dropped.iter().any(|drop| drop == name));
        self.project(kept.map(col).collect())
    }

    /// A projection of checked expressions; window functions are computed below it.
    pub(super) fn project(&self, columns: Vec<Expr>) -> Result<Self> {
        if columns.is_empty() {
            return Err(refused("no column is left: a frame has at least one"));
        }
        check_names(&columns)?;
        let windows = find_window_exprs(&columns);
        if windows.is_empty() {
            return self.derive(|plan| plan.project(columns));
        }
        let plan = LogicalPlanBuilder::window_plan(self.plan().clone(), windows)?;
        let plan = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
        Self::new(self.context().clone(), plan)
    }
}

/// The name that an expression's column has.
pub(super) fn name_of(expr: &Expr) -> String {
    expr.schema_name().to_string()
}

pub(super) fn check_names(columns: &[Expr]) -> Result<()> {
    let mut seen = HashSet::new();
    for name in columns.iter().map(name_of) {
        if !seen.insert(name.clone()) {
            return Err(refused(format!(
                "two columns would be named '{name}': name one of them with alias(..)"
            )));
        }
    }
    Ok(())
}
