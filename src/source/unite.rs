//! The columns of several files as one schema, by name.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::common::Result;

use crate::error::FileError;

/// One schema for all files: every column that some file has, in order of first appearance.
///
/// Types widen from integer to float, from date to timestamp, and within a kind (shorter to longer
/// integers, coarser to finer time units). A column that some file lacks is nullable, and so is every
/// column of more than one file. A column that no file gives a type (all its values are missing) is text.
///
/// # Errors
/// Two types of one column that do not widen; names the column and both files.
pub(super) fn unite<'a>(files: impl IntoIterator<Item = (&'a str, &'a SchemaRef)>) -> Result<SchemaRef> {
    let mut columns: Vec<(FieldRef, &str)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut metadata = None;
    let mut count = 0;
    for (file, schema) in files {
        count += 1;
        metadata.get_or_insert_with(|| schema.metadata().clone());
        for field in schema.fields() {
            let Some(&place) = places.get(field.name()) else {
                places.insert(field.name().clone(), columns.len());
                columns.push((Arc::clone(field), file));
                continue;
            };
            let (known, first) = &mut columns[place];
            if known.data_type() == field.data_type() {
                continue;
            }
            let Some(wider) = wider(known.data_type(), field.data_type()) else {
                return Err(conflict(field, file, known, first).into());
            };
            if known.data_type().is_null() {
                *first = file;
            }
            *known = Arc::new(known.as_ref().clone().with_data_type(wider));
        }
    }
    let fields = columns.into_iter().map(|(field, _)| {
        let field = Field::clone(&field);
        let nullable = field.is_nullable() || count > 1;
        let kind = if field.data_type().is_null() { DataType::Utf8 } else { field.data_type().clone() };
        field.with_data_type(kind).with_nullable(nullable)
    });
    Ok(Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata.unwrap_or_default())))
}

fn conflict(field: &Field, file: &str, known: &Field, first: &str) -> FileError {
    let trouble = format!(
        "its column '{}' is {}, but {} in '{first}'",
        field.name(),
        field.data_type(),
        known.data_type()
    );
    FileError::new(file, trouble).with_help("read the files apart and cast: SELECT … UNION ALL SELECT …")
}

