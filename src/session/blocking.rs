//! The DataFrame without `async`: methods that run something return when it is done.
//!
//! Everything runs on one runtime of the process, which is made at the first use and never dropped. So
//! these methods work wherever they are called: outside of tokio, inside one of its tasks, in a
//! destructor. Inside a task they hold the task's thread until the answer is there, and with it
//! the other tasks that wait for this thread: call them from `tokio::task::spawn_blocking`, or use the
//! `async` methods.

mod frame;
mod wait;

use datafusion::arrow::array::RecordBatch;

use super::Session as AsyncSession;
use crate::error::Result;
use crate::frontend::frame::{self as builder, Blocking, ReadOptions};
use wait::wait;

pub use frame::Batches;

/// A frame whose running methods wait for their answer; it is built like the `async` one.
pub type DataFrame = builder::DataFrame<Blocking>;

/// [`Session`](super::Session) for frames that are run without `async`.
///
/// ```
/// use query::blocking::Session;
///
/// let session = Session::new()?;
/// session.run_sql("create view north as select * from 'testdata/sales/*.csv' where region = 'north'")?;
/// assert_eq!(session.table("north")?.count()?, 14);
/// # Ok::<(), query::Error>(())
/// ```
#[derive(Clone)]
pub struct Session {
    session: AsyncSession,
}

impl Session {
    /// A session without tables; see [`Session::new`](super::Session::new).
    ///
    /// ```
    /// assert!(query::blocking::Session::new().is_ok());
    /// ```
    pub fn new() -> Result<Self> {
        AsyncSession::new().map(Self::from)
    }

    /// See [`Session::read_csv`](super::Session::read_csv).
    ///
    /// ```
    /// let sales = query::blocking::Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// assert_eq!(sales.count()?, 46);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn read_csv(&self, path: &str) -> Result<DataFrame> {
        let (session, path) = self.parts(path);
        wait(async move { session.read_csv(&path).await }).map(|frame| frame.in_mode())
    }

    /// See [`Session::read_csv_with`](super::Session::read_csv_with).
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let options = ReadOptions::new().filters(col("region").eq(lit("north")));
    /// let some = Session::new()?.read_csv_with("testdata/sales/*.csv", &options)?;
    /// assert_eq!(some.count()?, 14);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn read_csv_with(&self, path: &str, options: &ReadOptions) -> Result<DataFrame> {
        let (session, path) = self.parts(path);
        let options = options.clone();
        wait(async move { session.read_csv_with(&path, &options).await }).map(|frame| frame.in_mode())
    }

    /// See [`Session::read_parquet`](super::Session::read_parquet).
    ///
    /// ```
    /// let products = query::blocking::Session::new()?.read_parquet("testdata/products.parquet")?;
    /// assert_eq!(products.count()?, 8);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn read_parquet(&self, path: &str) -> Result<DataFrame> {
        let (session, path) = self.parts(path);
        wait(async move { session.read_parquet(&path).await }).map(|frame| frame.in_mode())
    }

    /// See [`Session::read_parquet_with`](super::Session::read_parquet_with).
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let options = ReadOptions::new().filters(col("product").eq(lit("oat milk")));
    /// let some = Session::new()?.read_parquet_with("testdata/products.parquet", &options)?;
    /// assert_eq!(some.count()?, 1);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn read_parquet_with(&self, path: &str, options: &ReadOptions) -> Result<DataFrame> {
        let (session, path) = self.parts(path);
        let options = options.clone();
        wait(async move { session.read_parquet_with(&path, &options).await }).map(|frame| frame.in_mode())
    }

    /// See [`Session::read_json`](super::Session::read_json).
    ///
    /// ```
    /// let customers = query::blocking::Session::new()?.read_json("testdata/customers.json")?;
    /// assert_eq!(customers.count()?, 9);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn read_json(&self, path: &str) -> Result<DataFrame> {
        let (session, path) = self.parts(path);
        wait(async move { session.read_json(&path).await }).map(|frame| frame.in_mode())
    }

    /// See [`Session::read_json_with`](super::Session::read_json_with).
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let options = ReadOptions::new().filters(col("segment").eq(lit("home")));
    /// let some = Session::new()?.read_json_with("testdata/customers.json", &options)?;
    /// assert_eq!(some.count()?, 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn read_json_with(&self, path: &str, options: &ReadOptions) -> Result<DataFrame> {
        let (session, path) = self.parts(path);
        let options = options.clone();
        wait(async move { session.read_json_with(&path, &options).await }).map(|frame| frame.in_mode())
    }

    /// See [`Session::from_batches`](super::Session::from_batches).
    ///
    /// ```
    /// let session = query::blocking::Session::new()?;
    /// let batches = session.sql("values (1), (2)")?.collect()?;
    /// assert_eq!(session.from_batches(batches)?.count()?, 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn from_batches(&self, batches: Vec<RecordBatch>) -> Result<DataFrame> {
        self.session.from_batches(batches).map(|frame| frame.in_mode())
    }

    /// See [`Session::table`](super::Session::table).
    ///
    /// ```
    /// let session = query::blocking::Session::new()?;
    /// session.run_sql("create table t as values (1), (2)")?;
    /// assert_eq!(session.table("t")?.count()?, 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn table(&self, name: &str) -> Result<DataFrame> {
        let (session, name) = self.parts(name);
        wait(async move { session.table(&name).await }).map(|frame| frame.in_mode())
    }

    /// See [`Session::sql`](super::Session::sql).
    ///
    /// ```
    /// assert_eq!(query::blocking::Session::new()?.sql("values (1), (2)")?.count()?, 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn sql(&self, sql: &str) -> Result<DataFrame> {
        let (session, sql) = self.parts(sql);
        wait(async move { session.sql(&sql).await }).map(|frame| frame.in_mode())
    }

    /// See [`Session::run_sql`](super::Session::run_sql).
    ///
    /// ```
    /// let session = query::blocking::Session::new()?;
    /// assert_eq!(session.run_sql("create table t (n int); insert into t values (1)")?, 1);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn run_sql(&self, sql: &str) -> Result<u64> {
        let (session, sql) = self.parts(sql);
        wait(async move { session.run_sql(&sql).await })
    }

    /// See [`Session::register`](super::Session::register).
    ///
    /// ```
    /// let session = query::blocking::Session::new()?;
    /// session.register("numbers", &session.sql("values (1), (2)")?)?;
    /// assert_eq!(session.sql("select sum(column1) from numbers")?.count()?, 1);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn register<M>(&self, name: &str, frame: &builder::DataFrame<M>) -> Result<()> {
        self.session.register(name, frame)
    }

    fn parts(&self, text: &str) -> (AsyncSession, String) {
        (self.session.clone(), text.to_string())
    }
}

impl From<AsyncSession> for Session {
    fn from(session: AsyncSession) -> Self {
        Self { session }
    }
}
