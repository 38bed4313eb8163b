//! Which files a table's columns are made of, and whether a scan reads others.

use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::catalog::Session;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;

use super::{Definition, FILENAME, FileTable, Listed, Listing, filename_field};
use crate::source::find::DataFile;
use crate::source::prune::{Conditions, Narrowed, passed};

/// Some of a table's files, with the keys that the others are known to have: here they are NULL.
fn with_known(narrowed: &Narrowed, listing: Listing) -> Result<(Vec<FieldRef>, Vec<Listed>)> {
    let fields = narrowed.with_known(listing.fields.clone());
    let files = listing.files.into_iter().map(|Listed { file, keys }| {
        let value = |field: &FieldRef| match listing.fields.iter().position(|own| own.name() == field.name())
        {
            Some(place) => Ok(keys[place].clone()),
            None => ScalarValue::try_new_null(field.data_type()),
        };
        let keys = fields.iter().map(value).collect::<Result<_>>()?;
        Ok(Listed { file, keys })
    });
    let files = files.collect::<Result<_>>()?;
    Ok((fields, files))
}

impl FileTable {
    /// The keys in the paths of the files that the table may be made of, and these files.
    pub(super) async fn made_of(&self, state: &dyn Session) -> Result<(Vec<FieldRef>, Vec<Listed>)> {
        let Definition { narrowed, keys, .. } = &self.definition;
        if let Some(narrowed) = narrowed {
            let wanted = Conditions::new(narrowed.readings.clone(), keys, state.execution_props());
            let listing = self.listed(state, Some(&wanted)).await?;
            if !listing.files.is_empty() {
                return Ok(match listing.is_part {
                    true => with_known(narrowed, listing)?,
                    false => (listing.fields, listing.files),
                });
            }
        }
        let listing = self.listed(state, None).await?;
        Ok((listing.fields, listing.files))
    }

    /// The files that make the table's columns. If the statement wants none, all do: the columns of a result
    /// without rows have to come from somewhere.
    pub(super) fn wanted(
        &self,
        state: &dyn Session,
        fields: &[FieldRef],
        filename: bool,
        files: Vec<Listed>,
    ) -> Vec<Listed> {
        let Some(narrowed) = &self.definition.narrowed else { return files };
        let mut fields = fields.to_vec();
        let mut rows: Vec<_> = files.iter().map(|file| file.keys.clone()).collect();
        // Whether the files have such a column of their own is not known yet.
        if filename && !fields.iter().any(|field| field.name() == FILENAME) {
            fields.push(filename_field());
            rows.iter_mut().zip(&files).for_each(|(row, listed)| row.push(listed.file.name().into()));
        }
        let wanted = narrowed.wants(&fields, &rows, state.execution_props());
        match wanted.contains(&true) {
            true => {
                files.into_iter().zip(wanted).filter_map(|(file, wanted)| wanted.then_some(file)).collect()
            }
            false => files,
        }
    }

    /// What it was made of.
    pub(in crate::source) fn narrowed(&self) -> Option<&Arc<Narrowed>> {
        self.definition.narrowed.as_ref()
    }

    /// Those of a scan's filters that the files' paths answer, if files that had no part in the columns pass
    /// them all.
    pub(in crate::source) async fn beyond(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<Option<Vec<Expr>>> {
        let fields: Vec<FieldRef> = self.schema.table_partition_cols().iter().cloned().collect();
        let about_keys: Vec<_> =
            filters.iter().filter(|filter| self.is_about_keys(filter)).cloned().collect();
        let wanted = Conditions::new(vec![about_keys.clone()], &fields, state.execution_props());
        let listing = self.listed(state, Some(&wanted)).await?;
        let (files, rows): (Vec<_>, Vec<_>) =
            listing.files.into_iter().map(|listed| (listed.file, listed.keys)).unzip();
        let rows = self.aligned(&listing.fields, rows)?;
        let passed = passed(&about_keys, &fields, &rows, state.execution_props());
        let is_beyond = |(file, passed): (&DataFile, bool)| passed && !self.made_from.contains(&file.path);
        Ok(files.iter().zip(passed).any(is_beyond).then_some(about_keys))
    }
}
