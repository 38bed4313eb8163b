//! `query`: a SQL and DataFrame engine with a command-line shell.
//!
//! The modules in the order in which a query passes them; each imports only those below it
//! (`ARCHITECTURE.md` has the table, `tests/it/tidy.rs` checks it).

pub mod cli;
pub mod session;
pub mod frontend;
pub mod output;
pub mod plan;
pub mod source;
pub mod memory;
pub mod scheduler;
pub mod graph;
pub mod store;
pub mod config;
pub mod error;
pub mod scratch;
pub mod hidden;
mod context;

/// The engine that plans are made of, for its types: Arrow's are in `datafusion::arrow`.
pub use datafusion;
pub use error::{Error, Result};
pub use session::{Session, blocking};

/// What programs that use DataFrames need, for `use query::prelude::*`: the session, the frame, expressions
/// and functions.
///
/// The functions are DataFusion's, scalar ones (`upper`, `round` …), aggregates (`sum`, `avg`, `count` …)
/// and window functions (`row_number`, `lag` …); a frame puts the session's own in the place of
/// those that it has better ones of. `col`, `median`, `lag` and `lead` are ours.
///
/// ```
/// use query::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> query::Result<()> {
/// let sales = Session::new()?.read_csv("testdata/sales/*.csv").await?;
/// let loud = sales.select([upper(col("region")).alias("REGION")])?;
/// assert_eq!(loud.columns(), ["REGION"]);
/// # Ok(())
/// # }
/// ```
pub mod prelude {
    pub use crate::Session;
    pub use crate::frontend::frame::{
        DataFrame, DatetimeExt, GroupBy, How, IntoExpr, IntoSort, Quantile, ReadOptions, Window, asc, col,
        desc, lag, lead, left_col, median, quantile, right_col,
    };
    pub use datafusion::arrow::array::RecordBatch;
    pub use datafusion::arrow::datatypes::DataType;
    pub use datafusion::functions::expr_fn::*;
    pub use datafusion::functions_aggregate::expr_fn::*;
    pub use datafusion::functions_window::expr_fn::{
        cume_dist, dense_rank, ntile, percent_rank, rank, row_number,
    };
    pub use datafusion::logical_expr::{
        Expr, ExprFunctionExt, case, cast, in_list, is_null, lit, not, try_cast, when,
    };
}
