//! What the environment says, and our own settings; the only reader of environment variables.

pub mod toml;

use std::any::Any;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::{env, fmt};

use bytesize::ByteSize;
use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::config_datafusion_err;
use datafusion::error::DataFusionError;
use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;

/// The folder for what the program keeps between its runs: `$XDG_STATE_HOME/query` or
/// `~/.local/state/query`. `None` where there is no home. Nothing is created.
pub fn state_dir() -> Option<PathBuf> {
    Xdg::new().ok()?.state_dir().map(|folder| folder.join("query"))
}

/// The configuration file: `$XDG_CONFIG_HOME/query/config.toml` or `~/.config/query/config.toml`. `None` where there is
/// no home. `--config` and `QUERY_CONFIG` beat it.
pub fn config_file() -> Option<PathBuf> {
    Xdg::new().ok().map(|folder| folder.config_dir().join("query").join("config.toml"))
}

/// The configuration file that the user chose, `QUERY_CONFIG`; `--config` beats it.
pub fn chosen_config_file() -> Option<PathBuf> {
    env::var_os("QUERY_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Beginnings of the names of variables that stores are set up with.
const STORE_VARIABLES: [&str; 6] = ["AWS_", "AZURE_", "GOOGLE_", "GCP_", "GCS_", "HADOOP_"];
/// Parts of the names of those whose values are secrets, and ends of the names of those that only lead to some.
const SECRET_PARTS: [&str; 7] =
    ["KEY", "SECRET", "TOKEN", "PASSWORD", "SAS", "CONNECTION_STRING", "CREDENTIAL"];
const LEADING_ENDS: [&str; 7] = ["_FILE", "_URI", "_PATH", "_URL", "_DIR", "_ENDPOINT", "_CREDENTIALS"];

/// The values of the environment that are secrets of stores: they are to be hidden.
pub fn secret_values() -> Vec<String> {
    let is_secret = |name: &str| {
        STORE_VARIABLES.iter().any(|start| name.starts_with(start))
            && SECRET_PARTS.iter().any(|part| name.contains(part))
            && !LEADING_ENDS.iter().any(|end| name.ends_with(end))
    };
    let of = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let name = name.to_string_lossy().to_uppercase();
        is_secret(&name).then(|| value.to_string_lossy().into_owned())
    };
    env::vars_os().filter_map(of).collect()
}

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

/// When to show how far queries are, `QUERY_PROGRESS`, as it is written; `--progress` beats it.
pub fn progress() -> Option<String> {
    text("QUERY_PROGRESS")
}

/// Whether a terminal shows more than ASCII, as `LC_ALL`, `LC_CTYPE` and `LANG` have it.
pub fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(text).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Whether the terminal can do nothing but write one line after the other (`TERM`).
pub fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty())
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

