//! `row_hash(a, b, …)`: a hash of values that is the same in every run, release and machine.
//!
//! DataFusion hashes for its own tables: seeded by the processor's abilities, and another one for each
//! way of holding a text. Splits that are to be the same next year need one that is written down: FNV-1a of 64
//! bits (Fowler, Noll, Vo) over the values' bytes, and the finaliser of MurmurHash3 (Appleby) to spread it.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The function: any number of values of any types in, an unsigned integer out, never NULL.
///
/// Equal values have equal hashes whatever their width: 5 of 32 bits and 5 of 64, a text however it is
/// held. NULL is a value of its own. Types that are neither numbers, booleans, text nor bytes go by
/// their text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RowHash {
    signature: Signature,
}

impl Default for RowHash {
    fn default() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RowHash {
    fn name(&self) -> &str {
        "row_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut hashes = vec![OFFSET; args.number_rows];
        for argument in args.args {
            mix_column(&mut hashes, &argument.into_array(args.number_rows)?)?;
        }
        let hashes = hashes.into_iter().map(finished);
        Ok(ColumnarValue::Array(Arc::new(UInt64Array::from_iter_values(hashes))))
    }
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// What stands before a value's bytes, so that values of different kinds are different.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Kind {
    Null = 0,
    Boolean = 1,
    Integer = 2,
    Float = 3,
    Text = 4,
    Bytes = 5,
    Other = 6,
}

fn mix(hash: u64, kind: Kind, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    let length = bytes.len().to_le_bytes();
    let hash = step(hash, &(kind as u8));
    let hash = length.iter().fold(hash, step);
    bytes.iter().fold(hash, step)
}

fn finished(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Mixes a column into the hashes of its rows.
fn mix_column(hashes: &mut [u64], column: &ArrayRef) -> Result<()> {
    match column.data_type() {
        DataType::Boolean => {
            let column = column.as_boolean();
            each(hashes, column, Kind::Boolean, |row| [u8::from(column.value(row))]);
        }
        DataType::UInt64 => {
            let column = column.as_primitive::<UInt64Type>();
            each(hashes, column, Kind::Integer, |row| i128::from(column.value(row)).to_le_bytes());
        }
        kind if kind.is_integer() => {
            let column = cast(column, &DataType::Int64)?;
            let column = column.as_primitive::<Int64Type>();
            each(hashes, column, Kind::Integer, |row| i128::from(column.value(row)).to_le_bytes());
        }
        kind if kind.is_floating() => {
            let column = cast(column, &DataType::Float64)?;
            let column = column.as_primitive::<Float64Type>();
            each(hashes, column, Kind::Float, |row| float_bytes(column.value(row)));
        }
        kind if kind.is_string() => {
            let column = cast(column, &DataType::LargeUtf8)?;
            let column = column.as_string::<i64>();
            each(hashes, column, Kind::Text, |row| column.value(row).as_bytes());
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            let column = cast(column, &DataType::LargeBinary)?;
            let column = column.as_binary::<i64>();
            each(hashes, column, Kind::Bytes, |row| column.value(row));
        }
        DataType::Dictionary(_, values) => mix_column(hashes, &cast(column, values)?)?,
        _ => {
            let options = FormatOptions::default();
            let texts = ArrayFormatter::try_new(column.as_ref(), &options)?;
            each(hashes, column.as_ref(), Kind::Other, |row| texts.value(row).to_string().into_bytes());
        }
    }
    Ok(())
}

fn each<B: AsRef<[u8]>>(hashes: &mut [u64], column: &dyn Array, kind: Kind, value: impl Fn(usize) -> B) {
    let nulls = column.logical_nulls();
    for (row, hash) in hashes.iter_mut().enumerate() {
        *hash = match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            true => mix(*hash, Kind::Null, &[]),
            false => mix(*hash, kind, value(row).as_ref()),
        };
    }
}

/// One zero, one NaN.
fn float_bytes(value: f64) -> [u8; 8] {
    let value = if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    };
    value.to_bits().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Int8Array, Int64Array, StringArray, StringViewArray};

    fn hashed(columns: &[ArrayRef]) -> Vec<u64> {
        let mut hashes = vec![OFFSET; columns[0].len()];
        columns.iter().for_each(|column| mix_column(&mut hashes, column).unwrap());
        hashes.into_iter().map(finished).collect()
    }

    #[test]
    fn hashes_are_written_down() {
        // These numbers decide which rows of people's data are in which split: they must not change.
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), Some(42), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some(""), Some("query"), None]));
        assert_eq!(hashed(&[numbers, texts]), [0xecb3ed4697ea81ad, 0x3b9681f50f9e54ae, 0x1f2f985b437e5c6d]);
    }

    #[test]
    fn the_way_of_holding_a_value_does_not_count() {
        let narrow: ArrayRef = Arc::new(Int8Array::from(vec![Some(5), None, Some(-1)]));
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), None, Some(-1)]));
        assert_eq!(hashed(&[narrow]), hashed(&[wide]));
        let plain: ArrayRef = Arc::new(StringArray::from(vec!["a", "a text of more than twelve bytes"]));
        let view: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "a text of more than twelve bytes"]));
        assert_eq!(hashed(&[plain]), hashed(&[view]));
    }

    #[test]
    fn values_that_look_alike_in_a_row_are_apart() {
        let text = |values: [&str; 1]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        assert_ne!(hashed(&[text(["ab"]), text(["c"])]), hashed(&[text(["a"]), text(["bc"])]));
        let number: ArrayRef = Arc::new(Int64Array::from(vec![5]));
        assert_ne!(hashed(&[text(["5"])]), hashed(&[number]));
    }
}
