//! Arithmetic that never gives a wrong number in silence, and never fails for rows that are not asked for.
//!
//! DataFusion's `+`, `-`, `*` and unary `-` on integers wrap around, its `SUM` of integers and decimals
//! wraps, its decimals may have more digits than their type, and a float divided by zero is infinite. Here
//! each of these is an error. The operators are replaced in the *logical* plan, before DataFusion folds
//! constants (`9223372036854775807 + 1` would already have wrapped); the stock `sum` is replaced in the
//! function registry.
//!
//! Where arithmetic can fail, conditions that keep it from failing must be heeded: `guard`, `filter` and
//! `order` see to that.

mod arithmetic;
mod decimal;
mod decimal_sum;
mod digits;
mod distinct;
mod fallible;
mod filter;
mod guard;
mod guarded;
mod order;
mod rule;
mod sum;

use std::sync::Arc;

use datafusion::optimizer::OptimizerRule;

pub use arithmetic::wrapping_functions;
pub(in crate::plan) use fallible::may_fail;
pub use filter::GuardedFilters;
pub use guard::with_guarded_logic;
pub use rule::CheckedArithmetic;
pub use sum::checked_sum;

/// The stock rules of the logical optimizer with ours among them.
pub fn with_checked_rules(
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    order::with_safe_conditions_first(distinct::with_wide_partial_sums(rules))
}
