//! Reading the SQL texts that were asked for.

use std::fs;
use std::io::{self, Read};
use std::sync::Arc;

use super::args::Input;
use crate::error::{Error, Result, Script};

/// Reads all inputs, so that a missing file is known before anything runs.
pub(super) fn read_all(inputs: Vec<Input>) -> Result<Vec<Arc<Script>>> {
    inputs.into_iter().map(read).collect()
}

fn read(input: Input) -> Result<Arc<Script>> {
    let (name, bytes) = match input {
        Input::Command(sql) => return Ok(Script::new("<command line>", sql)),
        Input::File(path) => {
            let bytes = fs::read(&path).map_err(|source| Error::io("read", &path, source))?;
            (path.display().to_string(), bytes)
        }
        Input::Stdin => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map_err(|source| Error::io("read", "-", source))?;
            ("<standard input>".to_string(), bytes)
        }
    };
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
