//! Joins that look keys up in an array.
//!
//! A hash join of DataFusion keeps the rows of its build side in an array by their key, where that is one whole number
//! and the array is small (`perfect_hash_join_small_build_threshold`) or well filled
//! (`perfect_hash_join_min_key_density`): a perfect hash join. Looking a key up there takes neither a hash nor a
//! comparison, and the join's dynamic filter is asked in the same way. DataFusion's own limits, 1,024 places and 15 %,
//! leave out most joins.

use std::sync::Arc;

use datafusion::config::ExecutionOptions;
use datafusion::execution::TaskContext;

use crate::context::copied;
use crate::memory::Resources;

/// Places of an array that may be as empty as it likes: one of them is in the nearest cache of a core that is large.
const PLACES_MAX: usize = 1 << 18;
/// The bytes of a place.
const PLACE_BYTES: usize = 4;
/// All arrays of a join take this part of the memory at most, however empty they are.
const MEMORY_PART: usize = 64;
/// The part of the places that has to be filled in a larger array: a row takes up to 133 bytes then.
const FILLED_MIN: f64 = 0.03;
/// With less memory than this, a larger array has to be filled as DataFusion wants it: a hash table takes a quarter.
const MEMORY_OF_EMPTY_ARRAYS: usize = 1 << 30;

/// A context in which more joins have arrays, if the session has DataFusion's limits for them.
pub(super) fn with_arrays(context: &Arc<TaskContext>) -> Arc<TaskContext> {
    let config = context.session_config();
    let (stock, own) = (ExecutionOptions::default(), &config.options().execution);
    let is_stock = own.perfect_hash_join_small_build_threshold
        == stock.perfect_hash_join_small_build_threshold
        && own.perfect_hash_join_min_key_density.total_cmp(&stock.perfect_hash_join_min_key_density).is_eq();
    if !is_stock {
        return Arc::clone(context);
    }
    let memory = config.get_extension::<Resources>().map_or(0, |resources| resources.memory_bytes());
    let places = places(memory, config.target_partitions());
    let mut config = config.clone();
    let execution = &mut config.options_mut().execution;
    execution.perfect_hash_join_small_build_threshold =
        places.max(stock.perfect_hash_join_small_build_threshold);
    if memory >= MEMORY_OF_EMPTY_ARRAYS {
        execution.perfect_hash_join_min_key_density = FILLED_MIN;
    }
    Arc::new(copied(context).with_session_config(config))
}

/// Places of each partition's array.
fn places(memory: usize, partitions: usize) -> usize {
    (memory / MEMORY_PART / PLACE_BYTES / partitions.max(1)).min(PLACES_MAX)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionConfig;

    use super::*;
    use crate::memory::{Limits, MemoryLimit};

    fn context(memory: u64, partitions: usize, places: Option<usize>) -> Arc<TaskContext> {
        let limits = Limits { memory: Some(MemoryLimit::Bytes(memory)), ..Limits::default() };
        let mut config = SessionConfig::new()
            .with_target_partitions(partitions)
            .with_extension(Resources::new(&limits).unwrap());
        if let Some(places) = places {
            config.options_mut().execution.perfect_hash_join_small_build_threshold = places;
        }
        with_arrays(&Arc::new(TaskContext::default().with_session_config(config)))
    }

    fn limits(context: &TaskContext) -> (usize, f64) {
        let execution = &context.session_config().options().execution;
        (execution.perfect_hash_join_small_build_threshold, execution.perfect_hash_join_min_key_density)
    }

    #[test]
    fn arrays_are_as_large_as_the_memory_allows() {
        for (memory, partitions, expected) in [
            (8 << 30, 2, (1 << 18, 0.03)),
            (8 << 30, 16, (1 << 18, 0.03)),
            (256 << 20, 2, (1 << 18, 0.15)),
            (256 << 20, 16, (1 << 16, 0.15)),
            (1 << 20, 16, (1024, 0.15)),
        ] {
            let context = context(memory, partitions, None);
            assert_eq!(limits(&context), expected, "{memory} bytes, {partitions} partitions");
        }
    }

    #[test]
    fn what_the_user_sets_stays() {
        assert_eq!(limits(&context(8 << 30, 2, Some(7))), (7, 0.15));
    }
}
