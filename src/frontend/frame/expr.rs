//! Expressions as arguments: names or expressions go in, checked expressions come out.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::FunctionRegistry;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::{find_aggregate_exprs, find_window_exprs};
use datafusion::logical_expr::{AggregateUDF, Expr, SortExpr, WindowFunctionDefinition, lit};

use super::{DataFrame, refused};
use crate::error::{Error, Result};
use crate::frontend::functions;

/// A column by its name, or an expression.
///
/// ```
/// use query::prelude::*;
/// assert_eq!("price".into_expr(), col("price").into_expr());
/// ```
pub trait IntoExpr {
    /// The expression; a name stands for its column.
    fn into_expr(self) -> Expr;
}

impl IntoExpr for Expr {
    fn into_expr(self) -> Expr {
        self
    }
}

impl IntoExpr for &Expr {
    fn into_expr(self) -> Expr {
        self.clone()
    }
}

impl IntoExpr for &str {
    fn into_expr(self) -> Expr {
        col(self)
    }
}

impl IntoExpr for &&str {
    fn into_expr(self) -> Expr {
        col(*self)
    }
}

impl IntoExpr for String {
    fn into_expr(self) -> Expr {
        col(self)
    }
}

impl IntoExpr for &String {
    fn into_expr(self) -> Expr {
        col(self)
    }
}

/// A column, an expression, or either with a direction.
///
/// ```
/// use query::prelude::*;
/// assert_eq!("price".into_sort(), asc(col("price")).into_sort());
/// ```
pub trait IntoSort {
    /// The sort key; without a direction it is ascending, NULLs last.
    fn into_sort(self) -> SortExpr;
}

impl IntoSort for SortExpr {
    fn into_sort(self) -> SortExpr {
        self
    }
}

impl<T: IntoExpr> IntoSort for T {
    fn into_sort(self) -> SortExpr {
        asc(self)
    }
}

/// The column of that name, as it is written: `col("Amount")` is not `col("amount")`.
///
/// DataFusion's own `col` reads its argument as SQL, in lower case and with a table's name before the dot.
///
/// ```
/// use query::prelude::*;
/// assert_eq!(col("Net.Amount").to_string(), "Net.Amount");
/// ```
pub fn col(name: impl Into<String>) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// Ascending, NULLs last. For NULLs first: `col("x").sort(true, true)`.
///
/// ```
/// use query::prelude::*;
/// assert_eq!(asc("x").to_string(), "x ASC NULLS LAST");
/// ```
pub fn asc(expr: impl IntoExpr) -> SortExpr {
    expr.into_expr().sort(true, false)
}

/// Descending, NULLs last (as in pandas; in SQL they come first). For NULLs first: `col("x").sort(false, true)`.
///
/// ```
/// use query::prelude::*;
/// assert_eq!(desc("x").to_string(), "x DESC NULLS LAST");
/// ```
pub fn desc(expr: impl IntoExpr) -> SortExpr {
    expr.into_expr().sort(false, false)
}

/// The exact `q`-quantile of a group's values, between two of them by linear interpolation as in pandas.
/// NULLs are left out; no values give NULL. Holds the values of a group in memory. For large groups there
/// is `approx_percentile_cont`.
///
/// ```
/// use query::blocking::Session;
/// use query::prelude::*;
///
/// let numbers = Session::new()?.sql("values (1), (2), (3), (10)")?;
/// let middle = numbers.agg([quantile(col("column1"), 0.5).alias("middle")])?;
/// assert!(middle.to_text()?.contains("2.5"));
/// # Ok::<(), query::Error>(())
/// ```
pub fn quantile(expr: impl IntoExpr, q: f64) -> Expr {
    let args = vec![expr.into_expr(), lit(q)];
    Expr::AggregateFunction(AggregateFunction::new_udf(
        functions::quantile(),
        args,
        false,
        None,
        vec![],
        None,
    ))
}

/// The exact median, as [`quantile`] of 0.5: of 1 and 2 it is 1.5 (SQL's `median` of integers is an integer).
///
/// ```
/// use query::blocking::Session;
/// use query::prelude::*;
///
/// let numbers = Session::new()?.sql("values (1), (2)")?;
/// assert!(numbers.agg([median("column1")])?.to_text()?.contains("1.5"));
/// # Ok::<(), query::Error>(())
/// ```
pub fn median(expr: impl IntoExpr) -> Expr {
    let expr = expr.into_expr();
    let name = format!("median({})", expr.schema_name());
    quantile(expr, 0.5).alias(name)
}