/// Stack of every thread that plans or runs queries: SQL with thousands of terms makes trees thousands
/// deep. Address space only; what is not used costs nothing.
pub const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Our own settings, for `SET query.…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryOptions {
    /// The longest record of a text file that is read; a longer one is an error before it is read whole.
    pub max_row_bytes: Bytes,
    /// What runs the queries.
    pub engine: EngineKind,
    /// Worker threads of the engine `local`.
    pub threads: NonZeroUsize,
    /// What the engine `inline` chooses the order of tasks by.
    pub seed: u64,
    /// Whether what a query has more than once is computed once.
    pub shared_stages: Applied,
    /// Whether the build side of a join is read by all partitions where that costs less than a shuffle.
    pub broadcast_joins: Applied,
    /// Which scans of Parquet files are cut into more pieces than there are partitions.
    pub scan_pieces: Applied,
    /// Whether scans below an aggregation read ranges of a key of it where files are clustered by one.
    pub clustered_groups: Applied,
    /// Whether text is copied into buffers of its own between a join and the build side of the next.
    pub compact_builds: bool,
    /// Whether rows of a scan that the dynamic filter of a join rules out are left out above the scan.
    pub row_filters: Applied,
    /// When the command line shows how far a statement is.
    pub progress: ProgressChoice,
    /// How much a query may read of files.
    pub max_scan: ScanLimit,
}

impl Default for QueryOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            max_row_bytes: Bytes(64 << 20),
            engine: EngineKind::Local,
            threads,
            seed: 0,
            shared_stages: Applied::On,
            broadcast_joins: Applied::On,
            scan_pieces: Applied::On,
            clustered_groups: Applied::On,
            compact_builds: true,
            row_filters: Applied::On,
            progress: ProgressChoice::Auto,
            max_scan: ScanLimit::default(),
        }
    }
}

impl ConfigExtension for QueryOptions {
    const PREFIX: &'static str = "query";
}

// The engine's macro for this would list the settings without their prefix, so that SHOW would not find them.
impl ExtensionOptions for QueryOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), DataFusionError> {
        match key {
            "max_row_bytes" => self.max_row_bytes = value.parse()?,
            "engine" => self.engine = value.parse()?,
            "threads" => self.threads = parsed(key, value)?,
            "seed" => self.seed = parsed(key, value)?,
            "optimizer.shared_stages" => self.shared_stages = value.parse()?,
            "optimizer.broadcast_joins" => self.broadcast_joins = value.parse()?,
            "optimizer.scan_pieces" => self.scan_pieces = value.parse()?,
            "optimizer.clustered_groups" => self.clustered_groups = value.parse()?,
            "optimizer.compact_builds" => self.compact_builds = parsed(key, value)?,
            "optimizer.row_filters" => self.row_filters = value.parse()?,
            "progress" => self.progress = value.parse()?,
            "execution.max_scan" => self.max_scan = value.parse()?,
            _ => return Err(config_datafusion_err!("there is no setting '{}.{key}'", Self::PREFIX)),
        }
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let entry = |name: &str, value: String, description: &'static str| ConfigEntry {
            key: format!("{}.{name}", Self::PREFIX),
            value: Some(value),
            description,
        };
        vec![
            entry(
                "max_row_bytes",
                self.max_row_bytes.to_string(),
                "the longest record of a text file that is read",
            ),
            entry(
                "engine",
                self.engine.to_string(),
                "what runs queries: local (worker threads), inline (one thread, for tests) or stock \
                 (DataFusion's own way, to compare with)",
            ),
            entry("threads", self.threads.to_string(), "worker threads of the engine local"),
            entry("seed", self.seed.to_string(), "what the engine inline chooses the order of tasks by"),
            entry(
                "optimizer.shared_stages",
                self.shared_stages.to_string(),
                "whether what a query has more than once is computed once: true (where it costs less), false, or \
                 always (for tests)",
            ),
            entry(
                "optimizer.broadcast_joins",
                self.broadcast_joins.to_string(),
                "whether all partitions read the build side of a join instead of both sides being shuffled: true (where \
                 it costs less), false, or always (for tests)",
            ),
            entry(
                "optimizer.scan_pieces",
                self.scan_pieces.to_string(),
                "whether scans of Parquet files are cut into more pieces than there are partitions, which take them from \
                 one queue",
            ),
            entry(
                "optimizer.clustered_groups",
                self.clustered_groups.to_string(),
                "whether the partitions of a scan read ranges of a column that rows are grouped by, where the footers of \
                 Parquet files prove that there are some, instead of groups being shuffled: true (where it costs less), \
                 false, or always (for tests)",
            ),
            entry(
                "optimizer.compact_builds",
                self.compact_builds.to_string(),
                "whether text is copied into buffers of its own between a join and the build side of the next",
            ),
            entry(
                "optimizer.row_filters",
                self.row_filters.to_string(),
                "whether rows without a partner in a join further up are left out above the scan that they come from, as \
                 soon as the join knows its keys: true (where it costs less), false, or always (for tests)",
            ),
            entry(
                "progress",
                self.progress.to_string(),
                "when the command line shows how far a statement is: auto (on a terminal), on or off",
            ),
            entry(
                "execution.max_scan",
                self.max_scan.to_string(),
                "a query that would read more of files than this is refused before it runs: a size, or none",
            ),
        ]
    }
}

fn parsed<T: FromStr>(key: &str, value: &str) -> Result<T, DataFusionError> {
    value
        .trim()
        .parse()
        .map_err(|_| config_datafusion_err!("'{value}' is no value for '{}.{key}'", QueryOptions::PREFIX))
}

/// When a rule that changes plans is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Applied {
    /// Never, but for what a query itself asks for (MATERIALIZED).
    Off,
    /// Where it is estimated to cost less.
    #[default]
    On,
    /// Whatever it costs: for tests.
    Always,
}

impl Applied {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::On, Self::Always];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "false",
            Self::On => "true",
            Self::Always => "always",
        }
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Applied {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|stages| stages.name().eq_ignore_ascii_case(text.trim()));
        named.ok_or_else(|| config_datafusion_err!("'{text}' is not true, false or always"))
    }
}

/// What runs queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    /// A task graph, on worker threads.
    #[default]
    Local,
    /// A task graph, on the thread that reads the results, in an order that a seed gives: for tests.
    Inline,
    /// DataFusion's own streams, with its own exchanges: to compare with.
    Stock,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Local, Self::Inline, Self::Stock];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Inline => "inline",
            Self::Stock => "stock",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|engine| engine.name().eq_ignore_ascii_case(text.trim()));
        named.ok_or_else(|| config_datafusion_err!("'{text}' is no engine: local, inline or stock"))
    }
}

/// When to show how far statements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProgressChoice {
    /// On terminals.
    #[default]
    Auto,
    /// Also where there is no terminal, as lines now and then.
    On,
    /// Never.
    Off,
}

impl ProgressChoice {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::On, Self::Off];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for ProgressChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ProgressChoice {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|choice| choice.name().eq_ignore_ascii_case(text.trim()));
        named.ok_or_else(|| config_datafusion_err!("'{text}' does not say when: auto, on or off"))
    }
}

/// A number of bytes, written as such or with a unit: `67108864`, `64MiB`, `64MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size = text.trim().parse::<ByteSize>();
        size.map(|size| Self(size.as_u64()))
            .map_err(|_| config_datafusion_err!("'{text}' is not a number of bytes such as 64MiB"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ByteSize(self.0).display().iec().fmt(f)
    }
}

/// How much a query may read of files: a number of bytes, or `none` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanLimit(pub Option<Bytes>);

impl FromStr for ScanLimit {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().eq_ignore_ascii_case("none") {
            true => Ok(Self(None)),
            false => text.parse().map(|bytes| Self(Some(bytes))),
        }
    }
}

impl fmt::Display for ScanLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => bytes.fmt(f),
            None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_and_without_units() {
        let bytes = |text: &str| text.parse::<Bytes>().map(|bytes| bytes.0).ok();
        assert_eq!(bytes("4096"), Some(4096));
        assert_eq!(bytes("64MiB"), Some(64 << 20));
        assert_eq!(bytes(" 512 MB"), Some(512_000_000));
        assert_eq!(bytes("many"), None);
        assert_eq!(bytes("-1"), None);
    }
}
