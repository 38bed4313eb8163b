//! Filters over objects of the network that hand their first rows on at once.
//!
//! DataFusion's filter collects the rows that pass until it has a batch of them (8,192). A row group of 100,000 rows of
//! which one in twenty passes has fewer: whoever waits for the first row waits for a second row group, and that is one
//! more answer of the store. Where nothing above the filter collects rows itself, the first ones need not wait.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce::{LimitedBatchCoalescer, PushBatchStatus};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricType, MetricsSet, RatioMetrics,
    RecordOutput,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, replace_children_if_necessary,
};
use futures::TryStreamExt;
use futures::stream;

use super::rules::{PhysicalRule, ours};

type Plan = Arc<dyn ExecutionPlan>;

/// These rules, and `FirstRows` after them: others would make stock filters of ours again.
pub fn with_first_rows(mut rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    rules.push(Arc::new(FirstRows));
    rules
}

/// Finds the filters over objects of the network whose rows go to the reader of the query as they come.
#[derive(Debug)]
struct FirstRows;

impl PhysicalOptimizerRule for FirstRows {
    fn name(&self) -> &str {
        "first_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        match ours(config) {
            Some(_) => prompt(&plan),
            None => Ok(plan),
        }
    }
}

fn prompt(plan: &Plan) -> Result<Plan> {
    if !passes_on(plan) {
        return Ok(Arc::clone(plan));
    }
    let children = plan.children().into_iter().map(prompt).collect::<Result<_>>()?;
    let plan = replace_children_if_necessary(Arc::clone(plan), children)?;
    match plan.downcast_ref::<FilterExec>() {
        Some(filter) if reads_network(filter.input()) => Ok(PromptFilter::around(Arc::new(filter.clone()))),
        Some(_) | None => Ok(plan),
    }
}

/// Whether a node hands rows on as they come.
fn passes_on(plan: &Plan) -> bool {
    plan.is::<FilterExec>()
        || plan.is::<ProjectionExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<SortPreservingMergeExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<UnionExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
}

/// Whether a node is a scan of objects of the network, or hands on what one gives.
fn reads_network(plan: &Plan) -> bool {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        let config = scan.data_source().downcast_ref::<FileScanConfig>();
        return config.is_some_and(|config| config.object_store_url != ObjectStoreUrl::local_filesystem());
    }
    let is_between = passes_on(plan) || plan.is::<RepartitionExec>();
    is_between && plan.children().into_iter().any(reads_network)
}

/// A filter that looks to all others like the stock one, and gives the first rows that pass as soon as there are some;
/// those after them in whole batches. The same rows in the same order, in the partitions of its input; it holds a batch
/// for each of them at most.
struct PromptFilter {
    filter: Arc<FilterExec>,
    metrics: ExecutionPlanMetricsSet,
}

impl PromptFilter {
    fn around(filter: Arc<FilterExec>) -> Plan {
        Arc::new(Self { filter, metrics: ExecutionPlanMetricsSet::new() })
    }
}

impl fmt::Debug for PromptFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt(f)
    }
}

impl DisplayAs for PromptFilter {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt_as(format, f)
    }
}

impl ExecutionPlan for PromptFilter {
    fn name(&self) -> &str {
        self.filter.name()
    }

    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.filter.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.filter.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.filter.maintains_input_order()
    }

    fn children(&self) -> Vec<&Plan> {
        self.filter.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.filter.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Plan>,
        options: ReplaceChildrenOptions,
    ) -> Result<Plan> {
        let replaced = Arc::clone(&self.filter).replace_children(children, options)?;
        Ok(match replaced.downcast_ref::<FilterExec>() {
            Some(filter) => Self::around(Arc::new(filter.clone())),
            None => replaced,
        })
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Plan>) -> Result<Plan> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let passing = Passing {
            filter: Arc::clone(&self.filter),
            input: Some(self.filter.input().execute(partition, context)?),
            later: None,
            baseline: BaselineMetrics::new(&self.metrics, partition),
            selectivity: MetricBuilder::new(&self.metrics)
                .with_type(MetricType::Summary)
                .ratio_metrics("selectivity", partition),
        };
        let rows = stream::try_unfold(passing, |mut passing| async move {
            Ok(passing.next().await?.map(|batch| (batch, passing)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.filter.statistics_from_inputs(inputs, args)
    }

    fn fetch(&self) -> Option<usize> {
        self.filter.fetch()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.filter.cardinality_effect()
    }
}

/// The rows of one partition that pass.
struct Passing {
    filter: Arc<FilterExec>,
    /// None when no more of it is wanted.
    input: Option<SendableRecordBatchStream>,
    /// Collects those after the first.
    later: Option<LimitedBatchCoalescer>,
    baseline: BaselineMetrics,
    selectivity: RatioMetrics,
}

impl Passing {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.later.as_mut().and_then(LimitedBatchCoalescer::next_completed_batch) {
                return Ok(Some(self.given(batch)));
            }
            let Some(input) = &mut self.input else { return Ok(None) };
            match input.try_next().await? {
                Some(batch) => {
                    let elapsed = self.baseline.elapsed_compute().clone();
                    let _timer = elapsed.timer();
                    if let Some(first) = self.take(&batch)? {
                        return Ok(Some(self.given(first)));
                    }
                }
                None => self.end()?,
            }
        }
    }

    /// Takes a batch of the input in; the first that has rows which pass comes back with these.
    fn take(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let passes = self.filter.predicate().evaluate(batch)?.into_array(batch.num_rows())?;
        self.selectivity.add_total(batch.num_rows());
        let passed = match self.filter.projection() {
            Some(columns) => filter_record_batch(&batch.project(columns)?, as_boolean_array(&passes)?)?,
            None => filter_record_batch(batch, as_boolean_array(&passes)?)?,
        };
        match &mut self.later {
            Some(later) => {
                if later.push_batch(passed)? == PushBatchStatus::LimitReached {
                    self.end()?;
                }
                Ok(None)
            }
            None if passed.num_rows() == 0 => Ok(None),
            None => {
                let fetch = self.filter.fetch();
                let rows = fetch.unwrap_or(usize::MAX).min(passed.num_rows());
                let left = fetch.map(|fetch| fetch - rows);
                let (schema, size) = (passed.schema(), self.filter.batch_size());
                self.later = Some(LimitedBatchCoalescer::new(schema, size, left));
                if left == Some(0) {
                    self.end()?;
                }
                Ok(Some(passed.slice(0, rows)))
            }
        }
    }

    /// No more is wanted of the input.
    fn end(&mut self) -> Result<()> {
        self.input = None;
        self.later.as_mut().map_or(Ok(()), LimitedBatchCoalescer::finish)
    }

    fn given(&self, batch: RecordBatch) -> RecordBatch {
        self.selectivity.add_part(batch.num_rows());
        batch.record_output(&self.baseline)
    }
}
