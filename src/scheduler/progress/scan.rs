//! How far a scan is: the leaves of a stage's plan, asked while they run.

use std::sync::Arc;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;

use super::estimate::Source;
use crate::graph::NamedExec;

/// The work of a row that is decoded, and of each of its values. The unit is about 100 ns of a core of 2026.
const ROW_WORK: f64 = 0.4;
const VALUE_WORK: f64 = 0.25;
/// The work of a row that is in memory already.
const MEMORY_ROW_WORK: f64 = 0.2;
/// Bytes of text that are a unit of work.
const TEXT_BYTES: f64 = 28.0;
/// Bytes of a row where rows are not counted before they are read.
const ROW_BYTES: f64 = 100.0;

/// A scan, and what it has to read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scan {
    amount: Amount,
    values: usize,
}

/// What a scan has to read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Amount {
    /// Files, or pieces of them, with so many rows.
    Rows { rows: f64, pieces: f64 },
    /// Rows that are in memory.
    Held { rows: f64 },
    /// Files, or pieces of them, of so many bytes: how many rows they have is not known.
    Bytes { bytes: f64, pieces: f64 },
    /// Nobody knows how much.
    Unknown,
}

/// What a scan has done.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Read {
    /// Of all that it has to do.
    pub(super) fraction: f64,
    /// Rows that it has given.
    pub(super) rows: u64,
}

impl Scan {
    /// What a leaf has to read.
    pub(super) fn of(leaf: &Arc<dyn ExecutionPlan>) -> Self {
        let source = leaf.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
        let files = source.and_then(|source| source.downcast_ref::<FileScanConfig>());
        let amount = match files {
            Some(config) => Amount::of_files(config),
            None => held_rows(leaf).map_or(Amount::Unknown, |rows| Amount::Held { rows }),
        };
        Self { amount, values: leaf.schema().fields().len() }
    }

    /// The scan as a source of rows, to each of which so much is done in its stage.
    pub(super) fn source(&self, row_work: f64) -> Source {
        let values = VALUE_WORK * self.values as f64;
        match self.amount {
            Amount::Rows { rows, .. } => {
                Source::Scan { rows: Some(rows), row_work: ROW_WORK + values + row_work }
            }
            Amount::Held { rows } => Source::Scan { rows: Some(rows), row_work: MEMORY_ROW_WORK + row_work },
            Amount::Bytes { bytes, .. } => {
                let rows = (bytes / ROW_BYTES).max(1.0);
                Source::Scan { rows: Some(rows), row_work: ROW_BYTES / TEXT_BYTES + row_work }
            }
            Amount::Unknown => Source::Scan { rows: None, row_work: 0.0 },
        }
    }

    /// How far it is now.
    pub(super) fn read(&self, leaf: &Arc<dyn ExecutionPlan>) -> Read {
        let rows = NamedExec::rows_of(leaf);
        let fraction = match self.amount {
            Amount::Unknown => 0.0,
            Amount::Held { rows: all } => part(rows as f64, all),
            Amount::Rows { rows: all, pieces } => {
                Counts::of(leaf.metrics()).fraction_of_rows(rows as f64, all, pieces)
            }
            Amount::Bytes { bytes, pieces } => Counts::of(leaf.metrics()).fraction_of_bytes(bytes, pieces),
        };
        Read { fraction, rows }
    }
}

/// A part of a whole; of nothing, nothing is left to do.
fn part(done: f64, all: f64) -> f64 {
    if all > 0.0 { (done / all).clamp(0.0, 1.0) } else { 1.0 }
}

/// The rows of a leaf that knows them.
fn held_rows(leaf: &Arc<dyn ExecutionPlan>) -> Option<f64> {
    let statistics = leaf.statistics_from_inputs(&[], &StatisticsArgs::new()).ok()?;
    statistics.num_rows.get_value().map(|rows| *rows as f64)
}

/// The rows of a file, or of a piece of it with so many bytes, if somebody has counted them.
fn rows_of(file: &PartitionedFile, size: f64) -> Option<f64> {
    if let Some(plan) = file.extension::<ParquetAccessPlan>() {
        let chosen = plan.inner().iter().map(|access| match access {
            RowGroupAccess::Selection(rows) => Some(rows.row_count() as f64),
            RowGroupAccess::Skip => Some(0.0),
            RowGroupAccess::Scan => None,
        });
        return chosen.sum();
    }
    let all = *file.statistics.as_ref()?.num_rows.get_value()?;
    // A piece has its part of the file's rows.
    Some(all as f64 * part(size, file.object_meta.size as f64))
}

impl Amount {
    fn of_files(config: &FileScanConfig) -> Self {
        let (mut rows, mut bytes, mut pieces) = (Some(0.0), 0.0, 0.0);
        for file in config.file_groups.iter().flat_map(|group| group.iter()) {
            let size = file.effective_size() as f64;
            rows = rows.zip(rows_of(file, size)).map(|(rows, own)| rows + own);
            bytes += size;
            pieces += 1.0;
        }
        match (rows, config.limit) {
            (Some(rows), Some(limit)) => Self::Rows { rows: rows.min(limit as f64), pieces },
            (Some(rows), None) => Self::Rows { rows, pieces },
            (None, _) => Self::Bytes { bytes, pieces },
        }
    }
}