/// The type that holds the values of both, if there is one.
pub(super) fn wider(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Date32, Date64, Decimal128, Dictionary, List, Null, Struct, Timestamp};
    match (left, right) {
        (same, other) if same == other => Some(same.clone()),
        (Null, other) | (other, Null) => Some(other.clone()),
        (Dictionary(_, value), other) | (other, Dictionary(_, value)) => wider(value, other),
        (left, right) if is_text(left) && is_text(right) => Some(DataType::Utf8View),
        (left, right) if is_binary(left) && is_binary(right) => Some(DataType::BinaryView),
        (left, right) if left.is_integer() && right.is_integer() => wider_integer(left, right),
        (left, right) if left.is_floating() && right.is_floating() => Some(wider_float(left, right)),
        (left, right) if left.is_integer() && right.is_floating() => Some(DataType::Float64),
        (left, right) if left.is_floating() && right.is_integer() => Some(DataType::Float64),
        (Decimal128(p, s), Decimal128(q, r)) => {
            let scale = *s.max(r);
            let whole = (i16::from(*p) - i16::from(*s)).max(i16::from(*q) - i16::from(*r));
            let precision = u8::try_from(whole + i16::from(scale)).ok()?;
            (precision <= 38).then_some(Decimal128(precision, scale))
        }
        (Date32, Date64) | (Date64, Date32) => Some(Date64),
        (Date32 | Date64, Timestamp(unit, zone)) | (Timestamp(unit, zone), Date32 | Date64) => {
            Some(Timestamp(*unit, zone.clone()))
        }
        (Timestamp(left, zone), Timestamp(right, other)) if zone == other => {
            Some(Timestamp(finer(*left, *right), zone.clone()))
        }
        (Struct(left), Struct(right)) => wider_struct(left, right).map(Struct),
        (List(left), List(right)) => {
            let item = wider(left.data_type(), right.data_type())?;
            Some(List(Arc::new(left.as_ref().clone().with_data_type(item).with_nullable(true))))
        }
        _ => None,
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_binary(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn wider_integer(left: &DataType, right: &DataType) -> Option<DataType> {
    let size = |kind: &DataType| kind.primitive_width().unwrap_or(8);
    let (larger, smaller) = if size(left) >= size(right) { (left, right) } else { (right, left) };
    match (larger.is_signed_integer(), smaller.is_signed_integer()) {
        (true, true) | (false, false) => Some(larger.clone()),
        (true, false) if size(larger) > size(smaller) => Some(larger.clone()),
        // The next signed type holds both, where there is one.
        (true, false) | (false, true) => match size(larger) {
            1 => Some(DataType::Int16),
            2 => Some(DataType::Int32),
            4 => Some(DataType::Int64),
            _ => None,
        },
    }
}

fn wider_float(left: &DataType, right: &DataType) -> DataType {
    match (left, right) {
        (DataType::Float64, _) | (_, DataType::Float64) => DataType::Float64,
        _ => DataType::Float32,
    }
}

fn finer(left: TimeUnit, right: TimeUnit) -> TimeUnit {
    // The order of the variants is from coarse to fine.
    left.max(right)
}

fn wider_struct(left: &Fields, right: &Fields) -> Option<Fields> {
    let mut fields: Vec<FieldRef> = left.iter().map(Arc::clone).collect();
    for field in right {
        match fields.iter_mut().find(|known| known.name() == field.name()) {
            Some(known) => {
                let kind = wider(known.data_type(), field.data_type())?;
                *known = Arc::new(known.as_ref().clone().with_data_type(kind).with_nullable(true));
            }
            None => fields.push(Arc::new(field.as_ref().clone().with_nullable(true))),
        }
    }
    Some(fields.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
        let fields = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), false));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    #[test]
    fn columns_are_united_by_name() {
        let first = schema(&[("a", DataType::Int64), ("b", DataType::Utf8)]);
        let second = schema(&[("c", DataType::Boolean), ("a", DataType::Float64)]);
        let united = unite([("x", &first), ("y", &second)]).unwrap();
        let shown: Vec<_> =
            united.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
        assert_eq!(shown, [("a", DataType::Float64), ("b", DataType::Utf8), ("c", DataType::Boolean)]);
        assert!(united.fields().iter().all(|field| field.is_nullable()));
    }

    #[test]
    fn one_file_keeps_its_schema() {
        let only = schema(&[("a", DataType::Int64)]);
        assert_eq!(unite([("x", &only)]).unwrap(), only);
        assert_eq!(
            unite([("x", &schema(&[("n", DataType::Null)]))]).unwrap().field(0).data_type(),
            &DataType::Utf8
        );
    }

    #[test]
    fn a_conflict_names_column_and_files() {
        let (first, second) = (schema(&[("a", DataType::Int64)]), schema(&[("a", DataType::Utf8)]));
        let error = unite([("x.csv", &first), ("y.csv", &second)]).unwrap_err().to_string();
        assert!(["'a'", "'x.csv'", "'y.csv'"].iter().all(|part| error.contains(part)), "{error}");
    }

    #[test]
    fn what_widens_and_what_does_not() {
        use DataType::{Date32, Float32, Float64, Int8, Int32, Int64, UInt8, UInt64, Utf8};
        let second = DataType::Timestamp(TimeUnit::Second, None);
        let nano = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let zoned = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
        let cases = [
            (Int8, Int64, Some(Int64)),
            (UInt8, Int8, Some(DataType::Int16)),
            (UInt8, Int32, Some(Int32)),
            (UInt64, Int64, None),
            (Int64, Float32, Some(Float64)),
            (Date32, nano.clone(), Some(nano.clone())),
            (second.clone(), nano.clone(), Some(nano)),
            (second, zoned, None),
            (Int64, Utf8, None),
            (Int64, Date32, None),
            (DataType::Boolean, Int64, None),
            (DataType::Null, Int64, Some(Int64)),
            (DataType::Decimal128(8, 2), DataType::Decimal128(6, 4), Some(DataType::Decimal128(10, 4))),
        ];
        for (left, right, expected) in cases {
            assert_eq!(wider(&left, &right), expected, "{left} and {right}");
            assert_eq!(wider(&right, &left), expected, "{right} and {left}");
        }
    }
}
