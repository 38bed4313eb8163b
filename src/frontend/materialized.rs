//! `WITH t AS MATERIALIZED (…)` and `AS NOT MATERIALIZED (…)`: marks in the logical plan.

use datafusion::common::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use sqlparser::ast::TableFactor;

use super::sql::materialized_wish;
use crate::plan::shared::marked;

/// Plans the derived tables that the two forms are made.
#[derive(Debug)]
pub struct MaterializedPlanner;

impl RelationPlanner for MaterializedPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (lateral, subquery, alias, sample) = match relation {
            TableFactor::Derived { lateral, subquery, alias, sample } => (lateral, subquery, alias, sample),
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let Some(wish) = materialized_wish(alias.as_ref()) else {
            let relation = TableFactor::Derived { lateral, subquery, alias, sample };
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let inner = context.plan(TableFactor::Derived { lateral, subquery, alias: None, sample })?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(marked(inner, wish), None))))
    }
}
