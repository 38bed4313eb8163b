//! Wires the floors together; the only thing that runs a plan.

mod analyze;
mod arrays;
pub mod blocking;
mod clock;
mod copy;
mod describe;
mod engine;
mod estimate;
mod explain;
mod frame;
mod graph;
mod insert;
mod limits;
mod names;
mod narrow;
mod plan;
mod project;
mod read;
mod readonly;
mod rerun;
mod secrets;
mod upload;

pub use limits::SessionOptions;
pub use project::find_project;
pub use upload::Spool;

use std::sync::Arc;

use datafusion::catalog::{CatalogProviderList, DynamicFileCatalog, UrlTableFactory};
use datafusion::common::TableReference;
use datafusion::common::format::ExplainFormat;
use datafusion::error::DataFusionError;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::{DdlStatement, LogicalPlan, WriteOp};
use datafusion::optimizer::Optimizer;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};

use sqlparser::ast::ObjectName;

use crate::config::{self, QueryOptions};
use crate::error::{Result, StatementError, is_out_of_memory};
use crate::frontend::functions;
use crate::frontend::materialized::MaterializedPlanner;
use crate::frontend::sql::{Functions, Names, Params, Statement, diagnose};
use crate::frontend::summarize::SummarizePlanner;
use crate::hidden;
use crate::memory::Resources;
use crate::plan::broadcast::with_broadcast_joins;
use crate::plan::builds::with_compact_builds;
use crate::plan::checked::{CheckedArithmetic, GuardedFilters, with_checked_rules, with_guarded_logic};
use crate::plan::clustered::with_clustered_groups;
use crate::plan::correlated::ExactSubqueries;
use crate::plan::first_rows::with_first_rows;
use crate::plan::grouping_sets::UnknownKeys;
use crate::plan::having::with_having_above;
use crate::plan::join_filter::{NullableJoinFilters, with_kept_columns};
use crate::plan::limits::with_order_of_limits;
use crate::plan::order::{with_lasting_order, with_sorted_merges};
use crate::plan::pieces::with_scan_pieces;
use crate::plan::pushdown::with_exact_pushdown;
use crate::plan::row_filters::with_row_filters;
use crate::plan::shared::{FindShared, ShownOnce};
use crate::plan::statistics::with_exact_statistics;
use crate::plan::subquery::NullableScalarSubqueries;
use crate::plan::truth::ThreeValued;
use crate::scheduler::event::{Observers, TempGauge};
use crate::source::{ExternalTables, Files, Lookup, Remotes};
use crate::store::{Secrets, Stores};
use clock::Runs;
use project::{Catalogs, Project, Reach};
use readonly::Access;

/// Tables, views, settings and functions that statements and frames share. Clones share them too.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    resources: Arc<Resources>,
    stores: Arc<Stores>,
}

/// What a statement gives.
pub enum Outcome {
    /// A result set, computed as it is read. Rows come in the query's order if it fixes one.
    Rows(SendableRecordBatchStream),
    /// So many rows were written.
    Written(u64),
    /// An effect without rows.
    Done,
}

impl Session {
    /// A session without tables, with the default options.
    ///
    /// # Errors
    /// Settings that the engine refuses.
    pub fn new() -> Result<Self> {
        Self::with_options(&SessionOptions::default())
    }

