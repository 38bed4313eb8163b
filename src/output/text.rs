//! Values as text, the same in every textual format.

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, DurationFormat, FormatOptions};

use super::encoding;
use crate::error::Result;

/// What NULL looks like where people read it.
pub(super) const NULL: &str = "NULL";

/// How values are written: ISO 8601 dates and times, decimals with all their digits, nested values in
/// Arrow's notation.
pub(super) fn options(null: &'static str) -> FormatOptions<'static> {
    FormatOptions::new().with_null(null).with_duration_format(DurationFormat::Pretty)
}

/// One formatter per column.
pub(super) fn formatters<'a>(
    batch: &'a RecordBatch,
    options: &'a FormatOptions<'a>,
) -> Result<Vec<ArrayFormatter<'a>>> {
    batch.columns().iter().map(|column| formatter(column, options)).collect()
}

/// A formatter of one column.
pub(super) fn formatter<'a>(
    column: &'a ArrayRef,
    options: &'a FormatOptions<'a>,
) -> Result<ArrayFormatter<'a>> {
    let column: &dyn Array = column.as_ref();
    ArrayFormatter::try_new(column, options).map_err(encoding)
}

/// A count with its noun: `1 row`, `2 rows`, `12,345 rows`.
pub fn counted(count: usize, noun: &str) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Control characters shown as escapes: data must not drive the terminal. Line breaks stay.
pub(super) fn printable(value: &str) -> String {
    if !value.contains(|character: char| character.is_control() && character != '\n') {
        return value.to_owned();
    }
    let mut shown = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\n' => shown.push('\n'),
            control if control.is_control() => shown.extend(control.escape_default()),
            other => shown.push(other),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{counted, printable};

    #[test]
    fn counts_are_grouped_and_agree_with_their_noun() {
        assert_eq!(counted(0, "row"), "0 rows");
        assert_eq!(counted(1, "column"), "1 column");
        assert_eq!(counted(999, "row"), "999 rows");
        assert_eq!(counted(1_234_567, "row"), "1,234,567 rows");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\tc\nd"), "a\\u{1b}[31mb\\tc\nd");
    }
}
