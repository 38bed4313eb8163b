//! What is to be written where.

use datafusion::datasource::file_format::format_as_file_type;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use super::{DataFrame, refused};
use crate::error::Result;

/// A frame to be written as a folder for each value of some columns; made by [`DataFrame::partition_by`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Partitioned<M> {
    frame: DataFrame<M>,
    columns: Vec<String>,
}

impl<M> DataFrame<M> {
    /// Names the columns whose values become folders (`region=north/`) when the frame is written; the files
    /// themselves do not hold them. A NULL becomes `__HIVE_DEFAULT_PARTITION__`.
    ///
    /// # Errors
    /// Unknown columns, no column left for the files.
    ///
    /// ```
    /// use query::blocking::Session;
    ///
    /// let room = tempfile::tempdir().map_err(|e| query::Error::io("make", "a folder", e))?;
    /// let target = room.path().join("sales");
    /// let sales = Session::new()?.read_csv("testdata/sales/*.csv")?;
    /// let rows = sales.partition_by(["region"])?.write_parquet(&target)?;
    /// assert_eq!(rows, 46);
    /// assert!(target.join("region=north").is_dir());
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn partition_by(
        &self,
        columns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Partitioned<M>> {
        let columns = self.check_all(columns)?;
        if columns.is_empty() || self.columns().iter().all(|name| columns.iter().any(|by| by == name)) {
            return Err(refused("partition_by needs some of the frame's columns, and not all of them"));
        }
        Ok(Partitioned { frame: self.clone(), columns })
    }

    /// The frame as what is written into one folder or file.
    pub(crate) fn whole(&self) -> Partitioned<M> {
        Partitioned { frame: self.clone(), columns: Vec::new() }
    }
}

impl<M> Partitioned<M> {
    /// The same with running methods of the other kind.
    pub(crate) fn in_mode<N>(&self) -> Partitioned<N> {
        Partitioned { frame: self.frame.in_mode(), columns: self.columns.clone() }
    }

    /// The frame that is written.
    pub(crate) fn frame(&self) -> &DataFrame<M> {
        &self.frame
    }

    /// The plan that writes a format of files to a path; a path that ends in `/` is a folder.
    pub(crate) fn copy(&self, format: &str, path: &str) -> Result<LogicalPlan> {
        let state = self.frame.context().state();
        let factory = state
            .get_file_format_factory(format)
            .ok_or_else(|| DataFusionError::Plan(format!("files of format '{format}' cannot be written")))?;
        let input = self.frame.plan().clone();
        let file_type = format_as_file_type(factory);
        let plan = LogicalPlanBuilder::copy_to(
            input,
            path.to_string(),
            file_type,
            Default::default(),
            self.columns.clone(),
        )?;
        Ok(plan.build()?)
    }
}