impl<M> DataFrame<M> {
    /// An expression over this frame's columns, checked; functions are the session's, so that a sum is
    /// the checked sum.
    pub(super) fn bind(&self, expr: impl IntoExpr) -> Result<Expr> {
        self.bind_with(expr.into_expr(), |column| self.resolve(column))
    }

    pub(super) fn bind_all(&self, exprs: impl IntoIterator<Item = impl IntoExpr>) -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.bind(expr)).collect()
    }

    /// An expression that is computed row by row.
    pub(super) fn bind_row(&self, expr: impl IntoExpr) -> Result<Expr> {
        let expr = self.bind(expr)?;
        without_aggregate(&expr).map(|()| expr)
    }

    /// An expression that is computed row by row from that row alone.
    pub(super) fn bind_plain(&self, expr: impl IntoExpr, method: &str) -> Result<Expr> {
        let expr = self.bind_row(expr)?;
        match find_window_exprs([&expr]).first() {
            Some(window) => Err(refused(format!(
                "{} is a window function: give it a column with window(..) before {method}(..)",
                window.schema_name()
            ))),
            None => Ok(expr),
        }
    }

    pub(super) fn bind_sorts(&self, keys: impl IntoIterator<Item = impl IntoSort>) -> Result<Vec<SortExpr>> {
        let sorts = keys.into_iter().map(IntoSort::into_sort);
        sorts.map(|SortExpr { expr, asc, nulls_first }| Ok(self.bind(expr)?.sort(asc, nulls_first))).collect()
    }

    /// Puts resolved columns and the session's own functions into an expression.
    pub(super) fn bind_with(&self, expr: Expr, resolve: impl Fn(&Column) -> Result<Column>) -> Result<Expr> {
        let mut wrong: Option<Error> = None;
        expr.apply(|node| {
            if let Expr::Column(column) = node {
                wrong = resolve(column).err();
            }
            Ok(if wrong.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if let Some(error) = wrong {
            return Err(error);
        }
        let sum = self.context().udaf("sum")?;
        let is_stock = |function: &AggregateUDF| *function == *sum_udaf();
        let bound = expr.transform_up(|node| {
            Ok(match node {
                Expr::Column(column) => match resolve(&column) {
                    Ok(resolved) => Transformed::yes(Expr::Column(resolved)),
                    Err(_) => Transformed::no(Expr::Column(column)),
                },
                Expr::AggregateFunction(mut call) if is_stock(&call.func) => {
                    call.func = Arc::clone(&sum);
                    Transformed::yes(Expr::AggregateFunction(call))
                }
                Expr::WindowFunction(mut call) => {
                    let stock = matches!(&call.fun, WindowFunctionDefinition::AggregateUDF(f) if is_stock(f));
                    if stock {
                        call.fun = WindowFunctionDefinition::AggregateUDF(Arc::clone(&sum));
                    }
                    Transformed::new_transformed(Expr::WindowFunction(call), stock)
                }
                other => Transformed::no(other),
            })
        })?;
        Ok(bound.data)
    }

    fn resolve(&self, column: &Column) -> Result<Column> {
        let name = match &column.relation {
            None => column.name.clone(),
            // DataFusion's `col("a.b")` means column b of table a; here it can only mean the column "a.b".
            Some(table) => format!("{table}.{}", column.name),
        };
        self.check(&name).map(|()| Column::from_name(name))
    }
}

/// Refuses aggregates where there are no groups.
pub(super) fn without_aggregate(expr: &Expr) -> Result<()> {
    match find_aggregate_exprs([expr]).first() {
        Some(aggregate) => Err(refused(format!(
            "{} is an aggregate: it belongs in agg(..) or window(..)",
            aggregate.schema_name()
        ))),
        None => Ok(()),
    }
}

/// What types have in common for those who compare or mix them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Number,
    Text,
    Boolean,
    Time,
    Null,
    Other,
}

impl Family {
    pub(super) fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::Boolean => Self::Boolean,
            DataType::Null => Self::Null,
            text if text.is_string() => Self::Text,
            number if number.is_numeric() => Self::Number,
            time if time.is_temporal() => Self::Time,
            _ => Self::Other,
        }
    }

    /// Whether values of both make sense in one column.
    pub(super) fn mixes_with(self, other: Self) -> bool {
        self == other || [self, other].contains(&Self::Null)
    }
}

/// All of some conditions; none is true.
pub(super) fn all(conditions: impl IntoIterator<Item = Expr>) -> Expr {
    conditions.into_iter().reduce(Expr::and).unwrap_or_else(|| lit(true))
}
