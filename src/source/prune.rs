//! Leaving out files by what their paths say, before they are opened.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;

use super::partition::{Keys, typed};
use super::table::Shapes;

tokio::task_local! {
    static NARROWED: Tables;
}

/// What a statement wants of its tables of files, by their locations.
pub type Tables = HashMap<String, Arc<Narrowed>>;

/// The files that a table's columns are made from: those that one of a statement's readings of the table wants.
///
/// Nothing is read of a file for it, and none is left out when the table is scanned: there only the filters
/// that come with the scan count.
#[derive(Debug, Clone, Default)]
pub struct Narrowed {
    /// For each reading, filters on the rows taken. They name keys only, without qualifiers.
    pub readings: Vec<Vec<Expr>>,
    /// The keys that the files are known to have, those that are not wanted as well.
    keys: Vec<FieldRef>,
    /// Files that have been looked into for the statement.
    pub(super) shapes: Shapes,
}

impl Narrowed {
    /// The files that these readings want, of files with these keys.
    pub fn new(readings: Vec<Vec<Expr>>, keys: Vec<FieldRef>) -> Self {
        Self { readings, keys, shapes: Shapes::default() }
    }

    /// The keys of some of the files, and those that the others are known to have.
    pub(super) fn with_known(&self, listed: Vec<FieldRef>) -> Vec<FieldRef> {
        let known = self.keys.iter().map(|key| match listed.iter().find(|own| own.name() == key.name()) {
            Some(own) => Arc::clone(own),
            None => Arc::new(key.as_ref().clone().with_nullable(true)),
        });
        let mut all: Vec<_> = known.collect();
        let is_new = |own: &FieldRef| !self.keys.iter().any(|key| key.name() == own.name());
        all.extend(listed.iter().filter(|own| is_new(own)).cloned());
        all
    }

    /// Those that one more reading wants, too.
    #[must_use]
    pub fn or(&self, filters: Vec<Expr>) -> Self {
        let mut wider = self.clone();
        wider.readings.push(filters);
        wider
    }

    /// Does some work in which the columns of tables are those of the files that the statement wants. The engine
    /// asks for tables by name, so this has to travel beside the name.
    pub async fn during<T>(tables: Tables, work: impl Future<Output = T>) -> T {
        NARROWED.scope(tables, work).await
    }

    /// What the statement at hand wants of a location, if that is known.
    pub(super) fn current(location: &str) -> Option<Arc<Self>> {
        NARROWED.try_with(|tables| tables.get(location).cloned()).ok().flatten()
    }

    /// For each row of partition values, whether a file with these values is wanted.
    pub(super) fn wants(
        &self,
        fields: &[FieldRef],
        rows: &[Vec<ScalarValue>],
        props: &ExecutionProps,
    ) -> Vec<bool> {
        let mut wanted = vec![false; rows.len()];
        for filters in &self.readings {
            let here = passed(filters, fields, rows, props);
            wanted.iter_mut().zip(here).for_each(|(wanted, here)| *wanted |= here);
        }
        wanted
    }
}

/// What is known of the rows that are wanted of a location, before its folders are listed.
#[derive(Debug, Clone)]
pub(super) struct Conditions<'a> {
    /// For each reading, filters on the rows taken.
    readings: Vec<Vec<Expr>>,
    /// The types of keys, if these are known: else they are those of the values that are seen.
    fields: &'a [FieldRef],
    props: &'a ExecutionProps,
}

/// What is to be done with a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No row in it is wanted.
    Unwanted,
    /// Its keys answer all filters: what is below has wanted rows.
    Wanted,
    /// The keys of the folders in it may tell.
    Open,
}

impl<'a> Conditions<'a> {
    /// The conditions of some readings, of keys of these types.
    pub(super) fn new(readings: Vec<Vec<Expr>>, fields: &'a [FieldRef], props: &'a ExecutionProps) -> Self {
        Self { readings, fields, props }
    }

    /// Whether all rows are wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.readings.is_empty() || self.readings.iter().any(Vec::is_empty)
    }

    /// What is to be done with each of some folders, by the keys on the way to it.
    pub(super) fn judge(&self, folders: &[Keys]) -> Vec<Verdict> {
        let names = |keys: &Keys| -> Vec<String> { keys.iter().map(|(name, _)| name.clone()).collect() };
        let mut alike: HashMap<Vec<String>, Vec<usize>> = HashMap::new();
        for (place, keys) in folders.iter().enumerate() {
            alike.entry(names(keys)).or_default().push(place);
        }
        let mut verdicts = vec![Verdict::Open; folders.len()];
        for (names, places) in alike {
            let rows: Vec<_> = places.iter().map(|place| folders[*place].clone()).collect();
            for (place, verdict) in places.into_iter().zip(self.judge_alike(&names, &rows)) {
                verdicts[place] = verdict;
            }
        }
        verdicts
    }

    /// Judges folders with keys of the same names.
    fn judge_alike(&self, names: &[String], rows: &[Keys]) -> Vec<Verdict> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let told = |filter: &&Expr| expr_applicable_for_cols(&names, filter);
        let is_told = |reading: &Vec<Expr>| reading.iter().filter(told).count() == reading.len();
        let wanted = if self.readings.iter().all(is_told) { Verdict::Wanted } else { Verdict::Open };
        // A value of another type than it was: what it is worth will be seen.
        let Ok(keys) = typed(rows, self.fields) else { return vec![Verdict::Open; rows.len()] };
        let mut may = vec![false; rows.len()];
        for reading in &self.readings {
            let filters: Vec<_> = reading.iter().filter(told).cloned().collect();
            let here = passed(&filters, &keys.fields, &keys.values, self.props);
            may.iter_mut().zip(here).for_each(|(may, here)| *may |= here);
        }
        may.into_iter().map(|may| if may { wanted } else { Verdict::Unwanted }).collect()
    }
}

/// For each row of partition values, whether a file with these values passes all filters. One that cannot be
/// computed here lets all pass.
pub(super) fn passed(
    filters: &[Expr],
    fields: &[FieldRef],
    rows: &[Vec<ScalarValue>],
    props: &ExecutionProps,
) -> Vec<bool> {
    let mut passed = vec![true; rows.len()];
    for filter in filters {
        let Ok(here) = kept(std::slice::from_ref(filter), fields, rows, props) else { continue };
        passed.iter_mut().zip(here).for_each(|(passed, here)| *passed &= here);
    }
    passed
}

/// For each row of partition values, whether a file with these values can hold rows that all filters let
/// pass. The filters must name no other columns.
pub(super) fn kept(
    filters: &[Expr],
    fields: &[FieldRef],
    rows: &[Vec<ScalarValue>],
    props: &ExecutionProps,
) -> Result<Vec<bool>> {
    let mut kept = vec![true; rows.len()];
    if filters.is_empty() || rows.is_empty() {
        return Ok(kept);
    }
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let columns = (0..fields.len())
        .map(|column| ScalarValue::iter_to_array(rows.iter().map(|row| row[column].clone())))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?;
    let schema = DFSchema::try_from(schema)?;
    for filter in filters {
        let passes = create_physical_expr(filter, &schema, props, &PhysicalPlanningContext::default())?
            .evaluate(&batch)?;
        let passes = passes.into_array(rows.len())?;
        for (kept, passes) in kept.iter_mut().zip(passes.as_boolean()) {
            *kept &= passes == Some(true);
        }
    }
    Ok(kept)
}
