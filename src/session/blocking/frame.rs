//! Running frames without `async`.

use std::path::Path;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::DataFrame;
use super::wait::wait;
use crate::error::Result;
use crate::frontend::frame::{self, Async, Blocking};

impl DataFrame {
    /// See [`collect`](frame::DataFrame::collect).
    ///
    /// ```
    /// let batches = query::blocking::Session::new()?.sql("values (1), (2)")?.collect()?;
    /// assert_eq!(batches[0].num_rows(), 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn collect(&self) -> Result<Vec<RecordBatch>> {
        let frame = self.asynchronous();
        wait(async move { frame.collect().await })
    }

    /// Its rows as they are computed, a batch at a time. Dropping the iterator stops the work.
    ///
    /// ```
    /// let numbers = query::blocking::Session::new()?.sql("from generate_series(1, 100000)")?;
    /// let mut rows = 0;
    /// for batch in numbers.stream()? {
    ///     rows += batch?.num_rows();
    /// }
    /// assert_eq!(rows, 100_000);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn stream(&self) -> Result<Batches> {
        let frame = self.asynchronous();
        let stream = wait(async move { frame.stream().await })?;
        Ok(Batches { schema: stream.schema(), stream: Some(stream) })
    }

    /// See [`count`](frame::DataFrame::count).
    ///
    /// ```
    /// assert_eq!(query::blocking::Session::new()?.sql("values (1), (2)")?.count()?, 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn count(&self) -> Result<u64> {
        let frame = self.asynchronous();
        wait(async move { frame.count().await })
    }

    /// See [`show`](frame::DataFrame::show).
    ///
    /// ```
    /// query::blocking::Session::new()?.sql("values (1), (2)")?.show()?;
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn show(&self) -> Result<()> {
        let frame = self.asynchronous();
        wait(async move { frame.show().await })
    }

    /// See [`to_text`](frame::DataFrame::to_text).
    ///
    /// ```
    /// let text = query::blocking::Session::new()?.sql("select 1 as one")?.to_text()?;
    /// assert!(text.contains("one"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn to_text(&self) -> Result<String> {
        let frame = self.asynchronous();
        wait(async move { frame.to_text().await })
    }

    /// See [`write_parquet`](frame::DataFrame::write_parquet).
    ///
    /// ```
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("numbers.parquet");
    /// let session = query::blocking::Session::new()?;
    /// assert_eq!(session.sql("values (1), (2)")?.write_parquet(&path)?, 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn write_parquet(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.whole().write_parquet(path)
    }

    /// See [`write_csv`](frame::DataFrame::write_csv).
    ///
    /// ```
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("numbers.csv");
    /// let session = query::blocking::Session::new()?;
    /// assert_eq!(session.sql("values (1), (2)")?.write_csv(&path)?, 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.whole().write_csv(path)
    }

    /// See [`write_json`](frame::DataFrame::write_json).
    ///
    /// ```
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("numbers.json");
    /// let session = query::blocking::Session::new()?;
    /// assert_eq!(session.sql("values (1), (2)")?.write_json(&path)?, 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn write_json(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.whole().write_json(path)
    }

    /// The same frame with `async` running methods.
    ///
    /// ```
    /// let frame = query::blocking::Session::new()?.sql("select 1 as one")?;
    /// let same: query::prelude::DataFrame = frame.asynchronous();
    /// assert_eq!(same.columns(), ["one"]);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn asynchronous(&self) -> frame::DataFrame<Async> {
        self.in_mode()
    }
}

impl frame::Partitioned<Blocking> {
    /// Runs it and writes Parquet into folders; gives the number of rows.
    ///
    /// ```
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("sales");
    /// let sales = query::blocking::Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.partition_by(["region"])?.write_parquet(&path)?, 46);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn write_parquet(&self, path: impl AsRef<Path>) -> Result<u64> {
        let (target, path) = (self.in_mode::<Async>(), path.as_ref().to_path_buf());
        wait(async move { target.write_parquet(path).await })
    }

    /// Runs it and writes CSV into folders; gives the number of rows.
    ///
    /// ```
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("sales");
    /// let sales = query::blocking::Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.partition_by(["region"])?.write_csv(&path)?, 46);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<u64> {
        let (target, path) = (self.in_mode::<Async>(), path.as_ref().to_path_buf());
        wait(async move { target.write_csv(path).await })
    }

    /// Runs it and writes lines of JSON into folders; gives the number of rows.
    ///
    /// ```
    /// # let room = tempfile::tempdir().unwrap();
    /// # let path = room.path().join("sales");
    /// let sales = query::blocking::Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.partition_by(["region"])?.write_json(&path)?, 46);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn write_json(&self, path: impl AsRef<Path>) -> Result<u64> {
        let (target, path) = (self.in_mode::<Async>(), path.as_ref().to_path_buf());
        wait(async move { target.write_json(path).await })
    }
}

/// The batches of a frame that is running; made by [`DataFrame::stream`].
pub struct Batches {
    schema: SchemaRef,
    /// `None` after the end or an error.
    stream: Option<SendableRecordBatchStream>,
}

impl Batches {
    /// Names and types of the columns.
    ///
    /// ```
    /// let batches = query::blocking::Session::new()?.sql("select 1 as one")?.stream()?;
    /// assert_eq!(batches.schema().field(0).name(), "one");
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut stream = self.stream.take()?;
        let next = wait(async move {
            let batch = stream.next().await.transpose()?;
            Ok((stream, batch))
        });
        match next {
            Ok((stream, Some(batch))) => {
                self.stream = Some(stream);
                Some(Ok(batch))
            }
            Ok((_, None)) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
