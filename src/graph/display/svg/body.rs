//! The box of a stage: a band with its op and tasks, below it the operators and notes.

use super::{CELL, Svg, class, escaped};
use crate::graph::Op;
use crate::graph::display::card::{Arrow, Card, Row, What};
use crate::graph::display::layout::{Point, Rect, Size};
use crate::graph::display::words::{cells, cut, wrap};

const PADDING: f64 = 10.0;
const BAND: f64 = 27.0;
const LINE: f64 = 17.0;
const CORNER: f64 = 6.0;
/// Columns that a line may take.
const LINE_CELLS_MAX: usize = 50;
/// Columns that an operator's line has at least, behind its rail.
const OPERATOR_CELLS_MIN: usize = 40;
/// Columns that a rail may take.
const RAIL_CELLS_MAX: usize = 24;
/// Lines that an operator may take.
const OPERATOR_LINES_MAX: usize = 3;
/// Operators and notes of a stage that are shown.
const ROWS_MAX: usize = 20;
const NOTES_MAX: usize = 8;
/// Bytes of a text that is shown when pointed at.
const FULL_CHARS_MAX: usize = 2_000;
/// Columns that a line goes on with below its start.
const INDENT: usize = 2;

/// A stage's box before it has a place.
pub(super) struct Body {
    stage: usize,
    op: Op,
    tasks: String,
    lines: Vec<Line>,
    notes: Vec<String>,
    pub(super) size: Size,
}

/// A line of a box.
struct Line {
    rail: String,
    indent: usize,
    text: String,
    /// So much of the text is the operator's name.
    name_bytes: usize,
    is_input: bool,
    /// All of the operator, on its first line, if it was cut.
    full: Option<String>,
}

impl Line {
    fn cells(&self) -> usize {
        cells(&self.rail) + self.indent + cells(&self.text)
    }
}

impl Body {
    pub(super) fn of(card: &Card, arrows: &[Arrow]) -> Self {
        let more = card.rows.len().saturating_sub(ROWS_MAX);
        // One more operator takes no more room than saying that there is one.
        let shown = if more == 1 { ROWS_MAX + 1 } else { ROWS_MAX };
        let mut lines: Vec<_> = card.rows.iter().take(shown).flat_map(|row| lines_of(row, arrows)).collect();
        if more > 1 {
            lines.push(plain(format!("… {more} more operators")));
        }
        let notes: Vec<_> = card.notes.iter().take(NOTES_MAX).map(|note| cut(note, LINE_CELLS_MAX)).collect();
        let head = format!("{}  stage {}    {}", card.op, card.stage, card.tasks);
        let widths = lines.iter().map(Line::cells).chain(notes.iter().map(|note| cells(note)));
        let columns = widths.chain([cells(&head)]).max().unwrap_or(0);
        let blocks = [lines.len(), notes.len()].map(|count| match count {
            0 => 0.0,
            count => count as f64 * LINE + PADDING,
        });
        let size =
            Size { width: columns as f64 * CELL + 2.0 * PADDING, height: BAND + blocks.iter().sum::<f64>() };
        Self { stage: card.stage, op: card.op, tasks: card.tasks.clone(), lines, notes, size }
    }

    pub(super) fn draw(&self, place: Rect, svg: &mut Svg) {
        match svg.is_inline {
            true => svg.line(format_args!("<g class=\"{}\" data-stage=\"{}\">", class(self.op), self.stage)),
            false => svg.line(format_args!("<g class=\"{}\">", class(self.op))),
        }
        svg.rect(place, "card", CORNER);
        self.draw_band(place, svg);
        let (x, mut y) = (place.x + PADDING, place.y + BAND + PADDING / 2.0);
        for line in &self.lines {
            draw_rail(&line.rail, x, y, svg);
            let left = x + (cells(&line.rail) + line.indent) as f64 * CELL;
            draw_line(line, Point { x: left, y: y + 0.74 * LINE }, svg);
            y += LINE;
        }
        if !self.notes.is_empty() && !self.lines.is_empty() {
            y += PADDING / 2.0;
            let (left, right) = (place.x, place.x + place.width);
            svg.line(format_args!("<path class=\"rule\" d=\"M{left:.1} {y:.1}L{right:.1} {y:.1}\"/>"));
            y += PADDING / 2.0;
        }
        for note in &self.notes {
            svg.text_at(Point { x, y: y + 0.74 * LINE }, "note", note);
            y += LINE;
        }
        svg.line(format_args!("</g>"));
    }

