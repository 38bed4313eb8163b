//! What the environment says; the only reader of environment variables.

use std::env;
use std::path::PathBuf;

use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;

/// The folder for what the program keeps between its runs: `$XDG_STATE_HOME/query` or
/// `~/.local/state/query`. `None` where there is no home. Nothing is created.
pub fn state_dir() -> Option<PathBuf> {
    Xdg::new().ok()?.state_dir().map(|folder| folder.join("query"))
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
