//! The functions that `query` adds to DataFusion's or puts in their place.

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;

use crate::plan::checked;

/// Registers our functions: a `sum` that does not wrap around, and the `wrapping_*` functions for those
/// who want just that.
pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    registry.register_udaf(checked::checked_sum().into())?;
    for function in checked::wrapping_functions() {
        registry.register_udf(function.into())?;
    }
    Ok(())
}
