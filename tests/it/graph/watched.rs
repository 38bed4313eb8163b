//! Plans that write down who polls their operators.

use std::collections::{BTreeSet, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, replace_children_if_necessary,
};
use futures::{Stream, StreamExt};
use query::graph::RECURSIVE_TERM;

/// Who has polled the operators of a plan.
#[derive(Debug, Default)]
pub(super) struct Polls(Mutex<Polled>);

#[derive(Debug, Default, Clone)]
pub(super) struct Polled {
    /// Names of operators.
    pub(super) operators: BTreeSet<String>,
    /// Names of threads.
    pub(super) threads: BTreeSet<String>,
    pub(super) thread_ids: HashSet<ThreadId>,
    /// Tasks of the runtime, without those that poll recursive terms: what is run anew every round may have some.
    pub(super) tasks: HashSet<Option<tokio::task::Id>>,
}

impl Polls {
    pub(super) fn polled(&self) -> Polled {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, operator: &str, is_recursive: bool) {
        let mut polled = self.0.lock().unwrap();
        let thread = thread::current();
        if !polled.operators.contains(operator) {
            polled.operators.insert(operator.into());
        }
        polled.threads.insert(thread.name().unwrap_or_default().into());
        polled.thread_ids.insert(thread.id());
        if !is_recursive {
            polled.tasks.insert(tokio::task::try_id());
        }
    }
}

/// The plan with something above each of its operators that takes note of every poll.
pub(super) fn watched(plan: Arc<dyn ExecutionPlan>, polls: &Arc<Polls>) -> Arc<dyn ExecutionPlan> {
    watched_in(plan, polls, false)
}

fn watched_in(
    plan: Arc<dyn ExecutionPlan>,
    polls: &Arc<Polls>,
    is_recursive: bool,
) -> Arc<dyn ExecutionPlan> {
    let is_query = plan.is::<RecursiveQueryExec>();
    let children = plan.children().into_iter().enumerate().map(|(at, child)| {
        watched_in(Arc::clone(child), polls, is_recursive || (is_query && at == RECURSIVE_TERM))
    });
    let children: Vec<_> = children.collect();
    let plan =
        if children.is_empty() { plan } else { replace_children_if_necessary(plan, children).unwrap() };
    Arc::new(Watched { plan, polls: Arc::clone(polls), is_recursive })
}

#[derive(Debug)]
struct Watched {
    plan: Arc<dyn ExecutionPlan>,
    polls: Arc<Polls>,
    is_recursive: bool,
}

impl DisplayAs for Watched {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watched")
    }
}

impl ExecutionPlan for Watched {
    fn name(&self) -> &str {
        "Watched"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.plan]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = children.swap_remove(0);
        Ok(Arc::new(Self { plan, polls: Arc::clone(&self.polls), is_recursive: self.is_recursive }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.polls.note(self.plan.name(), self.is_recursive);
        Ok(Box::pin(WatchedStream {
            rows: self.plan.execute(partition, context)?,
            operator: self.plan.name().into(),
            polls: Arc::clone(&self.polls),
            is_recursive: self.is_recursive,
        }))
    }
}

struct WatchedStream {
    rows: SendableRecordBatchStream,
    operator: String,
    polls: Arc<Polls>,
    is_recursive: bool,
}

impl Stream for WatchedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.polls.note(&self.operator, self.is_recursive);
        self.rows.poll_next_unpin(cx)
    }
}

impl RecordBatchStream for WatchedStream {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
