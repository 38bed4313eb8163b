//! Refusals of memory and disk, and what to do about them.

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use super::Explained;

/// How our pool's refusals start: operators act on them, so they come as the engine's own variant, which
/// carries nothing but text.
pub const OUT_OF_MEMORY: &str = "out of memory: ";

const MORE_MEMORY: &str = "raise --memory-limit, or ask for less at once (fewer columns, filters before joins): sorts, aggregations \
     and sort-merge joins go to disk when memory is short, but hash and cross joins stay in memory";

/// A refusal that knows what to do about it, inside an engine's error.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    message: String,
    help: String,
}

impl Refusal {
    /// A refusal with advice.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// Whether the engine was refused memory.
pub fn is_out_of_memory(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// Words the root of an engine's error, if it is a refusal.
pub(super) fn explain(root: &DataFusionError) -> Option<Explained> {
    if let Some(refusal) = refusal(root) {
        return Some(Explained { message: refusal.message.clone(), help: Some(refusal.help.clone()) });
    }
    let DataFusionError::ResourcesExhausted(text) = root else { return None };
    let message = match text.starts_with(OUT_OF_MEMORY) {
        true => text.clone(),
        false => format!("{OUT_OF_MEMORY}{}", super::lower_first(text)),
    };
    Some(Explained { message, help: Some(MORE_MEMORY.into()) })
}

/// A refusal within the errors that writing and reading go through.
fn refusal(root: &DataFusionError) -> Option<&Refusal> {
    match root {
        DataFusionError::External(error) => error.downcast_ref(),
        DataFusionError::IoError(error) => error.get_ref()?.downcast_ref(),
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::IoError(_, error) => error.get_ref()?.downcast_ref(),
            ArrowError::ExternalError(error) => error.downcast_ref(),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn refused() -> Refusal {
        Refusal::new("the disk is full", "empty it")
    }

    #[test]
    fn a_refusal_is_found_however_it_is_wrapped() {
        let io = || io::Error::new(io::ErrorKind::StorageFull, refused());
        let arrow = DataFusionError::ArrowError(Box::new(ArrowError::from(io())), None);
        for error in [
            DataFusionError::External(Box::new(refused())),
            DataFusionError::IoError(io()),
            arrow.context("while sorting"),
        ] {
            let explained = explain(error.find_root()).unwrap();
            assert_eq!(explained.message, "the disk is full", "{error:?}");
            assert_eq!(explained.help.as_deref(), Some("empty it"));
            assert!(!is_out_of_memory(&error));
        }
    }

    #[test]
    fn the_engines_own_refusals_of_memory_are_worded_alike() {
        let error = DataFusionError::ResourcesExhausted("Not enough".into()).context("while sorting");
        assert_eq!(explain(error.find_root()).unwrap().message, "out of memory: not enough");
        assert!(is_out_of_memory(&error));
        assert!(explain(&DataFusionError::Execution("other".into())).is_none());
    }
}
