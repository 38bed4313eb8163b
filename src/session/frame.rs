//! Runs frames, by the same path as SQL: the same checks, the same rules, the same staged files.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{LogicalPlan, lit};
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};

use super::{Failure, Outcome, Session, explain};
use crate::error::{Error, Result, StatementError};
use crate::frontend::frame::{DataFrame, Partitioned};
use crate::memory::Resources;
use crate::output::{Format, Limits, Sink};
use crate::store::Stores;

/// Rows that `show` shows: the first and the last of more.
const SHOWN_ROWS_MAX: usize = 40;

impl DataFrame {
    /// Runs it and gives all rows, in memory.
    ///
    /// # Errors
    /// What fails while it runs: an integer overflow, a division by zero, a file that cannot be read.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let frame = query::Session::new()?.sql("select 1 as one").await?;
    /// let batches = frame.collect().await?;
    /// assert_eq!(batches[0].num_rows(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn collect(&self) -> Result<Vec<RecordBatch>> {
        Ok(self.stream().await?.try_collect().await?)
    }

    /// Runs it and gives its rows as they are computed. Dropping the stream stops the work.
    ///
    /// ```
    /// use futures::StreamExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let frame = query::Session::new()?.sql("from generate_series(1, 100000)").await?;
    /// let mut batches = frame.stream().await?;
    /// let first = batches.next().await.expect("a batch")?;
    /// assert!(first.num_rows() < 100_000);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stream(&self) -> Result<SendableRecordBatchStream> {
        match run(self.context(), self.plan().clone(), true).await? {
            Outcome::Rows(rows) => Ok(rows),
            Outcome::Written(_) | Outcome::Done => Err(internal("a frame without rows")),
        }
    }

    /// The number of its rows; columns that are not needed for it are not read.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let frame = query::Session::new()?.sql("from generate_series(1, 10)").await?;
    /// assert_eq!(frame.count().await?, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn count(&self) -> Result<u64> {
        let batches = self.agg([count(lit(1i64)).alias("count")])?.collect().await?;
        let counts = batches.iter().find(|batch| batch.num_rows() > 0);
        let counts = counts.and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>());
        let rows = counts.and_then(|counts| u64::try_from(counts.value(0)).ok());
        rows.ok_or_else(|| internal("a count that is no number"))
    }

    /// Runs it and prints a table to standard output: the first and the last rows of more than 40. All rows
    /// are computed; for a quick look, `limit` it first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// query::Session::new()?.sql("select 1 as one").await?.show().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn show(&self) -> Result<()> {
        let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into());
        self.print(Box::new(std::io::stdout()), width).await
    }

    /// The table that [`show`](Self::show) prints, of any width.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let text = query::Session::new()?.sql("select 1 as one").await?.to_text().await?;
    /// assert!(text.contains("one") && text.ends_with("1 row\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn to_text(&self) -> Result<String> {
        let text = Shared::default();
        self.print(Box::new(text.clone()), None).await?;
        let bytes = std::mem::take(&mut *text.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8(bytes).map_err(|_| internal("a table that is no text"))
    }

    async fn print(&self, sink: Sink, width: Option<usize>) -> Result<()> {
        let mut rows = self.stream().await?;
        let limits = Limits { width, rows: Some(SHOWN_ROWS_MAX) };
        let mut table = Format::Table.writer(rows.schema(), sink, Path::new("-"), limits)?;
        while let Some(batch) = rows.next().await {
            table.write(&batch?)?;
        }
        table.finish()
    }

    /// Runs it and writes Parquet; gives the number of rows. See [`write_csv`](Self::write_csv) for the path.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("numbers.parquet");
    /// let session = query::Session::new()?;
    /// let numbers = session.sql("from generate_series(1, 10)").await?;
    /// assert_eq!(numbers.write_parquet(&path).await?, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_parquet(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.whole().write_parquet(path).await
    }

    /// Runs it and writes CSV with a header; gives the number of rows.
    ///
    /// A path that ends in `/`, or that is a folder, gets a file for each partition, beside those that are
    /// there. Any other is one file, and replaced if it exists. Either appears when all is
    /// written: a frame that fails leaves what was there before.
    ///
    /// # Errors
    /// What fails while it runs, a path that cannot be written.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("numbers.csv");
    /// let session = query::Session::new()?;
    /// session.sql("select 7 as n").await?.write_csv(&path).await?;
    /// assert_eq!(std::fs::read_to_string(&path).unwrap(), "n\n7\n");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_csv(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.whole().write_csv(path).await
    }

    /// Runs it and writes JSON, an object a line; gives the number of rows. See
    /// [`write_csv`](Self::write_csv) for the path.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("numbers.json");
    /// let session = query::Session::new()?;
    /// session.sql("select 7 as n").await?.write_json(&path).await?;
    /// assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"n\":7}\n");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_json(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.whole().write_json(path).await
    }
}

