//! What the environment says; the only reader of environment variables.

use std::env;
use std::path::PathBuf;

/// The limit of memory, `QUERY_MEMORY_LIMIT`, as it is written; `--memory-limit` beats it.
pub fn memory_limit() -> Option<String> {
    text("QUERY_MEMORY_LIMIT")
}

/// The limit of temporary files, `QUERY_MAX_TEMP_SIZE`, as it is written; `--max-temp-size` beats it.
pub fn max_temp_size() -> Option<String> {
    text("QUERY_MAX_TEMP_SIZE")
}

/// The folder for temporary files that the user chose, `QUERY_TEMP_DIR`; `--temp-dir` beats it.
pub fn chosen_temp_dir() -> Option<PathBuf> {
    env::var_os("QUERY_TEMP_DIR").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The system's folder for temporary files (`TMPDIR`).
pub fn temp_dir() -> PathBuf {
    env::temp_dir()
}

/// A variable that is set and not empty. What is no text is kept recognisable for the message about it.
fn text(name: &str) -> Option<String> {
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// On terminals that can, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl ColorChoice {
    /// Whether to colour a stream. The flag beats `NO_COLOR`, which beats `CLICOLOR_FORCE`, which beats
    /// what the terminal can do.
    pub fn colours(self, is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
                let forced =
                    set("CLICOLOR_FORCE") && env::var_os("CLICOLOR_FORCE").is_none_or(|value| value != "0");
                let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
                !set("NO_COLOR") && (forced || (is_terminal && !dumb))
            }
        }
    }
}
