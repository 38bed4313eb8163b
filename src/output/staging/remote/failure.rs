//! What went wrong first in a write to a store.

use datafusion::error::DataFusionError;
use object_store::Error;

use crate::error::{StoreAction, StoreError};

/// The first failure of a write, in the store's own words. The engine's sinks keep little of it.
#[derive(Debug, Clone)]
pub struct Failure {
    trouble: String,
    help: Option<String>,
}

impl Failure {
    /// What an error of a store says.
    pub(super) fn of(error: &Error) -> Self {
        let first: &(dyn std::error::Error + 'static) = error;
        let mut deepest = first;
        for cause in std::iter::successors(Some(first), |cause| cause.source()) {
            if let Some(told) = cause.downcast_ref::<StoreError>() {
                return Self { trouble: told.trouble.clone(), help: told.help.clone() };
            }
            deepest = cause;
        }
        Self { trouble: deepest.to_string(), help: None }
    }

    /// The error of a write to `target`, which is what was asked for: what a store names may be a part of it, or a
    /// file that nobody was to see.
    pub fn told(self, target: &str) -> DataFusionError {
        let Self { trouble, help } = self;
        StoreError { help, ..StoreError::of(StoreAction::Write, target, trouble) }.into()
    }
}
