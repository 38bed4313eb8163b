//! A graph in the language of Graphviz. Edges point from the stage that makes rows to the one that reads them; with
//! `rankdir=BT` the root is at the top.

use std::fmt::Write;

use super::Picture;
use super::card::{Arrow, Card, What};
use super::words::cut;
use crate::graph::{Op, Transport};

/// Columns that a line of a label may take.
const LINE_CELLS_MAX: usize = 60;
/// Operators of a stage that are shown.
const ROWS_MAX: usize = 16;

pub(super) fn draw(picture: &Picture) -> String {
    let mut text = String::from("digraph query {\n  rankdir=BT;\n");
    text.push_str("  node [shape=box, style=filled, fontname=\"monospace\", fontsize=10];\n");
    text.push_str("  edge [fontname=\"monospace\", fontsize=9];\n");
    let title = escaped(&picture.title);
    // Writing to a string does not fail.
    let _ = writeln!(text, "  label=\"{title}\";\n  labelloc=t;\n  fontname=\"monospace\";");
    for card in &picture.cards {
        let label = label(lines_of(card, &picture.arrows), "\\l");
        let _ =
            writeln!(text, "  stage_{} [fillcolor=\"{}\", label=\"{label}\"];", card.stage, fill(card.op));
    }
    for arrow in &picture.arrows {
        let head = format!("{} {}", arrow.kind, arrow.counts());
        let lines = std::iter::once(head).chain(arrow.details().map(str::to_string));
        let label = label(lines, "\\n");
        let (from, to, style) = (arrow.from, arrow.to, style(arrow));
        let _ = writeln!(text, "  stage_{from} -> stage_{to} [label=\"{label}\"{style}];");
    }
    text.push_str("}\n");
    text
}

fn lines_of<'a>(card: &'a Card, arrows: &'a [Arrow]) -> impl Iterator<Item = String> + 'a {
    let head = format!("{} · stage {} · {}", card.op, card.stage, card.tasks);
    let rows = card.rows.iter().take(ROWS_MAX).map(|row| match &row.what {
        What::Operator(operator) => format!("{}{} {}", row.rail, operator.name, operator.detail),
        What::Input(edge) => match arrows.get(*edge) {
            Some(arrow) => format!("{}← stage {}", row.rail, arrow.from),
            None => String::new(),
        },
    });
    let more = card.rows.len().saturating_sub(ROWS_MAX);
    let more = (more > 0).then(|| format!("… {more} more"));
    std::iter::once(head).chain(rows).chain(more).chain(card.notes.iter().cloned())
}

fn label(lines: impl Iterator<Item = String>, end: &str) -> String {
    lines.map(|line| format!("{}{end}", escaped(cut(&line, LINE_CELLS_MAX).trim_end()))).collect()
}

/// In a quoted name of DOT, a quote ends it and a backslash has meanings of its own.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn style(arrow: &Arrow) -> &'static str {
    match (arrow.transport, arrow.order.is_some()) {
        (Transport::Materialized, _) => ", style=dashed, penwidth=2",
        (Transport::Pipelined, true) => ", style=bold, color=\"#b45309\"",
        (Transport::Pipelined, false) => "",
    }
}

/// Light colours, for black text.
fn fill(op: Op) -> &'static str {
    match op {
        Op::Map => "#e2e8f0",
        Op::Scan => "#ccfbf1",
        Op::Sort => "#fde9c8",
        Op::Window => "#ede4fb",
        Op::Reduce => "#fee2e6",
        Op::GroupBy => "#fbdcec",
        Op::Join => "#dbeafe",
        Op::Write => "#dcfce7",
    }
}
