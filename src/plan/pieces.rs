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
//! A row group that is more than the next piece should be is cut into ranges of rows (`row_groups`).
//!
//! Where exactly a share is cut decides about time only: a row group is read with the piece that it begins in, or each
//! of its rows with one of its ranges, and the pieces of a share are that share.

mod row_groups;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use self::row_groups::{PAGE_ROWS, Pages, RowGroup, access};
use super::footers::{Footers, can_be_cut};
use super::rules::{PhysicalRule, before_last, ours};
use crate::config::Applied;

/// Pieces for each partition, if all were as large as the first. What a piece costs beyond its rows is 0.1 to 0.2 ms.
const PIECES: usize = 8;
/// The last pieces are no smaller than this part of the first.
const LEAST_PART: i64 = 4;
/// Ranges of each row group if all are cut.
const PARTS_ALWAYS: i64 = 5;
/// What a range costs beyond its rows and its dictionaries, as bytes of a file that are decoded meanwhile.
const RANGE_BYTES: i64 = 64 << 10;
/// The same where pages may be as large as writers make them by default: a range decodes part of one for nothing, and
/// the other threads may have something else to do.
const PAGE_BYTES: i64 = 1 << 20;
/// The most bytes that the ranges of a row group may take together where each takes all of it.
const MOST_HELD: i64 = 256 << 20;

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
        let applied = ours(config).map_or(Applied::Off, |options| options.scan_pieces);
        if applied == Applied::Off || !config.execution.enable_file_stream_work_stealing {
            return Ok(plan);
        }
        Cutter { footers: &self.footers, is_always: applied == Applied::Always }.cut(&plan, false)
    }
}

/// What cuts the scans of a plan.
struct Cutter<'rule> {
    footers: &'rule Footers,
    /// Whether each row group is cut that can be, for tests.
    is_always: bool,
}

