//! `query graph`: draws the graphs of a script's queries, and runs of the rest only what later queries are planned by.

use std::path::PathBuf;

use super::execute::{Desk, Done};
use super::output::write_whole;
use super::run::print;
use super::shell::items::Items;
use super::supervise::Stop;
use crate::error::{Error, Place, Result};
use crate::frontend::sql::{Functions, RawStatement, Statement};
use crate::graph::{GraphFormat, Notes};
use crate::session::Outcome;

/// The form and the place of graphs.
#[derive(Debug)]
pub(super) struct Drawing {
    format: GraphFormat,
    /// Standard output, if there is none.
    file: Option<PathBuf>,
    /// What is to be in the file, and how many graphs there were.
    text: String,
    count: usize,
    /// Whether to say where the query of each graph stands.
    has_several: bool,
}

impl Drawing {
    /// # Errors
    /// A file whose name tells no format.
    pub(super) fn new(format: Option<GraphFormat>, file: Option<PathBuf>) -> Result<Self> {
        let format = match (format, &file) {
            (Some(format), _) => format,
            (None, None) => GraphFormat::Text,
            (None, Some(path)) => GraphFormat::of_path(path).ok_or_else(|| {
                let message = format!("the format of '{}' cannot be told from its name", path.display());
                Error::usage_help(message, "say it with --format text, dot or svg")
            })?,
        };
        Ok(Self { format, file, text: String::new(), count: 0, has_several: false })
    }

    /// Whether they go into a file.
    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Counts the graphs that scripts have. What cannot be parsed is told when its turn comes.
    ///
    /// # Errors
    /// Several queries for a picture.
    pub(super) fn count(&mut self, scripts: &[Items], functions: &Functions) -> Result<()> {
        let statements = scripts.iter().flat_map(Items::statements);
        let statements = statements.filter_map(|raw| raw.parse(functions).ok());
        let graphs = statements.filter(Statement::has_graph).count();
        self.has_several = graphs > 1;
        if graphs > 1 && !self.format.takes_many() {
            return Err(Error::usage_help(
                format!("{} takes the graph of one query, the SQL has {graphs}", self.format.name()),
                "draw each with a call of its own, or all as text or dot",
            ));
        }
        Ok(())
    }

    /// Draws a statement's graph; runs a statement that has none for its effect on those that follow.
    pub(super) async fn take(&mut self, raw: &RawStatement, desk: &Desk, stop: &Stop) -> Result<Done> {
        let statement = raw.parse(&desk.session.functions())?;
        if !statement.has_graph() {
            if statement.returns_rows() {
                return Ok(Done::Effect);
            }
            return Ok(match desk.session.run(&statement, &desk.params).await? {
                Outcome::Written(rows) => Done::Written(rows),
                Outcome::Rows(_) | Outcome::Done => Done::Effect,
            });
        }
        let graph = desk.session.graph(&statement, &desk.params).await?;
        let drawn = graph.draw(self.format, &Notes::default());
        let between = if self.count > 0 { "\n" } else { "" };
        let drawn = format!("{between}{}{drawn}", self.heading(raw));
        self.count += 1;
        match self.file {
            Some(_) => self.text.push_str(&drawn),
            None if stop.is_set() => return Err(Error::BrokenPipe),
            None => print(drawn.trim_end())?,
        }
        Ok(Done::Effect)
    }

    /// Where one of several queries stands, as a comment.
    fn heading(&self, raw: &RawStatement) -> String {
        let mark = match self.format {
            GraphFormat::Text => "--",
            GraphFormat::Dot => "//",
            GraphFormat::Svg => return String::new(),
        };
        if !self.has_several {
            return String::new();
        }
        let Place { script, span } = raw.place();
        let line = script.text[..span.start].matches('\n').count() + 1;
        let name: String = script.name.chars().filter(|character| !character.is_control()).collect();
        format!("{mark} {name}:{line}\n")
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Nothing was drawn and nothing went wrong: the SQL has no query.
    pub(super) fn finish(self, code: u8, stop: &Stop) -> Result<()> {
        if self.count == 0 && code == 0 {
            let message = "the SQL has no query that a graph could be drawn of";
            return Err(Error::usage_help(message, "queries, COPY and INSERT have graphs"));
        }
        match &self.file {
            Some(_) if stop.is_set() => Err(Error::BrokenPipe),
            Some(path) if self.count > 0 => write_whole(path, self.text.as_bytes()),
            Some(_) | None => Ok(()),
        }
    }
}
