//! The binary's own engine, called as a library: text in, rows as text out.

use std::fmt;
use std::num::NonZeroUsize;

use futures::StreamExt;
use query::config::{Applied, EngineKind};
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::session::{Outcome, Session, SessionOptions};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

/// What a script's last statement gave.
pub(crate) enum Answer {
    Rows(SchemaRef, Vec<RecordBatch>),
    Count(u64),
}

/// Runs all statements of a text in a session, as the command line does.
pub(crate) async fn run(session: &Session, sql: &str) -> query::Result<Answer> {
    let split = split(&Script::new("test", sql));
    let mut answer = Answer::Count(0);
    for raw in split.statements {
        let statement = raw.parse(&session.functions())?;
        answer = match session.run(&statement, &Params::default()).await? {
            Outcome::Rows(mut rows) => {
                let schema = rows.schema();
                let mut batches = Vec::new();
                while let Some(batch) = rows.next().await {
                    batches.push(batch?);
                }
                Answer::Rows(schema, batches)
            }
            Outcome::Written(rows) => Answer::Count(rows),
            Outcome::Done => Answer::Count(0),
        };
    }
    split.failure.map_or(Ok(answer), Err)
}

/// Every value as text; NULL is `None`.
pub(crate) fn texts(batches: &[RecordBatch]) -> Vec<Vec<Option<String>>> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().zip(&columns).map(|(array, formatter)| {
                let is_null = array.logical_nulls().is_some_and(|nulls| nulls.is_null(row));
                (!is_null).then(|| formatter.value(row).try_to_string().unwrap())
            });
            rows.push(values.collect());
        }
    }
    rows
}

/// A runtime with stacks as deep as the command line's.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(64 << 20).build().unwrap()
}

/// Partitions that every query has to give the same rows in.
pub(crate) const PARTITIONS: [usize; 5] = [1, 2, 3, 8, 16];
/// Worker threads of the engine `local` in tests: partitions share them.
pub(crate) const THREADS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// One of the ways to run a query, all of which are to give the same rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) engine: EngineKind,
    pub(crate) partitions: usize,
    /// The order of tasks on `inline`.
    pub(crate) seed: u64,
    /// What is computed once.
    pub(crate) shared: Applied,
    /// Which build sides are read by all partitions. Unless this is `On`, none is for its size alone.
    pub(crate) broadcast: Applied,
    /// Where rows without a partner are left out above their scan.
    pub(crate) row_filters: Applied,
    /// Which scans read ranges of a column that is grouped by.
    pub(crate) clustered: Applied,
    /// Which scans are cut into pieces.
    pub(crate) pieces: Applied,
}

impl Way {
    pub(crate) fn stock(partitions: usize) -> Self {
        Self { engine: EngineKind::Stock, ..Self::local(partitions) }
    }

    pub(crate) fn local(partitions: usize) -> Self {
        let (shared, broadcast, row_filters) = (Applied::On, Applied::On, Applied::On);
        let (clustered, pieces) = (Applied::On, Applied::On);
        Self {
            engine: EngineKind::Local,
            partitions,
            seed: 0,
            shared,
            broadcast,
            row_filters,
            clustered,
            pieces,
        }
    }

    /// Partitions enough for the seed to have something to choose from.
    pub(crate) fn inline(seed: u64) -> Self {
        Self { engine: EngineKind::Inline, seed, ..Self::local(3) }
    }

    pub(crate) fn sharing(self, shared: Applied) -> Self {
        Self { shared, ..self }
    }

    pub(crate) fn broadcasting(self, broadcast: Applied) -> Self {
        Self { broadcast, ..self }
    }

    pub(crate) fn filtering(self, row_filters: Applied) -> Self {
        Self { row_filters, ..self }
    }

    pub(crate) fn clustering(self, clustered: Applied) -> Self {
        Self { clustered, ..self }
    }

    pub(crate) fn cutting(self, pieces: Applied) -> Self {
        Self { pieces, ..self }
    }

    /// A session that runs its queries in this way.
    pub(crate) async fn session(self) -> query::Result<Session> {
        self.session_with(SessionOptions::default()).await
    }

    /// A session with other options than these.
    pub(crate) async fn session_with(self, options: SessionOptions) -> query::Result<Session> {
        let Self { engine, partitions, seed, shared, broadcast, row_filters, clustered, pieces } = self;
        let options = SessionOptions { engine: Some(engine), threads: Some(THREADS), ..options };
        let session = Session::with_options(&options)?;
        let settings = format!(
            "SET datafusion.execution.target_partitions = {partitions}; SET query.seed = {seed};
             SET query.optimizer.shared_stages = {shared}; SET query.optimizer.broadcast_joins = {broadcast};
             SET query.optimizer.row_filters = {row_filters};
             SET query.optimizer.clustered_groups = {clustered};
             SET query.optimizer.scan_pieces = {pieces}"
        );
        run(&session, &settings).await?;
        if broadcast != Applied::On {
            let threshold = "SET datafusion.optimizer.hash_join_single_partition_threshold";
            run(&session, &format!("{threshold} = 0; {threshold}_rows = 0")).await?;
        }
        Ok(session)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, partitions, seed, shared, broadcast, row_filters, clustered, pieces } = self;
        write!(f, "{engine} in {partitions} partitions, sharing {shared}, broadcasting {broadcast}")?;
        write!(f, ", filtering rows {row_filters}, clustered groups {clustered}, pieces {pieces}")?;
        match engine {
            EngineKind::Inline => write!(f, ", seed {seed}"),
            EngineKind::Local | EngineKind::Stock => Ok(()),
        }
    }
}