impl Cutter<'_> {
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
        let bytes = i64::try_from(bytes).ok()?;
        let partitions = i64::try_from(config.file_groups.len()).ok()?;
        let row_groups = files().map(|file| match self.footers.of(file) {
            Some(footer) => RowGroup::all(&footer, &range(file), |_| true).len(),
            None => 1,
        });
        let row_groups = i64::try_from(row_groups.sum::<usize>()).ok()?;
        let mut sizes = Sizes { is_always: self.is_always, ..Sizes::new(bytes, partitions, row_groups) };
        let read = read(config);
        let groups = config.file_groups.iter().map(|group| {
            let pieces = group.iter().flat_map(|file| self.pieces(file, read.as_ref(), &mut sizes)).collect();
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

    /// A share of a file, of which these columns are read, in pieces of these sizes.
    fn pieces(
        &self,
        file: &PartitionedFile,
        read: Option<&HashSet<String>>,
        sizes: &mut Sizes,
    ) -> Vec<PartitionedFile> {
        let range = range(file);
        let footer = self.footers.of(file).filter(|_| !is_chosen(file));
        let Some(footer) = footer else {
            sizes.take(range.end - range.start);
            return vec![file.clone()];
        };
        let piece = |Piece { range, rows }| {
            let piece = PartitionedFile { range: Some(range), ..file.clone() };
            match rows {
                Some((row_group, rows)) => piece.with_extension(access(&footer, row_group, rows)),
                None => piece,
            }
        };
        let row_groups = RowGroup::all(&footer, &range, |name| read.is_none_or(|read| read.contains(name)));
        cut(&range, &row_groups, sizes).into_iter().map(piece).collect()
    }
}

/// The bytes of a file that are read as one.
fn range(file: &PartitionedFile) -> FileRange {
    let whole = || FileRange { start: 0, end: i64::try_from(file.object_meta.size).unwrap_or(i64::MAX) };
    file.range.clone().unwrap_or_else(whole)
}

/// The columns of files that a scan reads; `None` if it reads all.
fn read(config: &FileScanConfig) -> Option<HashSet<String>> {
    let source = config.file_source();
    let projected = source.projection()?.iter().map(|projected| Arc::clone(&projected.expr));
    let columns = projected.chain(source.filter()).flat_map(|read| collect_columns(&read));
    Some(columns.map(|column| column.name().to_owned()).collect())
}

/// Whether somebody has chosen rows of the file already.
fn is_chosen(file: &PartitionedFile) -> bool {
    file.extension::<ParquetAccessPlan>().is_some() || file.extension::<ParquetRowSelection>().is_some()
}

/// How large the next piece of a scan is: an equal part of the whole, and less when little is left to share.
struct Sizes {
    largest: i64,
    left: i64,
    partitions: i64,
    row_groups: i64,
    is_always: bool,
}

impl Sizes {
    /// The pieces of so many bytes in so many row groups, for more partitions than none.
    fn new(bytes: i64, partitions: i64, row_groups: i64) -> Self {
        let pieces = partitions.saturating_mul(i64::try_from(PIECES).unwrap_or(i64::MAX));
        Self {
            largest: bytes / pieces,
            left: bytes,
            partitions,
            row_groups: row_groups.max(1),
            is_always: false,
        }
    }

    /// Half of what would be a partition's share of the rest.
    fn share(&self) -> i64 {
        (self.left / (2 * self.partitions)).max(self.largest / LEAST_PART)
    }

    /// The least bytes of the next piece.
    fn next(&self) -> i64 {
        self.share().min(self.largest)
    }

    /// How many ranges of rows a row group is cut into; 1 leaves it whole. As each costs something, those are not the
    /// pieces that would be cut between row groups, but shares.
    ///
    /// Each range decodes the dictionaries of its columns, and has at least as much else to do. For numbers that are
    /// all different a writer begins a dictionary as well, and gives it up at 1 MB.
    ///
    /// Without the places of its pages each range takes all bytes, and where there may be few pages each reads on from
    /// the start of one that others need as well: that is for partitions which would have nothing to do.
    fn parts(&self, group: &RowGroup<'_>) -> i64 {
        if self.is_always {
            return group.rows.clamp(1, PARTS_ALWAYS);
        }
        let share = self.share().max(1);
        let shares = group.bytes.saturating_add(share / 2) / share;
        let held = MOST_HELD / group.read.max(1);
        let (parts, cost) = match group.pages {
            Pages::Known(_) => (shares, RANGE_BYTES),
            Pages::Indexed => (shares.min(held), RANGE_BYTES),
            Pages::Unknown => ((self.partitions / self.row_groups).min(held), PAGE_BYTES),
        };
        let worth = group.read.saturating_sub(group.dictionaries) / group.dictionaries.saturating_add(cost);
        parts.min(worth).min(group.rows / PAGE_ROWS).max(1)
    }

    fn take(&mut self, bytes: i64) {
        self.left = self.left.saturating_sub(bytes);
    }
}

/// A piece of a file: the row groups that begin in a range of it, or some rows of the only one that does.
struct Piece {
    range: FileRange,
    /// The number of the row group, and which of its rows.
    rows: Option<(usize, Range<i64>)>,
}

/// A range in pieces that follow each other: a new one begins where a row group does, once the last has its bytes.
/// Pieces of one row group have the range that it begins in, and rows that follow each other.
fn cut(range: &FileRange, row_groups: &[RowGroup<'_>], sizes: &mut Sizes) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut begin = range.start;
    // The bytes of the row groups since then, if there is one.
    let mut open = None;
    for (at, group) in row_groups.iter().enumerate() {
        let is_full = open.is_some_and(|bytes| bytes >= sizes.next());
        let parts = sizes.parts(group);
        if open.is_some() && (is_full || parts > 1) {
            pieces.push(Piece { range: FileRange { start: begin, end: group.start }, rows: None });
            begin = group.start;
            open = None;
        }
        sizes.take(group.bytes);
        if parts == 1 {
            open = Some(open.unwrap_or(0_i64).saturating_add(group.bytes));
            continue;
        }
        let end = row_groups.get(at + 1).map_or(range.end, |next| next.start);
        let ranges = group.ranges(parts).into_iter();
        pieces.extend(
            ranges.map(|rows| Piece {
                range: FileRange { start: begin, end },
                rows: Some((group.index, rows)),
            }),
        );
        begin = end;
    }
    if open.is_some() || pieces.is_empty() {
        pieces.push(Piece { range: FileRange { start: begin, end: range.end }, rows: None });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a range where much is left to share.
    fn pieces(range: (i64, i64), starts: &[i64], bytes: i64) -> Vec<(i64, i64)> {
        let mut sizes =
            Sizes { largest: bytes, left: i64::MAX, partitions: 1, row_groups: 1, is_always: false };
        pieces_of(range, starts, &mut sizes)
    }

    /// The pieces of a range with row groups that follow each other, and have too few rows to be cut.
    fn pieces_of(range: (i64, i64), starts: &[i64], sizes: &mut Sizes) -> Vec<(i64, i64)> {
        let ends = starts.iter().copied().skip(1).chain([range.1]);
        let groups: Vec<_> =
            starts.iter().zip(ends).map(|(start, end)| group(*start, end - start, 1)).collect();
        let range = FileRange { start: range.0, end: range.1 };
        let pieces = cut(&range, &groups, sizes).into_iter();
        let whole = pieces.map(|piece| match piece {
            Piece { range, rows: None } => (range.start, range.end),
            Piece { rows, .. } => panic!("{rows:?} of a row group"),
        });
        whole.collect()
    }

    fn group(start: i64, bytes: i64, rows: i64) -> RowGroup<'static> {
        let index = usize::try_from(start).unwrap();
        RowGroup {
            index,
            start,
            bytes,
            read: MOST_HELD / 32,
            dictionaries: 0,
            rows,
            pages: Pages::Known(&[]),
        }
    }

    /// The pieces of row groups, 1000 bytes each: the number of the row group and how many rows, if not all, are in one.
    fn ranges(groups: &[RowGroup<'_>], partitions: i64) -> Vec<(usize, Option<i64>)> {
        let bytes = i64::try_from(groups.len()).unwrap() * 1000;
        let mut sizes = Sizes::new(bytes, partitions, i64::try_from(groups.len()).unwrap());
        let pieces = cut(&FileRange { start: 0, end: bytes }, groups, &mut sizes).into_iter();
        let pieces = pieces.map(|Piece { range, rows }| {
            let held: Vec<_> = groups.iter().filter(|group| range.contains(group.start)).collect();
            assert_eq!(held.len(), 1, "{range:?}");
            assert!(rows.as_ref().is_none_or(|(index, _)| *index == held[0].index));
            (held[0].index / 1000, rows.map(|(_, rows)| rows.end - rows.start))
        });
        pieces.collect()
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
    fn a_share_of_one_small_row_group_or_none_stays_whole() {
        assert_eq!(pieces((0, 100), &[4], 1), [(0, 100)]);
        assert_eq!(pieces((60, 100), &[], 1), [(60, 100)]);
    }

    #[test]
    fn the_last_pieces_are_small() {
        let starts: Vec<i64> = (0..100).map(|group| group * 8).collect();
        let mut sizes = Sizes::new(1_600, 2, 200);
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

    #[test]
    fn the_last_row_groups_are_cut_into_rows() {
        let groups: Vec<_> = (0..8).map(|at| group(at * 1000, 1000, 400_000)).collect();
        let whole = (0..6).map(|at| (at, None));
        let halves = [(6, Some(200_000)); 2];
        let quarters = [(7, Some(100_000)); 4];
        let expected: Vec<_> = whole.chain(halves).chain(quarters).collect();
        assert_eq!(ranges(&groups, 2), expected);
    }

    #[test]
    fn few_rows_are_not_cut() {
        let groups = [group(0, 1000, 2 * PAGE_ROWS - 1), group(1000, 1000, 2 * PAGE_ROWS)];
        assert_eq!(ranges(&groups, 8), [(0, None), (1, Some(PAGE_ROWS)), (1, Some(PAGE_ROWS))]);
    }

    #[test]
    fn row_groups_with_pages_of_any_size_are_cut_for_idle_partitions_only() {
        let groups =
            [0, 1, 2].map(|at| RowGroup { pages: Pages::Unknown, ..group(at * 1000, 1000, 400_000) });
        assert_eq!(ranges(&groups, 5), [(0, None), (1, None), (2, None)]);
        assert_eq!(ranges(&groups, 6).len(), 6);
    }

    #[test]
    fn a_range_has_more_to_decode_than_its_dictionaries() {
        let halves = RowGroup { read: 10 << 20, dictionaries: 3 << 20, ..group(0, 1000, 400_000) };
        assert_eq!(ranges(&[halves], 8), [(0, Some(200_000)); 2]);
        let whole = RowGroup { read: 10 << 20, dictionaries: 4 << 20, ..group(0, 1000, 400_000) };
        assert_eq!(ranges(&[whole], 8), [(0, None)]);
        let small = RowGroup { read: 2 * RANGE_BYTES - 1, ..group(0, 1000, 400_000) };
        assert_eq!(ranges(&[small], 8), [(0, None)]);
    }

    #[test]
    fn a_range_of_pages_of_any_size_has_more_to_decode_than_one() {
        let large = RowGroup { read: 2 * PAGE_BYTES, pages: Pages::Unknown, ..group(0, 1000, 400_000) };
        assert_eq!(ranges(&[large], 8), [(0, Some(200_000)); 2]);
        let small = RowGroup { read: 2 * PAGE_BYTES - 1, pages: Pages::Unknown, ..group(0, 1000, 400_000) };
        assert_eq!(ranges(&[small], 8), [(0, None)]);
    }

    #[test]
    fn ranges_do_not_hold_much_more_than_their_row_group() {
        let large = |pages| [RowGroup { read: MOST_HELD / 2, pages, ..group(0, 1000, 400_000) }];
        assert_eq!(ranges(&large(Pages::Unknown), 8), [(0, Some(200_000)); 2]);
        assert_eq!(ranges(&large(Pages::Indexed), 8), [(0, Some(200_000)); 2]);
        assert_eq!(ranges(&large(Pages::Known(&[])), 8), [(0, Some(25_000)); 16]);
    }
}