    /// A session without tables.
    ///
    /// # Errors
    /// Options that cannot be had, settings that the engine refuses.
    pub fn with_options(session_options: &SessionOptions) -> Result<Self> {
        let resources = session_options.resources()?;
        let query_options = session_options.query_options();
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(query_options.threads.get())
            .with_option_extension(query_options);
        let options = config.options_mut();
        options.sql_parser.collect_spans = true;
        // What the shells that people come from show.
        options.explain.format = ExplainFormat::Tree;
        // TIMESTAMP WITH TIME ZONE keeps its zone only where the session has one.
        options.execution.time_zone = Some("+00:00".into());
        // `dir/**/*.csv` and folders mean files in subfolders as well.
        options.execution.listing_table_ignore_subdirectory = false;
        // What it refuses is a column that may be NULL where the logical plan says that it is not: a count in a
        // correlated subquery below a UNION, which is neither.
        options.execution.skip_physical_aggregate_schema_check = true;
        limits::fit(&mut config, &resources)?;
        config.set_extension(Arc::clone(&resources));
        config::secret_values().iter().for_each(|value| hidden::keep(value));
        let secrets = Secrets::new();
        session_options.secrets.iter().cloned().for_each(|secret| drop(secrets.insert(secret)));
        let stores = Arc::new(Stores::with_options(Arc::new(secrets), session_options.stores()));
        // By their type, for those who have a session's state only: the runtime knows them as a trait.
        config.set_extension(Arc::clone(&stores));
        config.set_extension(Arc::new(Remotes::default()));
        config.set_extension(Arc::new(Access { is_readonly: session_options.readonly }));
        let files = Arc::new(Files::new());
        let project = session_options.project.as_deref();
        let project = project.map(|root| Arc::new(Project::new(root, &files, &resources, &stores)));
        project.iter().for_each(|project| config.set_extension(Arc::clone(project)));

        let runtime = limits::runtime(&resources, &stores)?;
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_query_planner(Arc::new(engine::JobPlanner))
            .with_analyzer_rule(Arc::new(ThreeValued))
            .with_analyzer_rule(Arc::new(ExactSubqueries))
            .with_relation_planners(vec![Arc::new(SummarizePlanner), Arc::new(MaterializedPlanner)])
            .with_analyzer_rule(Arc::new(NullableScalarSubqueries))
            .with_analyzer_rule(Arc::new(CheckedArithmetic))
            .with_analyzer_rule(Arc::new(GuardedFilters))
            // After all that change plans: from here on, repeats may become different.
            .with_analyzer_rule(Arc::new(FindShared))
            .with_optimizer_rules(with_having_above(with_checked_rules(Optimizer::new().rules)))
            .with_physical_optimizer_rules(physical_rules(footers))
            .with_physical_optimizer_rule(Arc::new(NullableJoinFilters))
            // After all that must not see into shared subplans.
            .with_physical_optimizer_rule(Arc::new(ShownOnce))
            .build();
        functions::register(&mut state)?;
        for format in ["PARQUET", "CSV", "TSV", "JSON", "NDJSON", "AVRO", "ARROW"] {
            state.table_factories_mut().insert(format.into(), Arc::new(ExternalTables));
        }

        let catalogs = Arc::clone(state.catalog_list());
        let catalogs = DynamicFileCatalog::new(catalogs, Arc::clone(&files) as Arc<dyn UrlTableFactory>);
        let catalogs: Arc<dyn CatalogProviderList> = match project {
            Some(project) => Arc::new(Catalogs { inner: Arc::new(catalogs), project }),
            None => Arc::new(catalogs),
        };
        let state = SessionStateBuilder::new_from_existing(state).with_catalog_list(catalogs).build();
        let context = SessionContext::new_with_state(state);
        files.attach(&context);
        crate::source::functions::register(&context);
        Ok(Self { context, resources, stores })
    }

    /// Forgets what stores of the network have listed, and what was learnt of their objects: statements that follow see
    /// what is there then. Local files, and objects that a statement names, are looked up for each statement anyway.
    pub fn refresh(&self) {
        self.remotes().iter().for_each(|remotes| remotes.forget());
    }

    /// What the session knows of stores of the network.
    fn remotes(&self) -> Option<Arc<Remotes>> {
        self.context.state_ref().read().config().get_extension::<Remotes>()
    }

    /// The session's stores of the network, and the secrets that they are opened with.
    pub fn stores(&self) -> &Arc<Stores> {
        &self.stores
    }

    /// The memory and temporary files that the session's queries may take.
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// Tells these of all that happens in the jobs that the session runs from now on. Those before them are told
    /// nothing more of new jobs.
    pub fn observe(&self, mut observers: Observers) {
        let resources = Arc::clone(&self.resources);
        observers.temp.get_or_insert_with(|| TempGauge(Arc::new(move || resources.temp_bytes())));
        self.context.state_ref().write().config_mut().set_extension(Arc::new(observers));
    }

    /// Who is told of what happens in the session's jobs.
    pub fn observers(&self) -> Observers {
        engine::observers(self.context.state_ref().read().config())
    }

    /// Our own settings as they are now.
    pub fn query_options(&self) -> QueryOptions {
        engine::options(self.context.state_ref().read().config())
    }

    /// The functions by kind, for the checks that come before planning.
    pub fn functions(&self) -> Functions {
        let state = self.context.state_ref();
        let state = state.read();
        let lower = |name: &String| name.to_lowercase();
        Functions {
            aggregate: state.aggregate_functions().keys().map(lower).collect(),
            window: state.window_functions().keys().map(lower).collect(),
            scalar: state.scalar_functions().keys().map(lower).collect(),
        }
    }

