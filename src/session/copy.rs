//! `COPY … TO`: by the engine's own sinks, into a staging folder that is renamed at the end.
//!
//! The engine's sinks take an input that failed for one that ended, and put a short file in the old
//! one's place; here the old file stays until everything is written.

mod target;

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::{Column, ExprSchema};
use datafusion::datasource::file_format::csv::CsvFormatFactory;
use datafusion::datasource::file_format::file_type_to_format;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit, when};
use datafusion::prelude::{DataFrame, SessionContext};
use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::Failure;
use crate::error::{Error, FileError, StoreAction, StoreError};
use crate::output::staging::{Staging, TsvNames};
use crate::scratch;
use crate::source::Remotes;
use crate::source::file::local_path;
pub(super) use target::Target;

/// What the engine's sinks say when a store fails.
const WRITING: &str = "Error writing to object store: ";
/// The folder name that stands for NULL in hive-partitioned tables.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Runs a COPY plan; gives the number of rows written.
pub(super) async fn run(context: &SessionContext, plan: LogicalPlan) -> Result<u64, Failure> {
    let LogicalPlan::Copy(mut copy) = plan else {
        return Err(DataFusionError::Internal("COPY without a COPY plan".into()).into());
    };
    copy.input = nulls_named(&copy)?;
    match local_path(&copy.output_url) {
        Some(target) => into_files(context, copy, &target).await,
        None => into_store(context, copy).await,
    }
}

async fn into_files(context: &SessionContext, mut copy: CopyTo, target: &Path) -> Result<u64, Failure> {
    refuse_special(target)?;
    let is_folder = copy.output_url.ends_with('/') || target.is_dir() || !copy.partition_by.is_empty();
    let mut staging = Staging::beside(target)?;
    let (store, root, place) = staging.store(is_folder)?;
    let store = if is_folder { named(store, &copy) } else { store };
    copy.output_url = place.into();
    let _registered = Registered::new(context, root, store);
    let frame = DataFrame::new(context.state(), LogicalPlan::Copy(copy));
    let name = target.display().to_string();
    let rows = count(&frame.collect().await.map_err(|error| reworded(error, &name))?);
    if !staging.path().exists() {
        // No rows, no file: an empty folder says so better than nothing at all.
        std::fs::create_dir_all(staging.path()).map_err(|e| Error::io("write", target, e))?;
    }
    staging.commit()?;
    Ok(rows)
}

async fn into_store(context: &SessionContext, mut copy: CopyTo) -> Result<u64, Failure> {
    let target = Target::of(context, &copy.output_url)?;
    let is_folder = target.is_folder() || !copy.partition_by.is_empty();
    let store = target.store()?;
    let store = if is_folder { named(store, &copy) } else { store };
    let (root, place) = place_of(&target.key, is_folder)?;
    copy.output_url = place;
    let registered = Registered::new(context, root, store);
    let frame = DataFrame::new(context.state(), LogicalPlan::Copy(copy));
    let written = frame.collect().await;
    drop(registered);
    let ended = target.end(written).await;
    // What was listed before, and what was read of an object in its place, is out of date: also after a failure.
    if let Some(remotes) = context.state_ref().read().config().get_extension::<Remotes>() {
        remotes.forget();
    }
    Ok(count(&ended?))
}

/// The root of a store for one write, and the place in it to write to.
fn place_of(target: &ObjectPath, is_folder: bool) -> Result<(Url, String), DataFusionError> {
    const NAME: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~').remove(b'=');
    let root = format!("staging://{}/", scratch::random_suffix());
    let key = utf8_percent_encode(target.as_ref(), NAME);
    let slash = if is_folder && !target.as_ref().is_empty() { "/" } else { "" };
    let place = format!("{root}{key}{slash}");
    let root = Url::parse(&root).map_err(|error| DataFusionError::External(Box::new(error)))?;
    Ok((root, place))
}

/// A store in which files have the names that their format has here: to the engine, TSV is CSV.
fn named(store: Arc<dyn ObjectStore>, copy: &CopyTo) -> Arc<dyn ObjectStore> {
    let format = file_type_to_format(&copy.file_type).ok();
    let csv = format.as_ref().and_then(|format| format.downcast_ref::<CsvFormatFactory>());
    let known = csv.and_then(|csv| csv.options.as_ref()).is_some_and(|options| options.delimiter == b'\t');
    let stated = copy.options.get("format.delimiter").is_some_and(|delimiter| delimiter == "\t");
    match csv.is_some() && (known || stated) {
        true => Arc::new(TsvNames(store)),
        false => store,
    }
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
    causes(error).any(|cause| {
        let reading = |error: &StoreError| error.action != StoreAction::Write;
        cause.is::<FileError>() || cause.downcast_ref::<StoreError>().is_some_and(reading)
    })
}

/// The engine's sinks do not name the file, and those for text drop the reason for which the last bytes could
/// not be written.
fn reworded(error: DataFusionError, target: &str) -> DataFusionError {
    match error.find_root() {
        DataFusionError::Internal(text) if text.contains("finalizing writes") => {
            DataFusionError::Execution(format!(
                "could not write '{target}': the file could not be ended (is the disk full, or the file too large?)"
            ))
        }
        DataFusionError::Execution(text) if text.starts_with(WRITING) => {
            let cause = text.strip_prefix(WRITING).unwrap_or_default();
            DataFusionError::Execution(format!("could not write '{target}': {cause}"))
        }
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) if !is_about_input(&error) => {
            let cause = causes(&error).last().map(ToString::to_string).unwrap_or_default();
            DataFusionError::Execution(format!("could not write '{target}': {cause}"))
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

/// Whether the engine has names for folders of values of a type. Of the others, times among them, we give it the text.
fn is_named(kind: &DataType) -> bool {
    kind.is_integer()
        || matches!(kind, DataType::Utf8 | DataType::Utf8View | DataType::Boolean | DataType::Date32)
}

/// The engine writes a NULL partition key as the type's zero, among the real ones: name it instead.
fn nulls_named(copy: &CopyTo) -> Result<Arc<LogicalPlan>, Failure> {
    let schema = copy.input.schema();
    let mut columns = Vec::with_capacity(schema.fields().len());
    let mut changed = false;
    for (qualifier, field) in schema.iter() {
        let column = Column::new(qualifier.cloned(), field.name());
        let is_key = copy.partition_by.contains(field.name());
        let key = Expr::Column(column.clone());
        columns.push(match is_key && (schema.nullable(&column)? || !is_named(field.data_type())) {
            true => {
                changed = true;
                let text = cast(key.clone(), DataType::Utf8);
                when(key.is_null(), lit(NULL_PARTITION)).otherwise(text)?.alias(field.name())
            }
            false => key,
        });
    }
    if !changed {
        return Ok(Arc::clone(&copy.input));
    }
    let plan = LogicalPlanBuilder::from(Arc::clone(&copy.input)).project(columns)?.build()?;
    Ok(Arc::new(plan))
}
