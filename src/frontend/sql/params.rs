//! `--param day=2026-11-01`: values for `$day`, bound as typed literals, never spliced as text.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::parser::{CopyToSource, Statement as Ast};
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType as SqlType, Expr as SqlExpr, Statement as SqlStatement, TimezoneInfo,
    UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use super::secret_text::is_secret;
use super::{RawStatement, SecretStatement, Statement, secret};
use crate::error::{Error, Result, StatementError};
use crate::hidden;

/// Values by parameter name, as they were written.
#[derive(Clone, Default)]
pub struct Params(Vec<(String, String)>);

/// Without the values.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Params {
    /// Takes `name=value` pairs.
    ///
    /// # Errors
    /// A pair without `=`, a name that is no identifier, a name given twice.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = &'a String>) -> Result<Self> {
        let mut params = Vec::<(String, String)>::new();
        for pair in pairs {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(Error::usage_help(
                    format!("parameter '{pair}' has no value"),
                    "write --param name=value",
                ));
            };
            let name = name.trim_start_matches('$');
            if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                return Err(Error::usage(format!("'{name}' cannot be the name of a parameter")));
            }
            if params.iter().any(|(known, _)| known == name) {
                return Err(Error::usage(format!("parameter '{name}' is given twice")));
            }
            if is_secret(name) {
                hidden::keep(value);
            }
            params.push((name.to_string(), value.to_string()));
        }
        Ok(Self(params))
    }

    /// The value of a parameter, as it was written.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Checks, before anything runs, that each parameter has a value and each value a use. Values that become those
    /// of secrets are hidden from then on.
    ///
    /// # Errors
    /// Names the first parameter without a value, with its place, or the first value without a use.
    pub fn check<'a>(&self, statements: impl IntoIterator<Item = &'a RawStatement>) -> Result<()> {
        let mut unused: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        for statement in statements {
            if let Some(Ok(SecretStatement::Create(create))) = secret::parse(statement) {
                create.parameters().filter_map(|name| self.get(name)).for_each(hidden::keep);
            }
            for (name, place) in statement.parameters() {
                unused.retain(|unused| *unused != name);
                if self.get(&name).is_none() {
                    let mut error =
                        StatementError::new(format!("parameter '${name}' has no value"), Some(place));
                    error.misuse = true;
                    return Err(error.with_help(format!("give it one with --param {name}=…")).into());
                }
            }
        }
        match unused.first() {
            Some(name) => Err(Error::usage_help(
                format!("parameter '{name}' is not used"),
                format!("write ${name} where its value belongs"),
            )),
            None => Ok(()),
        }
    }

    /// The statement's AST, with types for parameters that the planner knows none for. Beside an interval
    /// (`$day + INTERVAL '1 day'`) a value that looks like a date or timestamp is cast to what it looks like.
    /// In `INSERT … VALUES` the planner knows only numbered parameters, so there they become literals: text
    /// that is cast to the column's type, or NULL.
    pub fn placed(&self, statement: &Statement) -> Ast {
        let mut ast = statement.ast().clone();
        if statement.parameters().is_empty() {
            return ast;
        }
        match &mut ast {
            Ast::Statement(inner) => {
                if matches!(inner.as_ref(), SqlStatement::Insert(_)) {
                    let _ = inner.visit(&mut Literals(self));
                }
                let _ = inner.visit(&mut BesideIntervals(self));
            }
            Ast::CopyTo(copy) => {
                if let CopyToSource::Query(query) = &mut copy.source {
                    let _ = query.visit(&mut BesideIntervals(self));
                }
            }
            Ast::Explain(_) | Ast::CreateExternalTable(_) | Ast::Reset(_) => {}
        }
        ast
    }

    /// Puts literals in the place of a plan's parameters.
    ///
    /// Each takes the type that the planner inferred where it stands (so the same parameter may be a
    /// date here and a timestamp there), else the type of the SQL literal that the value looks like,
    /// else text.
    ///
    /// # Errors
    /// A value that is not of the inferred type, at the parameter's place.
    pub fn bind(&self, plan: LogicalPlan, statement: &Statement) -> Result<LogicalPlan> {
        if statement.parameters().is_empty() {
            return Ok(plan);
        }
        let mut values = HashMap::<String, ScalarAndMetadata>::new();
        let mut refused = None;
        let plan = plan.transform_up_with_subqueries(|plan| {
            let schema = plan.schema().clone();
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let (expr, has_parameters) = expr.infer_placeholder_types(&schema)?;
                if !has_parameters {
                    return Ok(Transformed::no(expr));
                }
                let name = names.save(&expr);
                let expr = expr.transform_up(|expr| {
                    let Expr::Placeholder(Placeholder { id, field }) = expr else {
                        return Ok(Transformed::no(expr));
                    };
                    let kind = field.as_ref().map(|field| field.data_type().clone());
                    let value =
                        self.value(id.trim_start_matches('$'), kind.as_ref()).inspect_err(|wrong| {
                            refused = Some((id.clone(), wrong.to_string()));
                        })?;
                    // One name may stand for several types, so the type becomes part of the key.
                    let key = format!("{}:{}", id.trim_start_matches('$'), value.data_type());
                    values.insert(key.clone(), value.into());
                    Ok(Transformed::yes(Expr::Placeholder(Placeholder { id: format!("${key}"), field })))
                })?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        });
        match plan.and_then(|plan| plan.data.with_param_values(ParamValues::Map(values))) {
            Ok(plan) => Ok(plan),
            Err(source) => Err(self.refusal(statement, refused, source).into()),
        }
    }

    fn refusal(
        &self,
        statement: &Statement,
        refused: Option<(String, String)>,
        source: DataFusionError,
    ) -> StatementError {
        let Some((id, _)) = refused else {
            return StatementError::from_engine(source, Some(statement.place().clone()));
        };
        let name = id.trim_start_matches('$');
        let place =
            statement.parameters().iter().find(|(known, _)| known == name).map(|(_, place)| place.clone());
        StatementError::from_engine(source, place)
    }

    fn value(&self, name: &str, kind: Option<&DataType>) -> datafusion::common::Result<ScalarValue> {
        let text = self.get(name).unwrap_or_default();
        let Some(kind) = kind.filter(|kind| **kind != DataType::Null) else { return Ok(literal(text)) };
        if !is_text(kind) && text.eq_ignore_ascii_case("null") {
            return ScalarValue::try_new_null(kind);
        }
        let kind = &with_places_of(text, kind);
        ScalarValue::from(text).cast_to(kind).map_err(|_| {
            DataFusionError::Plan(format!("value '{text}' of parameter '${name}' is not of type {kind}"))
        })
    }
}

