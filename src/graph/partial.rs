//! Partial aggregations that group next to nothing, and are given up in time.
//!
//! Where nearly every row has a group of its own, a partial aggregation is work without use. DataFusion's asks itself
//! after 100,000 rows whether it has groups for more than 80 % of them, and hands on as they are what comes then
//! (`skip_partial_aggregation_probe_rows_threshold`). A task of fewer rows never asks; sixteen of them do the work for
//! a million rows for nothing.
//!
//! So a task that is estimated to have few rows asks after a part of them. `n` rows whose values are even have
//! `g (1 - exp(-n / g))` of `g` groups, so what it asks for is as many as there are of the groups of which 100,000 rows
//! have 80 %. It is a part of the rows, and not a small fixed number, since rows that are written down by time often have
//! all keys once, and then all of them again.

use std::sync::Arc;

use datafusion::config::ExecutionOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, InputOrderMode};

use crate::context::copied;

/// A task asks when it has seen this part of its rows.
const ASKED_PART: usize = 4;
/// It has seen so many at least: a task of fewer rows never asks.
const ASKED_MIN: usize = 1 << 13;
/// The groups of which 100,000 rows have 80 %.
const GROUPS: f64 = 215_420.0;

/// After how many rows each task of an operator asks whether to go on grouping; `None` where that is left to DataFusion.
///
/// For partial aggregations by hash, of an input whose rows can be estimated.
pub fn asks_after(node: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    let aggregate = node.downcast_ref::<AggregateExec>()?;
    let is_asked = match (aggregate.mode(), aggregate.input_order_mode()) {
        (AggregateMode::Partial, InputOrderMode::Linear) => aggregate.group_expr().is_single(),
        _ => false,
    };
    if !is_asked {
        return None;
    }
    let input = aggregate.input();
    let statistics = StatisticsContext::new().compute(input.as_ref(), &StatisticsArgs::new()).ok()?;
    let rows = *statistics.num_rows.get_value()? / input.output_partitioning().partition_count().max(1);
    Some(rows / ASKED_PART).filter(|asked| *asked >= ASKED_MIN)
}

/// A context in which aggregations ask after so many rows, if the session has DataFusion's limits for it, and these are
/// later.
pub(super) fn asking(context: Arc<TaskContext>, rows: usize) -> Arc<TaskContext> {
    let config = context.session_config();
    let (stock, own) = (ExecutionOptions::default(), &config.options().execution);
    let asked = own.skip_partial_aggregation_probe_rows_threshold;
    let is_stock = asked == stock.skip_partial_aggregation_probe_rows_threshold
        && own
            .skip_partial_aggregation_probe_ratio_threshold
            .total_cmp(&stock.skip_partial_aggregation_probe_ratio_threshold)
            .is_eq();
    if !is_stock || asked <= rows {
        return context;
    }
    let mut config = config.clone();
    let execution = &mut config.options_mut().execution;
    execution.skip_partial_aggregation_probe_rows_threshold = rows;
    execution.skip_partial_aggregation_probe_ratio_threshold = ratio(rows);
    Arc::new(copied(&context).with_session_config(config))
}

/// Groups for each row among so many.
#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn ratio(rows: usize) -> f64 {
    let of_each = rows as f64 / GROUPS;
    -(-of_each).exp_m1() / of_each
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_datafusion_asks_for_of_more_rows() {
        let stock = ExecutionOptions::default();
        let (rows, expected) = (
            stock.skip_partial_aggregation_probe_rows_threshold,
            stock.skip_partial_aggregation_probe_ratio_threshold,
        );
        assert!((ratio(rows) - expected).abs() < 1e-5, "{}", ratio(rows));
        assert!((0.98..0.99).contains(&ratio(ASKED_MIN)), "{}", ratio(ASKED_MIN));
    }

    #[test]
    fn what_the_user_sets_stays() {
        let asked = |context: TaskContext| {
            let context = asking(Arc::new(context), 9_000);
            context.session_config().options().execution.skip_partial_aggregation_probe_rows_threshold
        };
        assert_eq!(asked(TaskContext::default()), 9_000);
        for (name, value) in [("rows", "50000"), ("ratio", "0.5")] {
            let mut config = datafusion::prelude::SessionConfig::new();
            let name = format!("datafusion.execution.skip_partial_aggregation_probe_{name}_threshold");
            config.options_mut().set(&name, value).unwrap();
            let found = asked(TaskContext::default().with_session_config(config));
            assert_eq!(found, if value == "0.5" { 100_000 } else { 50_000 });
        }
    }
}
