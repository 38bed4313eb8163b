//! The one error type of the crate.
//!
//! An error says what was attempted, where (script, line, column) and, where something can be done
//! about it, what. It is printed in one place only, by the command line (`cli::report`).

mod resources;
mod store;
mod task;
mod wording;

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use crate::hidden;

pub use resources::{OUT_OF_MEMORY, Refusal, is_out_of_memory};
pub use store::{StoreAction, StoreError};
pub use task::{OperatorFailure, Stopped, TaskFailure, panic_message, panicked};

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by who has to act.
#[derive(thiserror::Error)]
pub enum Error {
    /// The command was called in a way that cannot work; nothing has run.
    #[error("{message}")]
    Usage {
        /// What is wrong with the call.
        message: String,
        /// What to do instead.
        help: Option<String>,
    },
    /// A statement could not be parsed, planned or run.
    #[error("{message}", message = .0.message)]
    Statement(Box<StatementError>),
    /// The engine failed outside any statement of a script.
    #[error("{}", explain(.0).message)]
    Engine(#[from] DataFusionError),
    /// A file or stream could not be read or written.
    #[error("could not {action} {}: {}", name_path(path), wording::without_system_number(&source.to_string()))]
    Io {
        /// What was attempted, as an infinitive: `read`, `write`, `rename`.
        action: &'static str,
        /// The file; `-` for a standard stream.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The reader of standard output has gone away.
    #[error("standard output was closed")]
    BrokenPipe,
    /// A signal stopped the work.
    #[error("interrupted")]
    Interrupted {
        /// The signal's number: 2 for Ctrl-C, 15 for a polite kill.
        signal: i32,
    },
    /// A statement took longer than it may.
    #[error("the statement took longer than {time:?} and was stopped")]
    Timeout {
        /// The time that it had.
        time: Duration,
    },
    /// A defect of this program: some part of it panicked.
    #[error("internal error: {message}")]
    Internal {
        /// The panic's own message.
        message: String,
    },
}

/// A statement, or a step of a DataFrame, that failed, with the place to point at.
#[derive(thiserror::Error)]
#[error("{message}")]
pub struct StatementError {
    /// What went wrong, in one line without a full stop.
    pub message: String,
    /// Where in which script.
    pub place: Option<Place>,
    /// A word to write beside the caret.
    pub label: Option<String>,
    /// What to do next, most useful first.
    pub help: Vec<String>,
    /// Whether it is the call that is wrong, and not the statement.
    pub misuse: bool,
    /// The engine's error, where there is one.
    #[source]
    pub source: Option<DataFusionError>,
}

/// A data file that cannot be read as what it should be. It travels inside the engine's errors.
#[derive(Debug, thiserror::Error)]
#[error("'{path}' cannot be read: {trouble}")]
pub struct FileError {
    /// The file, as the query named it.
    pub path: String,
    /// What is wrong with it, in one line without a full stop.
    pub trouble: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The decoder's error, where there is one.
    #[source]
    pub source: Option<DataFusionError>,
}

impl FileError {
    /// Trouble that we found ourselves.
    pub fn new(path: impl Into<String>, trouble: impl Into<String>) -> Self {
        Self { path: path.into(), trouble: trouble.into(), help: None, source: None }
    }

    /// A decoder's error. One that names a file or an object already is passed on as it is.
    pub fn wrap(path: &str, source: DataFusionError) -> DataFusionError {
        if find::<Self>(&source).is_some() || find::<StoreError>(&source).is_some() {
            return source;
        }
        let Explained { message: trouble, help } = explain(&source);
        Self { path: path.to_string(), trouble, help, source: Some(source) }.into()
    }

    /// Adds advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<FileError> for DataFusionError {
    fn from(error: FileError) -> Self {
        Self::External(Box::new(error))
    }
}

/// An error of a kind somewhere in a chain of causes.
fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// What started a chain of causes.
fn deepest<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error)
}

/// A piece of a script.
#[derive(Debug, Clone)]
pub struct Place {
    /// The script.
    pub script: Arc<Script>,
    /// Byte offsets in the script's text.
    pub span: Range<usize>,
}

/// A text of SQL statements and the name it goes by in messages.
#[derive(Debug)]
pub struct Script {
    /// A path, or `<command line>`, or `<standard input>`.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Where each line starts: messages and tokens count in lines, spans in bytes.
    line_starts: Vec<usize>,
}

