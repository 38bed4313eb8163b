//! Files in a store of the network: the same rows as of local ones, and no more requests than it takes.

mod cached;
mod missing;
mod pruned;
mod requests;
mod same;
mod watched;

use std::path::Path;
use std::sync::Arc;

use query::Session;
use query::datafusion::execution::object_store::ObjectStoreRegistry;
use url::Url;
use walkdir::WalkDir;

use crate::engine::{self, Answer};
use watched::Watched;

/// The URL of the store in these tests.
const BUCKET: &str = "s3://bucket";

/// A session that reads from a store which is watched.
struct Cloud {
    session: Session,
    store: Arc<Watched>,
}

impl Cloud {
    fn new() -> Self {
        Self::of(Arc::new(Watched::default()))
    }

    /// Another session with the same store.
    fn of(store: Arc<Watched>) -> Self {
        let session = Session::new().unwrap();
        session.stores().register_store(&Url::parse(BUCKET).unwrap(), Arc::clone(&store) as _);
        Self { session, store }
    }

    /// Puts a text under a key.
    async fn put(&self, key: &str, text: impl Into<Vec<u8>>) {
        self.store.put(key, text.into()).await;
    }

    /// Puts all files of a folder under keys that are their paths in it.
    async fn put_folder(&self, folder: &Path) {
        for entry in WalkDir::new(folder).into_iter().map(Result::unwrap) {
            if entry.file_type().is_file() {
                let key = entry.path().strip_prefix(folder).unwrap().to_str().unwrap();
                self.put(key, std::fs::read(entry.path()).unwrap()).await;
            }
        }
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        rows(&self.session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The first value of the first row.
    async fn one(&self, sql: &str) -> String {
        self.rows(sql).await[0][0].clone().unwrap()
    }

    async fn error(&self, sql: &str) -> String {
        rows(&self.session, sql).await.unwrap_err()
    }

    /// What the store was asked for meanwhile.
    async fn requests(&self, sql: &str) -> Vec<String> {
        self.store.taken();
        self.rows(sql).await;
        self.store.taken()
    }
}

/// The sorted rows of a query.
async fn rows(session: &Session, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    match engine::run(session, sql).await {
        Ok(Answer::Rows(_, batches)) => {
            let mut rows = engine::texts(&batches);
            rows.sort();
            Ok(rows)
        }
        Ok(Answer::Count(count)) => Ok(vec![vec![Some(count.to_string())]]),
        Err(error) => Err(error.to_string()),
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    engine::runtime().block_on(work)
}
