//! The files of a table as they are now, and what they hold.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::FieldRef;
use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics, plan_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::LexOrdering;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::{Definition, FileTable, filename_field, listing_url};
use crate::source::at_once::at_once;
use crate::source::find::{DataFile, Found, Object, find, is_pattern, local_path};
use crate::source::format::Format;
use crate::source::guard::{FileName, inspected};
use crate::source::look::Look;
use crate::source::partition::partitions;
use crate::source::prune::{Conditions, kept};
use crate::source::remote::Known;
use crate::source::shape::Shape;
use crate::source::size::TableName;
use crate::source::statistics::{trusted, with_null_keys};

/// Columns of files whose statistics a table keeps.
const COLUMNS_MAX: usize = 1 << 16;

/// One file that was found, not opened yet.
pub(super) struct Listed {
    pub(super) file: DataFile,
    /// Its values of the partition columns.
    pub(super) keys: Vec<ScalarValue>,
}

/// The files of a table, and the keys in their paths.
pub(super) struct Listing {
    pub(super) fields: Vec<FieldRef>,
    pub(super) files: Vec<Listed>,
    /// Whether there may be more, in folders without wanted rows.
    pub(super) is_part: bool,
}

/// One file at the time of a scan.
pub(super) struct Entry {
    pub(super) file: DataFile,
    pub(super) meta: ObjectMeta,
    /// Its columns, or why they are not known: an error only if its rows are asked for.
    pub(super) shape: Result<Shape>,
    /// Its values of the partition columns.
    pub(super) keys: Vec<ScalarValue>,
}

/// The statistics of a file's columns, and the order of its rows.
type OfFile = (Arc<Statistics>, Option<LexOrdering>);

/// What local Parquet files say of their rows, so that it is summed over their row groups once and not by each
/// statement. It counts for just the version of a file that said it.
#[derive(Default)]
pub(super) struct Said(Mutex<HashMap<Path, (ObjectMeta, OfFile)>>);

impl Said {
    fn of(&self, meta: &ObjectMeta) -> Option<OfFile> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&meta.location).filter(|(version, _)| version == meta).map(|(_, said)| said.clone())
    }

    fn keep(&self, meta: &ObjectMeta, said: &OfFile) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = said.0.column_statistics.len().max(1);
        if kept.len() < COLUMNS_MAX / columns || kept.contains_key(&meta.location) {
            kept.insert(meta.location.clone(), (meta.clone(), said.clone()));
        }
    }
}

impl FileTable {
    /// The files as they are now with their keys, and the partition columns. No file is opened for it, and no
    /// folder is listed that has no wanted rows.
    pub(super) async fn listed(
        &self,
        state: &dyn Session,
        wanted: Option<&Conditions<'_>>,
    ) -> Result<Listing> {
        let Definition { locations, keys: declared, filename, .. } = &self.definition;
        let mut files = Vec::new();
        let mut seen = HashSet::new();
        let mut is_part = false;
        for location in locations {
            let found = match find(state, location, wanted).await {
                Err(error) if self.definition.may_be_empty && is_empty_folder(location, &error) => {
                    Found::default()
                }
                found => found?,
            };
            is_part |= found.is_part;
            // Locations may overlap: a folder, and a file in it.
            files.extend(found.files.into_iter().filter(|file| seen.insert(file.path.clone())));
        }
        check_stores(&files)?;
        let known = self.schema.table_partition_cols();
        let mut keys = match files.iter().any(|file| file.object.is_some()) && !known.is_empty() {
            // A part of the files may have another type than all of them.
            true => partitions(&files, known)?,
            false => partitions(&files, declared)?,
        };
        if files.is_empty() && keys.fields.is_empty() {
            keys.fields.extend(declared.iter().cloned());
        }
        if *filename {
            keys.fields.push(filename_field());
            for (row, file) in keys.values.iter_mut().zip(&files) {
                row.push(ScalarValue::from(file.name()));
            }
        }
        let listed = files.into_iter().zip(keys.values).map(|(file, keys)| Listed { file, keys });
        Ok(Listing { fields: keys.fields, files: listed.collect(), is_part })
    }

    pub(super) async fn looked_into(&self, state: &dyn Session, files: Vec<Listed>) -> Result<Vec<Entry>> {
        let concurrency = state.config_options().execution.meta_fetch_concurrency.get();
        let look = Look::new(files.len());
        let look = &look;
        let work = files.into_iter().map(|listed| self.entry(state, listed, look));
        at_once(work, concurrency).await
    }

    async fn entry(&self, state: &dyn Session, listed: Listed, look: &Look) -> Result<Entry> {
        let Listed { file, keys } = listed;
        if let Some(Object { remote, meta }) = file.object.clone() {
            let shape = self.definition.reader.shape_of_object(state, &remote, &file, &meta, look).await;
            return Ok(Entry { file, meta, shape, keys });
        }
        let name = file.name();
        let url = listing_url(&file.path)?;
        let store = state.runtime_env().object_store(url.object_store())?;
        let meta = inspected(&name, async { Ok(store.head(url.prefix()).await?) }).await?;
        let shape = self.shape(state, &store, &file, &meta).await;
        Ok(Entry { file, meta, shape, keys })
    }

