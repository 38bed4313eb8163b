//! Row groups, and ranges of their rows.
//!
//! A range is cut where pages begin, as far as that is known: of a page that two ranges share, each decompresses what
//! is before its rows. Their places are in the offset index, which is read with the first query that can leave out
//! pages; before, the footer says only that there is one.

use std::collections::BTreeMap;
use std::ops::Range;

use datafusion::datasource::listing::FileRange;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use datafusion::parquet::arrow::arrow_reader::RowSelection;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use datafusion::parquet::file::page_index::offset_index::OffsetIndexMetaData;

use crate::plan::footers::start;

/// The most rows of a page by default of those who write an offset index (parquet-rs, parquet-java, Arrow C++).
pub(super) const PAGE_ROWS: i64 = 20_000;

/// A row group as its file's footer has it.
pub(super) struct RowGroup<'footer> {
    /// Its number in the file.
    pub(super) index: usize,
    /// Where it begins.
    pub(super) start: i64,
    /// What its columns take in the file.
    pub(super) bytes: i64,
    /// What the columns take that are read, and the dictionaries of these.
    pub(super) read: i64,
    pub(super) dictionaries: i64,
    pub(super) rows: i64,
    pub(super) pages: Pages<'footer>,
}

/// What is known about the pages of a row group.
#[derive(Clone, Copy)]
pub(super) enum Pages<'footer> {
    /// Their places, for each column. Only those that are needed are read.
    Known(&'footer [OffsetIndexMetaData]),
    /// That there is an index of their places. All of them are read, and those that are not needed left as they are.
    Indexed,
    /// Nothing. A column may have a single one, which is decompressed for each range.
    Unknown,
}

impl<'footer> RowGroup<'footer> {
    /// Those that begin in a range of the file, in the order of the file, of which columns of such names are read.
    pub(super) fn all(
        footer: &'footer ParquetMetaData,
        range: &FileRange,
        is_read: impl Fn(&str) -> bool,
    ) -> Vec<Self> {
        let groups = footer.row_groups().iter().enumerate();
        let groups = groups.filter_map(|(index, group)| {
            let start = start(group).filter(|start| range.contains(*start))?;
            let is_read = |column: &&ColumnChunkMetaData| {
                column.column_path().parts().first().is_some_and(|name| is_read(name))
            };
            let read = || group.columns().iter().filter(is_read);
            Some(Self {
                index,
                start,
                bytes: sum(group.columns().iter().map(ColumnChunkMetaData::compressed_size)),
                read: sum(read().map(ColumnChunkMetaData::compressed_size)),
                dictionaries: sum(read().map(dictionary)),
                rows: group.num_rows(),
                pages: Pages::of(footer, index),
            })
        });
        let mut groups: Vec<Self> = groups.collect();
        groups.sort_unstable_by_key(|group| group.start);
        groups
    }

    /// Its rows in so many ranges that follow each other, each with at least one row if there are as many rows. Between
    /// two of them is the row nearest to equal parts at which most columns begin a page, or one that makes them equal.
    pub(super) fn ranges(&self, parts: i64) -> Vec<Range<i64>> {
        let mut begins: BTreeMap<i64, usize> = BTreeMap::new();
        if let Pages::Known(columns) = self.pages {
            for page in columns.iter().flat_map(OffsetIndexMetaData::page_locations) {
                *begins.entry(page.first_row_index).or_default() += 1;
            }
        }
        let end = |part: i64| {
            if part == parts {
                return self.rows;
            }
            let even = self.rows / parts * part;
            let half = self.rows / parts / 2;
            let near = even - half..even + half;
            let best = match self.pages {
                Pages::Known(_) => begins
                    .range(near)
                    .max_by_key(|(row, columns)| (**columns, -(*row - even).abs()))
                    .map(|(row, _)| *row),
                // As writers make them, where nobody has looked.
                Pages::Indexed => Some(even + PAGE_ROWS / 2 - (even + PAGE_ROWS / 2) % PAGE_ROWS)
                    .filter(|row| near.contains(row)),
                Pages::Unknown => None,
            };
            best.unwrap_or(even)
        };
        let mut begin = 0;
        let ends = (1..=parts).map(end);
        ends.map(|end| std::mem::replace(&mut begin, end)..end).collect()
    }
}

/// The sum of what a footer says, which may be anything.
fn sum(numbers: impl Iterator<Item = i64>) -> i64 {
    numbers.fold(0, i64::saturating_add)
}

