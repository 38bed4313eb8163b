//! Filters over objects of the network that hand their first rows on at once.
//!
//! DataFusion's filter collects the rows that pass until it has a batch of them (8,192). A row group of 100,000 rows of
//! which one in twenty passes has fewer: whoever waits for the first row waits for a second row group, and that is one
//! more answer of the store. Where nothing above the filter collects rows itself, the first ones need not wait.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::common::Result;
use datafusion::common::cast::as_boolean_array;
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce::{LimitedBatchCoalescer, PushBatchStatus};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricType, RatioMetrics, RecordOutput,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};
use futures::stream;
use futures::{Stream, TryStreamExt};

use super::own_filter::{How, OwnFilter};
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
        Some(filter) if reads_network(filter.input()) => Ok(OwnFilter::around(filter.clone(), How::Promptly)),
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

/// The rows of one partition that pass: the first as soon as there are some, those after them in whole batches. The same
/// rows in the same order; it holds a batch of them at most.
pub(super) fn passing(
    filter: &Arc<FilterExec>,
    input: SendableRecordBatchStream,
    partition: usize,
    metrics: &ExecutionPlanMetricsSet,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static + use<> {
    let passing = Passing {
        filter: Arc::clone(filter),
        input: Some(input),
        later: None,
        baseline: BaselineMetrics::new(metrics, partition),
        selectivity: MetricBuilder::new(metrics)
            .with_type(MetricType::Summary)
            .ratio_metrics("selectivity", partition),
    };
    stream::try_unfold(passing, |mut passing| async move {
        Ok(passing.next().await?.map(|batch| (batch, passing)))
    })
}

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
