//! A graph as a picture: a box for each stage with its operators, lines with labels for the edges.
//!
//! The file is whole in itself: no script, no font, no picture from elsewhere. Expressions are set in a font of
//! fixed width, so that their room is known without measuring. Colours follow the viewer's light or dark scheme.

mod body;
mod style;

use std::fmt::Write;

use super::Picture;
use super::card::Arrow;
use super::layout::{Layout, Point, Rect, Size, Sketch, layout};
use super::words::{cells, cut};
use crate::graph::{Op, Transport};

use body::Body;

/// White around the picture.
const MARGIN: f64 = 24.0;
/// Room for the title.
const TITLE_HEIGHT: f64 = 36.0;
const TITLE_CELL: f64 = 9.0;
/// The width of a column of text at the sizes that `style` has, in the widest of its fonts.
const CELL: f64 = 7.3;
const LABEL_CELL: f64 = 6.8;
const LABEL_LINE: f64 = 15.0;
const LABEL_PADDING: f64 = 8.0;
/// Columns that a line of a label may take.
const LABEL_CELLS_MAX: usize = 36;
/// Lines of a label.
const LABEL_LINES_MAX: usize = 6;
/// The class of drawings in a page.
const INLINE_CLASS: &str = "task-graph";
/// The length of the tip of an arrow.
const TIP: f64 = 8.0;

/// A file of its own.
pub(super) fn draw(picture: &Picture) -> String {
    drawn(picture, false)
}

/// A part of a page, whose style [`inline_css`] is; its stages say their numbers in `data-stage`.
pub(super) fn draw_inline(picture: &Picture) -> String {
    drawn(picture, true)
}

/// The style of all drawings in a page, which says nothing about the rest of it.
pub(super) fn inline_css() -> String {
    style::CSS.lines().map(scoped).collect()
}

/// A line of the style with its selectors below the class of drawings.
fn scoped(line: &str) -> String {
    if line.starts_with('@') || line == "}" {
        return format!("{line}\n");
    }
    let rules = line.split_inclusive('}').filter_map(|rule| rule.split_once('{'));
    let rules = rules.map(|(selectors, rest)| {
        let selectors: Vec<_> =
            selectors.split(',').map(|selector| format!(".{INLINE_CLASS} {}", selector.trim())).collect();
        format!("{} {{{rest}\n", selectors.join(", "))
    });
    rules.collect()
}

fn drawn(picture: &Picture, is_inline: bool) -> String {
    let bodies: Vec<_> = picture.cards.iter().map(|card| Body::of(card, &picture.arrows)).collect();
    let labels: Vec<_> = picture.arrows.iter().map(Label::of).collect();
    let edges = picture.arrows.iter().zip(&labels).map(|(arrow, label)| (arrow.from, arrow.to, label.size));
    let sketch = Sketch { boxes: bodies.iter().map(|body| body.size).collect(), edges: edges.collect() };
    let layout = layout(&sketch);

    let title_width = cells(&picture.title) as f64 * TITLE_CELL;
    let size = Size {
        width: layout.size.width.max(title_width) + 2.0 * MARGIN,
        height: layout.size.height + TITLE_HEIGHT + 2.0 * MARGIN,
    };
    let mut svg = Svg { text: String::new(), is_inline };
    svg.open(size, &picture.title);
    svg.line(format_args!("<g transform=\"translate({MARGIN} {})\">", MARGIN + TITLE_HEIGHT));
    for (arrow, points) in picture.arrows.iter().zip(&layout.lines) {
        svg.edge(arrow, points);
    }
    add_labels(&labels, &picture.arrows, &layout, &mut svg);
    for (body, place) in bodies.iter().zip(&layout.boxes) {
        body.draw(*place, &mut svg);
    }
    svg.line(format_args!("</g>\n</svg>"));
    svg.text
}

/// What is written on an edge.
struct Label {
    lines: Vec<String>,
    /// All of it, if it was cut.
    full: Option<String>,
    size: Size,
}

impl Label {
    fn of(arrow: &Arrow) -> Self {
        let head = format!("{} {}", arrow.kind, arrow.counts());
        let all: Vec<_> = std::iter::once(head).chain(arrow.details().map(str::to_string)).collect();
        let lines: Vec<_> = all.iter().take(LABEL_LINES_MAX).map(|line| cut(line, LABEL_CELLS_MAX)).collect();
        let is_cut = lines != all;
        let width = lines.iter().map(|line| cells(line)).max().unwrap_or(0) as f64 * LABEL_CELL;
        let size = Size {
            width: width + 2.0 * LABEL_PADDING,
            height: lines.len() as f64 * LABEL_LINE + LABEL_PADDING,
        };
        Self { full: is_cut.then(|| all.join("\n")), lines, size }
    }
}

