//! A graph as text: stage by stage, the root first.
//!
//! ```text
//! Stage 2  GroupBy  8 tasks
//!   Aggregate  final; by region; sum(amount)
//!   ← Shuffle from stage 1, 8 → 8, by region
//! ```

use super::Picture;
use super::card::{Arrow, Card, What};
use super::words::cut;

/// Columns that a line may take.
const LINE_CELLS_MAX: usize = 160;

pub(super) fn draw(picture: &Picture) -> String {
    let mut text = format!("{}\n", picture.title);
    // Those that read come after those that they read from.
    for card in picture.cards.iter().rev() {
        text.push('\n');
        add_card(card, &picture.arrows, &mut text);
    }
    text
}

fn add_card(card: &Card, arrows: &[Arrow], text: &mut String) {
    add_line(&format!("Stage {}  {}  {}", card.stage, card.op, card.tasks), text);
    for row in &card.rows {
        let what = match &row.what {
            What::Operator(operator) if operator.detail.is_empty() => operator.name.clone(),
            What::Operator(operator) => format!("{}  {}", operator.name, operator.detail),
            What::Input(edge) => arrows.get(*edge).map(input).unwrap_or_default(),
        };
        add_line(&format!("  {}{what}", row.rail), text);
    }
    for note in &card.notes {
        add_line(&format!("  = {note}"), text);
    }
}

fn input(arrow: &Arrow) -> String {
    let start = format!("← {} from stage {}, {}", arrow.kind, arrow.from, arrow.counts());
    arrow.details().fold(start, |line, detail| format!("{line}, {detail}"))
}

fn add_line(line: &str, text: &mut String) {
    text.push_str(&cut(line, LINE_CELLS_MAX));
    text.push('\n');
}
