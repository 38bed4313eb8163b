//! Windows: aggregates and ranks over the rows around each row.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions_window::lead_lag::{lag_udwf, lead_udwf};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, lit,
};

use super::{DataFrame, IntoExpr, IntoSort, refused};
use crate::error::Result;

/// Which rows a window function sees from each row.
///
/// Without [`sort`](Self::sort) all rows of the group; with it those up to the row itself, and, for
/// aggregates, those that tie with it; [`rows`](Self::rows) sets the bounds by counting.
///
/// ```
/// use query::blocking::Session;
/// use query::prelude::*;
///
/// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
/// let recent = Window::by(["region"]).sort(["day"]).rows(Some(2), Some(0));
/// let smooth = sales.window(&recent, [avg(col("amount")).alias("mean_of_3")])?;
/// assert_eq!(smooth.columns().last(), Some(&"mean_of_3"));
/// assert_eq!(smooth.count()?, sales.count()?);
/// # Ok::<(), query::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Window {
    partition_by: Vec<Expr>,
    order_by: Vec<SortExpr>,
    rows: Option<(Option<u64>, Option<u64>)>,
}

impl Window {
    /// All rows.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// use query::prelude::*;
    /// let frame = Session::new()?.sql("values (1), (3)")?;
    /// let share = col("column1") * lit(1.0) / sum(col("column1"));
    /// assert!(frame.window(&Window::all(), [share.alias("share")])?.to_text()?.contains("0.75"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn all() -> Self {
        Self::default()
    }

    /// The rows that are equal in these columns or expressions; NULLs are equal to each other.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// use query::prelude::*;
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let best = Window::by(["region"]).sort([desc("amount")]);
    /// let placed = sales.window(&best, [row_number().alias("place")])?;
    /// assert_eq!(placed.filter(col("place").eq(lit(1)))?.count()?, 4);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn by(keys: impl IntoIterator<Item = impl IntoExpr>) -> Self {
        Self { partition_by: keys.into_iter().map(IntoExpr::into_expr).collect(), ..Self::default() }
    }

    /// Puts the rows of the window in order, as [`DataFrame::sort`] does.
    ///
    /// ```
    /// use query::prelude::*;
    /// let latest_first = Window::by(["region"]).sort([desc("day")]);
    /// ```
    pub fn sort(self, keys: impl IntoIterator<Item = impl IntoSort>) -> Self {
        Self { order_by: keys.into_iter().map(IntoSort::into_sort).collect(), ..self }
    }

    /// Only so many rows before and after each row, and the row itself; `None` is all of them. pandas'
    /// `rolling(3)` is `rows(Some(2), Some(0))`, its `cumsum` is `rows(None, Some(0))`.
    ///
    /// ```
    /// use query::prelude::*;
    /// let last_seven = Window::all().sort(["day"]).rows(Some(6), Some(0));
    /// ```
    pub fn rows(self, before: Option<u64>, after: Option<u64>) -> Self {
        Self { rows: Some((before, after)), ..self }
    }

    fn frame(&self) -> WindowFrame {
        match self.rows {
            Some((before, after)) => WindowFrame::new_bounds(
                WindowFrameUnits::Rows,
                WindowFrameBound::Preceding(ScalarValue::UInt64(before)),
                WindowFrameBound::Following(ScalarValue::UInt64(after)),
            ),
            None => WindowFrame::new((!self.order_by.is_empty()).then_some(false)),
        }
    }

    /// Puts this window into a function; what has one already keeps it.
    fn over(&self, node: Expr) -> Transformed<Expr> {
        match node {
            Expr::AggregateFunction(call) => {
                let params = call.params;
                let mut window =
                    WindowFunction::new(WindowFunctionDefinition::AggregateUDF(call.func), params.args);
                window.params.distinct = params.distinct;
                window.params.filter = params.filter;
                window.params.null_treatment = params.null_treatment;
                Transformed::yes(self.placed(window))
            }
            Expr::WindowFunction(window)
                if window.params.partition_by.is_empty() && window.params.order_by.is_empty() =>
            {
                Transformed::yes(self.placed(*window))
            }
            other => Transformed::no(other),
        }
    }

    fn placed(&self, mut window: WindowFunction) -> Expr {
        window.params.partition_by = self.partition_by.clone();
        window.params.order_by = self.order_by.clone();
        window.params.window_frame = self.frame();
        Expr::WindowFunction(Box::new(window))
    }
}

/// The value `rows` rows before, in a window with an order; NULL where there is none.
///
/// ```
/// # use query::blocking::Session;
/// use query::prelude::*;
/// let frame = Session::new()?.sql("values (1), (3), (7)")?;
/// let steps = (col("column1") - lag("column1", 1)).alias("step");
/// let text = frame.window(&Window::all().sort(["column1"]), [steps])?.to_text()?;
/// assert!(text.contains("7 ┆    4"), "{text}");
/// # Ok::<(), query::Error>(())
/// ```
// DataFusion's own `lag(x, None, None)` takes the row itself.
pub fn lag(expr: impl IntoExpr, rows: u32) -> Expr {
    lag_udwf().call(vec![expr.into_expr(), lit(i64::from(rows))])
}

/// The value `rows` rows after, in a window with an order; NULL where there is none.
///
/// ```
/// # use query::blocking::Session;
/// use query::prelude::*;
/// let frame = Session::new()?.sql("values (1), (3)")?;
/// let text = frame.window(&Window::all().sort(["column1"]), [lead("column1", 1).alias("next")])?.to_text()?;
/// assert!(text.contains("1 ┆    3"), "{text}");
/// # Ok::<(), query::Error>(())
/// ```
pub fn lead(expr: impl IntoExpr, rows: u32) -> Expr {
    lead_udwf().call(vec![expr.into_expr(), lit(i64::from(rows))])
}

impl<M> DataFrame<M> {
    /// Adds columns that see the rows around each row: aggregates (`sum(col("x"))`), `row_number()`,
    /// `rank()`, `lag(…)` and the like, all over one window. Rows stay; their order does not.
    ///
    /// Sorts by the window's keys; holds one group at a time.
    ///
    /// # Errors
    /// Unknown columns, expressions without an aggregate or window function.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let so_far = Window::by(["region"]).sort(["day"]).rows(None, Some(0));
    /// let running = sales.window(&so_far, [
    ///     sum(col("amount")).alias("so_far"),
    ///     (col("amount") - lag("amount", 1)).alias("change"),
    /// ])?;
    /// assert_eq!(running.count()?, 46);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn window(&self, window: &Window, columns: impl IntoIterator<Item = impl IntoExpr>) -> Result<Self> {
        let mut added = Vec::new();
        for column in columns {
            let column = column.into_expr();
            let name = match &column {
                Expr::WindowFunction(call) => call.fun.name().to_string(),
                other => super::select::name_of(other),
            };
            let over = column.transform_down(|node| Ok(window.over(node)))?;
            if !over.transformed {
                return Err(refused(format!(
                    "{name} is neither an aggregate nor a window function: add it with with_column(..)"
                )));
            }
            added.push(self.bind(over.data.alias(name))?);
        }
        self.with_bound(added)
    }
}