    /// Runs one statement. Effects (tables, settings, files) are done when this returns; a query is
    /// planned and starts when its rows are read.
    ///
    /// # Errors
    /// Planning errors point at their place in the script and name what comes nearest.
    pub async fn run(&self, statement: &Statement, params: &Params) -> Result<Outcome> {
        if let Some(secret) = statement.secret() {
            return self.carry_out_secret(secret, params);
        }
        if let Some(of) = statement.graph() {
            return Ok(Outcome::Rows(self.explained_graph(statement, params, of).await?));
        }
        if statement.is_estimate() {
            return Ok(Outcome::Rows(explain::without_secrets(self.estimated(statement, params).await?)));
        }
        let before = self.stores.usage();
        let plan = self.plan(statement, params, Runs::of(statement.ast())).await?;
        let plan = params.bind(plan, statement)?;
        let is_analyzed = matches!(plan, LogicalPlan::Analyze(_));
        let told = |failure| match failure {
            Failure::Engine(error) => located(error, statement).into(),
            Failure::Own(error) => error,
        };
        self.refuse_changes(&plan).await.map_err(|error| located(error, statement))?;
        let into_files = insert::into_files(&self.context, plan).await;
        let mut plan = into_files.map_err(|error| located(error, statement))?;
        if let Some(done) = self.last(statement, &plan).await.map_err(told)? {
            return Ok(done);
        }
        if statement.only_if_new()
            && matches!(&plan, LogicalPlan::Ddl(DdlStatement::CreateView(view)) if self.is_known(&view.name))
        {
            return Ok(Outcome::Done);
        }
        if describe::query_of(statement.ast()).is_some() {
            plan = describe::described(&self.context.state(), plan).map_err(|e| located(e, statement))?;
        }
        let is_about_statements = statement.tells_of_plans() || explain::reads_catalog(&plan);
        let outcome = match self.execute(plan, statement.returns_rows()).await.map_err(told)? {
            Outcome::Rows(rows) if is_analyzed => {
                Outcome::Rows(analyze::with_stores(rows, &self.stores, before))
            }
            other => other,
        };
        Ok(match outcome {
            Outcome::Rows(rows) if is_about_statements => Outcome::Rows(explain::without_secrets(rows)),
            other => other,
        })
    }

    /// Whether the session has a table of this name by itself.
    fn is_known(&self, name: &TableReference) -> bool {
        Reach::Session.during_call(|| self.context.table_exist(name.clone())).unwrap_or(false)
    }

    /// The physical plan of a statement that is carried out by one: a query, COPY, EXPLAIN. Nothing is run; a
    /// plan is good for one run, or for [`lower`](crate::plan::lower::lower). One that has shared subplans runs as
    /// a graph only.
    ///
    /// # Errors
    /// As [`run`](Self::run) does when it plans; statements that change the session have no such plan.
    pub async fn physical_plan(
        &self,
        statement: &Statement,
        params: &Params,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = params.bind(self.plan(statement, params, Runs::of(statement.ast())).await?, statement)?;
        let planned = match insert::into_files(&self.context, plan).await.and_then(explain::prepare) {
            Ok(plan) => self.unlimited().create_physical_plan(&plan).await,
            Err(error) => Err(error),
        };
        planned.map(engine::planned).map_err(|error| located(error, statement).into())
    }

    async fn execute(&self, plan: LogicalPlan, returns_rows: bool) -> Result<Outcome, Failure> {
        let plan = explain::prepare(plan)?;
        self.refuse_changes(&plan).await?;
        self.check(&plan).await?;
        if limits::set(&self.context, &self.resources, &plan)? {
            return Ok(Outcome::Done);
        }
        if returns_rows {
            return Ok(Outcome::Rows(rerun::rows(&self.context, plan).await?));
        }
        let held_before = self.context.runtime_env().memory_pool.reserved();
        let refused = match carry_out(&self.context, plan.clone()).await {
            Err(Failure::Engine(error)) if is_out_of_memory(&error) => error,
            done => return done,
        };
        match rerun::second_attempt(&self.context, &plan, held_before).await {
            None => Err(refused.into()),
            Some(context) => carry_out(&context, plan).await.map_err(|error| match error {
                Failure::Engine(error) => rerun::better(refused, error).into(),
                Failure::Own(_) => error,
            }),
        }
    }

