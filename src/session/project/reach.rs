//! Which tables a name may mean. The engine asks for tables by name only, so this has to travel beside the name.

use std::future::Future;

use datafusion::error::{DataFusionError, Result};

use crate::session::Failure;

tokio::task_local! {
    static REACH: Reach;
    /// The tables that are being made, each for the one behind it.
    static MAKING: Vec<String>;
}

/// Which tables the names in a statement mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Reach {
    /// Those of the session, then those that last.
    All,
    /// Those that last: what lasts cannot read anything else.
    Lasting,
    /// Those of the session.
    Session,
}

impl Reach {
    /// Does some work in which names mean these tables.
    pub(in crate::session) async fn during<T>(self, work: impl Future<Output = T>) -> T {
        REACH.scope(self, work).await
    }

    /// The same for work that waits for nothing.
    pub(in crate::session) fn during_call<T>(self, work: impl FnOnce() -> T) -> T {
        REACH.sync_scope(self, work)
    }

    /// What was said; `None` where no statement is being planned: somebody lists what there is.
    pub(super) fn current() -> Option<Self> {
        REACH.try_with(|reach| *reach).ok()
    }
}

/// Makes a table from its statement.
///
/// # Errors
/// As the work has them; a table that is being made already: it would read itself.
pub(super) async fn making<T>(
    name: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut names = MAKING.try_with(Clone::clone).unwrap_or_default();
    let reads_itself = names.iter().any(|known| known == name);
    names.push(name.to_string());
    if reads_itself {
        let circle = names.join("' reads '");
        return Err(DataFusionError::Plan(format!("views read each other: '{circle}'")).into());
    }
    // Boxed, because a view's query makes the tables that it reads.
    MAKING.scope(names, Box::pin(work)).await
}
