//! A box table for people, cut to the terminal and saying what it left out.

use std::collections::VecDeque;
use std::io::Write;

use comfy_table::modifiers::UTF8_ROUND_CORNERS;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{BatchWriter, Limits, Sink, encoding, text, writing};
use crate::error::Result;

/// A column is not narrowed below this while another can still be left out.
const COLUMN_WIDTH_MIN: usize = 12;
/// A border and two blanks beside each cell.
const CELL_FRAME: usize = 3;
const CUT: &str = "…";

/// Keeps the first and the last rows that are to be shown (all rows without a limit) until the end,
/// because widths depend on all of them. The middle columns are left out when not all fit.
pub(super) struct TableWriter {
    schema: SchemaRef,
    sink: Sink,
    limits: Limits,
    head: Vec<Vec<String>>,
    tail: VecDeque<Vec<String>>,
    rows: usize,
}

impl TableWriter {
    pub(super) fn new(schema: SchemaRef, sink: Sink, limits: Limits) -> Self {
        Self { schema, sink, limits, head: Vec::new(), tail: VecDeque::new(), rows: 0 }
    }

    fn keep(&mut self, row: Vec<String>) {
        self.rows += 1;
        match self.limits.rows {
            Some(most) if self.head.len() >= most.div_ceil(2) => {
                self.tail.push_back(row);
                if self.tail.len() > most / 2 {
                    self.tail.pop_front();
                }
            }
            _ => self.head.push(row),
        }
    }

    fn layout(&self) -> Layout {
        let names = self.schema.fields().iter().map(|field| printable(field.name()));
        let mut widths: Vec<usize> = names.map(|name| name.width()).collect();
        for row in self.head.iter().chain(&self.tail) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.lines().map(UnicodeWidthStr::width).max().unwrap_or(0));
            }
        }
        match self.limits.width {
            Some(available) => Layout::fit(widths, available),
            None => Layout { shown: (0..widths.len()).collect(), widths, gap: None },
        }
    }

    fn render(&self) -> String {
        let layout = self.layout();
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).apply_modifier(UTF8_ROUND_CORNERS);
        let names: Vec<_> = self.schema.fields().iter().map(|field| printable(field.name())).collect();
        table.set_header(layout.cells(&names, |_| CellAlignment::Left));
        let align = |column: usize| match self.schema.field(column).data_type().is_numeric() {
            true => CellAlignment::Right,
            false => CellAlignment::Left,
        };
        for row in &self.head {
            table.add_row(layout.cells(row, align));
        }
        let left_out = self.rows - self.head.len() - self.tail.len();
        if left_out > 0 {
            let dots = vec![CUT.to_owned(); names.len()];
            table.add_row(layout.cells(&dots, align));
        }
        for row in &self.tail {
            table.add_row(layout.cells(row, align));
        }
        let mut text = table.to_string();
        text.push('\n');
        if self.limits.width.is_some() || self.limits.rows.is_some() {
            text.push_str(&self.footer(left_out, layout.shown.len()));
        }
        text
    }

    /// `3 rows`, or what was left out: `1,000 rows (40 shown), 30 columns (8 shown)`.
    fn footer(&self, rows_left_out: usize, columns_shown: usize) -> String {
        let mut footer = text::counted(self.rows, "row");
        if rows_left_out > 0 {
            footer.push_str(&format!(" ({} shown)", self.rows - rows_left_out));
        }
        let columns = self.schema.fields().len();
        if columns_shown < columns {
            footer.push_str(&format!(", {} ({columns_shown} shown)", text::counted(columns, "column")));
        }
        footer.push('\n');
        footer
    }
}

impl BatchWriter for TableWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let options = text::options(text::NULL);
        let columns = text::formatters(batch, &options)?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| {
                column.value(row).try_to_string().map(|value| printable(&value)).map_err(encoding)
            });
            let cells = cells.collect::<Result<_>>()?;
            self.keep(cells);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let text = self.render();
        self.sink.write_all(text.as_bytes()).and_then(|()| self.sink.flush()).map_err(writing)
    }
}

/// Which columns are shown, and how wide.
struct Layout {
    shown: Vec<usize>,
    /// By column of the result, in characters.
    widths: Vec<usize>,
    /// The place among the shown columns where others were left out.
    gap: Option<usize>,
}

