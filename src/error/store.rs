//! What went wrong between us and a store of the network.

use datafusion::error::DataFusionError;

/// An object that could not be read, written or listed. It travels inside the engine's errors.
///
/// Its texts hold no secret: no signed query, no header, nothing of a secret's settings.
#[derive(Debug, thiserror::Error)]
#[error("'{url}' cannot be {done}: {trouble}", done = .action.done())]
pub struct StoreError {
    /// The object or the store, as the query may show it.
    pub url: String,
    /// What was attempted.
    pub action: StoreAction,
    /// What is wrong, in one line without a full stop; what the server said is in it.
    pub trouble: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The error of the layer below.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What is done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreAction {
    /// Its rows or its size are asked for.
    Read,
    /// It is made.
    Write,
    /// It is looked for.
    List,
    /// It is taken away.
    Delete,
}

impl StoreAction {
    fn done(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "written",
            Self::List => "listed",
            Self::Delete => "deleted",
        }
    }
}

impl StoreError {
    /// Trouble when reading.
    pub fn new(url: impl Into<String>, trouble: impl Into<String>) -> Self {
        Self::of(StoreAction::Read, url, trouble)
    }

    /// Trouble of a kind.
    pub fn of(action: StoreAction, url: impl Into<String>, trouble: impl Into<String>) -> Self {
        Self { url: url.into(), action, trouble: trouble.into(), help: None, source: None }
    }

    /// Adds advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same error without its cause, for another who waits.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { help: self.help.clone(), ..Self::of(self.action, &self.url, &self.trouble) }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

impl From<StoreError> for DataFusionError {
    fn from(error: StoreError) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<StoreError> for datafusion::object_store::Error {
    fn from(error: StoreError) -> Self {
        Self::Generic { store: "store", source: Box::new(error) }
    }
}
