//! Where frames come from: files, batches, SQL, tables; and back into SQL as views.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::logical_expr::LogicalPlanBuilder;

use super::clock::{self, Runs};
use super::{Outcome, Session, narrow};
use crate::error::{Result, Script, StatementError};
use crate::frontend::frame::{DataFrame, ReadOptions};
use crate::frontend::sql::{Params, RawStatement, split};
use crate::source::{Narrowed, Tables, file};

/// The readers and the endings of the names of what they read.
const READERS: [(&str, &[&str]); 3] = [
    ("read_csv", &[".csv", ".tsv"]),
    ("read_parquet", &[".parquet"]),
    ("read_json", &[".json", ".ndjson", ".jsonl"]),
];

impl Session {
    /// A frame over CSV (or `.tsv`) files: a path, a pattern like `data/*.csv`, or a folder. The files may be
    /// compressed (`.csv.gz`). Reads what it takes to know the columns.
    ///
    /// # Errors
    /// No such file, files of another format, files with different headers.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let sales = query::Session::new()?.read_csv("testdata/sales/*.csv").await?;
    /// assert_eq!(sales.count().await?, 46);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_csv(&self, path: &str) -> Result<DataFrame> {
        self.read(path, "read_csv", &ReadOptions::new()).await
    }

    /// [`read_csv`](Self::read_csv) with options: some of the rows, of files that are not opened if they have
    /// none of these.
    ///
    /// # Errors
    /// As it has; a filter that names an unknown column or is no condition.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// use query::prelude::*;
    ///
    /// let session = Session::new()?;
    /// let options = ReadOptions::new().filters(col("region").eq(lit("north")));
    /// assert_eq!(session.read_csv_with("testdata/sales/*.csv", &options).await?.count().await?, 14);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_csv_with(&self, path: &str, options: &ReadOptions) -> Result<DataFrame> {
        self.read(path, "read_csv", options).await
    }

    /// A frame over Parquet files: a path, a pattern or a folder.
    ///
    /// # Errors
    /// No such file, files of another format.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let products = query::Session::new()?.read_parquet("testdata/products.parquet").await?;
    /// assert_eq!(products.columns(), ["product", "category", "price", "launched"]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_parquet(&self, path: &str) -> Result<DataFrame> {
        self.read(path, "read_parquet", &ReadOptions::new()).await
    }

    /// [`read_parquet`](Self::read_parquet) with options: some of the rows, of files that are not opened if they have
    /// none of these.
    ///
    /// # Errors
    /// As it has; a filter that names an unknown column or is no condition.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// use query::prelude::*;
    ///
    /// let session = Session::new()?;
    /// let options = ReadOptions::new().filters(col("product").eq(lit("oat milk")));
    /// assert_eq!(session.read_parquet_with("testdata/products.parquet", &options).await?.count().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_parquet_with(&self, path: &str, options: &ReadOptions) -> Result<DataFrame> {
        self.read(path, "read_parquet", options).await
    }

    /// A frame over files of JSON objects, one a line: a path, a pattern or a folder.
    ///
    /// # Errors
    /// No such file, files of another format.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let customers = query::Session::new()?.read_json("testdata/customers.json").await?;
    /// assert_eq!(customers.count().await?, 9);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_json(&self, path: &str) -> Result<DataFrame> {
        self.read(path, "read_json", &ReadOptions::new()).await
    }

    /// [`read_json`](Self::read_json) with options: some of the rows, of files that are not opened if they have
    /// none of these.
    ///
    /// # Errors
    /// As it has; a filter that names an unknown column or is no condition.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// use query::prelude::*;
    ///
    /// let session = Session::new()?;
    /// let options = ReadOptions::new().filters(col("segment").eq(lit("home")));
    /// assert_eq!(session.read_json_with("testdata/customers.json", &options).await?.count().await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_json_with(&self, path: &str, options: &ReadOptions) -> Result<DataFrame> {
        self.read(path, "read_json", options).await
    }

    async fn read(&self, path: &str, reader: &'static str, options: &ReadOptions) -> Result<DataFrame> {
        check_name(path, reader)?;
        self.remotes().iter().for_each(|remotes| remotes.begin());
        let frame = self.read_some(path, options).await;
        self.remotes().iter().for_each(|remotes| remotes.planned());
        frame
    }

    /// The files that have wanted rows, else all.
    async fn read_some(&self, path: &str, options: &ReadOptions) -> Result<DataFrame> {
        let Some(filter) = options.filter() else { return self.read_all(path, Tables::new()).await };
        // A frame may run at any time, so what the time is does not count.
        let state = clock::state_for(self.context.state(), Runs::Later);
        let mut tables = narrow::wanted(&state, path, filter).await;
        for _ in 0..narrow::ROUNDS_MAX {
            if tables.is_empty() {
                break;
            }
            let Ok(frame) = self.read_all(path, tables.clone()).await else { break };
            let Ok(frame) = frame.filter(filter) else { break };
            match narrow::wider(&state, &tables, frame.plan().clone()).await {
                Ok(None) => return Ok(frame),
                Ok(Some(wider)) => tables = wider,
                Err(_) => break,
            }
        }
        self.read_all(path, Tables::new()).await?.filter(filter)
    }

    /// The rows of all files; the columns of those only that are wanted, if that is given.
    async fn read_all(&self, path: &str, tables: Tables) -> Result<DataFrame> {
        let state = self.context.state();
        let table = Narrowed::during(tables, file::open(&state, path)).await?;
        self.scan(path, table)
    }

    /// A frame over batches in memory, which have one schema. Their rows keep their order until something
    /// changes it.
    ///
    /// # Errors
    /// No batch (one without rows is enough to know the columns), batches of several schemas.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    /// let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    /// let frame = query::Session::new()?.from_batches(vec![batch])?;
    /// assert_eq!(frame.count().await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_batches(&self, batches: Vec<RecordBatch>) -> Result<DataFrame> {
        let Some(first) = batches.first() else {
            let message = "from_batches needs a batch, one without rows will do: it tells the columns";
            return Err(StatementError::new(message, None).into());
        };
        let table = MemTable::try_new(first.schema(), vec![batches])?;
        self.scan("batches", Arc::new(table))
    }

    /// A frame over a table or view of this session, by its name as it is written.
    ///
    /// # Errors
    /// No such table.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let session = query::Session::new()?;
    /// session.run_sql("create table t as values (1), (2)").await?;
    /// assert_eq!(session.table("t").await?.count().await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn table(&self, name: &str) -> Result<DataFrame> {
        let reference = TableReference::bare(name);
        if !self.context.table_exist(reference.clone())? {
            let help = match crate::frontend::sql::nearest(name, &self.tables()) {
                Some(near) => format!(": did you mean '{near}'?"),
                None => String::new(),
            };
            return Err(StatementError::new(format!("table '{name}' does not exist{help}"), None).into());
        }
        let table = super::project::Reach::All.during(self.context.table_provider(reference)).await?;
        self.scan(name, table)
    }

    /// A frame of a query's rows. The query is checked and planned now and runs with the frame.
    ///
    /// # Errors
    /// SQL that cannot be planned, text that is not one query (see [`run_sql`](Self::run_sql)).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let session = query::Session::new()?;
    /// let north = session.sql("from 'testdata/sales/*.csv' |> where region = 'north'").await?;
    /// assert_eq!(north.distinct()?.count().await?, 14);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        let [raw] = <[RawStatement; 1]>::try_from(statements(sql)?).map_err(|several| {
            let message = format!("sql takes one query, this text has {} statements", several.len());
            StatementError::new(message, None)
        })?;
        let statement = raw.parse(&self.functions())?;
        if !statement.returns_rows() {
            let message = "sql takes a query; run_sql runs statements that have an effect";
            return Err(StatementError::new(message, Some(statement.place().clone())).into());
        }
        let plan = self.plan(&statement, &Params::default(), Runs::Later).await?;
        self.remotes().iter().for_each(|remotes| remotes.planned());
        DataFrame::new(self.context.clone(), plan)
    }

    /// Runs statements for their effect (`CREATE TABLE`, `COPY`, `SET` …), in order, up to the first error.
    /// Rows of queries among them are computed and dropped. Gives the number of rows that were written.
    ///
    /// # Errors
    /// SQL that cannot be planned, statements that fail.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// let session = query::Session::new()?;
    /// session.run_sql("create table t (n int); insert into t values (1), (2)").await?;
    /// assert_eq!(session.sql("from t").await?.count().await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run_sql(&self, sql: &str) -> Result<u64> {
        let mut written = 0;
        for raw in statements(sql)? {
            let statement = raw.parse(&self.functions())?;
            match self.run(&statement, &Params::default()).await? {
                Outcome::Rows(mut rows) => {
                    while let Some(batch) = futures::StreamExt::next(&mut rows).await {
                        batch.map_err(|error| super::located(error, &statement))?;
                    }
                }
                Outcome::Written(rows) => written += rows,
                Outcome::Done => {}
            }
        }
        Ok(written)
    }

    /// Makes a frame known to SQL under a name, as a view: it is computed whenever the view is read. Takes
    /// the place of a table or view of that name. In SQL a name with capitals goes in double quotes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> query::Result<()> {
    /// use query::prelude::*;
    ///
    /// let session = Session::new()?;
    /// let sales = session.read_csv("testdata/sales/*.csv").await?;
    /// session.register("large", &sales.filter(col("amount").gt(lit(100)))?)?;
    /// assert_eq!(session.sql("from large").await?.count().await?, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn register<M>(&self, name: &str, frame: &DataFrame<M>) -> Result<()> {
        let view = ViewTable::new(frame.plan().clone(), None);
        let reference = TableReference::bare(name);
        self.context.deregister_table(reference.clone())?;
        self.context.register_table(reference, Arc::new(view))?;
        Ok(())
    }

    fn scan(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<DataFrame> {
        let source = provider_as_source(table);
        let plan = LogicalPlanBuilder::scan(TableReference::bare(name), source, None)?.build()?;
        DataFrame::new(self.context.clone(), plan)
    }
}

fn statements(sql: &str) -> Result<Vec<RawStatement>> {
    let split = split(&Script::new("<sql>", sql));
    if let Some(error) = split.failure {
        return Err(error);
    }
    if let Some((name, place)) = split.statements.iter().flat_map(RawStatement::parameters).next() {
        let message = format!("parameter '${name}' has no value: filter the frame by a lit(..) instead");
        return Err(StatementError::new(message, Some(place)).into());
    }
    Ok(split.statements)
}

/// Refuses names that say another format than the reader does. Names that say nothing pass.
fn check_name(path: &str, reader: &str) -> Result<()> {
    let name = path.to_ascii_lowercase();
    let compressions = [".gz", ".bz2", ".xz", ".zst"];
    let stem = compressions.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    let fits = READERS.iter().find(|(_, endings)| endings.iter().any(|ending| stem.ends_with(ending)));
    match fits {
        Some((other, _)) if *other != reader => {
            Err(StatementError::new(format!("'{path}' is for {other}, not for {reader}"), None).into())
        }
        _ => Ok(()),
    }
}
