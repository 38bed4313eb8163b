//! What the parser accepts and the planner would drop without a word: refused by name, because other
//! rows than those asked for are worse than an error.
//!
//! Found by reading DataFusion 55.2's SQL planner field by field; to be read again at each upgrade.

mod functions;

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, ColumnOption, Cte, ExcludeSelectItem, Expr, FunctionArg, FunctionArgExpr, GroupByExpr,
    Ident, Join, JoinConstraint, JoinOperator, LimitClause, OrderByExpr, OrderByKind, PipeOperator, Query,
    Select, SelectItem, SetExpr, SetOperator, SetQuantifier, Spanned, Statement, TableAlias, TableFactor,
    UnaryOperator, Value, Visit, Visitor, WildcardAdditionalOptions,
};
use sqlparser::tokenizer::Span;

/// Something that would be dropped, and where it stands.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) span: Span,
    pub(super) help: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(message: impl Into<String>, span: Span) -> Self {
        Self { message: message.into(), span, help: None }
    }

    fn unsupported(what: impl std::fmt::Display, span: Span) -> Self {
        Self::new(format!("{what} is not supported"), span)
    }

    fn help(mut self, help: &'static str) -> Self {
        self.help = Some(help);
        self
    }
}

/// Which functions may take the clauses of aggregates and windows.
#[derive(Debug, Clone, Default)]
pub struct Functions {
    /// Aggregate functions, in lower case.
    pub aggregate: HashSet<String>,
    /// Window functions, in lower case.
    pub window: HashSet<String>,
    /// Functions of a row, in lower case.
    pub scalar: HashSet<String>,
}

/// Expressions and set operations nested deeper than this are refused: the planner's time grows with the
/// square of the depth, and at some depth its stack ends.
const DEPTH_MAX: usize = 1_000;

/// Checks a statement or query.
pub(super) fn check(node: &impl Visit, functions: &Functions) -> Result<(), Refusal> {
    // Depth comes first: to find the place of an expression, the parser's crate descends it unprotected.
    let checked = match node.visit(&mut Depth(0)) {
        ControlFlow::Continue(()) => node.visit(&mut Checker { functions }),
        ControlFlow::Break(refusal) => ControlFlow::Break(refusal),
    };
    match checked {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(refusal),
    }
}

/// How many expressions are around the one being visited.
struct Depth(usize);

impl Visitor for Depth {
    type Break = Refusal;

    fn pre_visit_expr(&mut self, _: &Expr) -> Check {
        self.0 += 1;
        if self.0 > DEPTH_MAX {
            let message = format!("expression is nested more than {DEPTH_MAX} levels deep");
            let refusal = Refusal::new(message, Span::empty());
            return Check::Break(
                refusal.help("a chain of terms counts a level each: sum a list of VALUES, or use IN"),
            );
        }
        Check::Continue(())
    }

    fn post_visit_expr(&mut self, _: &Expr) -> Check {
        self.0 -= 1;
        Check::Continue(())
    }
}

struct Checker<'a> {
    functions: &'a Functions,
}

type Check = ControlFlow<Refusal>;

/// `ORDER BY ALL`, which the parser takes for a column in this dialect.
fn orders_by_all(kind: &OrderByKind) -> bool {
    match kind {
        OrderByKind::All(_) => true,
        OrderByKind::Expressions(terms) => matches!(
            terms.as_slice(),
            [OrderByExpr { expr: Expr::Identifier(name), .. }]
                if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all")
        ),
    }
}

fn is_large_integer(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u64>().is_err()
}

fn refuse_if(condition: bool, what: &str, span: Span) -> Check {
    match condition {
        true => ControlFlow::Break(Refusal::unsupported(what, span)),
        false => ControlFlow::Continue(()),
    }
}

