//! The rows that pass, without a copy of those of which nothing is asked.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::{BatchCoalescer, filter_record_batch};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, RecordOutput};
use futures::{Stream, TryStreamExt, stream};

/// The rows of one partition that pass the conditions of a filter, in order. Batches all of whose rows pass are handed on
/// as they are, the rows of others are collected into whole batches; it holds one at most.
pub(in crate::plan) fn passing(
    filter: &FilterExec,
    input: SendableRecordBatchStream,
    partition: usize,
    metrics: &ExecutionPlanMetricsSet,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static + use<> {
    let conditions = split_conjunction(filter.predicate()).into_iter().cloned().collect();
    let passing = Passing {
        conditions,
        collected: BatchCoalescer::new(input.schema(), filter.batch_size()),
        input: Some(input),
        whole: None,
        baseline: BaselineMetrics::new(metrics, partition),
    };
    stream::try_unfold(passing, |mut passing| async move {
        Ok(passing.next().await?.map(|batch| (batch, passing)))
    })
}

struct Passing {
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// None at its end.
    input: Option<SendableRecordBatchStream>,
    collected: BatchCoalescer,
    /// A batch all of whose rows pass: behind those that are collected.
    whole: Option<RecordBatch>,
    baseline: BaselineMetrics,
}

impl Passing {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let next = self.collected.next_completed_batch().or_else(|| self.whole.take());
            if let Some(batch) = next {
                return Ok(Some(batch.record_output(&self.baseline)));
            }
            let Some(input) = &mut self.input else { return Ok(None) };
            let batch = input.try_next().await?;
            let elapsed = self.baseline.elapsed_compute().clone();
            let _timer = elapsed.timer();
            match batch {
                Some(batch) => self.take(batch)?,
                None => {
                    self.input = None;
                    self.collected.finish_buffered_batch()?;
                }
            }
        }
    }

    fn take(&mut self, mut batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        for condition in &self.conditions {
            batch = match condition.evaluate(&batch)? {
                ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))) => batch,
                ColumnarValue::Scalar(_) => return Ok(()),
                ColumnarValue::Array(passes) => filter_record_batch(&batch, passes.as_boolean())?,
            };
            if batch.num_rows() == 0 {
                return Ok(());
            }
        }
        if batch.num_rows() == rows {
            self.collected.finish_buffered_batch()?;
            self.whole = Some(batch);
        } else {
            self.collected.push_batch(batch)?;
        }
        Ok(())
    }
}
