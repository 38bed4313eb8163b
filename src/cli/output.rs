//! Where result sets go: standard output, or a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;

use super::args::Args;
use super::progress;
use super::supervise::Stop;
use crate::error::{Error, Result};
use crate::hidden;
use crate::output::staging::Staging;
use crate::output::{BatchWriter, Format, Limits, Sink};
use crate::session::{Session, Spool};
use crate::source::file::local_path;

const BUFFER_BYTES: usize = 64 * 1024;
/// Rows of a table on a terminal, unless asked for otherwise.
const TERMINAL_ROWS_MAX: usize = 40;

/// The place and form of results.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// The form of what goes to standard output.
    format: Format,
    /// Whether to write lines instead for now.
    as_lines: bool,
    /// As it was asked for; 0 means all.
    max_rows: Option<usize>,
    file: Option<Target>,
}

/// A file for results.
#[derive(Debug, Clone)]
struct Target {
    path: PathBuf,
    format: Format,
    /// Results that it holds already.
    results: usize,
}

/// One result set being written.
pub(super) struct Results {
    pub(super) writer: Box<dyn BatchWriter>,
    place: Place,
    stop: Stop,
}

/// What is left to do when a document is written.
enum Place {
    /// Nothing: it went where it belongs.
    There,
    /// It is renamed.
    Staged(Staging),
    /// It is put into a store.
    Spooled(Spool),
}

impl Output {
    /// # Errors
    /// A binary format on a terminal, a file whose format is not known.
    pub(super) fn new(args: &Args) -> Result<Self> {
        let to_terminal = io::stdout().is_terminal();
        let format = match (args.format, args.output.is_some()) {
            (Some(format), false) => format,
            _ if to_terminal => Format::Table,
            _ => Format::Csv,
        };
        let mut output = Self { format: Format::Table, as_lines: false, max_rows: args.max_rows, file: None };
        output.set_format(format)?;
        if let Some(path) = &args.output {
            let format = match args.format.or_else(|| Format::of_path(path)) {
                Some(format) => format,
                None => return Err(unknown_format(path, "--format")),
            };
            output.file = Some(Target { path: path.clone(), format, results: 0 });
        }
        Ok(output)
    }

    /// Whether only one result set fits: a file, or a stream that would be no document any more.
    pub(super) fn takes_one(&self) -> bool {
        self.file.is_some() || self.format.is_binary()
    }

    /// The form of the next result.
    pub(super) fn format(&self) -> Format {
        match &self.file {
            _ if self.as_lines => Format::Line,
            Some(file) => file.format,
            None => self.format,
        }
    }

    /// Whether to write one value per line, whatever the form.
    pub(super) fn set_lines(&mut self, as_lines: bool) {
        self.as_lines = as_lines;
    }

    /// The file of the next result, if it does not go to standard output.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// Changes the form of results: of the file, if they go to one.
    ///
    /// # Errors
    /// A binary format on a terminal.
    pub(super) fn set_format(&mut self, format: Format) -> Result<()> {
        self.as_lines = false;
        if let Some(file) = &mut self.file {
            file.format = format;
        } else if format.is_binary() && io::stdout().is_terminal() {
            let message = format!("{format} is not for terminals");
            return Err(Error::usage_help(
                message,
                "write it to a file with -o FILE, in the shell with .output FILE",
            ));
        } else {
            self.format = format;
        }
        Ok(())
    }

    /// Sends results to a file, in the form that its name asks for, or back to standard output.
    ///
    /// # Errors
    /// A name that tells no format.
    pub(super) fn set_file(&mut self, path: Option<PathBuf>) -> Result<()> {
        self.file = match path {
            None => None,
            Some(path) => match Format::of_path(&path) {
                Some(format) => Some(Target { path, format, results: 0 }),
                None if self.format == Format::Table => return Err(unknown_format(&path, ".mode")),
                None => Some(Target { path, format: self.format, results: 0 }),
            },
        };
        Ok(())
    }

    /// Counts a result that the file holds now.
    pub(super) fn wrote(&mut self) {
        if let Some(file) = &mut self.file {
            file.results += 1;
        }
    }