/// A decimal type with room for all the decimal places of a value: rounded to its column's, the value would
/// find other rows.
fn with_places_of(text: &str, kind: &DataType) -> DataType {
    let places = text.split_once('.').map_or(0, |(_, digits)| digits.trim_end_matches('0').len());
    match (kind, i8::try_from(places)) {
        (DataType::Decimal128(_, scale), Ok(places)) if places > *scale => {
            DataType::Decimal128(38, places.min(38))
        }
        _ => kind.clone(),
    }
}

/// Puts literals in the place of an AST's parameters.
struct Literals<'a>(&'a Params);

impl VisitorMut for Literals<'_> {
    type Break = ();

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if let Value::Placeholder(name) = &value.value
            && let Some(text) = self.0.get(name.trim_start_matches('$'))
        {
            value.value = match text.eq_ignore_ascii_case("null") {
                true => Value::Null,
                false => Value::SingleQuotedString(text.to_string()),
            };
        }
        ControlFlow::Continue(())
    }
}

/// Casts the parameters to or from which an interval is added.
struct BesideIntervals<'a>(&'a Params);

impl VisitorMut for BesideIntervals<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
        if let SqlExpr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } = expr {
            match (left.as_mut(), right.as_mut()) {
                (parameter, SqlExpr::Interval(_)) | (SqlExpr::Interval(_), parameter) => {
                    self.cast(parameter);
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

impl BesideIntervals<'_> {
    fn cast(&self, parameter: &mut SqlExpr) {
        let SqlExpr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = parameter else { return };
        let text = self.0.get(name.trim_start_matches('$')).unwrap_or_default();
        let reads_as = |kind| ScalarValue::from(text).cast_to(&kind).is_ok();
        let data_type = if text.len() <= "2026-11-01".len() && reads_as(DataType::Date32) {
            SqlType::Date
        } else if reads_as(DataType::Timestamp(TimeUnit::Nanosecond, None)) {
            SqlType::Timestamp(None, TimezoneInfo::None)
        } else {
            return;
        };
        let expr = Box::new(std::mem::replace(parameter, SqlExpr::value(Value::Null)));
        *parameter = SqlExpr::Cast { kind: CastKind::Cast, expr, data_type, array: false, format: None };
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The literal that a text looks like in SQL, else the text.
fn literal(text: &str) -> ScalarValue {
    let parsed = Parser::new(&GenericDialect {}).try_with_sql(text).and_then(|mut parser| {
        let expr = parser.parse_expr()?;
        parser.expect_token(&sqlparser::tokenizer::Token::EOF)?;
        Ok(expr)
    });
    parsed.ok().and_then(scalar).unwrap_or_else(|| ScalarValue::from(text))
}

fn scalar(expr: SqlExpr) -> Option<ScalarValue> {
    match expr {
        SqlExpr::Value(value) => match value.value {
            Value::Number(digits, _) => number(&digits),
            Value::Boolean(value) => Some(ScalarValue::from(value)),
            Value::SingleQuotedString(text) => Some(ScalarValue::from(text)),
            Value::Null => Some(ScalarValue::Null),
            _ => None,
        },
        SqlExpr::UnaryOp { op: UnaryOperator::Minus, expr } => match *expr {
            SqlExpr::Value(value) => match value.value {
                Value::Number(digits, _) => number(&format!("-{digits}")),
                _ => None,
            },
            _ => None,
        },
        SqlExpr::TypedString(typed) => {
            let kind = match typed.data_type {
                SqlType::Date => DataType::Date32,
                SqlType::Timestamp(..) => DataType::Timestamp(TimeUnit::Nanosecond, None),
                _ => return None,
            };
            ScalarValue::from(typed.value.value.into_string()?).cast_to(&kind).ok()
        }
        _ => None,
    }
}

fn number(digits: &str) -> Option<ScalarValue> {
    let whole = digits.parse().map(|value: i64| ScalarValue::from(value)).ok();
    let whole = whole.or_else(|| digits.parse().map(|value: u64| ScalarValue::from(value)).ok());
    whole.or_else(|| digits.parse().map(|value: f64| ScalarValue::from(value)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_like_the_literals_of_sql() {
        assert_eq!(literal("42"), ScalarValue::from(42i64));
        assert_eq!(literal("-7"), ScalarValue::from(-7i64));
        assert_eq!(literal("18446744073709551615"), ScalarValue::from(u64::MAX));
        assert_eq!(literal("1.5e3"), ScalarValue::from(1500.0));
        assert_eq!(literal("true"), ScalarValue::from(true));
        assert_eq!(literal("NULL"), ScalarValue::Null);
        assert_eq!(literal("'it''s'"), ScalarValue::from("it's"));
        assert_eq!(literal("date '1970-01-02'"), ScalarValue::Date32(Some(1)));
    }

    #[test]
    fn everything_else_is_text() {
        for text in ["2026-11-01", "it's", "", "1; drop table t", "x", "1 + 1", "inf", "'a' || 'b'"] {
            assert_eq!(literal(text), ScalarValue::from(text), "{text}");
        }
    }

    #[test]
    fn pairs_are_checked() {
        let parse =
            |pairs: &[&str]| Params::parse(&pairs.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(parse(&["a=1=2"]).unwrap().get("a"), Some("1=2"));
        assert!(parse(&["a"]).is_err());
        assert!(parse(&["=1"]).is_err());
        assert!(parse(&["a=1", "a=2"]).is_err());
    }
}
