//! Groups and their aggregates.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::find_aggregate_exprs;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};

use super::expr::all;
use super::{DataFrame, IntoExpr, refused};
use crate::error::Result;

/// Rows in groups, one for each combination of the keys' values; made by [`DataFrame::group_by`].
#[derive(Debug)]
#[must_use]
pub struct GroupBy<M> {
    frame: DataFrame<M>,
    keys: Result<Vec<Expr>>,
    without_null: bool,
}

impl<M> DataFrame<M> {
    /// Puts rows into groups by columns or expressions; [`GroupBy::agg`] says what to compute of each.
    ///
    /// NULL keys make a group of their own, as in SQL. pandas leaves them out: see [`GroupBy::dropna`].
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let by_month = sales
    ///     .group_by([col("day").dt().month().alias("month"), col("region")])
    ///     .agg([sum(col("amount")).alias("amount"), count(col("customer")).alias("known")])?;
    /// assert_eq!(by_month.columns(), ["month", "region", "amount", "known"]);
    /// assert_eq!(by_month.count()?, 8);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn group_by(&self, keys: impl IntoIterator<Item = impl IntoExpr>) -> GroupBy<M> {
        let keys = keys.into_iter().map(|key| self.bind_plain(key, "group_by")).collect();
        GroupBy { frame: self.clone(), keys, without_null: false }
    }

    /// Aggregates over all rows: one row, also where there are none.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let total = sales.agg([sum(col("amount")), avg(col("quantity")).alias("mean")])?;
    /// assert_eq!(total.columns(), ["sum(amount)", "mean"]);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn agg(&self, aggregates: impl IntoIterator<Item = impl IntoExpr>) -> Result<Self> {
        GroupBy { frame: self.clone(), keys: Ok(Vec::new()), without_null: false }.agg(aggregates)
    }
}

impl<M> GroupBy<M> {
    /// Leaves out rows with a NULL key, as pandas does.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let customers = Session::new()?.read_json("testdata/customers.json")?;
    /// assert_eq!(customers.group_by(["segment"]).size()?.count()?, 4);
    /// assert_eq!(customers.group_by(["segment"]).dropna().size()?.count()?, 3);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn dropna(self) -> Self {
        Self { without_null: true, ..self }
    }

    /// One row for each group: its keys, then the aggregates, named by their `alias` or by what they
    /// compute (`sum(amount)`). Expressions of aggregates are fine (`sum(a) / sum(b)`).
    ///
    /// Holds one entry for each group. Aggregates leave NULLs out; `count` of a column counts its values.
    ///
    /// # Errors
    /// Unknown columns, columns outside of aggregates that are no keys.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let price = (sum(col("amount")) / sum(col("quantity"))).alias("price");
    /// assert_eq!(sales.group_by(["product"]).agg([price])?.columns(), ["product", "price"]);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn agg(self, aggregates: impl IntoIterator<Item = impl IntoExpr>) -> Result<DataFrame<M>> {
        let Self { frame, keys, without_null } = self;
        let (keys, exprs) = (keys?, frame.bind_all(aggregates)?);
        super::select::check_names(&keys)?;
        let frame = match without_null {
            true if !keys.is_empty() => {
                frame.filter(all(keys.iter().map(|key| key.clone().unalias().is_not_null())))?
            }
            _ => frame,
        };
        let aggregates = find_aggregate_exprs(&exprs);
        if keys.is_empty() && aggregates.is_empty() {
            return Err(refused("agg needs at least one aggregate"));
        }
        let key_count = keys.len();
        let plan = frame.builder().aggregate(keys, aggregates)?.build()?;
        let keys: Vec<_> = plan.schema().columns().into_iter().take(key_count).collect();
        for expr in &exprs {
            check_columns(expr, |name| keys.iter().any(|key| key.name == name))?;
        }
        let columns: Vec<Expr> = keys.into_iter().map(Expr::Column).chain(exprs).collect();
        super::select::check_names(&columns)?;
        let plan = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
        DataFrame::new(frame.context().clone(), plan)
    }

    /// The number of rows of each group, as column `size`.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.group_by(["region"]).size()?.columns(), ["region", "size"]);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn size(self) -> Result<DataFrame<M>> {
        self.agg([rows().alias("size")])
    }
}

/// The number of rows.
pub(super) fn rows() -> Expr {
    datafusion::functions_aggregate::expr_fn::count(lit(1i64))
}

/// Checks that the columns outside of aggregates are keys.
fn check_columns(expr: &Expr, is_key: impl Fn(&str) -> bool) -> Result<()> {
    let mut outside = None;
    expr.apply(|node| {
        Ok(match node {
            Expr::AggregateFunction(_) => TreeNodeRecursion::Jump,
            Expr::Column(column) if !is_key(&column.name) => {
                outside = Some(column.name.clone());
                TreeNodeRecursion::Stop
            }
            _ => TreeNodeRecursion::Continue,
        })
    })?;
    match outside {
        Some(name) => Err(refused(format!(
            "column '{name}' has many values in a group: aggregate it (max(col(\"{name}\"))) or group by it"
        ))),
        None => Ok(()),
    }
}
