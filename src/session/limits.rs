//! What a session may take of the machine, and `SET` for it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::{LogicalPlan, Statement};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::config::{EngineKind, ProgressChoice, QueryOptions, ScanLimit};
use crate::memory::{Limits, MemoryLimit, Resources, temp_bytes};
use crate::store::{Patience, Secret, StoreOptions, Stores};

const PREFIX: &str = "datafusion.runtime.";
/// Sorts set this aside for merging what they spilled; each has one a partition.
const SORT_RESERVATION_BYTES_MAX: usize = 10 << 20;
/// Everything that merges, joins or exchanges keeps batches: in little memory they are to be short.
const LIMIT_BYTES_PER_BATCH_ROW: usize = 16 << 10;
const BATCH_ROWS_MIN: usize = 512;

/// How a session is made.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// Memory and disk; by default shared with all sessions of the process that ask for nothing else.
    pub limits: Limits,
    /// What runs queries; `local` unless said otherwise.
    pub engine: Option<EngineKind>,
    /// Threads that queries run on, and partitions they are cut into; all cores unless said otherwise.
    pub threads: Option<NonZeroUsize>,
    /// When the command line shows how far statements are; on terminals unless said otherwise.
    pub progress: Option<ProgressChoice>,
    /// How long to wait for stores of the network; see [`Patience`].
    pub patience: Option<Patience>,
    /// Secrets that the session begins with.
    pub secrets: Vec<Secret>,
    /// The folder of the project whose tables and views are there, and in which those that are made last.
    /// Without one they end with the session.
    pub project: Option<PathBuf>,
    /// Whether to refuse all that changes a file, a table that lasts, or a secret.
    pub readonly: bool,
    /// How much a query may read of files; as much as there is unless said otherwise.
    pub max_scan: ScanLimit,
}

impl SessionOptions {
    /// The settings that these options stand for.
    pub(super) fn query_options(&self) -> QueryOptions {
        let default = QueryOptions::default();
        QueryOptions {
            engine: self.engine.unwrap_or(default.engine),
            threads: self.threads.unwrap_or(default.threads),
            progress: self.progress.unwrap_or(default.progress),
            max_scan: self.max_scan,
            ..default
        }
    }

    /// How the session's stores are used.
    pub(super) fn stores(&self) -> StoreOptions {
        let mut options = StoreOptions::default();
        if let Some(folder) = &self.limits.temp_dir {
            options.temp_dir = folder.clone();
        }
        if let Some(patience) = self.patience {
            options.patience = patience;
        }
        options
    }

    /// The resources that these options ask for.
    pub(super) fn resources(&self) -> crate::Result<Arc<Resources>> {
        match self.limits == Limits::default() {
            true => Resources::of_the_process(),
            false => Resources::new(&self.limits),
        }
    }
}

/// The engine's surroundings: our memory, our temporary files, our stores.
pub(super) fn runtime(resources: &Resources, stores: &Arc<Stores>) -> Result<Arc<RuntimeEnv>> {
    RuntimeEnvBuilder::new()
        .with_object_store_registry(Arc::clone(stores) as Arc<dyn ObjectStoreRegistry>)
        .with_memory_pool(resources.pool())
        .with_disk_manager_builder(resources.disk())
        // Listings kept for ever would hide files written since.
        .with_object_list_cache_limit(0)
        .build_arc()
}

/// Fits the engine's settings to the limit of memory.
pub(super) fn fit(config: &mut SessionConfig, resources: &Resources) -> Result<()> {
    let execution = &mut config.options_mut().execution;
    let limit = resources.memory_bytes();
    execution.sort_spill_reservation_bytes = (limit / 64).min(SORT_RESERVATION_BYTES_MAX);
    let rows = limit / LIMIT_BYTES_PER_BATCH_ROW;
    if rows < execution.batch_size.get() {
        execution.batch_size = ConfigNonZeroUsize::try_new(rows.max(BATCH_ROWS_MIN))?;
    }
    Ok(())
}

/// Carries out a `SET` or `RESET` of memory or temporary files; `false` if the plan is something else.
/// The engine would put a pool and a folder of its own in the place of ours, the process's.
pub(super) fn set(context: &SessionContext, resources: &Resources, plan: &LogicalPlan) -> Result<bool> {
    let (variable, value) = match plan {
        LogicalPlan::Statement(Statement::SetVariable(set)) => (&set.variable, Some(set.value.as_str())),
        LogicalPlan::Statement(Statement::ResetVariable(reset)) => (&reset.variable, None),
        _ => return Ok(false),
    };
    let refused = |error: crate::Error| DataFusionError::Plan(error.to_string());
    let disk = &context.runtime_env().disk_manager;
    match variable.to_lowercase().strip_prefix(PREFIX) {
        Some("memory_limit") => {
            let bytes = match value {
                Some(text) => text.parse::<MemoryLimit>().map_err(refused)?.bytes(),
                None => resources.start().memory_bytes,
            };
            resources.set_memory_bytes(bytes);
            disk.set_max_spill_merge_fan_in(resources.merge_runs_max());
        }
        Some("max_temp_directory_size") => {
            let bytes = match value {
                Some(text) => temp_bytes(text).map_err(refused)?,
                None => resources.start().temp_bytes_max,
            };
            resources.set_temp_bytes_max(bytes);
            disk.set_max_temp_directory_size(bytes)?;
        }
        Some("max_spill_merge_fan_in") => {
            let runs = match value {
                Some(text) => text
                    .parse()
                    .map_err(|_| DataFusionError::Plan(format!("'{text}' is not a number of runs")))?,
                None => resources.merge_runs_max(),
            };
            disk.set_max_spill_merge_fan_in(runs);
        }
        Some("temp_directory") => {
            let text =
                "the folder of temporary files is the process's: choose it at the start with --temp-dir";
            return Err(DataFusionError::Plan(text.into()));
        }
        Some(_) | None => return Ok(false),
    }
    Ok(true)
}
