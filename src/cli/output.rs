//! Where result sets go: standard output, or one file.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use datafusion::arrow::datatypes::SchemaRef;

use super::args::Args;
use crate::error::{Error, Result};
use crate::output::staging::Staging;
use crate::output::{BatchWriter, Format, Limits, Sink};

const BUFFER_BYTES: usize = 64 * 1024;
/// Rows of a table on a terminal, unless asked for otherwise.
const TERMINAL_ROWS_MAX: usize = 40;

/// The place and form of results.
pub(super) struct Output {
    format: Format,
    limits: Limits,
    file: Option<PathBuf>,
}

/// One result set being written.
pub(super) struct Results {
    pub(super) writer: Box<dyn BatchWriter>,
    staging: Option<Staging>,
}

impl Output {
    /// # Errors
    /// A binary format on a terminal.
    pub(super) fn new(args: &Args) -> Result<Self> {
        let stdout = io::stdout();
        let to_terminal = args.output.is_none() && stdout.is_terminal();
        let format = args.format.unwrap_or(if to_terminal { Format::Table } else { Format::Csv });
        if format.is_binary() && to_terminal {
            let message = format!("{format} is not for terminals");
            return Err(Error::usage_help(message, "write it to a file with -o FILE"));
        }
        let width = to_terminal.then(|| terminal_size::terminal_size_of(&stdout)).flatten();
        let rows = match args.max_rows {
            Some(0) => None,
            Some(rows) => Some(rows),
            None => to_terminal.then_some(TERMINAL_ROWS_MAX),
        };
        let limits = Limits { width: width.map(|(width, _)| width.0.into()), rows };
        Ok(Self { format, limits, file: args.output.clone() })
    }

    /// Whether only one result set fits: a file, or a stream that would be no document any more.
    pub(super) fn takes_one(&self) -> bool {
        self.file.is_some() || self.format.is_binary()
    }

    /// Opens the place for a result set.
    pub(super) fn open(&self, schema: SchemaRef) -> Result<Results> {
        let Some(path) = &self.file else {
            let sink: Sink = Box::new(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()));
            return Ok(Results {
                writer: self.format.writer(schema, sink, Path::new("-"), self.limits)?,
                staging: None,
            });
        };
        let (file, staging) = create(path)?;
        let sink: Sink = Box::new(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Results { writer: self.format.writer(schema, sink, path, self.limits)?, staging })
    }
}

impl Results {
    /// Ends the document and puts it in its place.
    pub(super) fn finish(self) -> Result<()> {
        self.writer.finish()?;
        self.staging.map_or(Ok(()), Staging::commit)
    }
}

/// A staged file; devices and pipes (`/dev/null`) are written as they are.
fn create(path: &Path) -> Result<(File, Option<Staging>)> {
    if let Ok(meta) = fs::metadata(path) {
        let kind = meta.file_type();
        if kind.is_dir() {
            return Err(Error::io("write", path, io::Error::from(io::ErrorKind::IsADirectory)));
        }
        if kind.is_char_device() || kind.is_block_device() || kind.is_fifo() || kind.is_socket() {
            let file =
                File::options().write(true).open(path).map_err(|source| Error::io("write", path, source))?;
            return Ok((file, None));
        }
    }
    let staging = Staging::beside(path)?;
    let file = File::create(staging.path()).map_err(|source| Error::io("write", path, source))?;
    Ok((file, Some(staging)))
}
