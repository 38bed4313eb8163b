//! Result sets on their way out: one file per format behind one trait, and atomic files; what is told of runs.

mod arrow;
mod csv;
mod json;
mod line;
mod markdown;
pub mod numbers;
mod parquet;
pub mod report;
mod sink;
pub mod staging;
mod table;
mod text;
mod titled;

pub use text::counted;

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use crate::error::{Error, Result};

pub use titled::TEXT_KEY;

/// Where bytes go. `Send`, so that a writer may live in a task.
pub type Sink = Box<dyn Write + Send>;

/// Writes one result set.
///
/// Call protocol: `write` any number of times with batches of the schema the writer was made for, then
/// `finish` once. A result set without rows still gives a valid document (a header, `[]`, an empty file
/// with its schema). Everything but [`Format::Table`] streams: no writer keeps more than one batch
/// (Parquet: one row group).
pub trait BatchWriter: Send {
    /// Writes the batch's rows, in order.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Writes what ends the document and flushes the sink.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A form that results can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A box table for people.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
    /// One JSON array of objects.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// A Markdown table.
    Markdown,
    /// One `column = value` per line, a blank line between rows.
    Line,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC file.
    Arrow,
}

/// How a table is cut to fit. `None` means "as much as there is".
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Terminal width in columns.
    pub width: Option<usize>,
    /// Rows to show; the middle is left out.
    pub rows: Option<usize>,
}

impl Format {
    /// Every format, in the order of `--help`.
    pub const ALL: [Self; 9] = [
        Self::Table,
        Self::Csv,
        Self::Tsv,
        Self::Json,
        Self::Ndjson,
        Self::Markdown,
        Self::Line,
        Self::Parquet,
        Self::Arrow,
    ];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Markdown => "markdown",
            Self::Line => "line",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }

    /// The format that a file name asks for by its extension.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "txt" => Some(Self::Table),
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "md" => Some(Self::Markdown),
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "ipc" | "feather" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// Whether the bytes are not text: such a document must not be mixed with others in one stream.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// A writer of this format for one result set; `path` names the sink in errors (`-`: a stream).
    pub fn writer(
        self,
        schema: SchemaRef,
        sink: Sink,
        path: &Path,
        limits: Limits,
    ) -> Result<Box<dyn BatchWriter>> {
        let (sink, failure) = sink::watch(sink);
        let writer = self.bare_writer(schema, sink, limits).map_err(|error| failure.reword(path, error))?;
        Ok(Box::new(sink::Guarded { writer, failure, path: path.to_path_buf() }))
    }

    fn bare_writer(self, schema: SchemaRef, sink: Sink, limits: Limits) -> Result<Box<dyn BatchWriter>> {
        Ok(match self {
            Self::Table if schema.metadata().contains_key(TEXT_KEY) => {
                Box::new(titled::TitledWriter::new(sink))
            }
            Self::Table => Box::new(table::TableWriter::new(schema, sink, limits)),
            Self::Csv => Box::new(csv::DelimitedWriter::new(schema, sink, b',')),
            Self::Tsv => Box::new(csv::DelimitedWriter::new(schema, sink, b'\t')),
            Self::Json => Box::new(json::ArrayWriter::new(sink)),
            Self::Ndjson => Box::new(json::LinesWriter::new(sink)),
            Self::Markdown => Box::new(markdown::MarkdownWriter::new(&schema, sink)?),
            Self::Line => Box::new(line::LineWriter::new(&schema, sink)),
            Self::Parquet => Box::new(parquet::ParquetWriter::new(schema, sink)?),
            Self::Arrow => Box::new(arrow::ArrowWriter::new(&schema, sink)?),
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.to_ascii_lowercase();
        Self::ALL.into_iter().find(|format| format.name() == wanted).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|format| format.name()).collect();
            Error::usage_help(format!("unknown format '{name}'"), format!("formats are {}", names.join(", ")))
        })
    }
}

/// An encoder's failure.
fn encoding(error: datafusion::arrow::error::ArrowError) -> Error {
    Error::Engine(error.into())
}

/// A sink's failure; the path is filled in by [`sink::Guarded`].
fn writing(source: std::io::Error) -> Error {
    Error::write("-", source)
}
