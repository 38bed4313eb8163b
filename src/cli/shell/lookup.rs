//! Names of the session, for a prompt that must not wait.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

use super::scope::Relation;
use crate::session::Session;
use crate::source::file::is_remote;

/// How long a Tab may take. What comes later is there for the next one.
const BUDGET: Duration = Duration::from_millis(250);

/// Looks up columns on the workers and remembers them.
pub(super) struct Lookup {
    session: Arc<Session>,
    workers: Mutex<Handle>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    columns: HashMap<(String, bool), Vec<String>>,
    /// Being looked up: a file on a slow disk is asked for once.
    asked: HashSet<(String, bool)>,
    /// Counts statements: what was asked before one is not believed after it.
    age: usize,
}

impl Lookup {
    pub(super) fn new(session: Arc<Session>, workers: Handle) -> Self {
        Self { session, workers: Mutex::new(workers), known: Arc::default() }
    }

    /// Takes other workers, when the old ones are stuck.
    pub(super) fn move_to(&self, workers: Handle) {
        *lock(&self.workers) = workers;
    }

    /// Forgets columns: a statement may have changed them.
    pub(super) fn forget(&self) {
        let mut known = lock(&self.known);
        *known = Known { age: known.age + 1, ..Known::default() };
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The columns of a relation, as far as they are known in time; none for what is not there.
    pub(super) fn columns(&self, relation: &Relation) -> Vec<String> {
        let key = (relation.name.clone(), relation.is_path);
        if relation.is_path && !is_plain(&relation.name) {
            return Vec::new();
        }
        let age = {
            let mut known = lock(&self.known);
            if let Some(columns) = known.columns.get(&key) {
                return columns.clone();
            }
            if !known.asked.insert(key.clone()) {
                return Vec::new();
            }
            known.age
        };
        let (send, receive) = mpsc::channel();
        let (session, known) = (Arc::clone(&self.session), Arc::clone(&self.known));
        #[expect(clippy::disallowed_methods, reason = "completion is no task of a query")]
        lock(&self.workers).spawn(async move {
            let columns = session.column_names(&key.0, key.1).await.unwrap_or_default();
            let mut known = lock(&known);
            if known.age == age {
                known.asked.remove(&key);
                known.columns.insert(key, columns.clone());
            }
            // Nobody may be waiting any more.
            drop(send.send(columns));
        });
        receive.recv_timeout(BUDGET).unwrap_or_default()
    }
}

/// Whether a path may be opened just to look at it: reading a pipe takes from it, and may wait for ever. A network is
/// not asked because somebody pressed a key.
fn is_plain(path: &str) -> bool {
    if is_remote(path) {
        return false;
    }
    match Path::new(path).metadata() {
        Ok(meta) => meta.is_file() || meta.is_dir(),
        Err(_) => path.contains(['*', '?', '[', '{']),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_lookup_that_gets_no_answer_gives_up_and_may_be_tried_again() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("t.csv");
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        let table = Relation { name: path.to_str().unwrap().into(), is_path: true, alias: None };
        // Nobody drives this one.
        let stuck = Builder::new_current_thread().enable_all().build().unwrap();
        let lookup = Lookup::new(Arc::new(Session::new().unwrap()), stuck.handle().clone());
        assert!(lookup.columns(&table).is_empty());
        let workers = Builder::new_multi_thread().enable_all().build().unwrap();
        lookup.move_to(workers.handle().clone());
        lookup.forget();
        // A slow machine may take several budgets.
        for _ in 0..3_000 {
            if lookup.columns(&table) == ["a", "b"] {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no columns");
    }
}
