//! Reading the SQL texts that were asked for.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::args::Input;
use super::shell::items::Items;
use crate::error::{Error, Result, Script};

/// Reads all inputs, so that a missing file is known before anything runs.
pub(super) fn read_all(inputs: Vec<Input>) -> Result<Vec<Items>> {
    inputs.into_iter().map(read).collect()
}

fn read(input: Input) -> Result<Items> {
    match input {
        Input::Command(sql) => Ok(Items::with_commands("<command line>", &sql)),
        Input::File(path) => Ok(Items::of_sql(&read_file(&path)?)),
        Input::Stdin => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map_err(|source| Error::io("read", "-", source))?;
            Ok(Items::of_sql(&script("<standard input>", bytes)?))
        }
    }
}

/// Reads a file of SQL.
pub(super) fn read_file(path: &Path) -> Result<Arc<Script>> {
    let bytes = fs::read(path).map_err(|source| Error::io("read", path, source))?;
    script(&path.display().to_string(), bytes)
}

fn script(name: &str, bytes: Vec<u8>) -> Result<Arc<Script>> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Script::new(name, text.strip_prefix('\u{feff}').unwrap_or(&text))),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            let source = io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8 text"));
            Err(Error::io("read", name, source))
        }
    }
}