impl Error {
    /// A misuse of the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: None }
    }

    /// A misuse of the command line with advice.
    pub fn usage_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: Some(help.into()) }
    }

    /// A failed operation on a file.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// A failed write of results; a closed pipe is told apart.
    pub fn write(path: impl AsRef<Path>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::io("write", path, source),
        }
    }

    /// Where in a job a defect of this program came to light. Errors that are about the query or its data are in
    /// its words, and stages are none of them.
    pub fn defect_place(&self) -> Option<String> {
        let source = match self {
            Self::Statement(statement) => statement.source.as_ref()?,
            Self::Engine(source) => source,
            Self::Usage { .. }
            | Self::Io { .. }
            | Self::BrokenPipe
            | Self::Interrupted { .. }
            | Self::Timeout { .. }
            | Self::Internal { .. } => return None,
        };
        let is_defect = matches!(source.find_root(), DataFusionError::Internal(_));
        is_defect.then(|| TaskFailure::of(source).map(TaskFailure::place))?
    }

    /// The process's exit code: 2 for usage, 128 + signal, 0 for a closed pipe, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 2,
            Self::Statement(error) if error.misuse => 2,
            Self::BrokenPipe => 0,
            // As coreutils' `timeout`.
            Self::Timeout { .. } => 124,
            Self::Interrupted { signal } => 128u8.saturating_add(u8::try_from(*signal).unwrap_or(0)),
            Self::Statement(_) | Self::Engine(_) | Self::Io { .. } | Self::Internal { .. } => 1,
        }
    }
}

impl StatementError {
    /// An error of our own at a place.
    pub fn new(message: impl Into<String>, place: Option<Place>) -> Self {
        let message = hidden::hidden(message.into());
        Self { message, place, label: None, help: Vec::new(), misuse: false, source: None }
    }

    /// The engine's error, worded for people, at a place.
    pub fn from_engine(source: DataFusionError, place: Option<Place>) -> Self {
        let Explained { message, help } = explain(&source);
        Self {
            message,
            place,
            label: None,
            help: help.into_iter().collect(),
            misuse: false,
            source: Some(source),
        }
    }

    /// Adds a line of advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(hidden::hidden(help.into()));
        self
    }

    /// The same without the values of secrets, in the advice too.
    #[must_use]
    pub(crate) fn without_secrets(mut self) -> Self {
        self.message = hidden::hidden(self.message);
        self.help = self.help.into_iter().map(hidden::hidden).collect();
        self
    }

    /// Sets the word beside the caret.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

/// For people too: it is what a program shows whose `main` returns the error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let help = match self {
            Self::Statement(statement) => return fmt::Debug::fmt(statement, f),
            Self::Usage { help, .. } => help.clone(),
            Self::Engine(error) => explain(error).help,
            Self::Io { .. }
            | Self::BrokenPipe
            | Self::Interrupted { .. }
            | Self::Timeout { .. }
            | Self::Internal { .. } => None,
        };
        write!(f, "{self}")?;
        help.map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

impl fmt::Debug for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(Place { script, span }) = &self.place {
            let line = script.text[..span.start.min(script.text.len())].matches('\n').count() + 1;
            write!(f, " ({}, line {line})", script.name)?;
        }
        self.help.iter().try_for_each(|help| write!(f, "; {help}"))
    }
}

impl From<StatementError> for Error {
    fn from(error: StatementError) -> Self {
        Self::Statement(Box::new(error))
    }
}

impl Script {
    /// A script under the name it is to have in messages.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(ends).collect();
        Arc::new(Self { name: name.into(), text, line_starts })
    }

    /// The byte offset of a place given as line and column, both from 1, columns in characters.
    /// A place beyond the end is the end.
    pub fn offset(&self, line: u64, column: u64) -> usize {
        let index = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.line_starts.get(index(line)).copied() else { return self.text.len() };
        let place = self.text[start..].char_indices().nth(index(column));
        place.map_or(self.text.len(), |(at, _)| start + at)
    }
}

struct Explained {
    message: String,
    help: Option<String>,
}

/// Words an engine's error for people, without the values of secrets.
fn explain(error: &DataFusionError) -> Explained {
    let Explained { message, help } = worded(error);
    Explained { message: hidden::hidden(message), help: help.map(hidden::hidden) }
}

