//! The DataFrame: a lazy table with the vocabulary of pandas and Dask.
//!
//! A [`DataFrame`] is a logical plan and the registry to plan in. Its methods give new frames and run
//! nothing; what runs them (`collect`, `show`, `write_parquet` …) is on the floor above, in `session`,
//! where SQL runs too.
//!
//! ```text
//! read_csv ─> filter ─> with_column ─> group_by ─> agg ─> sort ─┐       ┌─> collect, stream, show, count
//!             └── each one checks names and types, none runs ──┘ plan ──┤
//!                                                                       └─> write_parquet, register, explain
//! ```
//!
//! *Invariant:* the columns of a frame have distinct names and no table's name before them. A join or a
//! query with two columns of one name has to name them apart; in return every column can be named by a
//! plain string.

mod counts;
mod datetime;
mod describe;
mod expr;
mod group;
mod join;
mod missing;
mod pivot;
mod read;
mod rows;
mod sample;
mod select;
mod union;
mod window;
mod write;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{Column, Result as EngineResult};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;

use crate::error::{Error, Result, StatementError};
use crate::frontend::sql::{listed, nearest};

pub use datetime::{Datetime, DatetimeExt};
pub use describe::Quantile;
pub use expr::{IntoExpr, IntoSort, asc, col, desc, median, quantile};
pub use group::GroupBy;
pub use join::{How, left_col, right_col};
pub use read::ReadOptions;
pub use window::{Window, lag, lead};
pub use write::Partitioned;

/// A lazy table: rows of named columns that are computed when they are asked for.
///
/// Frames are cheap to clone and share nothing that runs: a frame that is used twice is computed twice.
/// Rows have no order until [`sort`](Self::sort) gives them one.
///
/// Made by a `Session`; run by `collect`, `stream`, `show`, `count` and the `write_…` methods: `async` ones, or
/// plain ones for the frames of a `blocking::Session`.
///
/// ```
/// use query::blocking::Session;
/// use query::prelude::*;
///
/// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
/// let best = sales
///     .filter(col("quantity").gt(lit(1)))?
///     .group_by(["region"])
///     .agg([sum(col("amount")).alias("amount")])?
///     .sort([desc("amount")])?
///     .limit(1)?;
/// assert_eq!(best.columns(), ["region", "amount"]);
/// assert_eq!(best.count()?, 1);
/// # Ok::<(), query::Error>(())
/// ```
pub struct DataFrame<M = Async> {
    context: SessionContext,
    plan: Arc<LogicalPlan>,
    mode: PhantomData<fn() -> M>,
}

/// Marks frames whose running methods are `async`.
#[derive(Debug, Clone, Copy)]
pub enum Async {}

/// Marks frames whose running methods wait for their answer.
#[derive(Debug, Clone, Copy)]
pub enum Blocking {}

impl<M> DataFrame<M> {
    /// A frame over a plan: columns lose their table's name.
    ///
    /// # Errors
    /// Two columns with one name.
    pub(crate) fn new(context: SessionContext, plan: LogicalPlan) -> Result<Self> {
        let plan =
            if plan.schema().iter().any(|(table, _)| table.is_some()) { unqualified(plan)? } else { plan };
        Ok(Self { context, plan: Arc::new(plan), mode: PhantomData })
    }

    /// The same frame with running methods of the other kind.
    pub(crate) fn in_mode<N>(&self) -> DataFrame<N> {
        DataFrame { context: self.context.clone(), plan: Arc::clone(&self.plan), mode: PhantomData }
    }

    /// The registry that it plans in.
    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The plan that gives its rows.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let frame = Session::new()?.sql("select 1 as one")?;
    /// assert!(frame.plan().to_string().contains("Projection"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// Names and types of its columns. Types are those of the plan as built: the planner may still
    /// widen a number.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let frame = Session::new()?.sql("select 1 as one, 'x' as text")?;
    /// assert_eq!(frame.schema().field(0).name(), "one");
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::clone(self.plan.schema().as_arrow()))
    }

    /// The names of its columns, in order.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let customers = Session::new()?.read_json("testdata/customers.json")?;
    /// assert_eq!(customers.columns(), ["id", "name", "segment", "since"]);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn columns(&self) -> Vec<&str> {
        self.plan.schema().fields().iter().map(|field| field.name().as_str()).collect()
    }

    /// How the frame would be computed, as rows of `plan_type` and `plan`, like SQL's EXPLAIN. Runs nothing.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let frame = Session::new()?.read_parquet("testdata/products.parquet")?;
    /// assert!(frame.explain()?.to_text()?.contains("physical_plan"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn explain(&self) -> Result<Self> {
        self.derive(|plan| plan.explain(false, false))
    }

    /// Like [`explain`](Self::explain), but running it runs the frame and reports rows and times.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let frame = Session::new()?.read_parquet("testdata/products.parquet")?;
    /// assert!(frame.explain_analyze()?.to_text()?.contains("output_rows=8"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn explain_analyze(&self) -> Result<Self> {
        self.derive(|plan| plan.explain(false, true))
    }

    /// A frame over a plan made of this one's.
    fn derive(
        &self,
        build: impl FnOnce(LogicalPlanBuilder) -> EngineResult<LogicalPlanBuilder>,
    ) -> Result<Self> {
        let plan = build(self.builder()).and_then(LogicalPlanBuilder::build)?;
        Self::new(self.context.clone(), plan)
    }

    fn builder(&self) -> LogicalPlanBuilder {
        LogicalPlanBuilder::new_from_arc(Arc::clone(&self.plan))
    }

    /// Checks that a column exists.
    fn check(&self, name: &str) -> Result<()> {
        match self.columns().contains(&name) {
            true => Ok(()),
            false => Err(self.unknown(name)),
        }
    }

    fn check_all(&self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<Vec<String>> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.iter().try_for_each(|name| self.check(name))?;
        Ok(names)
    }

    fn unknown(&self, name: &str) -> Error {
        let names: Vec<String> = self.columns().into_iter().map(str::to_string).collect();
        let help = match nearest(name, &names) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("columns are {}", listed(&names)),
        };
        refused(format!("column '{name}' does not exist: {help}"))
    }
}

impl<M> Clone for DataFrame<M> {
    fn clone(&self) -> Self {
        self.in_mode()
    }
}

impl<M> fmt::Debug for DataFrame<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.plan.schema().fields().iter();
        f.debug_map().entries(columns.map(|field| (field.name(), field.data_type()))).finish()
    }
}

/// The same rows with columns that no table's name stands before.
fn unqualified(plan: LogicalPlan) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (at, (table, field)) in schema.iter().enumerate() {
        if schema.fields()[..at].iter().any(|other| other.name() == field.name()) {
            return Err(refused(format!(
                "two columns are named '{0}': name one of them with AS, or leave it out with * EXCLUDE ({0})",
                field.name()
            )));
        }
        let column = Expr::Column(Column::new(table.cloned(), field.name()));
        columns.push(if table.is_some() { column.alias(field.name()) } else { column });
    }
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// An error of a step that cannot be built.
fn refused(message: impl Into<String>) -> Error {
    StatementError::new(message, None).into()
}
