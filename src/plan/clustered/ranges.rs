//! Where a column can be cut into ranges, as the footers of its files tell.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::parquet::basic::ConvertedType;
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use datafusion::parquet::file::statistics::Statistics;

use crate::plan::footers::start;

/// A range has no more rows than this many equal shares of them.
const LARGEST: f64 = 1.25;
/// A column by which rows are left out has to go over this part of its values in each range.
const SPREAD: f64 = 0.75;
/// With more rows for each value, groups are few: to shuffle them costs little.
const ROWS_PER_VALUE_MAX: i128 = 32;

/// A row group of a file, and what values it has of the column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RowGroup {
    pub(super) file: usize,
    /// The bytes that it is in; row groups that follow each other have a border in common.
    pub(super) begin: i64,
    pub(super) end: i64,
    pub(super) rows: i64,
    pub(super) least: i64,
    pub(super) most: i64,
    /// The least and the greatest value of each column by which rows are left out.
    pub(super) asked: Vec<(f64, f64)>,
}

/// Whether ranges can be told of a column of this type: whole numbers and days.
pub(super) fn is_key(kind: &DataType) -> bool {
    matches!(kind, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32)
}

/// The row groups of a file, without those that have no rows; `None` if one of them may have other values than its
/// footer tells, NULL among them.
pub(super) fn row_groups(
    at: usize,
    file: &PartitionedFile,
    footer: &ParquetMetaData,
    key: &Field,
    asked: &[&str],
) -> Option<Vec<RowGroup>> {
    let groups = footer.row_groups();
    let mut borders = groups.iter().map(start).collect::<Option<Vec<_>>>()?;
    borders.push(i64::try_from(file.object_meta.size).ok()?);
    if !borders.is_sorted_by(|a, b| a < b) {
        return None;
    }
    let place = |name: &str| {
        let mut columns = footer.file_metadata().schema_descr().columns().iter();
        columns.position(|column| matches!(column.path().parts(), [only] if only == name))
    };
    let key_place = place(key.name())?;
    let column = footer.file_metadata().schema_descr().column(key_place);
    let is_plain = match column.converted_type() {
        ConvertedType::NONE
        | ConvertedType::INT_8
        | ConvertedType::INT_16
        | ConvertedType::INT_32
        | ConvertedType::INT_64 => *key.data_type() != DataType::Date32,
        ConvertedType::DATE => *key.data_type() == DataType::Date32,
        _ => false,
    };
    if !is_plain || column.max_rep_level() > 0 {
        return None;
    }
    let asked = asked.iter().map(|name| place(name)).collect::<Option<Vec<_>>>()?;
    let found = groups.iter().zip(borders.windows(2)).filter(|(group, _)| group.num_rows() > 0);
    found
        .map(|(group, borders)| {
            let (least, most) = whole(statistics(group, key_place)?)?;
            let asked = asked.iter().map(|place| number(statistics(group, *place)?));
            let [begin, end] = *borders else { return None };
            let asked = asked.collect::<Option<_>>()?;
            Some(RowGroup { file: at, begin, end, rows: group.num_rows(), least, most, asked })
        })
        .collect()
}

fn statistics(group: &RowGroupMetaData, column: usize) -> Option<&Statistics> {
    group.columns().get(column)?.statistics()
}

/// The least and the greatest value of a column of whole numbers without NULLs.
fn whole(statistics: &Statistics) -> Option<(i64, i64)> {
    if statistics.null_count_opt() != Some(0) || statistics.is_min_max_deprecated() {
        return None;
    }
    match statistics {
        Statistics::Int32(of) => Some((i64::from(*of.min_opt()?), i64::from(*of.max_opt()?))),
        Statistics::Int64(of) => Some((*of.min_opt()?, *of.max_opt()?)),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "how far values are spread is a guess anyway")]
fn number(statistics: &Statistics) -> Option<(f64, f64)> {
    match statistics {
        Statistics::Int32(of) => Some((f64::from(*of.min_opt()?), f64::from(*of.max_opt()?))),
        Statistics::Int64(of) => Some((*of.min_opt()? as f64, *of.max_opt()? as f64)),
        Statistics::Float(of) => Some((f64::from(*of.min_opt()?), f64::from(*of.max_opt()?))),
        Statistics::Double(of) => Some((*of.min_opt()?, *of.max_opt()?)),
        _ => None,
    }
}

/// Row groups by ranges of the column, in its order, one for each partition; `None` where values of one row group lie
/// among those of another too often, or, unless `is_always`, where the ranges would not be worth it.
pub(super) fn ranges(
    mut groups: Vec<RowGroup>,
    partitions: usize,
    is_always: bool,
) -> Option<Vec<Vec<RowGroup>>> {
    groups.sort_by_key(|group| (group.least, group.most));
    let rows: i64 = groups.iter().map(|group| group.rows).sum();
    let least = groups.first()?.least;
    let most = groups.iter().map(|group| group.most).max()?;
    let values = i128::from(most) - i128::from(least) + 1;
    if !is_always && i128::from(rows) > values * ROWS_PER_VALUE_MAX {
        return None;
    }
    let shares = cut(groups, rows, partitions)?;
    (is_always || (are_alike(&shares, rows) && are_spread(&shares))).then_some(shares)
}

/// Cuts where greater values begin, as near as can be to where equal shares would end.
fn cut(groups: Vec<RowGroup>, rows: i64, partitions: usize) -> Option<Vec<Vec<RowGroup>>> {
    // Rows before each row group that has greater values only than all before it.
    let mut places = Vec::new();
    let (mut before, mut most) = (0, None);
    for (at, group) in groups.iter().enumerate() {
        if most.is_some_and(|most| group.least > most) {
            places.push((at, before));
        }
        before += group.rows;
        most = most.max(Some(group.most));
    }
    let wanted = i64::try_from(partitions).ok()?;
    let (mut shares, mut from) = (Vec::with_capacity(partitions), 0);
    let mut rest = groups.into_iter();
    for share in 1..wanted {
        // Places that the shares after this one need are left to them.
        let needed = usize::try_from(wanted - 1 - share).ok()?;
        let end = places.len().checked_sub(needed)?;
        let ideal = rows / wanted * share;
        let nearest = (from..end).min_by_key(|at| places[*at].1.abs_diff(ideal))?;
        let taken = places[nearest].0 - from.checked_sub(1).map_or(0, |last| places[last].0);
        shares.push(rest.by_ref().take(taken).collect());
        from = nearest + 1;
    }
    shares.push(rest.collect());
    Some(shares)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of rows")]
fn are_alike(shares: &[Vec<RowGroup>], rows: i64) -> bool {
    let equal = rows as f64 / shares.len() as f64;
    let has = |share: &[RowGroup]| share.iter().map(|group| group.rows).sum::<i64>() as f64;
    shares.iter().all(|share| has(share) <= equal * LARGEST)
}

/// Whether every range has nearly all values of the columns by which rows are left out.
fn are_spread(shares: &[Vec<RowGroup>]) -> bool {
    let columns = shares.iter().flatten().next().map_or(0, |group| group.asked.len());
    (0..columns).all(|column| {
        let whole = width(shares.iter().flatten(), column);
        shares.iter().all(|share| width(share.iter(), column) >= whole * SPREAD)
    })
}

/// How far the values of a column go.
fn width<'a>(groups: impl Iterator<Item = &'a RowGroup>, column: usize) -> f64 {
    let values = groups.filter_map(|group| group.asked.get(column));
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), (low, high)| {
        (least.min(*low), most.max(*high))
    });
    most - least
}

#[cfg(test)]
mod tests;
