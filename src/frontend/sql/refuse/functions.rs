//! Clauses of function calls that the planner drops: DISTINCT, FILTER, OVER and the like, where the
//! function does not take them.

use sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, ObjectName, Spanned, Value, WindowType,
};
use sqlparser::tokenizer::Span;

use super::{Check, Checker, refuse_if};

impl Checker<'_> {
    pub(super) fn function(&self, function: &Function) -> Check {
        let span = function.name.span();
        let name = simple_name(&function.name);
        refuse_if(
            !matches!(function.parameters, FunctionArguments::None),
            "a function with two argument lists",
            span,
        )?;
        if let Some(WindowType::WindowSpec(spec)) = &function.over {
            refuse_if(spec.window_name.is_some(), "OVER (name …): extending a named window", span)?;
        }
        let args = match &function.args {
            FunctionArguments::None => None,
            FunctionArguments::Subquery(_) => return refuse_if(true, &format!("{name}(SELECT …)"), span),
            FunctionArguments::List(list) => Some(list),
        };
        let lambda = args.iter().flat_map(|list| &list.args).find(|arg| is_lambda(arg));
        refuse_if(lambda.is_some(), "a lambda function (x -> …)", lambda.map_or(span, Spanned::span))?;
        if self.functions.aggregate.contains(&name) {
            return aggregate(&name, function, args, span);
        }
        if self.functions.window.contains(&name) {
            let filtered = function.filter.is_some() || args.is_some_and(is_distinct);
            return refuse_if(filtered, &format!("FILTER or DISTINCT in the window function {name}"), span);
        }
        if !self.functions.scalar.contains(&name) {
            return Check::Continue(());
        }
        let clauses = function.filter.is_some()
            || function.over.is_some()
            || function.null_treatment.is_some()
            || !function.within_group.is_empty()
            || args.is_some_and(|list| list.duplicate_treatment.is_some() || has_clauses(list));
        let what = format!(
            "DISTINCT, FILTER, OVER, ORDER BY, WITHIN GROUP or NULLS in {name}, which is no aggregate"
        );
        refuse_if(clauses, &what, span)
    }
}

fn aggregate(name: &str, function: &Function, args: Option<&FunctionArgumentList>, span: Span) -> Check {
    let Some(list) = args else { return Check::Continue(()) };
    let ignores_distinct = name.starts_with("corr")
        || name.starts_with("covar")
        || name.starts_with("regr_")
        || name.starts_with("approx_percentile")
        || name == "nth_value";
    refuse_if(ignores_distinct && is_distinct(list), &format!("DISTINCT in {name}"), span)?;
    let wildcard = list.args.iter().find_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Some("*".to_string()),
        FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(table)) => Some(format!("{table}.*")),
        _ => None,
    });
    if let Some(wildcard) = wildcard {
        refuse_if(is_distinct(list), &format!("{name}(DISTINCT {wildcard})"), span)?;
        refuse_if(wildcard != "*", &format!("{name}({wildcard})"), span)?;
    }
    let positional = list.clauses.iter().any(|clause| match clause {
        FunctionArgumentClause::OrderBy(keys) => keys.iter().any(|key| match &key.expr {
            Expr::Value(value) => matches!(value.value, Value::Number(..)),
            _ => false,
        }),
        _ => false,
    });
    refuse_if(positional, &format!("ORDER BY a number in {name}"), span)?;
    let null_treatment = function.null_treatment.is_some()
        || list
            .clauses
            .iter()
            .any(|clause| matches!(clause, FunctionArgumentClause::IgnoreOrRespectNulls(_)));
    let honours = matches!(name, "first_value" | "last_value" | "nth_value");
    refuse_if(
        null_treatment && function.over.is_some() && !honours,
        &format!("IGNORE NULLS or RESPECT NULLS in {name} over a window"),
        span,
    )
}

/// The parser takes a lambda for the operator that gets a field of JSON, which the planner does not know.
fn is_lambda(arg: &FunctionArg) -> bool {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else { return false };
    matches!(expr, Expr::Lambda(_) | Expr::BinaryOp { op: BinaryOperator::Arrow, .. })
}

fn is_distinct(list: &FunctionArgumentList) -> bool {
    matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct))
}

fn has_clauses(list: &FunctionArgumentList) -> bool {
    list.clauses.iter().any(|clause| {
        matches!(clause, FunctionArgumentClause::OrderBy(_) | FunctionArgumentClause::IgnoreOrRespectNulls(_))
    })
}

fn simple_name(name: &ObjectName) -> String {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.map_or_else(|| name.to_string(), |ident| ident.value.clone()).to_lowercase()
}
