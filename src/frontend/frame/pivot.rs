//! Long tables made wide.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, Literal};

use super::{DataFrame, IntoExpr, refused};
use crate::error::Result;

impl<M> DataFrame<M> {
    /// One row for each combination of the `index` columns' values, and a column for each of `values`: the
    /// aggregate over the rows where `on` has that value. A column is named by its value.
    ///
    /// The values are given, because a frame's columns are known before it runs. Other values of
    /// `on` are left out; combinations without rows give what the aggregate gives of no rows (NULL, or a
    /// count of 0).
    ///
    /// # Errors
    /// Unknown columns, no value, a value twice.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let month = col("day").dt().month();
    /// let wide = sales.pivot(["region"], month, [10, 11], sum(col("amount")))?;
    /// assert_eq!(wide.columns(), ["region", "10", "11"]);
    /// assert_eq!(wide.count()?, 4);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn pivot(
        &self,
        index: impl IntoIterator<Item = impl IntoExpr>,
        on: impl IntoExpr,
        values: impl IntoIterator<Item = impl Literal>,
        aggregate: Expr,
    ) -> Result<Self> {
        let on = self.bind_plain(on, "pivot")?;
        let mut columns = Vec::new();
        for value in values {
            let value = value.lit();
            let name = match &value {
                Expr::Literal(scalar, _) if scalar.is_null() => "NULL".to_string(),
                Expr::Literal(scalar, _) => text(scalar),
                other => other.schema_name().to_string(),
            };
            let here = match &value {
                Expr::Literal(scalar, _) if scalar.is_null() => on.clone().is_null(),
                _ => on.clone().eq(value),
            };
            let only_here = aggregate.clone().transform_up(|node| Ok(restrict(node, &here)))?;
            if !only_here.transformed {
                return Err(refused("pivot needs an aggregate, like sum(col(\"amount\"))"));
            }
            columns.push(only_here.data.alias(name));
        }
        if columns.is_empty() {
            return Err(refused("pivot needs at least one value to make a column of"));
        }
        self.group_by(index).agg(columns)
    }
}

/// An aggregate over those of its rows where a condition is true.
fn restrict(node: Expr, here: &Expr) -> Transformed<Expr> {
    match node {
        Expr::AggregateFunction(mut call) => {
            let filter = match call.params.filter.take() {
                Some(filter) => filter.and(here.clone()),
                None => here.clone(),
            };
            call.params.filter = Some(Box::new(filter));
            Transformed::yes(Expr::AggregateFunction(call))
        }
        other => Transformed::no(other),
    }
}

fn text(value: &ScalarValue) -> String {
    match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => text.clone(),
        other => other.to_string(),
    }
}
