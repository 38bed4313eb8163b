//! Sessions of this program with the server, and how long their statements take.

use std::time::{Duration, Instant};

use futures::StreamExt;
use query::Session;
use query::datafusion::arrow::util::pretty::pretty_format_batches;
use query::datafusion::execution::SendableRecordBatchStream;
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::session::{Outcome, SessionOptions};
use query::store::{Kind, Secret};

use crate::server::Server;

/// A session that knows nothing yet; all with the default settings.
pub(crate) fn session(server: &Server) -> Session {
    let endpoint = server.endpoint();
    let settings = [("key_id", "AKIDBENCHQZX"), ("secret", "benchqzx-1234567890"), ("endpoint", &endpoint)];
    let settings = settings.map(|(name, value)| (name.to_string(), value.to_string()));
    let secret = Secret { name: "bench".into(), kind: Kind::S3, scope: None, settings: settings.into() };
    Session::with_options(&SessionOptions { secrets: vec![secret], ..SessionOptions::default() }).unwrap()
}

/// A query that ran to its end.
pub(crate) struct Ran {
    pub(crate) time: Duration,
    /// As a table to read, so that two are compared as text.
    pub(crate) rows: String,
}

/// Runs a query to its end.
pub(crate) async fn ran(session: &Session, sql: &str) -> query::Result<Ran> {
    let begun = Instant::now();
    let mut rows = started(session, sql).await?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch?);
    }
    let time = begun.elapsed();
    Ok(Ran { time, rows: pretty_format_batches(&batches).unwrap().to_string() })
}

/// How long it takes from a text to the first row; the rest is not read.
pub(crate) async fn first_row(session: &Session, sql: &str) -> query::Result<Duration> {
    let begun = Instant::now();
    let mut rows = started(session, sql).await?;
    while let Some(batch) = rows.next().await {
        if batch?.num_rows() > 0 {
            return Ok(begun.elapsed());
        }
    }
    panic!("{sql} has no rows")
}

async fn started(session: &Session, sql: &str) -> query::Result<SendableRecordBatchStream> {
    let statement = split(&Script::new("bench", sql)).statements.remove(0).parse(&session.functions())?;
    match session.run(&statement, &Params::default()).await? {
        Outcome::Rows(rows) => Ok(rows),
        Outcome::Written(_) | Outcome::Done => panic!("{sql} is no query"),
    }
}

/// Runs statements of which the last one writes; the rows that it wrote.
pub(crate) async fn written(session: &Session, sql: &str) -> query::Result<u64> {
    let mut last = Outcome::Done;
    for statement in split(&Script::new("bench", sql)).statements {
        let statement = statement.parse(&session.functions())?;
        last = session.run(&statement, &Params::default()).await?;
    }
    match last {
        Outcome::Written(rows) => Ok(rows),
        Outcome::Rows(_) | Outcome::Done => panic!("{sql} does not write"),
    }
}