impl Partitioned<crate::frontend::frame::Async> {
    /// Runs it and writes Parquet into folders; gives the number of rows. Files are added to what is there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("sales");
    /// let sales = query::Session::new()?.read_csv("testdata/sales/*.csv").await?;
    /// sales.partition_by(["region"])?.write_parquet(&path).await?;
    /// assert!(path.join("region=north").is_dir());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_parquet(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.write("parquet", path.as_ref()).await
    }

    /// Runs it and writes CSV into folders; gives the number of rows.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("sales");
    /// let sales = query::Session::new()?.read_csv("testdata/sales/*.csv").await?;
    /// assert_eq!(sales.partition_by(["region"])?.write_csv(&path).await?, 46);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_csv(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.write("csv", path.as_ref()).await
    }

    /// Runs it and writes lines of JSON into folders; gives the number of rows.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("sales");
    /// let sales = query::Session::new()?.read_csv("testdata/sales/*.csv").await?;
    /// assert_eq!(sales.partition_by(["region"])?.write_json(&path).await?, 46);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_json(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.write("json", path.as_ref()).await
    }

    async fn write(&self, format: &str, path: &Path) -> Result<u64> {
        let Some(path) = path.to_str() else {
            let message = format!("'{}' is no UTF-8 text, so it cannot be written to", path.display());
            return Err(StatementError::new(message, None).into());
        };
        match run(self.frame().context(), self.copy(format, path)?, false).await? {
            Outcome::Written(rows) => Ok(rows),
            Outcome::Rows(_) | Outcome::Done => Err(internal("a write that wrote nothing")),
        }
    }
}

/// Runs a plan as a statement's plan is run.
async fn run(context: &SessionContext, plan: LogicalPlan, returns_rows: bool) -> Result<Outcome> {
    if tokio::runtime::Handle::try_current().is_err() {
        let message = "async frames run inside a tokio runtime: use query::blocking outside of one";
        return Err(StatementError::new(message, None).into());
    }
    let state = context.state();
    let resources = state.config().get_extension::<Resources>();
    let resources = resources.ok_or_else(|| internal("the frame's session has no resources"))?;
    let stores = state.config().get_extension::<Stores>();
    let stores = stores.ok_or_else(|| internal("the frame's session has no stores"))?;
    let session = Session { context: context.clone(), resources, stores };
    session.remotes().iter().for_each(|remotes| remotes.run());
    let is_about_plans = explain::tells_of_plans(&plan);
    let outcome = session.execute(plan, returns_rows).await.map_err(|failure| match failure {
        Failure::Engine(error) => Error::Engine(error),
        Failure::Own(error) => error,
    })?;
    Ok(match outcome {
        Outcome::Rows(rows) if is_about_plans => Outcome::Rows(explain::without_secrets(rows)),
        other => other,
    })
}

fn internal(message: &str) -> Error {
    Error::Internal { message: message.into() }
}

/// A sink that can be read afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