impl Layout {
    /// Narrows the widest columns, then leaves out middle ones, until the table is at most `available`
    /// wide. The first column always stays.
    fn fit(mut widths: Vec<usize>, available: usize) -> Self {
        let mut shown: Vec<usize> = (0..widths.len()).collect();
        let mut gap = None;
        loop {
            let frame = shown.len() * CELL_FRAME + 1 + gap.map_or(0, |_| CELL_FRAME + CUT.width());
            let room = available.saturating_sub(frame);
            let least: usize = shown.iter().map(|&column| widths[column].min(COLUMN_WIDTH_MIN)).sum();
            if least > room && shown.len() > 1 {
                let middle = shown.len() / 2;
                shown.remove(middle);
                gap = Some(middle);
                continue;
            }
            let cap = widest_cap(&shown, &widths, room);
            for &column in &shown {
                widths[column] = widths[column].min(cap);
            }
            return Self { shown, widths, gap };
        }
    }

    fn cells(&self, row: &[String], align: impl Fn(usize) -> CellAlignment) -> Vec<Cell> {
        let mut cells = Vec::with_capacity(self.shown.len() + 1);
        for (at, &column) in self.shown.iter().enumerate() {
            if self.gap == Some(at) {
                cells.push(Cell::new(CUT));
            }
            cells.push(Cell::new(shorten(&row[column], self.widths[column])).set_alignment(align(column)));
        }
        if self.gap == Some(self.shown.len()) {
            cells.push(Cell::new(CUT));
        }
        cells
    }
}

/// The largest width that all shown columns can be held to so that their sum fits the room.
fn widest_cap(shown: &[usize], widths: &[usize], room: usize) -> usize {
    let sum = |cap: usize| shown.iter().map(|&column| widths[column].min(cap)).sum::<usize>();
    let (mut low, mut high) = (1, room.max(1));
    while low < high {
        let middle = (low + high).div_ceil(2);
        match sum(middle) <= room {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    low
}

/// Lines of a value cut to a width. Values of several lines (plans) are folded instead of cut.
fn shorten(value: &str, width: usize) -> String {
    if value.lines().all(|line| line.width() <= width) {
        return value.to_owned();
    }
    if value.contains('\n') {
        return value.lines().map(|line| fold(line, width)).collect::<Vec<_>>().join("\n");
    }
    let mut short = take_width(value, width.saturating_sub(CUT.width())).0.to_owned();
    short.push_str(CUT);
    short
}

fn fold(line: &str, width: usize) -> String {
    let mut folded = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        if !folded.is_empty() {
            folded.push('\n');
        }
        let (piece, after) = take_width(rest, width.max(2));
        folded.push_str(piece);
        rest = after;
    }
    folded
}

/// The longest start of a text that is at most `width` columns wide, and what follows it.
fn take_width(value: &str, width: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, character) in value.char_indices() {
        used += character.width().unwrap_or(0);
        if used > width {
            return value.split_at(at);
        }
    }
    (value, "")
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
    use super::*;

    #[test]
    fn wide_columns_are_narrowed_before_any_is_left_out() {
        let layout = Layout::fit(vec![5, 100, 30], 80);
        assert_eq!(layout.shown, [0, 1, 2]);
        assert_eq!(layout.widths, [5, 35, 30]);
    }

    #[test]
    fn middle_columns_are_left_out_when_none_can_be_narrowed() {
        let layout = Layout::fit(vec![12; 30], 80);
        assert!(layout.gap.is_some());
        assert_eq!(layout.shown.first(), Some(&0));
        assert_eq!(layout.shown.last(), Some(&29));
        let total: usize = layout.shown.iter().map(|&column| layout.widths[column] + CELL_FRAME).sum();
        assert!(total + CELL_FRAME + 1 < 80);
    }

    #[test]
    fn a_tiny_terminal_still_shows_the_first_column() {
        let layout = Layout::fit(vec![50, 50], 4);
        assert_eq!(layout.shown, [0]);
    }

    #[test]
    fn texts_are_cut_by_columns_not_by_bytes() {
        assert_eq!(shorten("héllo wörld", 6), "héllo…");
        assert_eq!(shorten("日本語です", 5), "日本…");
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("ab\ncdefgh", 4), "ab\ncdef\ngh");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\tc\nd"), "a\\u{1b}[31mb\\tc\nd");
    }
}
