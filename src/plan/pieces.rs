//! Scans of Parquet files in more pieces than there are partitions, so that none of them ends long before the others.
//!
//! DataFusion gives each partition an equal share of the bytes, and what is read at once is a row group: it belongs to
//! the share that it begins in. Of five row groups two partitions read four and one, and while one of them meets a row
//! group that decodes slowly or an unlucky share of rows that pass its filters, the others are done. The partitions of
//! a scan take their next piece from one queue (DataFusion's work stealing between the streams of a scan), so it is
//! enough that there are pieces to take: shares are cut where row groups begin (morsels, as in Leis et al., SIGMOD
//! 2014). Towards the end of the queue they get smaller (guided self-scheduling, Polychronopoulos and Kuck, IEEE
//! Transactions on Computers 1987), so that the partitions end together.
//!
//! Where exactly a share is cut decides about time only: a row group is read with the piece that it begins in, and the
//! pieces of a share are that share.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::footers::{Footers, can_be_cut, start};
use super::rules::{PhysicalRule, before_last, ours};

/// Pieces for each partition, if all were as large as the first. What a piece costs beyond its rows is 0.1 to 0.2 ms.
const PIECES: usize = 8;
/// The last pieces are no smaller than this part of the first.
const LEAST_PART: i64 = 4;

/// Cuts the shares of scans at row groups, as the footers tell them that the session has read to plan the query. Files
/// without a footer there stay as they are, as do files of the network, whose row groups cost requests.
#[derive(Debug)]
pub struct ScanPieces {
    footers: Footers,
}

/// The stock rules, with [`ScanPieces`] before what wants plans as they stay: operators know each other by then.
pub fn with_scan_pieces(rules: Vec<PhysicalRule>, footers: Arc<FileMetadataCache>) -> Vec<PhysicalRule> {
    before_last(rules, Arc::new(ScanPieces { footers: Footers::new(footers) }))
}

impl PhysicalOptimizerRule for ScanPieces {
    fn name(&self) -> &str {
        "scan_pieces"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let is_on = ours(config).is_some_and(|options| options.scan_pieces);
        if !is_on || !config.execution.enable_file_stream_work_stealing {
            return Ok(plan);
        }
        self.cut(&plan, false)
    }
}

impl ScanPieces {
    /// The scan below a sort of which the first rows are wanted reads the row groups that promise most first, which it
    /// can only choose from the whole share.
    fn cut(&self, plan: &Arc<dyn ExecutionPlan>, is_ranked: bool) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
            let cut = if is_ranked { None } else { self.in_pieces(scan) };
            return Ok(cut.unwrap_or_else(|| Arc::clone(plan)));
        }
        let children = plan.children();
        let is_first = plan.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_some());
        let is_ranked = is_first || is_ranked && children.len() == 1;
        let cut = children.into_iter().map(|child| self.cut(child, is_ranked)).collect::<Result<_>>()?;
        replace_children_if_necessary(Arc::clone(plan), cut)
    }

    /// A scan in pieces; `None` if it stays as it is.
    fn in_pieces(&self, scan: &DataSourceExec) -> Option<Arc<dyn ExecutionPlan>> {
        let config = scan.data_source().downcast_ref::<FileScanConfig>()?;
        // Partitions that promise an order or which rows they have do not take from each other.
        if config.preserve_order || !can_be_cut(config) {
            return None;
        }
        let files = || config.file_groups.iter().flat_map(FileGroup::iter);
        let wanted = config.file_groups.len() * PIECES;
        if config.file_groups.len() < 2 || files().count() >= wanted {
            return None;
        }
        let bytes: u64 = files().map(PartitionedFile::effective_size).sum();
        let mut sizes = Sizes::new(i64::try_from(bytes).ok()?, i64::try_from(config.file_groups.len()).ok()?);
        let groups = config.file_groups.iter().map(|group| {
            let pieces = group.iter().flat_map(|file| self.pieces(file, &mut sizes)).collect();
            let cut = FileGroup::new(pieces);
            match group.file_statistics(None) {
                Some(statistics) => cut.with_statistics(Arc::new(statistics.clone())),
                None => cut,
            }
        });
        let groups = groups.collect();
        let cut = FileScanConfigBuilder::from(config.clone()).with_file_groups(groups).build();
        Some(Arc::new(scan.clone().with_data_source(Arc::new(cut))))
    }

    /// A share of a file in pieces of these sizes, or of one row group where that is larger.
    fn pieces(&self, file: &PartitionedFile, sizes: &mut Sizes) -> Vec<PartitionedFile> {
        let whole = || FileRange { start: 0, end: i64::try_from(file.object_meta.size).unwrap_or(i64::MAX) };
        let range = file.range.clone().unwrap_or_else(whole);
        let Some(footer) = self.footers.of(file) else {
            sizes.take(&range);
            return vec![file.clone()];
        };
        let starts = footer.row_groups().iter().filter_map(start);
        let pieces = cut(&range, starts, sizes).into_iter();
        pieces.map(|piece| PartitionedFile { range: Some(piece), ..file.clone() }).collect()
    }
}