/// Words an engine's error for people: its kind's prefix and its backtrace are dropped, arithmetic
/// failures say what to do about them.
fn worded(error: &DataFusionError) -> Explained {
    if let Some(file) = find::<FileError>(error) {
        return Explained { message: file.to_string(), help: file.help.clone() };
    }
    if let Some(store) = find::<StoreError>(error) {
        return Explained { message: store.to_string(), help: store.help.clone() };
    }
    let root = error.find_root();
    if let Some(refusal) = resources::explain(root) {
        return refusal;
    }
    if let DataFusionError::ArrowError(arrow, _) = root {
        match arrow.as_ref() {
            ArrowError::DivideByZero => return division_by_zero(),
            ArrowError::ArithmeticOverflow(what) => return overflow(what),
            _ => {}
        }
    }
    if let Some(function) = mismatched_function(&root.message()) {
        let message = format!("function '{function}' cannot take arguments of these types");
        return Explained {
            message,
            help: Some("cast them, or look at the function's types with SHOW FUNCTIONS".into()),
        };
    }
    let text = match root {
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::ExternalError(inner) => inner.to_string(),
            ArrowError::CastError(text)
            | ArrowError::ComputeError(text)
            | ArrowError::ParseError(text)
            | ArrowError::CsvError(text)
            | ArrowError::JsonError(text)
            | ArrowError::InvalidArgumentError(text)
            | ArrowError::SchemaError(text) => text.clone(),
            other => other.to_string(),
        },
        DataFusionError::SQL(parser, _) => strip_prefix(&parser.to_string()),
        DataFusionError::ObjectStore(store) => store_message(store),
        other => other.message().into_owned(),
    };
    let text = text.split("\n\nbacktrace:").next().unwrap_or_default();
    let text = text.split("\nThis issue was likely caused by a bug").next().unwrap_or_default();
    if let Some(function) = text.strip_prefix("Physical plan does not support logical expression ") {
        let kind = match function.split('(').next() {
            Some("WindowFunction") => "a window function",
            Some("AggregateFunction") => "an aggregate",
            Some("Exists" | "InSubquery" | "ScalarSubquery" | "SetComparison") => "a subquery",
            _ => "this expression",
        };
        return Explained { message: format!("{kind} is not supported here"), help: None };
    }
    if let Some(table) = text.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        let table = table.strip_prefix("datafusion.public.").unwrap_or(table);
        return Explained { message: format!("table '{table}' does not exist"), help: None };
    }
    wording::explain(text)
}

/// The function that no signature fits; the engine words some of these as defects of its own.
fn mismatched_function(message: &str) -> Option<String> {
    let (before, _) = message.split_once("' failed to match any signature")?;
    before.rsplit_once("Function '").map(|(_, name)| name.to_string())
}

fn division_by_zero() -> Explained {
    Explained {
        message: "division by zero".into(),
        help: Some("`x / nullif(y, 0)` gives NULL where y is zero".into()),
    }
}

fn overflow(what: &str) -> Explained {
    if what.starts_with("decimal ") {
        return Explained {
            message: format!("decimal overflow: a {what}"),
            help: Some("cast to a type with fewer decimal places, or to double".into()),
        };
    }
    let what = what.strip_prefix("Overflow happened on: ").unwrap_or(what);
    Explained {
        message: format!("integer overflow: {what}"),
        help: Some(
            "compute with a wider type, `cast(x as decimal(38, 0))`, or wrap around on purpose with \
             wrapping_add, wrapping_sub, wrapping_mul or wrapping_neg"
                .into(),
        ),
    }
}

fn store_message(error: &datafusion::object_store::Error) -> String {
    use datafusion::object_store::Error as Store;
    match error {
        Store::NotFound { path, .. } => format!("no such file: {path}"),
        Store::PermissionDenied { path, .. } => format!("permission denied: {path}"),
        // Its own words are about a store, and name the file again.
        Store::Generic { source, .. } => deepest(source.as_ref()).to_string(),
        other => other.to_string(),
    }
}

fn strip_prefix(text: &str) -> String {
    text.strip_prefix("sql parser error: ").unwrap_or(text).to_string()
}

/// Messages start in lower case, but for words that are written in capitals (`JSON`, `GROUP BY`).
pub(crate) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_string(),
    }
}

fn name_path(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "the standard stream".into(),
        _ => format!("'{}'", path.display()),
    }
}