impl<'footer> Pages<'footer> {
    fn of(footer: &'footer ParquetMetaData, row_group: usize) -> Self {
        let columns = footer.row_group(row_group).columns();
        let known = footer.offset_index().and_then(|index| index.get(row_group));
        let is_known = |pages: &&Vec<OffsetIndexMetaData>| {
            pages.len() == columns.len() && pages.iter().all(|pages| !pages.page_locations().is_empty())
        };
        match known.filter(is_known) {
            Some(places) => Self::Known(places),
            None if columns.iter().all(|column| column.offset_index_offset().is_some()) => Self::Indexed,
            None => Self::Unknown,
        }
    }
}

/// The bytes of a column's dictionary, which is in front of its pages.
fn dictionary(column: &ColumnChunkMetaData) -> i64 {
    let begin = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    column.data_page_offset().saturating_sub(begin).clamp(0, column.compressed_size().max(0))
}

/// How a range of rows of one row group is read, and nothing else of its file.
pub(super) fn access(footer: &ParquetMetaData, row_group: usize, rows: Range<i64>) -> ParquetAccessPlan {
    let all = footer.row_group(row_group).num_rows();
    let [start, end, all] = [rows.start, rows.end, all].map(|row| usize::try_from(row).unwrap_or_default());
    let mut plan = ParquetAccessPlan::new_none(footer.num_row_groups());
    let selection = RowSelection::from_consecutive_ranges(std::iter::once(start..end), all);
    plan.set(row_group, RowGroupAccess::Selection(selection));
    plan
}

#[cfg(test)]
mod tests {
    use datafusion::parquet::file::metadata::OffsetIndexBuilder;

    use super::*;

    /// The places of a column's pages with so many rows each.
    fn column(pages: &[i64]) -> OffsetIndexMetaData {
        let mut index = OffsetIndexBuilder::new();
        for rows in pages {
            index.append_row_count(*rows);
            index.append_offset_and_size(4, 100);
        }
        index.build()
    }

    fn ranges(rows: i64, pages: Pages<'_>, parts: i64) -> Vec<(i64, i64)> {
        let group = RowGroup { index: 0, start: 4, bytes: 100, read: 100, dictionaries: 0, rows, pages };
        group.ranges(parts).into_iter().map(|rows| (rows.start, rows.end)).collect()
    }

    #[test]
    fn ranges_are_equal_where_no_pages_are_known() {
        assert_eq!(ranges(100, Pages::Unknown, 3), [(0, 33), (33, 66), (66, 100)]);
        assert_eq!(ranges(100, Pages::Unknown, 1), [(0, 100)]);
        assert_eq!(ranges(3, Pages::Unknown, 3), [(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn ranges_begin_with_the_pages_of_most_columns() {
        let columns = [column(&[20, 20, 20, 20, 20]), column(&[28, 28, 28, 16]), column(&[40, 40, 20])];
        assert_eq!(ranges(100, Pages::Known(&columns), 2), [(0, 40), (40, 100)]);
        assert_eq!(ranges(100, Pages::Known(&columns), 4), [(0, 28), (28, 40), (40, 80), (80, 100)]);
    }

    #[test]
    fn pages_far_from_equal_parts_do_not_count() {
        assert_eq!(ranges(100, Pages::Known(&[column(&[20, 80])]), 2), [(0, 50), (50, 100)]);
        assert_eq!(ranges(100, Pages::Known(&[column(&[100])]), 2), [(0, 50), (50, 100)]);
    }

    #[test]
    fn pages_that_nobody_has_looked_at_are_as_writers_make_them() {
        assert_eq!(ranges(100_000, Pages::Indexed, 3), [(0, 40_000), (40_000, 60_000), (60_000, 100_000)]);
        assert_eq!(ranges(1_000, Pages::Indexed, 2), [(0, 500), (500, 1_000)]);
    }

    #[test]
    fn whatever_the_footer_says_each_row_is_in_one_range() {
        let wrong = [column(&[-70, 0, 500, 0]), column(&[i64::MAX]), column(&[1; 100])];
        for parts in 1..=100 {
            let mut next = 0;
            for (start, end) in ranges(100, Pages::Known(&wrong), parts) {
                assert!(start == next && end > start, "{parts} parts");
                next = end;
            }
            assert_eq!(next, 100, "{parts} parts");
        }
        // So many rows that their pages cannot be listed.
        assert_eq!(ranges(i64::MAX / 4, Pages::Indexed, 2).len(), 2);
        assert_eq!(sum([i64::MAX, i64::MAX].into_iter()), i64::MAX);
    }
}