impl Visitor for Checker<'_> {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> Check {
        let span = query.span();
        refuse_if(query.for_clause.is_some(), "FOR XML / FOR JSON", span)?;
        refuse_if(query.settings.is_some(), "SETTINGS", span)?;
        refuse_if(query.format_clause.is_some(), "FORMAT in a query", span)?;
        refuse_if(!query.locks.is_empty(), "FOR UPDATE / FOR SHARE", span)?;
        if let Some(LimitClause::LimitOffset { limit_by, .. }) = &query.limit_clause {
            refuse_if(!limit_by.is_empty(), "LIMIT … BY", span)?;
        }
        if let Some(order_by) = &query.order_by {
            refuse_if(orders_by_all(&order_by.kind), "ORDER BY ALL", order_by.span())?;
        }
        if let Some(with) = &query.with {
            with.cte_tables.iter().try_for_each(|cte| common_table(cte, with.recursive))?;
        }
        set_operation(&query.body)?;
        query.pipe_operators.iter().try_for_each(|operator| pipe(operator, span))
    }

    fn pre_visit_select(&mut self, select: &Select) -> Check {
        let span = select.span();
        if let Some(prewhere) = &select.prewhere {
            refuse_if(true, "PREWHERE", prewhere.span())?;
        }
        refuse_if(!select.connect_by.is_empty(), "CONNECT BY", span)?;
        refuse_if(select.into.is_some(), "SELECT … INTO", span)?;
        refuse_if(select.exclude.is_some(), "EXCLUDE after the columns", span)?;
        refuse_if(select.value_table_mode.is_some(), "SELECT AS STRUCT / AS VALUE", span)?;
        refuse_if(select.projection.is_empty(), "SELECT without columns", span)?;
        let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = &select.group_by;
        refuse_if(
            !modifiers.is_empty(),
            "GROUP BY … WITH, or GROUPING SETS after other columns",
            select.group_by.span(),
        )?;
        for item in &select.projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
                refuse_if(options.opt_ilike.is_some(), "* ILIKE", options.span())?;
                replaced_once(options)?;
            }
        }
        for from in &select.from {
            from.joins.iter().try_for_each(|join| joined(join, &from.relation))?;
        }
        Check::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> Check {
        let Statement::CreateTable(table) = statement else { return Check::Continue(()) };
        for column in &table.columns {
            let dropped = column.options.iter().find(|option| {
                matches!(
                    option.option,
                    ColumnOption::Generated { .. }
                        | ColumnOption::Identity(_)
                        | ColumnOption::Collation(_)
                        | ColumnOption::DialectSpecific(_)
                )
            });
            refuse_if(dropped.is_some(), "a generated, counted or collated column", column.name.span)?;
        }
        Check::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Check {
        table(factor)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Check {
        match expr {
            Expr::Function(function) => self.function(function),
            Expr::Trim { trim_characters: Some(characters), .. } => {
                refuse_if(characters.len() > 1, "TRIM with several sets of characters", expr.span())
            }
            Expr::Array(array) => {
                let nested = array.elem.iter().any(contains_query);
                refuse_if(nested, "a subquery inside an array literal", expr.span())
            }
            // The planner would make a float of it, with other digits.
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) if is_large_integer(digits) => {
                    let refusal =
                        Refusal::new(format!("the integer {digits} does not fit 64 bits"), expr.span());
                    Check::Break(
                        refusal.help("write '…'::decimal(38, 0) for all its digits, or 1e20 for a float"),
                    )
                }
                _ => Check::Continue(()),
            },
            _ => Check::Continue(()),
        }
    }
}

/// The planner takes the first of two replacements of a column.
fn replaced_once(options: &WildcardAdditionalOptions) -> Check {
    let mut seen = HashSet::new();
    let excluded = match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => vec![name.to_string()],
        Some(ExcludeSelectItem::Multiple(names)) => names.iter().map(ToString::to_string).collect(),
        None => Vec::new(),
    };
    for element in options.opt_replace.iter().flat_map(|replace| &replace.items) {
        if excluded.contains(&element.column_name.to_string()) {
            let message = format!("column '{}' is both excluded and replaced", element.column_name);
            return Check::Break(Refusal::new(message, element.column_name.span));
        }
        let Ident { value, span, .. } = &element.column_name;
        if !seen.insert(value) {
            return Check::Break(Refusal::new(format!("column '{value}' is replaced twice"), *span));
        }
    }
    Check::Continue(())
}

fn contains_query(expr: &Expr) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expr.visit(&mut Finder).is_break()
}

/// In `WITH RECURSIVE` the planner reads nothing but the body of a CTE whose body is a UNION.
fn common_table(cte: &Cte, recursive: bool) -> Check {
    let span = cte.alias.name.span;
    refuse_if(cte.from.is_some(), "FROM after a common table expression", span)?;
    let SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, .. } = cte.query.body.as_ref() else {
        return Check::Continue(());
    };
    if !recursive {
        return Check::Continue(());
    }
    let query = &cte.query;
    refuse_if(query.with.is_some(), "WITH inside a recursive common table expression", span)?;
    let limited = query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some();
    if limited {
        let refusal = Refusal::unsupported("ORDER BY or LIMIT in a recursive common table expression", span);
        return Check::Break(refusal.help("put it in the query that reads the table"));
    }
    refuse_if(!query.pipe_operators.is_empty(), "|> inside a recursive common table expression", span)?;
    let by_name = matches!(
        set_quantifier,
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName
    );
    refuse_if(by_name, "UNION BY NAME in a recursive common table expression", span)
}

