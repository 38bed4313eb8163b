//! Grouping sets, whose keys have not the order of their input, nor its constants.
//!
//! In a grouping set that lacks a key, the key is NULL. DataFusion 55.2 gives what it knows of a key's column to the
//! keys of the aggregation all the same: of `WHERE a = 1 GROUP BY ROLLUP (a)` that `a` is always 1. The aggregation
//! above the exchange then ends a group whenever `a` changes, and gives it again later; an ORDER BY, a window's
//! PARTITION BY or a GROUP BY above leaves `a` out.
//!
//! ```text
//! aggregate: (a), (NULL)        aggregate: (key), (NULL)
//!   a = 1               becomes   projection: a, key_as_it_is(a, ?) as key
//!                                   a = 1
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode, PhysicalGroupBy};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

type Plan = Arc<dyn ExecutionPlan>;
type Expr = Arc<dyn PhysicalExpr>;

/// Has aggregations with several grouping sets read their keys from columns that nothing is known of. Runs before the
/// stock rules.
#[derive(Debug)]
pub struct UnknownKeys;

impl PhysicalOptimizerRule for UnknownKeys {
    fn name(&self) -> &str {
        "unknown_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        let config = Arc::new(config.clone());
        let plan = plan.transform_up(|node| match node.downcast_ref::<AggregateExec>() {
            Some(aggregate) if has_several_sets(aggregate) => {
                Ok(Transformed::yes(with_unknown_keys(aggregate, &config)?))
            }
            Some(_) | None => Ok(Transformed::no(node)),
        })?;
        Ok(plan.data)
    }
}

/// Whether it puts rows into several grouping sets; the one that merges its groups does not.
fn has_several_sets(aggregate: &AggregateExec) -> bool {
    aggregate.mode().input_mode() == AggregateInputMode::Raw && aggregate.group_expr().groups().len() > 1
}

fn with_unknown_keys(aggregate: &AggregateExec, config: &Arc<ConfigOptions>) -> Result<Plan> {
    let input = aggregate.input();
    let schema = input.schema();
    let columns = schema.fields().iter().enumerate().map(|(at, field)| ProjectionExpr {
        expr: Arc::new(Column::new(field.name(), at)),
        alias: field.name().clone(),
    });
    let mut columns: Vec<_> = columns.collect();
    let function = Arc::new(ScalarUDF::from(AsItIs::new()));
    let call = |args: Vec<Expr>, field: FieldRef| -> Expr {
        let (function, config) = (Arc::clone(&function), Arc::clone(config));
        let name = function.name().to_string();
        Arc::new(ScalarFunctionExpr::new(&name, function, args, field, config))
    };
    let unknown = call(Vec::new(), Arc::new(Field::new("unknown", DataType::Null, true)));
    let groups = aggregate.group_expr();
    let mut keys: Vec<(Expr, String)> = Vec::with_capacity(groups.expr().len());
    for (key, name) in groups.expr() {
        // A name that no other column has.
        let alias = format!("__key_{}", keys.len());
        keys.push((Arc::new(Column::new(&alias, columns.len())), name.clone()));
        // Of two arguments one is no constant.
        let expr = call(vec![Arc::clone(key), Arc::clone(&unknown)], key.return_field(&schema)?);
        columns.push(ProjectionExpr { expr, alias });
    }
    let groups = PhysicalGroupBy::new(
        keys,
        groups.null_expr().to_vec(),
        groups.groups().to_vec(),
        groups.has_grouping_set(),
    );
    let input = Arc::new(ProjectionExec::try_new(columns, Arc::clone(input))?);
    let changed = AggregateExec::try_new(
        *aggregate.mode(),
        groups,
        aggregate.aggr_expr().to_vec(),
        aggregate.filter_expr().to_vec(),
        input,
        aggregate.input_schema(),
    )?;
    Ok(Arc::new(changed.with_limit_options(aggregate.limit_options())))
}

/// Its first argument; without arguments NULL, of which the planner does not know that it is a constant.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsItIs {
    signature: Signature,
}

impl AsItIs {
    fn new() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for AsItIs {
    fn name(&self) -> &str {
        "as_it_is"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let first = args.args.into_iter().next();
        Ok(first.unwrap_or(ColumnarValue::Scalar(ScalarValue::Null)))
    }
}
