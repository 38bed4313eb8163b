//! Graphs for people: text, DOT for Graphviz, and SVG with a layout of our own.
//!
//! All three show the same ([`Card`], [`Arrow`]) and differ in room: the root comes first, at the top, as in EXPLAIN,
//! and rows flow upwards.

mod card;
mod dot;
mod layout;
mod operator;
mod svg;
mod text;
mod words;

use std::collections::HashMap;
use std::str::FromStr;

use super::{EdgeId, StageId, TaskGraph};
use crate::error::{Error, Result};

use card::{Arrow, Card, What};
use operator::Operator;

/// A form that graphs can be drawn in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphFormat {
    /// Stage by stage, for a terminal.
    Text,
    /// A digraph for Graphviz; edges point from the stage that makes rows to the one that reads them.
    Dot,
    /// A picture that needs nothing but itself.
    Svg,
}

impl GraphFormat {
    /// Every format, in the order of `--help`.
    pub const ALL: [Self; 3] = [Self::Text, Self::Dot, Self::Svg];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Dot => "dot",
            Self::Svg => "svg",
        }
    }

    /// The format that a file's name asks for.
    pub fn of_path(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_lowercase().as_str() {
            "txt" | "text" => Some(Self::Text),
            "dot" | "gv" => Some(Self::Dot),
            "svg" => Some(Self::Svg),
            _ => None,
        }
    }

    /// Whether several graphs may follow each other in one file.
    pub fn takes_many(self) -> bool {
        match self {
            Self::Text | Self::Dot => true,
            Self::Svg => false,
        }
    }
}

impl FromStr for GraphFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found
            .ok_or_else(|| Error::usage(format!("a graph can be drawn as text, dot or svg, not as '{name}'")))
    }
}

/// What is known of stages and edges beyond the plan: rows, times, spills. Each note is a line.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    stages: HashMap<StageId, Vec<String>>,
    edges: HashMap<EdgeId, Vec<String>>,
}

impl Notes {
    /// Adds a line to a stage.
    pub fn add_to_stage(&mut self, stage: StageId, line: impl Into<String>) {
        self.stages.entry(stage).or_default().push(line.into());
    }

    /// Adds a line to an edge.
    pub fn add_to_edge(&mut self, edge: EdgeId, line: impl Into<String>) {
        self.edges.entry(edge).or_default().push(line.into());
    }

    fn of_stage(&self, stage: StageId) -> Vec<String> {
        lines(self.stages.get(&stage))
    }

    fn of_edge(&self, edge: EdgeId) -> Vec<String> {
        lines(self.edges.get(&edge))
    }
}

/// One node of a plan in the query's words, without its inputs: what is drawn of it, on one line.
pub fn described(plan: &dyn datafusion::physical_plan::ExecutionPlan) -> String {
    let Operator { name, detail } = Operator::of(plan);
    if detail.is_empty() { name } else { format!("{name} {detail}") }
}

fn lines(notes: Option<&Vec<String>>) -> Vec<String> {
    notes.into_iter().flatten().map(|line| words::one_line(line)).collect()
}

/// A graph as it is shown in every format.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Picture {
    /// By stage.
    cards: Vec<Card>,
    /// By edge.
    arrows: Vec<Arrow>,
    /// How many stages and tasks there are.
    title: String,
}

/// A graph that is to be drawn, without the plans that it runs.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Drawing(Picture);

impl TaskGraph {
    /// Draws the graph with what is known of its stages and edges. Ends with a line break.
    pub fn draw(&self, format: GraphFormat, notes: &Notes) -> String {
        self.drawing().draw(format, notes)
    }

    /// The graph's drawing, which can be finished when the plans are gone.
    pub fn drawing(&self) -> Drawing {
        let title = format!(
            "{}, {}",
            words::counted(self.stages().len(), "stage"),
            words::counted(self.tasks(), "task")
        );
        Drawing(Picture {
            cards: self.stages().iter().map(Card::of).collect(),
            arrows: self.edges().iter().map(|edge| Arrow::of(self, edge)).collect(),
            title,
        })
    }
}

impl Drawing {
    /// Draws it as SVG for a page that has the style [`Drawing::svg_css`]. Its stages are groups that say their numbers
    /// in `data-stage`. Nothing in it can end the element, whatever names and literals hold.
    pub fn draw_inline(mut self, notes: &Notes) -> String {
        self.note(notes);
        svg::draw_inline(&self.0)
    }

    /// The style of all drawings that are parts of a page.
    pub fn svg_css() -> String {
        svg::inline_css()
    }

    /// Leaves out what operators and edges say of names and values, where that is to be withheld.
    pub fn withhold(&mut self, is_secret: impl Fn(&str) -> bool) {
        for row in self.0.cards.iter_mut().flat_map(|card| &mut card.rows) {
            if let What::Operator(operator) = &mut row.what
                && is_secret(&operator.detail)
            {
                operator.detail = String::new();
            }
        }
        for arrow in &mut self.0.arrows {
            for text in [&mut arrow.keys, &mut arrow.order] {
                if text.as_deref().is_some_and(&is_secret) {
                    *text = None;
                }
            }
        }
    }

    /// Draws it with what is known of its stages and edges. Ends with a line break.
    pub fn draw(mut self, format: GraphFormat, notes: &Notes) -> String {
        self.note(notes);
        match format {
            GraphFormat::Text => text::draw(&self.0),
            GraphFormat::Dot => dot::draw(&self.0),
            GraphFormat::Svg => svg::draw(&self.0),
        }
    }

    /// Draws it as text in so many lines at most: all of it if it fits, else without operators, else a line for each
    /// stage, else for some of them: rather for those that are live. May be called again with other notes.
    pub fn lines(
        &mut self,
        notes: &Notes,
        lines_max: usize,
        is_live: impl Fn(StageId) -> bool,
    ) -> Vec<String> {
        self.note(notes);
        text::lines(&self.0, lines_max, |card| is_live(StageId::new(card.stage)))
    }

    fn note(&mut self, notes: &Notes) {
        for card in &mut self.0.cards {
            card.notes = notes.of_stage(StageId::new(card.stage));
        }
        for (edge, arrow) in self.0.arrows.iter_mut().enumerate() {
            arrow.notes = notes.of_edge(EdgeId::new(edge));
        }
    }
}

impl std::fmt::Debug for Drawing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Drawing").field(&self.0.title).finish()
    }
}

#[cfg(test)]
mod tests;
