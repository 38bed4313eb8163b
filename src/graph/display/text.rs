//! A graph as text: stage by stage, the root first.
//!
//! ```text
//! Stage 2  GroupBy  8 tasks
//!   Aggregate  final; by region; sum(amount)
//!   ← Shuffle from stage 1, 8 → 8, by region
//! ```

use super::Picture;
use super::card::{Arrow, Card, What};
use super::words::{counted, cut};

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

/// As much as goes into so many lines.
pub(super) fn lines(picture: &Picture, lines_max: usize, is_live: impl Fn(&Card) -> bool) -> Vec<String> {
    let whole: Vec<_> = draw(picture).lines().map(str::to_string).collect();
    if whole.len() <= lines_max {
        return whole;
    }
    let fitting = |lines: Vec<String>| lines.iter().map(|line| cut(line, LINE_CELLS_MAX)).collect();
    let mut edges = vec![picture.title.clone()];
    for card in picture.cards.iter().rev() {
        edges.push(noted(card));
        let inputs = card.rows.iter().filter_map(|row| match &row.what {
            What::Input(edge) => picture.arrows.get(*edge),
            What::Operator(_) => None,
        });
        edges.extend(inputs.map(|arrow| format!("  {}", input(arrow))));
    }
    if edges.len() <= lines_max {
        return fitting(edges);
    }
    fitting(some(picture, lines_max, is_live))
}

/// A line for each stage, or for as many as there is room for.
fn some(picture: &Picture, lines_max: usize, is_live: impl Fn(&Card) -> bool) -> Vec<String> {
    let mut cards: Vec<_> = picture.cards.iter().rev().collect();
    let left_out = match cards.len() < lines_max {
        true => 0,
        // The title takes one line, what is left out another.
        false => cards.len() - lines_max.saturating_sub(2).min(cards.len()),
    };
    if left_out > 0 {
        let mut ranked = cards.clone();
        ranked.sort_by_key(|card| !is_live(card));
        ranked.truncate(cards.len() - left_out);
        cards.retain(|card| ranked.iter().any(|kept| kept.stage == card.stage));
    }
    let mut lines = vec![picture.title.clone()];
    lines.extend(cards.into_iter().map(noted));
    if left_out > 0 {
        lines.push(format!("… {} more", counted(left_out, "stage")));
    }
    lines.truncate(lines_max);
    lines
}

/// A stage and its notes in one line.
fn noted(card: &Card) -> String {
    let start = heading(card);
    card.notes.iter().fold(start, |line, note| format!("{line}  = {note}"))
}

fn heading(card: &Card) -> String {
    format!("Stage {}  {}  {}", card.stage, card.op, card.tasks)
}

fn add_card(card: &Card, arrows: &[Arrow], text: &mut String) {
    add_line(&heading(card), text);
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
