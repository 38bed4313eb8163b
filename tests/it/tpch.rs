//! The 22 TPC-H queries at scale factor 0.1, against the answers of DuckDB over the same data.

use std::fs::{self, File};
use std::path::Path;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use query::Session;
use query::config::Applied;
use tpchgen::generators as gen_;
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

use crate::engine::{self, Answer, Way};

pub(crate) const SCALE: f64 = 0.1;
/// Relative difference of floats that comes from summing in another order.
const FLOAT_TOLERANCE: f64 = 1e-9;
/// Orders of tasks on `inline`.
const INLINE_SEEDS: u64 = 3;

fn write<B>(folder: &Path, name: &str, row_group: usize, batches: impl Iterator<Item = B>)
where
    B: IntoBatch,
{
    let mut batches = batches.map(IntoBatch::into_batch).peekable();
    let schema = batches.peek().unwrap().schema();
    let file = File::create(folder.join(format!("{name}.parquet"))).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(row_group)).build();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).unwrap();
    batches.for_each(|batch| writer.write(&batch).unwrap());
    writer.close().unwrap();
}

/// The generators give batches, or results of batches.
trait IntoBatch {
    fn into_batch(self) -> RecordBatch;
}

impl IntoBatch for RecordBatch {
    fn into_batch(self) -> RecordBatch {
        self
    }
}

impl<E: std::fmt::Debug> IntoBatch for Result<RecordBatch, E> {
    fn into_batch(self) -> RecordBatch {
        self.unwrap()
    }
}

/// Writes the eight tables at a scale, a Parquet file of one row group each.
pub(crate) fn generate(folder: &Path, scale: f64) {
    generate_in_groups(folder, scale, 1 << 20);
}

/// Writes the eight tables at a scale, in row groups of so many rows.
pub(crate) fn generate_in_groups(folder: &Path, scale: f64, rows: usize) {
    write(folder, "region", rows, RegionArrow::new(gen_::RegionGenerator::new(scale, 1, 1)));
    write(folder, "nation", rows, NationArrow::new(gen_::NationGenerator::new(scale, 1, 1)));
    write(folder, "supplier", rows, SupplierArrow::new(gen_::SupplierGenerator::new(scale, 1, 1)));
    write(folder, "customer", rows, CustomerArrow::new(gen_::CustomerGenerator::new(scale, 1, 1)));
    write(folder, "part", rows, PartArrow::new(gen_::PartGenerator::new(scale, 1, 1)));
    write(folder, "partsupp", rows, PartSuppArrow::new(gen_::PartSuppGenerator::new(scale, 1, 1)));
    write(folder, "orders", rows, OrderArrow::new(gen_::OrderGenerator::new(scale, 1, 1)));
    write(folder, "lineitem", rows, LineItemArrow::new(gen_::LineItemGenerator::new(scale, 1, 1)));
}

/// A file of `testdata/tpch/sf0.1`: names, types, rows. Text is quoted there, NULL is nothing at all.
struct Expected {
    names: Vec<String>,
    types: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl Expected {
    fn read(query: usize) -> Self {
        let text = fs::read_to_string(format!("testdata/tpch/sf0.1/q{query}.csv")).unwrap();
        let mut lines = text.lines().map(fields);
        let mut words = || lines.next().unwrap().into_iter().map(Option::unwrap).collect::<Vec<_>>();
        let (names, types) = (words(), words());
        Self { names, types, rows: lines.collect() }
    }
}

fn fields(line: &str) -> Vec<Option<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let mut end = 0;
                while quoted[end..].starts_with("\"\"") || !quoted[end..].starts_with('"') {
                    let step = if quoted[end..].starts_with('"') { 2 } else { 1 };
                    end += quoted[end..].chars().take(step).map(char::len_utf8).sum::<usize>();
                }
                (Some(quoted[..end].replace("\"\"", "\"")), &quoted[end + 1..])
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                ((end > 0).then(|| rest[..end].to_string()), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return fields,
        }
    }
}