/// EXCEPT ALL and INTERSECT ALL are planned as joins that forget how often a row occurs.
fn set_operation(body: &SetExpr) -> Check {
    let mut pending = vec![(body, 1)];
    while let Some((body, depth)) = pending.pop() {
        let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { continue };
        if depth > DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} queries in one UNION, EXCEPT or INTERSECT");
            return Check::Break(Refusal::new(message, Span::empty()));
        }
        let counts_rows = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
        match op {
            SetOperator::Except if counts_rows => refuse_if(true, "EXCEPT ALL", body.span())?,
            SetOperator::Intersect if counts_rows => refuse_if(true, "INTERSECT ALL", body.span())?,
            _ => {}
        }
        pending.push((left, depth + 1));
        pending.push((right, depth + 1));
    }
    Check::Continue(())
}

fn pipe(operator: &PipeOperator, span: Span) -> Check {
    match operator {
        PipeOperator::Aggregate { full_table_exprs, group_by_expr } => {
            let ordered = full_table_exprs
                .iter()
                .chain(group_by_expr)
                .any(|item| item.order_by.asc.is_some() || item.order_by.nulls_first.is_some());
            refuse_if(ordered, "ASC or DESC in |> AGGREGATE", span)
        }
        PipeOperator::Select { exprs } | PipeOperator::Extend { exprs } => {
            let ilike = exprs.iter().any(|item| match item {
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                    options.opt_ilike.is_some()
                }
                _ => false,
            });
            refuse_if(ilike, "* ILIKE", span)?;
            exprs.iter().try_for_each(|item| match item {
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                    replaced_once(options)
                }
                _ => Check::Continue(()),
            })
        }
        PipeOperator::Except { set_quantifier: SetQuantifier::All, .. } => {
            refuse_if(true, "|> EXCEPT ALL", span)
        }
        PipeOperator::Intersect { set_quantifier: SetQuantifier::All, .. } => {
            refuse_if(true, "|> INTERSECT ALL", span)
        }
        PipeOperator::Join(join) => {
            // The common columns would stand in the result twice.
            if let Some(JoinConstraint::Using(_) | JoinConstraint::Natural) = constraint(&join.join_operator)
            {
                let refusal = Refusal::unsupported("USING or NATURAL in |> JOIN", join.relation.span());
                return Check::Break(refusal.help("write ON"));
            }
            joined(join, &join.relation)
        }
        PipeOperator::TableSample { .. } => refuse_if(true, "|> TABLESAMPLE", span),
        PipeOperator::Rename { .. } => refuse_if(true, "|> RENAME", span),
        PipeOperator::Call { .. } => refuse_if(true, "|> CALL", span),
        PipeOperator::Pivot { .. } => reshape("PIVOT", span),
        PipeOperator::Unpivot { .. } => reshape("UNPIVOT", span),
        _ => Check::Continue(()),
    }
}

/// Words of other engines that start what this one has no word for, and what to write instead.
const INSTEAD: [(&str, &str); 2] = [
    ("PIVOT", "write a column for each key: sum(x) FILTER (WHERE k = 'a') AS a, …"),
    ("UNPIVOT", "write a SELECT for each column, with UNION ALL between them"),
];

/// The unsupported feature that a word stands for, with advice.
pub(super) fn instead_of(word: &str) -> Option<(&'static str, &'static str)> {
    INSTEAD.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known))
}

fn reshape(word: &str, span: Span) -> Check {
    let refusal = Refusal::unsupported(word, span);
    Check::Break(match instead_of(word) {
        Some((_, help)) => refusal.help(help),
        None => refusal,
    })
}

/// What a join says about which rows belong together; `None` for joins that say it otherwise.
fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => Some(constraint),
        _ => None,
    }
}