fn add_labels(labels: &[Label], arrows: &[Arrow], layout: &Layout, svg: &mut Svg) {
    for ((label, arrow), place) in labels.iter().zip(arrows).zip(&layout.labels) {
        svg.line(format_args!("<g class=\"label {}\">", look(arrow)));
        svg.tooltip(label.full.as_deref());
        svg.rect(*place, "pill", 8.0);
        for (at, line) in label.lines.iter().enumerate() {
            let x = place.x + place.width / 2.0;
            let y = place.y + LABEL_PADDING / 2.0 + (at as f64 + 0.76) * LABEL_LINE;
            svg.text_at(Point { x, y }, if at == 0 { "kind" } else { "keys" }, line);
        }
        svg.line(format_args!("</g>"));
    }
}

/// The class of an edge: those that keep an order and those that are kept look different.
fn look(arrow: &Arrow) -> &'static str {
    match (arrow.transport, arrow.order.is_some()) {
        (Transport::Materialized, _) => "kept",
        (Transport::Pipelined, true) => "ordered",
        (Transport::Pipelined, false) => "plain",
    }
}

/// The class of a stage.
fn class(op: Op) -> &'static str {
    match op {
        Op::Map => "map",
        Op::Scan => "scan",
        Op::Sort => "sort",
        Op::Window => "window",
        Op::Reduce => "reduce",
        Op::GroupBy => "groupby",
        Op::Join => "join",
        Op::Write => "write",
    }
}

/// The text of a picture so far. Writing to it does not fail.
struct Svg {
    text: String,
    /// Whether it is a part of a page.
    is_inline: bool,
}

impl Svg {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{line}");
    }

    fn open(&mut self, size: Size, title: &str) {
        let (width, height) = (size.width.ceil(), size.height.ceil());
        let class = if self.is_inline { format!("class=\"{INLINE_CLASS}\" ") } else { String::new() };
        self.line(format_args!(
            "<svg {class}xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">"
        ));
        self.line(format_args!("<title>Task graph: {}</title>", escaped(title)));
        if !self.is_inline {
            self.line(format_args!("<style>\n{}</style>", style::CSS));
        }
        self.line(format_args!("<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>"));
        self.text_at(Point { x: MARGIN, y: MARGIN + 14.0 }, "title", title);
    }

    fn rect(&mut self, place: Rect, class: &str, radius: f64) {
        let Rect { x, y, width, height } = place;
        self.line(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\"/>"
        ));
    }

    fn text_at(&mut self, at: Point, class: &str, text: &str) {
        let Point { x, y } = at;
        self.line(format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text)));
    }

    /// What a viewer shows of the element that is open, when pointed at.
    fn tooltip(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            self.line(format_args!("<title>{}</title>", escaped(text)));
        }
    }

    fn edge(&mut self, arrow: &Arrow, points: &[Point]) {
        let Some(end) = points.last() else { return };
        let (class, tip) = (look(arrow), end.y + TIP);
        let path = path(points, tip);
        self.line(format_args!("<path class=\"edge {class}\" d=\"{path}\"/>"));
        let (left, right) = (end.x - TIP * 0.55, end.x + TIP * 0.55);
        self.line(format_args!(
            "<path class=\"tip {class}\" d=\"M{:.1} {:.1}L{left:.1} {tip:.1}L{right:.1} {tip:.1}Z\"/>",
            end.x, end.y
        ));
    }
}

/// A line through the points that ends where the arrow's tip begins.
fn path(points: &[Point], tip: f64) -> String {
    let mut path = String::new();
    for (at, point) in points.iter().enumerate() {
        let y = if at + 2 >= points.len() { point.y.max(tip - 1.0) } else { point.y };
        let before = at.checked_sub(1).and_then(|before| points.get(before));
        let _ = match before {
            None => write!(path, "M{:.1} {y:.1}", point.x),
            Some(before) if at % 2 == 1 && (before.x - point.x).abs() > 0.5 => {
                let middle = (before.y + y) / 2.0;
                write!(path, "C{:.1} {middle:.1} {:.1} {middle:.1} {:.1} {y:.1}", before.x, point.x, point.x)
            }
            Some(_) => write!(path, "L{:.1} {y:.1}", point.x),
        };
    }
    path
}

/// Text as XML has it. Characters that XML has no place for were made visible before.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