/// Whether a value is the expected one, by the rules that fit the pair of types.
fn same(actual: &str, kind: &DataType, expected: &str, expected_type: &str) -> bool {
    let is_decimal = |text: &str| text.starts_with("DECIMAL");
    match (kind, expected_type) {
        (DataType::Decimal128(..), other) if is_decimal(other) => actual == expected,
        (DataType::Decimal128(_, scale), "DOUBLE") => {
            let unit = 10f64.powi(-i32::from(*scale));
            (number(actual) - number(expected)).abs() <= unit
        }
        (DataType::Float64, other) if is_decimal(other) => {
            let places = expected.split_once('.').map_or(0, |(_, digits)| digits.len());
            (number(actual) - number(expected)).abs() <= 10f64.powi(-i32::try_from(places).unwrap())
        }
        (DataType::Float64, "DOUBLE") => {
            let (actual, expected) = (number(actual), number(expected));
            (actual - expected).abs() <= FLOAT_TOLERANCE * expected.abs().max(actual.abs())
        }
        _ => actual == expected,
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

#[test]
fn all_queries_answer_as_duckdb_does_on_every_engine() {
    let local = engine::PARTITIONS.map(Way::local);
    answers([Way::stock(2)].into_iter().chain(local).chain((0..INLINE_SEEDS).map(Way::inline)));
}

#[test]
fn all_queries_answer_as_duckdb_does_whatever_they_share() {
    let always = [1, 2, 7, 16].map(|partitions| Way::local(partitions).sharing(Applied::Always));
    answers([Way::local(2).sharing(Applied::Off)].into_iter().chain(always));
}

#[test]
fn all_queries_answer_as_duckdb_does_whatever_they_broadcast() {
    let ways = |broadcast| [1, 2, 7, 16].map(|partitions| Way::local(partitions).broadcasting(broadcast));
    let seeds = (0..INLINE_SEEDS).map(|seed| Way::inline(seed).broadcasting(Applied::Always));
    answers([Applied::Off, Applied::Always].into_iter().flat_map(ways).chain(seeds));
}

#[test]
fn all_queries_answer_as_duckdb_does_whatever_rows_are_left_out_early() {
    let ways = |filters| [1, 2, 7, 16].map(|partitions| Way::local(partitions).filtering(filters));
    let shuffled = Way::local(3).broadcasting(Applied::Off).filtering(Applied::Always);
    let seeds = (0..INLINE_SEEDS).map(|seed| Way::inline(seed).filtering(Applied::Always));
    answers([Applied::Off, Applied::Always].into_iter().flat_map(ways).chain([shuffled]).chain(seeds));
}

#[test]
fn all_queries_answer_as_duckdb_does_whatever_scans_read_in_ranges() {
    let ways = |clustered| [2, 3, 7, 16].map(|partitions| Way::local(partitions).clustering(clustered));
    let seeds = (0..INLINE_SEEDS).map(|seed| Way::inline(seed).clustering(Applied::Always));
    // Of some orders the items are in two row groups.
    answers_of(5_000, [Applied::Off, Applied::Always].into_iter().flat_map(ways).chain(seeds));
}

#[test]
fn all_queries_answer_as_duckdb_does_whatever_rows_are_read_at_once() {
    let ways = |pieces| [2, 3, 7, 16].map(|partitions| Way::local(partitions).cutting(pieces));
    let seeds = (0..INLINE_SEEDS).map(|seed| Way::inline(seed).cutting(Applied::Always));
    answers([Applied::Off, Applied::Always].into_iter().flat_map(ways).chain(seeds));
}

fn answers(ways: impl IntoIterator<Item = Way>) {
    answers_of(1 << 20, ways);
}

fn answers_of(row_group: usize, ways: impl IntoIterator<Item = Way>) {
    let room = tempfile::tempdir().unwrap();
    generate_in_groups(room.path(), SCALE, row_group);
    let runtime = engine::runtime();
    let mut wrong = Vec::new();
    for way in ways {
        let session = runtime.block_on(session(way, room.path()));
        for query in 1..=22 {
            let sql = fs::read_to_string(format!("queries/tpch/q{query}.sql")).unwrap();
            let answer = runtime.block_on(engine::run(&session, &sql));
            wrong.extend(compare(query, answer).map(|difference| format!("Q{query}, {way}: {difference}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A session with the tables of a folder.
pub(crate) async fn session(way: Way, folder: &Path) -> Session {
    let session = way.session().await.unwrap();
    add_tables(&session, folder).await;
    session
}

/// Makes the tables of a folder known; queries may lie beside them.
pub(crate) async fn add_tables(session: &Session, folder: &Path) {
    for file in glob::glob(&format!("{}/*.parquet", folder.display())).unwrap() {
        let path = file.unwrap();
        let (name, path) = (path.file_stem().unwrap().to_str().unwrap(), path.display());
        let sql = format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{path}'");
        engine::run(session, &sql).await.unwrap();
    }
}

/// Rows are compared in order: at this scale each query's ORDER BY leaves no two rows equal
/// (`testdata/tpch/README.md`), and a query without one has one row.
pub(crate) fn compare(query: usize, answer: query::Result<Answer>) -> Option<String> {
    let (schema, batches) = match answer {
        Ok(Answer::Rows(schema, batches)) => (schema, batches),
        Ok(Answer::Count(_)) => return Some("gave no rows".into()),
        Err(error) => return Some(error.to_string()),
    };
    let expected = Expected::read(query);
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
    if names != expected.names {
        return Some(format!("columns {names:?} instead of {:?}", expected.names));
    }
    let rows = engine::texts(&batches);
    if rows.len() != expected.rows.len() {
        return Some(format!("{} rows instead of {}", rows.len(), expected.rows.len()));
    }
    for (at, (actual, wanted)) in rows.iter().zip(&expected.rows).enumerate() {
        for (column, (actual, wanted)) in actual.iter().zip(wanted).enumerate() {
            let equal = match (actual, wanted) {
                (Some(actual), Some(wanted)) => {
                    same(actual, schema.field(column).data_type(), wanted, &expected.types[column])
                }
                (actual, wanted) => actual == wanted,
            };
            if !equal {
                return Some(format!("row {at}, {}: {actual:?} instead of {wanted:?}", names[column]));
            }
        }
    }
    None
}

#[test]
fn the_comparison_can_tell_values_apart() {
    let decimal = DataType::Decimal128(15, 2);
    assert!(same("1.10", &decimal, "1.10", "DECIMAL(38,2)"));
    assert!(!same("1.10", &decimal, "1.11", "DECIMAL(38,2)"));
    assert!(same("1.10", &decimal, "1.1049", "DOUBLE"));
    assert!(!same("1.10", &decimal, "1.1201", "DOUBLE"));
    assert!(same("1.0000000001", &DataType::Float64, "1.0", "DOUBLE"));
    assert!(!same("1.00000001", &DataType::Float64, "1.0", "DOUBLE"));
    assert!(!same("a", &DataType::Utf8View, "a ", "VARCHAR"));
    let parsed = fields("\"a,\"\"b\",,1.5,\"\"");
    assert_eq!(parsed, [Some("a,\"b".into()), None, Some("1.5".into()), Some(String::new())]);
}