/// What a scan of files counts while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts {
    /// Pieces that were opened, and those that are done with.
    opened: f64,
    processed: f64,
    /// Pieces that were left out when their turn came.
    pieces_pruned: f64,
    /// Row groups of opened pieces, and those of them that are left out.
    groups: f64,
    groups_pruned: f64,
    /// Rows that were left out by pages or one by one.
    rows_pruned: f64,
    /// Counted by the readers of text and Avro.
    bytes: Option<f64>,
}

impl Counts {
    fn of(metrics: Option<MetricsSet>) -> Self {
        let mut counts = Self::default();
        for metric in metrics.iter().flat_map(MetricsSet::iter) {
            match metric.value() {
                MetricValue::Count { name, count } => {
                    let count = count.value() as f64;
                    match name.as_ref() {
                        "files_opened" => counts.opened += count,
                        "files_processed" => counts.processed += count,
                        "row_groups_pruned_dynamic_filter" => counts.groups_pruned += count,
                        "pushdown_rows_pruned" => counts.rows_pruned += count,
                        "bytes_scanned" => *counts.bytes.get_or_insert(0.0) += count,
                        _ => {}
                    }
                }
                MetricValue::PruningMetrics { name, pruning_metrics } => {
                    let (pruned, matched) =
                        (pruning_metrics.pruned() as f64, pruning_metrics.matched() as f64);
                    match name.as_ref() {
                        "files_ranges_pruned_statistics" => counts.pieces_pruned += pruned,
                        "row_groups_pruned_statistics" => {
                            counts.groups += pruned + matched;
                            counts.groups_pruned += pruned;
                        }
                        "row_groups_pruned_bloom_filter" | "limit_pruned_row_groups" => {
                            counts.groups_pruned += pruned;
                        }
                        "page_index_rows_pruned" => counts.rows_pruned += pruned,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        counts
    }

    /// How much of all rows was read. What is left out takes no time: it is as if it were not there.
    fn fraction_of_rows(self, read: f64, all: f64, pieces: f64) -> f64 {
        let piece = if pieces > 0.0 { all / pieces } else { 0.0 };
        let seen = (self.opened - self.pieces_pruned).max(0.0) * piece;
        let group = if self.groups > 0.0 { seen / self.groups } else { 0.0 };
        let pruned = self.pieces_pruned * piece + self.groups_pruned * group + self.rows_pruned;
        let left = all - pruned;
        // When little is left, being right about how little it is matters too much.
        if left < all / 100.0 { part(self.processed, pieces) } else { part(read, left) }
    }

    fn fraction_of_bytes(self, bytes: f64, pieces: f64) -> f64 {
        let by_pieces = part(self.processed, pieces);
        self.bytes.map_or(by_pieces, |read| part(read, bytes).max(by_pieces))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::parquet::arrow::arrow_reader::RowSelection;

    use super::*;

    #[test]
    fn rows_that_are_left_out_do_not_count() {
        let counts = Counts { opened: 1.0, groups: 5.0, groups_pruned: 4.0, ..Counts::default() };
        // One of two pieces is open, with 5 groups of 100 rows, of which one is read.
        assert!((counts.fraction_of_rows(50.0, 1000.0, 2.0) - 50.0 / 600.0).abs() < 1e-9);
        let counts = Counts { opened: 2.0, pieces_pruned: 1.0, groups: 5.0, ..Counts::default() };
        assert!((counts.fraction_of_rows(250.0, 1000.0, 2.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_scan_that_leaves_out_all_is_as_far_as_its_files() {
        let counts = Counts { opened: 4.0, processed: 3.0, pieces_pruned: 4.0, ..Counts::default() };
        assert!((counts.fraction_of_rows(0.0, 1000.0, 4.0) - 0.75).abs() < 1e-9);
    }

    #[test]
    fn chosen_rows_of_a_file_are_counted() {
        let rows = RowSelection::from_consecutive_ranges([10..25, 90..95].into_iter(), 100);
        let chosen = [RowGroupAccess::Skip, RowGroupAccess::Selection(rows)].to_vec();
        let file = PartitionedFile::new("t.parquet", 1000).with_range(4, 200);
        assert_eq!(rows_of(&file.clone().with_extension(ParquetAccessPlan::new(chosen)), 196.0), Some(20.0));
        assert_eq!(rows_of(&file.with_extension(ParquetAccessPlan::new_all(2)), 196.0), None);
    }

    #[test]
    fn text_is_as_far_as_its_bytes() {
        let counts = Counts { processed: 1.0, bytes: Some(300.0), ..Counts::default() };
        assert!((counts.fraction_of_bytes(400.0, 4.0) - 0.75).abs() < 1e-9);
        let counts = Counts { processed: 1.0, ..Counts::default() };
        assert!((counts.fraction_of_bytes(400.0, 4.0) - 0.25).abs() < 1e-9);
    }
}
