//! Places for our rules among the stock ones.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_coop::EnsureCooperative;

use crate::config::{EngineKind, QueryOptions};

/// A rule for physical plans.
pub(super) type PhysicalRule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The rules, with one more before the stock one that wants plans as they stay: rows have been dealt out by then.
pub(super) fn before_last(mut rules: Vec<PhysicalRule>, rule: PhysicalRule) -> Vec<PhysicalRule> {
    let stock = EnsureCooperative::new();
    let place = rules.iter().position(|rule| rule.name() == stock.name()).unwrap_or(rules.len());
    rules.insert(place, rule);
    rules
}

/// Our settings, where a plan is for an engine of ours; `None` where it is to be as DataFusion makes it.
pub(super) fn ours(config: &ConfigOptions) -> Option<QueryOptions> {
    let options = config.extensions.get::<QueryOptions>().cloned().unwrap_or_default();
    match options.engine {
        EngineKind::Stock => None,
        EngineKind::Local | EngineKind::Inline => Some(options),
    }
}
