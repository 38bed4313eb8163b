//! Puts a task graph in the place of every physical plan: what DataFusion runs of a session's plans, it runs as a
//! job of our scheduler.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, execute_stream,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::{DataFrame, SessionConfig};

use super::arrays::with_arrays;
use super::estimate;
use crate::config::{EngineKind, QueryOptions};
use crate::graph::TaskGraph;
use crate::plan::lower::lower;
use crate::plan::shared::settled;
use crate::scheduler::event::Observers;
use crate::scheduler::{Engine, Inline, Job, JobOptions, Results, Workers};

/// DataFusion's planner, whose plans become jobs when they are run; with the engine `stock`, they stay as they are.
#[derive(Debug, Default)]
pub(super) struct JobPlanner;

#[async_trait]
impl QueryPlanner for JobPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        state: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let settled = settled(logical_plan, state).await?;
        let logical_plan = settled.as_ref().unwrap_or(logical_plan);
        let plan = DefaultPhysicalPlanner::default().create_physical_plan(logical_plan, state).await?;
        let options = options(state.config());
        // What is explained is not run.
        if !matches!(logical_plan, LogicalPlan::Explain(_)) {
            estimate::refuse_large(state, &plan, options.max_scan).await?;
        }
        Ok(match options.engine {
            EngineKind::Stock => plan,
            EngineKind::Local | EngineKind::Inline => Arc::new(JobExec { plan, job: Mutex::new(None) }),
        })
    }
}

/// Runs a frame and gives its rows as one stream.
pub(super) async fn stream(frame: DataFrame) -> Result<SendableRecordBatchStream> {
    let context = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    match plan.downcast_ref::<JobExec>() {
        Some(job) => job.submit(&context, Results::Gathered)?.stream(0),
        None => execute_stream(plan, context),
    }
}

/// A plan without the job that it becomes.
pub(super) fn planned(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    plan.downcast_ref::<JobExec>().map_or_else(|| Arc::clone(&plan), |job| Arc::clone(&job.plan))
}

/// Makes a job of a graph, for the engine that the session has.
pub(super) fn submit(
    graph: TaskGraph,
    context: &Arc<TaskContext>,
    results: Results,
    observers: Observers,
) -> Result<Arc<Job>> {
    let engine = engine(context.session_config())?;
    Ok(Job::submit(graph, with_arrays(context), JobOptions { engine, results, observers }))
}

/// Who listens to a session's jobs.
pub(super) fn observers(config: &SessionConfig) -> Observers {
    config.get_extension::<Observers>().map(|observers| observers.as_ref().clone()).unwrap_or_default()
}

pub(super) fn options(config: &SessionConfig) -> QueryOptions {
    config.options().extensions.get::<QueryOptions>().cloned().unwrap_or_default()
}

fn engine(config: &SessionConfig) -> Result<Engine> {
    let options = options(config);
    Ok(match options.engine {
        EngineKind::Inline => Engine::Inline(Inline::new(options.seed)),
        EngineKind::Local | EngineKind::Stock => {
            let threads = options.threads.get();
            let refused = |error| {
                DataFusionError::Context(
                    format!("start {threads} worker threads"),
                    Box::new(DataFusionError::IoError(error)),
                )
            };
            Engine::Local(Workers::of_the_process(threads).map_err(refused)?)
        }
    })
}

/// A plan that runs as a job: one partition of it is one of the job's results.
struct JobExec {
    plan: Arc<dyn ExecutionPlan>,
    /// Made when the first partition is executed. One run: the plans of its stages are good for one.
    job: Mutex<Option<Arc<Job>>>,
}

impl JobExec {
    fn submit(&self, context: &Arc<TaskContext>, results: Results) -> Result<Arc<Job>> {
        submit(lower(Arc::clone(&self.plan))?, context, results, observers(context.session_config()))
    }
}

impl fmt::Debug for JobExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobExec").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl DisplayAs for JobExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, "JobExec"),
            DisplayFormatType::TreeRender => Ok(()),
        }
    }
}

impl ExecutionPlan for JobExec {
    fn name(&self) -> &'static str {
        "JobExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.plan]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(plan), None) => Ok(Arc::new(Self { plan, job: Mutex::new(None) })),
            _ => Err(DataFusionError::Internal("a job runs one plan".into())),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        let job = match &*job {
            Some(job) => Arc::clone(job),
            None => Arc::clone(job.insert(self.submit(&context, Results::Partitioned)?)),
        };
        job.stream(partition)
    }
}
