//! `EXPLAIN ANALYZE GRAPH`: runs a query, drops its rows, and notes in its graph what each stage has done. To this and
//! to `EXPLAIN ANALYZE` it is added what was asked of stores of the network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::not_impl_err;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::{Failure, Session, engine, rerun};
use crate::error::is_out_of_memory;
use crate::graph::{Drawing, EdgeId, GraphFormat, Notes, StageId};
use crate::output::numbers::{self, bytes, time};
use crate::plan::lower::lower;
use crate::scheduler::Results;
use crate::scheduler::event::Detail;
use crate::scheduler::record::{History, JobRun, Spread, StageRun};
use crate::scheduler::state::Status;
use crate::store::{Stores, Usage};

impl Session {
    /// Runs a query; gives its graph, as text, with what each stage has done.
    pub(super) async fn analyzed(
        &self,
        plan: LogicalPlan,
        before: &BTreeMap<String, Usage>,
    ) -> Result<String, Failure> {
        let mut text = self.run_and_note(plan).await?;
        if let Some(requests) = requests(&self.stores, before) {
            text.push_str(&requests);
        }
        Ok(text)
    }

    async fn run_and_note(&self, plan: LogicalPlan) -> Result<String, Failure> {
        refuse_effects(&plan)?;
        self.check(&plan).await?;
        let held_before = self.context.runtime_env().memory_pool.reserved();
        let refused = match run(&self.context, &plan).await {
            Err(error) if is_out_of_memory(&error) => error,
            done => return Ok(done?),
        };
        match rerun::second_attempt(&self.context, &plan, held_before).await {
            None => Err(refused.into()),
            Some(context) => Ok(run(&context, &plan).await.map_err(|error| rerun::better(refused, error))?),
        }
    }
}

/// The answer to EXPLAIN ANALYZE, and behind it what was asked of stores of the network, from the planning on. In a
/// session that runs several statements at once, what the others asked is in it as well.
pub(super) fn with_stores(
    rows: SendableRecordBatchStream,
    stores: &Arc<Stores>,
    before: BTreeMap<String, Usage>,
) -> SendableRecordBatchStream {
    let (schema, stores) = (rows.schema(), Arc::clone(stores));
    let title = Arc::clone(&schema);
    let last = stream::once(async move { requests(&stores, &before).map(|text| told(title, text)) });
    let last = last.filter_map(|last| async { last });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows.chain(last)))
}

fn told(schema: SchemaRef, text: String) -> Result<RecordBatch> {
    let columns: [ArrayRef; 2] =
        [Arc::new(StringArray::from(vec!["Stores"])), Arc::new(StringArray::from(vec![text]))];
    Ok(RecordBatch::try_new(schema, columns.to_vec())?)
}

/// What was asked of each store since then, a store a line; `None` if nothing was.
fn requests(stores: &Stores, before: &BTreeMap<String, Usage>) -> Option<String> {
    let lines: Vec<_> = stores
        .usage()
        .into_iter()
        .map(|(store, usage)| (usage - before.get(&store).copied().unwrap_or_default(), store))
        .filter(|(usage, _)| usage.requests() > 0)
        .map(|(usage, store)| format!("{store}: {usage}\n"))
        .collect();
    (!lines.is_empty()).then(|| lines.concat())
}

fn refuse_effects(plan: &LogicalPlan) -> Result<()> {
    match plan {
        LogicalPlan::Copy(_) | LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Statement(_) => {
            not_impl_err!(
                "EXPLAIN ANALYZE GRAPH runs what it explains, and takes queries only: explain the query alone"
            )
        }
        _ => Ok(()),
    }
}

async fn run(context: &SessionContext, plan: &LogicalPlan) -> Result<String> {
    let physical = context.state().create_physical_plan(plan).await?;
    let graph = lower(engine::planned(physical))?;
    let drawing = graph.drawing();
    let (every, mut records) = mpsc::unbounded_channel();
    let context = context.task_ctx();
    let mut observers = engine::observers(context.session_config());
    observers.every.push(every);
    observers.detail = observers.detail.max(Detail::Measures);
    let job = engine::submit(graph, &context, Results::Gathered, observers)?;
    let mut rows = job.stream(0)?;
    while let Some(batch) = rows.next().await {
        batch?;
    }
    drop((rows, job));
    let mut history = History::default();
    // The last tasks may end a moment after the last row. When all have, nobody holds the channel any more.
    while let Some(record) = records.recv().await {
        history.take(record);
        if history.is_over() {
            break;
        }
    }
    Ok(history.jobs().first().map(|run| noted(drawing, run)).unwrap_or_default())
}

/// The graph with what its stages and edges have done.
fn noted(drawing: Drawing, run: &JobRun) -> String {
    let mut notes = Notes::default();
    for (index, stage) in run.stages.iter().enumerate() {
        for line in stage_notes(stage) {
            notes.add_to_stage(StageId::new(index), line);
        }
    }
    for index in 0..run.edges.len() {
        let edge = EdgeId::new(index);
        let Some(reader) = run.reader(edge) else { continue };
        notes.add_to_edge(edge, numbers::rows(reader.metric("output_rows")));
        if run.edges[index].spilled_bytes > 0 {
            notes.add_to_edge(edge, format!("{} spilled", bytes(run.edges[index].spilled_bytes)));
        }
    }
    let total = run.end.map_or(Duration::ZERO, |(at, _)| at);
    format!(
        "{}\n{} in {}, peak memory {}\n",
        drawing.draw(GraphFormat::Text, &notes),
        numbers::rows(run.rows()),
        time(total),
        bytes(run.memory_peak as u64)
    )
}

fn stage_notes(stage: &StageRun) -> Vec<String> {
    let Some((started, ended)) = stage.started.zip(stage.ended) else {
        return vec!["never ran: nobody wanted its rows".into()];
    };
    let volume = stage.volume();
    let end = match stage.status {
        Status::Stopped => ", stopped early",
        Status::Waiting
        | Status::Running
        | Status::Stopping
        | Status::Done
        | Status::Failed
        | Status::Skipped => "",
    };
    let mut lines = vec![format!(
        "{} in {} ({} of work){end}",
        numbers::rows(volume.rows),
        time(ended.saturating_sub(started)),
        time(volume.busy)
    )];
    lines.extend(skew(stage));
    let (spilled, files) = stage.spilled();
    if spilled > 0 {
        lines.push(format!("spilled {} to {}", bytes(spilled), numbers::count(files, "file")));
    }
    let of = |name: &str| stage.operators.iter().map(|operator| operator.metric(name)).sum::<u64>();
    let asked = of("store_requests");
    if asked > 0 {
        let asked = numbers::count(asked, "request");
        lines.push(format!("{asked} to stores, {} read", bytes(of("store_bytes"))));
    }
    if stage.memory_peak > 0 {
        lines.push(format!("peak memory {}", bytes(stage.memory_peak as u64)));
    }
    lines
}

/// How unlike the tasks of a stage were.
fn skew(stage: &StageRun) -> Option<String> {
    let busy = Spread::of(stage.tasks.iter().map(|task| task.volume.busy))?;
    let rows = Spread::of(stage.tasks.iter().map(|task| task.volume.rows))?;
    (stage.tasks.len() > 1).then(|| {
        format!(
            "a task: {} to {}, median {}; {} to {}",
            time(busy.min),
            time(busy.max),
            time(busy.median),
            rows.min,
            numbers::rows(rows.max)
        )
    })
}