    /// Opens the place for a result set. Standard output is measured anew: a window may have another size.
    pub(super) fn open(&self, schema: SchemaRef, session: &Arc<Session>, stop: &Stop) -> Result<Results> {
        let Some(target) = &self.file else {
            let stdout = io::stdout();
            let to_terminal = stdout.is_terminal();
            let width = to_terminal.then(|| terminal_size::terminal_size_of(&stdout)).flatten();
            let rows = self.rows().or_else(|| to_terminal.then_some(TERMINAL_ROWS_MAX));
            let rows = rows.filter(|_| self.max_rows != Some(0));
            let limits = Limits { width: width.map(|(width, _)| width.0.into()), rows };
            let shown = Screened { inner: stdout, is_terminal: to_terminal };
            let writer = self.format().writer(schema, sink(shown, stop), Path::new("-"), limits)?;
            return Ok(Results { writer, place: Place::There, stop: stop.clone() });
        };
        let limits = Limits { width: None, rows: self.rows() };
        let (file, place) = target.create(self.format(), session)?;
        let writer = self.format().writer(schema, sink(file, stop), &target.path, limits)?;
        Ok(Results { writer, place, stop: stop.clone() })
    }

    fn rows(&self) -> Option<usize> {
        self.max_rows.filter(|rows| *rows > 0)
    }
}

impl Target {
    /// A staged file, with the results that the file holds already; devices and pipes (`/dev/null`) are
    /// written as they are.
    fn create(&self, format: Format, session: &Arc<Session>) -> Result<(File, Place)> {
        let path = self.path.as_path();
        let failed = |source| Error::io("write", path, source);
        let url = path.to_str().filter(|text| local_path(text).is_none());
        if url.is_none()
            && let Some(file) = special(path)?
        {
            return Ok((file, Place::There));
        }
        if self.results > 0 && url.is_some() {
            let message = format!("'{}' has a result, and an object takes one", path.display());
            return Err(Error::usage_help(message, "name another one with .output URL"));
        }
        if let Some(url) = url {
            let spool = session.spool(url)?;
            let file = File::options().write(true).truncate(true).open(spool.path()).map_err(failed)?;
            return Ok((file, Place::Spooled(spool)));
        }
        if self.results > 0 && (format.is_binary() || format == Format::Json) {
            let message = format!("'{}' has a result, and {format} takes one", path.display());
            return Err(Error::usage_help(
                message,
                "name another file with .output FILE, or .output alone for the screen",
            ));
        }
        let staging = Staging::beside(path)?;
        if self.results > 0 && path.exists() {
            fs::copy(path, staging.path()).map_err(failed)?;
        }
        let file = File::options().create(true).append(true).open(staging.path()).map_err(failed)?;
        Ok((file, Place::Staged(staging)))
    }
}

impl Results {
    /// Ends the document and puts it in its place.
    pub(super) async fn finish(self) -> Result<()> {
        self.writer.finish()?;
        match self.place {
            Place::There => Ok(()),
            Place::Staged(_) | Place::Spooled(_) if self.stop.is_set() => Err(Error::BrokenPipe),
            Place::Staged(staging) => staging.commit(),
            Place::Spooled(spool) => spool.upload().await,
        }
    }
}

/// A device or pipe, open for writing: nothing can be renamed into its place.
///
/// # Errors
/// A folder.
fn special(path: &Path) -> Result<Option<File>> {
    let failed = |source| Error::io("write", path, source);
    let Ok(meta) = fs::metadata(path) else { return Ok(None) };
    let kind = meta.file_type();
    if kind.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    if kind.is_char_device() || kind.is_block_device() || kind.is_fifo() || kind.is_socket() {
        return File::options().write(true).open(path).map(Some).map_err(failed);
    }
    Ok(None)
}

/// Puts a document into a file, all of it or nothing; devices and pipes are written as they are. What it has of secrets
/// is left out.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(bytes);
    let text = hidden::hide(&text);
    let bytes = text.as_bytes();
    let failed = |source: io::Error| Error::write(path, source);
    if let Some(mut file) = special(path)? {
        return file.write_all(bytes).map_err(failed);
    }
    let staging = Staging::beside(path)?;
    File::create(staging.path()).and_then(|mut file| file.write_all(bytes)).map_err(failed)?;
    staging.commit()
}

fn unknown_format(path: &Path, setting: &str) -> Error {
    let message = format!("the format of '{}' cannot be told from its name", path.display());
    Error::usage_help(message, format!("say it with {setting}"))
}

fn sink(inner: impl Write + Send + 'static, stop: &Stop) -> Sink {
    Box::new(BufWriter::with_capacity(BUFFER_BYTES, Gate { inner, stop: stop.clone() }))
}

/// Standard output, which may be the terminal that progress is shown on.
struct Screened<W> {
    inner: W,
    is_terminal: bool,
}

impl<W: Write> Write for Screened<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_terminal {
            progress::rows_come();
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Lets nothing through any more when the query has been stopped.
struct Gate<W> {
    inner: W,
    stop: Stop,
}

impl<W: Write> Write for Gate<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_set() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