fn joined(join: &Join, left: &TableFactor) -> Check {
    let span = join.relation.span();
    refuse_if(matches!(join.join_operator, JoinOperator::AsOf { .. }), "ASOF JOIN", span)?;
    let constraint = constraint(&join.join_operator);
    let is_cross = matches!(join.join_operator, JoinOperator::CrossJoin(_));
    if (constraint.is_some() || is_cross)
        && let Some(refusal) = join_word(left)
    {
        return Check::Break(refusal);
    }
    let keeps_right = matches!(
        join.join_operator,
        JoinOperator::FullOuter(_) | JoinOperator::Right(_) | JoinOperator::RightOuter(_)
    );
    match constraint {
        // The planner takes the common column from the left table alone: NULL for rows of the right one.
        Some(JoinConstraint::Using(_) | JoinConstraint::Natural) if keeps_right => {
            let refusal = Refusal::unsupported("USING or NATURAL in a RIGHT or FULL JOIN", span);
            Check::Break(refusal.help("write ON, and coalesce(a.id, b.id) for the common column"))
        }
        Some(JoinConstraint::None) => {
            let refusal = Refusal::new("this join says nothing about which rows belong together", span);
            Check::Break(refusal.help("add ON or USING, or write CROSS JOIN for every pair"))
        }
        Some(JoinConstraint::On(_) | JoinConstraint::Using(_) | JoinConstraint::Natural) | None => {
            Check::Continue(())
        }
    }
}

/// A kind of join that the parser took for the left table's alias: `a POSITIONAL JOIN b`.
fn join_word(left: &TableFactor) -> Option<Refusal> {
    let (TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. }) =
        left
    else {
        return None;
    };
    let TableAlias { explicit: false, name: Ident { quote_style: None, value, span }, .. } = alias else {
        return None;
    };
    let word = value.to_uppercase();
    matches!(word.as_str(), "POSITIONAL" | "ASOF" | "ANY" | "SEMI" | "ANTI" | "FUL" | "LATERAL" | "PASTE")
        .then(|| Refusal::unsupported(format!("{word} JOIN"), *span))
}

fn table(factor: &TableFactor) -> Check {
    let span = factor.span();
    match factor {
        TableFactor::Table {
            name, args, with_hints, with_ordinality, partitions, sample, version, ..
        } => {
            refuse_if(sample.is_some(), "TABLESAMPLE", span)?;
            refuse_if(!with_hints.is_empty(), "WITH (…) after a table", span)?;
            refuse_if(*with_ordinality, "WITH ORDINALITY", span)?;
            refuse_if(!partitions.is_empty(), "PARTITION (…) after a table", span)?;
            refuse_if(version.is_some(), "reading a table as of a version", span)?;
            refuse_if(args.is_some() && name.0.len() > 1, "a table function with a schema", span)?;
            args.iter().flat_map(|args| &args.args).try_for_each(table_argument)
        }
        TableFactor::Derived { sample, .. } => refuse_if(sample.is_some(), "TABLESAMPLE", span),
        TableFactor::Function { args, with_ordinality, .. } => {
            refuse_if(*with_ordinality, "WITH ORDINALITY", span)?;
            let named = args.iter().any(|arg| !matches!(arg, FunctionArg::Unnamed(_)));
            refuse_if(named, "a named argument of a table function", span)
        }
        TableFactor::Pivot { .. } => reshape("PIVOT", span),
        TableFactor::Unpivot { .. } => reshape("UNPIVOT", span),
        TableFactor::MatchRecognize { .. } => refuse_if(true, "MATCH_RECOGNIZE", span),
        TableFactor::JsonTable { .. } | TableFactor::OpenJsonTable { .. } => {
            refuse_if(true, "JSON_TABLE", span)
        }
        TableFactor::NestedJoin { table_with_joins, .. } => {
            table_with_joins.joins.iter().try_for_each(|join| joined(join, &table_with_joins.relation))
        }
        _ => Check::Continue(()),
    }
}

/// Arguments of table functions are computed while planning, before the rules that check arithmetic.
fn table_argument(arg: &FunctionArg) -> Check {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => match whole_number(expr) {
            Err(()) => Check::Break(Refusal::new(format!("integer overflow: {expr}"), expr.span())),
            Ok(_) => Check::Continue(()),
        },
        _ => Check::Continue(()),
    }
}

/// The value of an expression of whole numbers; `None` if it is something else, an error if it is too large.
fn whole_number(expr: &Expr) -> Result<Option<i64>, ()> {
    match expr {
        Expr::Nested(inner) => whole_number(inner),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => Ok(digits.parse().ok()),
            _ => Ok(None),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            whole_number(expr)?.map(|value| value.checked_neg().ok_or(())).transpose()
        }
        Expr::BinaryOp { left, op, right } => {
            let (Some(left), Some(right)) = (whole_number(left)?, whole_number(right)?) else {
                return Ok(None);
            };
            let value = match op {
                BinaryOperator::Plus => left.checked_add(right),
                BinaryOperator::Minus => left.checked_sub(right),
                BinaryOperator::Multiply => left.checked_mul(right),
                _ => return Ok(None),
            };
            value.map(Some).ok_or(())
        }
        _ => Ok(None),
    }
}
