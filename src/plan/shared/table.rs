//! A shared subplan as its readers see it: a table, first one that is still to be planned, then one that is.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, TableReference, internal_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{
    Expr, LogicalPlan, Projection, TableProviderFilterPushDown, TableScan, TableScanBuilder, TableType,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

use super::exec::SharedExec;

/// The name of a shared subplan in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShareId(u64);

impl ShareId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a subplan is to be shared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// That it costs less.
    Cost,
    /// That it repeats, whatever it costs.
    Repeats,
    /// That the query says so, even of one reader.
    Asked,
}

/// A subplan that a query has at several places, or that it asks to compute once.
pub(super) struct Share {
    pub(super) id: ShareId,
    /// What readers call it.
    pub(super) name: TableReference,
    pub(super) demand: Demand,
    /// The subplan's columns, each with a name of its own.
    pub(super) schema: SchemaRef,
    /// The subplan, analysed and not optimised. It is there when all shared subplans have been found, as it may read
    /// others of them.
    pub(super) plan: OnceLock<LogicalPlan>,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Share {
    pub(super) fn new(name: TableReference, demand: Demand, schema: &DFSchema) -> Self {
        let schema = Arc::new(distinct_names(schema));
        Self { id: ShareId::next(), name, demand, schema, plan: OnceLock::new() }
    }

    /// What stands for the subplan in a reader, with the subplan's qualifiers and names.
    pub(super) fn leaf(self: &Arc<Self>, schema: &Arc<DFSchema>) -> Result<LogicalPlan> {
        let source = provider_as_source(Arc::new(SharedTable(Arc::clone(self))));
        let scan = TableScanBuilder::new(self.name.clone(), source).build()?;
        if scan.projected_schema.columns() == schema.columns() {
            return Ok(LogicalPlan::TableScan(scan));
        }
        let columns = scan.projected_schema.columns().into_iter().zip(schema.iter());
        let columns = columns.map(|(column, (qualifier, field))| {
            Expr::Column(column).alias_qualified(qualifier.cloned(), field.name())
        });
        let columns = columns.collect();
        let scan = Arc::new(LogicalPlan::TableScan(scan));
        Ok(LogicalPlan::Projection(Projection::try_new_with_schema(columns, scan, Arc::clone(schema))?))
    }

    /// A column of the subplan as readers name it.
    pub(super) fn column(&self, index: usize) -> Column {
        Column::new(Some(self.name.clone()), self.schema.field(index).name())
    }
}

/// The columns of a subplan without their qualifiers, the second of a name with a number after it.
fn distinct_names(schema: &DFSchema) -> Schema {
    let mut fields: Vec<Field> = Vec::with_capacity(schema.fields().len());
    let mut taken = std::collections::HashSet::new();
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            name = format!("{}:{number}", field.name());
        }
        fields.push(Field::clone(field).with_name(name));
    }
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

/// The table that the planner's rules see: opaque, with the filters and the columns that each reader has of it noted
/// in the scan.
#[derive(Debug)]
pub(super) struct SharedTable(pub(super) Arc<Share>);

#[async_trait]
impl TableProvider for SharedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    /// Filters stay where they are, and are noted in the scan.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let kind = |filter: &&Expr| match filter.contains_outer() || contains_subquery(filter) {
            true => TableProviderFilterPushDown::Unsupported,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(kind).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        internal_err!("the shared subplan {} is read before it is planned", self.0.name)
    }
}

fn contains_subquery(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    let is_query = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
        ))
    };
    expr.exists(is_query).unwrap_or(true)
}

/// The table of a subplan that is planned.
#[derive(Debug)]
pub(super) struct PlannedTable {
    /// The subplan's columns.
    pub(super) schema: SchemaRef,
    /// Those among them that are computed, in their order.
    pub(super) columns: Vec<usize>,
    pub(super) plan: Arc<SharedExec>,
}

#[async_trait]
impl TableProvider for PlannedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let plan: Arc<dyn ExecutionPlan> = Arc::clone(&self.plan) as _;
        if *wanted == self.columns {
            return Ok(plan);
        }
        let mut columns: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::with_capacity(wanted.len());
        for column in wanted {
            let name = self.schema.field(*column).name();
            let Ok(at) = self.columns.binary_search(column) else {
                return internal_err!("column {name} of a shared subplan is not computed");
            };
            columns.push((Arc::new(PhysicalColumn::new(name, at)), name.clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(columns, plan)?))
    }
}

/// The shared subplan that a scan reads, if it reads one that is still to be planned.
pub(super) fn share_of(scan: &TableScan) -> Option<Arc<Share>> {
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<SharedTable>().map(|table| Arc::clone(&table.0))
}

/// All scans of shared subplans in a plan, its subqueries included.
pub(super) fn scans(plan: &LogicalPlan) -> Result<Vec<(Arc<Share>, TableScan)>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(share) = share_of(scan)
        {
            found.push((share, scan.clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Replaces scans of shared subplans, in subqueries as well. `None` leaves a scan as it is.
pub(super) fn replaced(
    plan: LogicalPlan,
    mut by: impl FnMut(&Share, &TableScan) -> Result<Option<LogicalPlan>>,
) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match &node {
        LogicalPlan::TableScan(scan) => match share_of(scan) {
            Some(share) => match by(&share, scan)? {
                Some(other) => Ok(Transformed::yes(other)),
                None => Ok(Transformed::no(node)),
            },
            None => Ok(Transformed::no(node)),
        },
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(plan.data)
}

/// What a scan gives, computed by the reader itself.
pub(super) fn inlined(share: &Share, scan: &TableScan, plan: &LogicalPlan) -> Result<LogicalPlan> {
    let all = || (0..share.schema.fields().len()).collect();
    let columns = scan.projection.clone().unwrap_or_else(all).into_iter().map(|index| {
        let inner = Column::from(plan.schema().qualified_field(index));
        Expr::Column(inner).alias_qualified(Some(scan.table_name.clone()), share.schema.field(index).name())
    });
    let (columns, schema) = (columns.collect(), Arc::clone(&scan.projected_schema));
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(columns, Arc::new(plan.clone()), schema)?))
}