    /// The coloured band; round above, straight where the operators begin.
    fn draw_band(&self, place: Rect, svg: &mut Svg) {
        let (x, y, right) = (place.x, place.y, place.x + place.width);
        let bottom = y + BAND;
        svg.line(format_args!(
            "<path class=\"band\" d=\"M{x:.1} {bottom:.1}V{:.1}Q{x:.1} {y:.1} {:.1} {y:.1}H{:.1}\
             Q{right:.1} {y:.1} {right:.1} {:.1}V{bottom:.1}Z\"/>",
            y + CORNER,
            x + CORNER,
            right - CORNER,
            y + CORNER
        ));
        let base = y + 18.5;
        svg.line(format_args!(
            "<text class=\"op\" x=\"{:.1}\" y=\"{base:.1}\">{}<tspan class=\"of\" dx=\"9\">stage {}</tspan></text>",
            x + PADDING,
            self.op,
            self.stage
        ));
        svg.text_at(Point { x: right - PADDING, y: base }, "tasks", &self.tasks);
    }
}

fn draw_line(line: &Line, at: Point, svg: &mut Svg) {
    let (name, rest) = line.text.split_at(line.name_bytes);
    let (x, y) = (at.x, at.y);
    let class = if line.is_input { "row input" } else { "row" };
    let name = match name.is_empty() {
        true => String::new(),
        false => format!("<tspan class=\"name\">{}</tspan>", escaped(name)),
    };
    let full =
        line.full.as_deref().map(|full| format!("<title>{}</title>", escaped(full))).unwrap_or_default();
    svg.line(format_args!(
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{full}{name}{}</text>",
        escaped(rest)
    ));
}

/// The lines that lead to the inputs of an operator with several.
fn draw_rail(rail: &str, x: f64, y: f64, svg: &mut Svg) {
    let mut path = String::new();
    for (at, character) in rail.chars().enumerate() {
        let middle = x + (at as f64 + 0.5) * CELL;
        let (half, below) = (y + LINE / 2.0, y + LINE);
        let tick = middle + 0.9 * CELL;
        match character {
            '│' => path.push_str(&format!("M{middle:.1} {y:.1}V{below:.1}")),
            '├' => {
                path.push_str(&format!("M{middle:.1} {y:.1}V{below:.1}M{middle:.1} {half:.1}H{tick:.1}"))
            }
            '└' => path.push_str(&format!("M{middle:.1} {y:.1}V{half:.1}H{tick:.1}")),
            _ => {}
        }
    }
    if !path.is_empty() {
        svg.line(format_args!("<path class=\"rail\" d=\"{path}\"/>"));
    }
}

fn lines_of(row: &Row, arrows: &[Arrow]) -> Vec<Line> {
    // In a plan that is deeper than the box is wide, the innermost rails are left out.
    let rail: String = row.rail.chars().take(RAIL_CELLS_MAX).collect();
    let room = LINE_CELLS_MAX.saturating_sub(cells(&rail)).max(OPERATOR_CELLS_MIN);
    match &row.what {
        What::Input(edge) => {
            let from = arrows.get(*edge).map_or(0, |arrow| arrow.from);
            vec![Line { is_input: true, rail, ..plain(format!("← stage {from}")) }]
        }
        What::Operator(operator) => {
            let text = format!("{} {}", operator.name, operator.detail);
            let mut texts = wrap(text.trim_end(), room - INDENT, OPERATOR_LINES_MAX).into_iter();
            let first = texts.next().unwrap_or_default();
            let below: String = rail.replace('├', "│").replace('└', " ");
            let rest: Vec<_> =
                texts.map(|text| Line { rail: below.clone(), indent: INDENT, ..plain(text) }).collect();
            let is_cut = rest.last().map_or(&first, |line| &line.text).ends_with('…');
            let full = is_cut.then(|| text.chars().take(FULL_CHARS_MAX).collect());
            let name_bytes = if first.starts_with(&operator.name) { operator.name.len() } else { 0 };
            let first = Line { rail, name_bytes, full, ..plain(first) };
            std::iter::once(first).chain(rest).collect()
        }
    }
}

fn plain(text: String) -> Line {
    Line { rail: String::new(), indent: 0, text, name_bytes: 0, is_input: false, full: None }
}
