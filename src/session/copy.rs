//! `COPY … TO`: by the engine's own sinks, into a staging folder that is renamed at the end.
//!
//! The engine's sinks take an input that failed for one that ended, and put a short file in the old
//! one's place; here the old file stays until everything is written.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::{Column, ExprSchema};
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit, when};
use datafusion::prelude::{DataFrame, SessionContext};
use object_store::ObjectStore;
use url::Url;

use super::Failure;
use crate::error::{Error, FileError};
use crate::output::staging::Staging;
use crate::source::file::local_path;

/// The folder name that stands for NULL in hive-partitioned tables.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Runs a COPY plan; gives the number of rows written.
pub(super) async fn run(context: &SessionContext, plan: LogicalPlan) -> Result<u64, Failure> {
    let LogicalPlan::Copy(mut copy) = plan else {
        return Err(DataFusionError::Internal("COPY without a COPY plan".into()).into());
    };
    copy.input = nulls_named(&copy)?;
    let Some(target) = local_path(&copy.output_url) else {
        let text = format!("'{}' cannot be written yet: only local files can", copy.output_url);
        return Err(DataFusionError::NotImplemented(text).into());
    };
    refuse_special(&target)?;
    let is_folder = copy.output_url.ends_with('/') || target.is_dir() || !copy.partition_by.is_empty();
    let mut staging = Staging::beside(&target)?;
    let (store, root, place) = staging.store(is_folder)?;
    copy.output_url = place.into();
    let _registered = Registered::new(context, root, store);
    let frame = DataFrame::new(context.state(), LogicalPlan::Copy(copy));
    let rows = count(&frame.collect().await.map_err(|error| reworded(error, &target))?);
    if !staging.path().exists() {
        // No rows, no file: an empty folder says so better than nothing at all.
        std::fs::create_dir_all(staging.path()).map_err(|e| Error::io("write", &target, e))?;
    }
    staging.commit()?;
    Ok(rows)
}

/// The count that a sink returns.
pub(super) fn count(batches: &[RecordBatch]) -> u64 {
    let counts = batches.iter().filter(|batch| batch.num_columns() == 1 && batch.num_rows() > 0);
    counts
        .filter_map(|batch| batch.column(0).as_primitive_opt::<UInt64Type>())
        .map(|counts| counts.value(0))
        .sum()
}

fn causes(error: &DataFusionError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source())
}

/// Whether a file that was to be read is the trouble, and not the one to be written.
fn is_about_input(error: &DataFusionError) -> bool {
    causes(error).any(|cause| cause.is::<FileError>())
}

/// The engine's sinks do not name the file, and those for text drop the reason for which the last bytes could
/// not be written.
fn reworded(error: DataFusionError, target: &Path) -> DataFusionError {
    match error.find_root() {
        DataFusionError::Internal(text) if text.contains("finalizing writes") => {
            DataFusionError::Execution(format!(
                "could not write '{}': the file could not be ended (is the disk full, or the file too large?)",
                target.display()
            ))
        }
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) if !is_about_input(&error) => {
            let cause = causes(&error).last().map(ToString::to_string).unwrap_or_default();
            DataFusionError::Execution(format!("could not write '{}': {cause}", target.display()))
        }
        _ => error,
    }
}

fn refuse_special(target: &Path) -> Result<(), Failure> {
    match std::fs::metadata(target) {
        Ok(meta) if !meta.is_file() && !meta.is_dir() => {
            let text = format!("COPY writes files and folders, '{}' is neither", target.display());
            Err(DataFusionError::Plan(text).into())
        }
        _ => Ok(()),
    }
}

/// A store that the engine knows for as long as this lives.
struct Registered {
    runtime: Arc<RuntimeEnv>,
    url: Url,
}

impl Registered {
    fn new(context: &SessionContext, url: Url, store: Arc<dyn ObjectStore>) -> Self {
        let runtime = context.runtime_env();
        runtime.register_object_store(&url, store);
        Self { runtime, url }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Nobody else takes it away, and a write that is over does not mind.
        let _ = self.runtime.deregister_object_store(&self.url);
    }
}

/// The engine writes a NULL partition key as the type's zero, among the real ones: name it instead.
fn nulls_named(copy: &CopyTo) -> Result<Arc<LogicalPlan>, Failure> {
    let schema = copy.input.schema();
    let mut columns = Vec::with_capacity(schema.fields().len());
    let mut changed = false;
    for (qualifier, field) in schema.iter() {
        let column = Column::new(qualifier.cloned(), field.name());
        let is_key = copy.partition_by.contains(field.name());
        columns.push(match is_key && schema.nullable(&column)? {
            true => {
                changed = true;
                let key = Expr::Column(column.clone());
                let text = cast(key.clone(), DataType::Utf8);
                when(key.is_null(), lit(NULL_PARTITION)).otherwise(text)?.alias(field.name())
            }
            false => Expr::Column(column),
        });
    }
    if !changed {
        return Ok(Arc::clone(&copy.input));
    }
    let plan = LogicalPlanBuilder::from(Arc::clone(&copy.input)).project(columns)?.build()?;
    Ok(Arc::new(plan))
}