    /// Refuses plans that the engine would carry out in another sense.
    async fn check(&self, plan: &LogicalPlan) -> Result<(), Failure> {
        match plan {
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => {
                if !table.constraints.is_empty() {
                    let what = "a constraint of a table of files is not checked, so it is not supported";
                    return Err(DataFusionError::NotImplemented(what.into()).into());
                }
                Ok(())
            }
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)) if !table.constraints.is_empty() => {
                let what = "a constraint of a table in memory would not be enforced, so it is not supported";
                Err(DataFusionError::NotImplemented(what.into()).into())
            }
            // The engine drops conditions with subqueries, and changes every row.
            LogicalPlan::Dml(dml) if !matches!(dml.op, WriteOp::Insert(_) | WriteOp::Ctas) => {
                Err(DataFusionError::NotImplemented(format!(
                    "{} is not supported yet",
                    dml.op.name().to_uppercase()
                ))
                .into())
            }
            _ => Ok(()),
        }
    }

    async fn diagnose(&self, error: DataFusionError, statement: &Statement) -> StatementError {
        let state = self.context.state();
        let functions = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
        let functions = functions.chain(state.window_functions().keys()).cloned().collect();
        let missing = self.missing(statement).await;
        let table_functions = state.table_functions().keys().cloned().collect();
        diagnose(error, statement, &Names { tables: self.tables(), functions, table_functions, missing })
    }

    async fn missing(&self, statement: &Statement) -> Option<ObjectName> {
        for name in statement.relations() {
            let reference = reference(&name);
            if self.context.table_provider(reference).await.is_err() && !self.is_table_function(&name) {
                return Some(name);
            }
        }
        None
    }

    fn is_table_function(&self, name: &ObjectName) -> bool {
        let name = name.to_string().to_lowercase();
        self.context.state().table_functions().contains_key(&name)
    }

    fn tables(&self) -> Vec<String> {
        let mut names = Vec::new();
        for catalog in self.context.catalog_names().iter().filter_map(|name| self.context.catalog(name)) {
            for schema in catalog.schema_names().iter().filter_map(|name| catalog.schema(name)) {
                names.extend(schema.table_names());
            }
        }
        names.sort();
        names
    }
}

/// The stock rules for physical plans, with ours among them.
fn physical_rules(footers: Arc<FileMetadataCache>) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let rules = with_exact_pushdown(with_exact_statistics(PhysicalOptimizer::new().rules));
    let rules = with_clustered_groups(with_broadcast_joins(rules), Arc::clone(&footers));
    let rules = with_compact_builds(with_scan_pieces(rules, footers));
    let rules = with_sorted_merges(with_row_filters(rules));
    let rules = with_guarded_logic(with_lasting_order(with_order_of_limits(with_kept_columns(rules))));
    let mut rules = with_first_rows(rules);
    rules.insert(0, Arc::new(UnknownKeys));
    rules
}

/// Why a plan was not carried out.
enum Failure {
    Engine(DataFusionError),
    Own(crate::Error),
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(error)
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Self::Own(error)
    }
}

/// An error that came while a statement ran, with the statement's place.
pub fn located(error: DataFusionError, statement: &Statement) -> StatementError {
    StatementError::from_engine(error, Some(statement.place().clone())).with_label("in this statement")
}

fn reference(name: &ObjectName) -> TableReference {
    let part = |ident: &sqlparser::ast::Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    let parts: Vec<String> = name.0.iter().filter_map(|p| p.as_ident()).map(part).collect();
    match parts.as_slice() {
        [table] => TableReference::bare(table.as_str()),
        [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
        [catalog, schema, table] => TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()),
        _ => TableReference::bare(name.to_string()),
    }
}

/// Carries out a plan for its effect.
async fn carry_out(context: &SessionContext, plan: LogicalPlan) -> Result<Outcome, Failure> {
    if let LogicalPlan::Copy(_) = &plan {
        return Ok(Outcome::Written(copy::run(context, plan).await?));
    }
    // A table may have the name of a folder that is there, or of one that lasts; views and queries have found their
    // files already.
    let is_ddl = matches!(plan, LogicalPlan::Ddl(_));
    let (lookup, reach) =
        if is_ddl { (Lookup::Nothing, Reach::Session) } else { (Lookup::Files, Reach::All) };
    let run = context.execute_logical_plan(until_the_end(plan));
    written(reach.during(lookup.during(run)).await?).await
}

/// Makes what is called temporary: here it ends with the session anyway, and the engine knows no such word. The text of
/// a view is kept without the values of secrets: it is only there to be shown.
fn until_the_end(mut plan: LogicalPlan) -> LogicalPlan {
    match &mut plan {
        LogicalPlan::Ddl(DdlStatement::CreateView(view)) => {
            view.temporary = false;
            view.definition = view.definition.take().map(hidden::hidden);
        }
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => table.temporary = false,
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)) => table.temporary = false,
        _ => {}
    }
    plan
}

async fn written(frame: DataFrame) -> Result<Outcome, Failure> {
    // What is left of a statement that is done already, such as CREATE VIEW.
    if matches!(frame.logical_plan(), LogicalPlan::EmptyRelation(_)) {
        return Ok(Outcome::Done);
    }
    let is_write = matches!(frame.logical_plan(), LogicalPlan::Dml(_));
    let batches = frame.collect().await?;
    Ok(if is_write { Outcome::Written(copy::count(&batches)) } else { Outcome::Done })
}
