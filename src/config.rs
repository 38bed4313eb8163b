//! What the environment says; the only reader of environment variables.

use std::env;

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