    async fn shape(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        file: &DataFile,
        meta: &ObjectMeta,
    ) -> Result<Shape> {
        let known = || self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, shape)) = known().get(&meta.location)
            && seen == meta
        {
            return Ok(shape.clone());
        }
        let shape = self.definition.reader.shape(state, store, file, meta).await?;
        known().insert(meta.location.clone(), (meta.clone(), shape.clone()));
        Ok(shape)
    }

    /// The files that a scan has to read. The others are not opened.
    pub(super) async fn files(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Entry>> {
        let fields: Vec<FieldRef> = self.schema.table_partition_cols().iter().cloned().collect();
        let props = state.execution_props();
        let wanted = Conditions::new(vec![filters.to_vec()], &fields, props);
        let listing = self.listed(state, Some(&wanted)).await?;
        let several = listing.files.len() > 1 || listing.is_part;
        let (files, rows): (Vec<_>, Vec<_>) =
            listing.files.into_iter().map(|listed| (listed.file, listed.keys)).unzip();
        let rows = self.aligned(&listing.fields, rows)?;
        let kept = kept(filters, &fields, &rows, props)?;
        let files = files.into_iter().zip(rows).zip(kept);
        let files = files.filter_map(|((file, keys), kept)| kept.then_some(Listed { file, keys }));
        let mut entries = self.looked_into(state, files.collect()).await?;
        // An empty file among others adds nothing.
        entries.retain(|entry| entry.meta.size > 0 || !several);
        Ok(entries)
    }

    /// Rows of keys in the order and types of the table's partition columns: new files may have brought
    /// other ones.
    pub(super) fn aligned(
        &self,
        fields: &[FieldRef],
        rows: Vec<Vec<ScalarValue>>,
    ) -> Result<Vec<Vec<ScalarValue>>> {
        let columns = self.schema.table_partition_cols();
        let value = |row: &[ScalarValue], column: &FieldRef| {
            let place = fields.iter().position(|field| field.name() == column.name());
            match place.and_then(|place| row.get(place)) {
                Some(value) => value.cast_to(column.data_type()),
                None => ScalarValue::try_new_null(column.data_type()),
            }
        };
        rows.iter().map(|row| columns.iter().map(|column| value(row, column)).collect()).collect()
    }

    pub(super) async fn partitioned(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        entry: Entry,
        look: &Look,
    ) -> Result<(PartitionedFile, Option<Shape>)> {
        let shape = entry.shape?;
        let object = entry.file.object.clone();
        let name = entry.file.name();
        let mut file = PartitionedFile::new_from_meta(entry.meta);
        file = file.with_partition_values(entry.keys).with_extension(FileName(name.as_str().into()));
        file = file.with_extension(TableName(Arc::clone(&self.definition.name)));
        if self.definition.reader.format != Format::Parquet {
            return Ok((file, Some(shape)));
        }
        let said = match self.said.of(&file.object_meta) {
            Some(said) => said,
            None => {
                let schema = self.schema.file_schema();
                let known = self.known(state, store, &file, object.as_ref(), look);
                let known = inspected(&name, known).await?;
                let statistics = Arc::new(trusted(known.statistics, schema, &shape.schema));
                let said = (statistics, known.ordering);
                if object.is_none() {
                    self.said.keep(&file.object_meta, &said);
                }
                said
            }
        };
        let (statistics, ordering) = said;
        let file = file.with_statistics(statistics).with_ordering(ordering);
        Ok((with_null_keys(file), Some(shape)))
    }

    /// What a Parquet file says of its rows.
    async fn known(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        file: &PartitionedFile,
        object: Option<&Object>,
        look: &Look,
    ) -> Result<Known> {
        let (schema, meta) = (self.schema.file_schema(), &file.object_meta);
        if let Some(Object { remote, .. }) = object {
            return remote.known(meta, schema, look.footer_bytes).await;
        }
        let engine = &self.definition.reader.engine;
        let known = engine.infer_stats_and_ordering(state, store, Arc::clone(schema), meta).await?;
        Ok(Known { statistics: known.statistics, ordering: known.ordering })
    }
}

/// Whether a location is a folder that has no files yet, or one that is yet to be made.
fn is_empty_folder(location: &str, error: &DataFusionError) -> bool {
    match local_path(location) {
        Some(path) => path.is_dir() || (!path.exists() && location.ends_with('/')),
        // A store that fails has another error; one that answers has nothing there.
        None => matches!(error, DataFusionError::Plan(_)) && location.ends_with('/') && !is_pattern(location),
    }
}

/// One scan reads from one store.
fn check_stores(files: &[DataFile]) -> Result<()> {
    let url = |file: &DataFile| file.object.as_ref().map(|object| object.remote.url.clone());
    let Some(first) = files.first() else { return Ok(()) };
    match files.iter().find(|file| url(file) != url(first)) {
        None => Ok(()),
        Some(other) => plan_err!(
            "the files of a table are to be in one store: '{}' and '{}' are in two",
            first.name(),
            other.name()
        ),
    }
}