/// How large the next piece of a scan is: an equal part of the whole, and less when little is left to share.
struct Sizes {
    largest: i64,
    left: i64,
    partitions: i64,
}

impl Sizes {
    /// The pieces of so many bytes, more than none of partitions.
    fn new(bytes: i64, partitions: i64) -> Self {
        let pieces = partitions.saturating_mul(i64::try_from(PIECES).unwrap_or(i64::MAX));
        Self { largest: bytes / pieces, left: bytes, partitions }
    }

    /// The least bytes of the next piece: half of what would be a partition's share of the rest.
    fn next(&self) -> i64 {
        (self.left / (2 * self.partitions)).clamp(self.largest / LEAST_PART, self.largest)
    }

    fn take(&mut self, piece: &FileRange) {
        self.left -= piece.end - piece.start;
    }
}

/// A range in pieces that follow each other: a new one begins where a row group does, once the last has its bytes.
fn cut(range: &FileRange, starts: impl Iterator<Item = i64>, sizes: &mut Sizes) -> Vec<FileRange> {
    let mut pieces = Vec::new();
    let mut begin = range.start;
    let mut add = |begin, end, sizes: &mut Sizes| {
        let piece = FileRange { start: begin, end };
        sizes.take(&piece);
        pieces.push(piece);
    };
    let mut starts: Vec<i64> = starts.filter(|at| (range.start..range.end).contains(at)).collect();
    starts.sort_unstable();
    // What is before the first row group is nothing to read.
    for at in starts.into_iter().skip(1) {
        if at - begin >= sizes.next() {
            add(begin, at, sizes);
            begin = at;
        }
    }
    add(begin, range.end, sizes);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a range where much is left to share.
    fn pieces(range: (i64, i64), starts: &[i64], bytes: i64) -> Vec<(i64, i64)> {
        pieces_of(range, starts, &mut Sizes { largest: bytes, left: i64::MAX, partitions: 1 })
    }

    fn pieces_of(range: (i64, i64), starts: &[i64], sizes: &mut Sizes) -> Vec<(i64, i64)> {
        let range = FileRange { start: range.0, end: range.1 };
        let cut = cut(&range, starts.iter().copied(), sizes);
        cut.into_iter().map(|piece| (piece.start, piece.end)).collect()
    }

    #[test]
    fn pieces_begin_where_row_groups_do() {
        assert_eq!(pieces((0, 100), &[4, 30, 55, 80], 20), [(0, 30), (30, 55), (55, 80), (80, 100)]);
    }

    #[test]
    fn small_row_groups_share_a_piece() {
        assert_eq!(pieces((0, 100), &[4, 14, 24, 34, 44, 90], 25), [(0, 34), (34, 90), (90, 100)]);
    }

    #[test]
    fn row_groups_of_other_shares_cut_nothing() {
        assert_eq!(pieces((50, 100), &[4, 30, 55, 80, 100], 1), [(50, 80), (80, 100)]);
    }

    #[test]
    fn a_share_of_one_row_group_or_none_stays_whole() {
        assert_eq!(pieces((0, 100), &[4], 1), [(0, 100)]);
        assert_eq!(pieces((60, 100), &[4], 1), [(60, 100)]);
    }

    #[test]
    fn order_of_row_groups_in_the_footer_does_not_matter() {
        assert_eq!(pieces((0, 100), &[80, 4, 30], 1), [(0, 30), (30, 80), (80, 100)]);
    }

    #[test]
    fn the_last_pieces_are_small() {
        let starts: Vec<i64> = (0..100).map(|group| group * 8).collect();
        let mut sizes = Sizes::new(1_600, 2);
        let first = pieces_of((0, 800), &starts, &mut sizes);
        assert!(first.iter().all(|(from, to)| to - from == 104 || *to == 800), "{first:?}");
        let starts: Vec<i64> = (100..200).map(|group| group * 8).collect();
        let last: Vec<i64> =
            pieces_of((800, 1_600), &starts, &mut sizes).into_iter().map(|(from, to)| to - from).collect();
        assert!(last.is_sorted_by(|a, b| a >= b), "{last:?}");
        assert_eq!((last.first(), last.last()), (Some(&104), Some(&24)), "{last:?}");
        assert_eq!(last.iter().sum::<i64>(), 800);
        assert_eq!(sizes.left, 0);
    }
}
