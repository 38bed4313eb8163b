//! The functions that `query` adds to DataFusion's or puts in their place.

mod quantile;
mod row_hash;

use std::sync::{Arc, LazyLock};

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, Expr, ScalarUDF};

use crate::plan::checked;

/// Registers our functions: a `sum` that does not wrap around, the `wrapping_*` functions for those
/// who want just that, and what the DataFrame needs.
pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    registry.register_udaf(checked::checked_sum().into())?;
    for function in checked::wrapping_functions() {
        registry.register_udf(function.into())?;
    }
    registry.register_udaf(quantile())?;
    registry.register_udf(Arc::clone(&ROW_HASH))?;
    Ok(())
}

static QUANTILE: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::from(quantile::Quantile::default())));
static ROW_HASH: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(row_hash::RowHash::default())));

/// `quantile(x, q)`: the exact quantile by linear interpolation.
pub(super) fn quantile() -> Arc<AggregateUDF> {
    Arc::clone(&QUANTILE)
}

/// `row_hash(a, b, …)`: a hash of values that is the same everywhere.
pub(super) fn row_hash(args: Vec<Expr>) -> Expr {
    ROW_HASH.call(args)
}
