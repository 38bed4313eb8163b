//! The DataFrame: against SQL, against pandas, and its own promises.

mod errors;
mod examples;
mod files;
mod pandas;
mod running;
mod splits;
mod versus_sql;

use datafusion::arrow::array::RecordBatch;

use crate::engine;

/// A table as text: its columns' names, then its rows; NULL is `None`.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) names: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

impl Table {
    pub(crate) fn of(names: &[&str], batches: &[RecordBatch]) -> Self {
        Self { names: names.iter().map(ToString::to_string).collect(), rows: engine::texts(batches) }
    }

    pub(crate) fn sorted(mut self) -> Self {
        self.rows.sort();
        self
    }
}

/// The rows of an `async` frame.
pub(crate) async fn table(frame: &query::prelude::DataFrame) -> query::Result<Table> {
    Ok(Table::of(&frame.columns(), &frame.collect().await?))
}
