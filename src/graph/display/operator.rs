//! An operator on one line: its word, and what matters of its settings.

use std::fmt;
use std::sync::Arc;

use datafusion::datasource::file_format::parquet::ParquetSink;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileScanConfig, FileSink};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_expr::{Partitioning, PhysicalExpr, PhysicalExprRef, PhysicalSortExpr};
use datafusion::physical_expr_common::physical_expr::fmt_sql;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, WindowExpr};

use super::words::{list, one_line};
use crate::graph::copies_text;

/// An operator as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operator {
    /// What it does.
    pub(super) name: String,
    /// With what; may be empty.
    pub(super) detail: String,
}

impl Operator {
    /// Describes one node of a plan, without its inputs.
    pub(super) fn of(plan: &dyn ExecutionPlan) -> Self {
        let known =
            row_wise(plan).or_else(|| joining(plan)).or_else(|| gathering(plan)).or_else(|| ends(plan));
        let known = known.or_else(|| nesting(plan));
        let (name, detail) = known.unwrap_or_else(|| in_its_own_words(plan));
        Self { name: one_line(&name), detail: one_line(&detail) }
    }
}

type Line = Option<(String, String)>;

fn line(name: &str, detail: String) -> Line {
    Some((name.to_string(), detail))
}

/// Operators that look at one row after another.
fn row_wise(plan: &dyn ExecutionPlan) -> Line {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        line("Filter", condition(filter.predicate()))
    } else if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let named = projection.expr().iter().map(|column| named(&column.expr, &column.alias));
        line("Projection", list(named))
    } else if let Some(limit) = plan.downcast_ref::<GlobalLimitExec>() {
        let skip = (limit.skip() > 0).then(|| format!("skip {}", limit.skip()));
        let parts: Vec<_> = skip.into_iter().chain(limit.fetch().map(first)).collect();
        line("Limit", parts.join(", "))
    } else if copies_text(plan) {
        line("Copy", "text into buffers of its own".to_string())
    } else {
        let limit = plan.downcast_ref::<LocalLimitExec>()?;
        line("Limit", format!("{} of each task", first(limit.fetch())))
    }
}

fn joining(plan: &dyn ExecutionPlan) -> Line {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        line("HashJoin", matched(&join.join_type().to_string(), join.on(), join.filter()))
    } else if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>() {
        line("SortMergeJoin", matched(&join.join_type().to_string(), join.on(), join.filter().as_ref()))
    } else {
        let join = plan.downcast_ref::<NestedLoopJoinExec>()?;
        line("NestedLoopJoin", matched(&join.join_type().to_string(), &[], join.filter()))
    }
}

/// Operators that look at many rows at once.
fn gathering(plan: &dyn ExecutionPlan) -> Line {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        line("Aggregate", aggregated(aggregate))
    } else if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let keys = order(sort.expr().iter());
        line("Sort", with_first(keys, sort.fetch()))
    } else if let Some(window) = plan.downcast_ref::<WindowAggExec>() {
        line("Window", windows(window.window_expr()))
    } else {
        let window = plan.downcast_ref::<BoundedWindowAggExec>()?;
        line("Window", windows(window.window_expr()))
    }
}

/// Where rows come from and where they go.
fn ends(plan: &dyn ExecutionPlan) -> Line {
    if let Some(sink) = plan.downcast_ref::<DataSinkExec>() {
        return line("Write", written(sink));
    }
    let source = plan.downcast_ref::<DataSourceExec>()?.data_source();
    let schema = plan.schema();
    let columns = list(schema.fields().iter().map(|field| field.name().as_str()));
    let columns = if columns.is_empty() { String::new() } else { format!(" ({columns})") };
    let Some(files) = source.downcast_ref::<FileScanConfig>() else {
        let fetch = source.fetch().map(|rows| format!(", {}", first(rows))).unwrap_or_default();
        return line("Scan", format!("memory{columns}{fetch}"));
    };
    // Not all sources drop single rows by it.
    let pruned = files.file_source().filter().map(|filter| format!(", pruned by {}", condition(&filter)));
    let ranges = match &files.output_partitioning {
        Some(Partitioning::Range(ranges)) => format!(", in ranges of {}", order(ranges.ordering().iter())),
        Some(_) | None => String::new(),
    };
    let scan = format!("{}{columns}{ranges}{}", file_names(files), pruned.unwrap_or_default());
    line("Scan", with_first(scan, files.limit))
}

/// An operator that is not known here: what it says of itself.
fn in_its_own_words(plan: &dyn ExecutionPlan) -> (String, String) {
    let text = shown(plan, DisplayFormatType::Default);
    let name = plan.name();
    let rest = text.strip_prefix(name).unwrap_or(&text).trim_start_matches(':').trim();
    (name.strip_suffix("Exec").unwrap_or(name).to_string(), without_indices(rest))
}

fn shown<T: DisplayAs + ?Sized>(node: &T, format: DisplayFormatType) -> String {
    struct Shown<'a, T: ?Sized>(&'a T, DisplayFormatType);
    impl<T: DisplayAs + ?Sized> fmt::Display for Shown<'_, T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt_as(self.1, f)
        }
    }
    Shown(node, format).to_string()
}

/// The engine writes columns as `name@index`; the index says nothing to a reader. Literals stay as they are.
fn without_indices(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut is_literal = false;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        is_literal ^= character == '\'';
        if character == '@' && !is_literal && rest.peek().is_some_and(char::is_ascii_digit) {
            while rest.next_if(char::is_ascii_digit).is_some() {}
        } else {
            plain.push(character);
        }
    }
    plain
}

/// An expression as SQL.
pub(super) fn sql(expr: &Arc<dyn PhysicalExpr>) -> String {
    fmt_sql(expr.as_ref()).to_string()
}

/// A condition; what is only known while the query runs is named as such.
fn condition(predicate: &Arc<dyn PhysicalExpr>) -> String {
    let parts = split_conjunction(predicate);
    let (dynamic, known): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| is_dynamic(part));
    let dynamic = match dynamic.len() {
        0 => None,
        1 => Some("a dynamic filter".to_string()),
        count => Some(format!("{count} dynamic filters")),
    };
    known.into_iter().map(sql).chain(dynamic).collect::<Vec<_>>().join(" AND ")
}

/// Whether a condition is a dynamic filter, or one that is around it.
fn is_dynamic(condition: &Arc<dyn PhysicalExpr>) -> bool {
    let is = |expr: &Arc<dyn PhysicalExpr>| expr.is::<DynamicFilterPhysicalExpr>();
    is(condition) || condition.children().into_iter().any(is)
}

fn named(expr: &Arc<dyn PhysicalExpr>, alias: &str) -> String {
    let is_own_name = expr.downcast_ref::<Column>().is_some_and(|column| column.name() == alias);
    let text = sql(expr);
    if is_own_name || text == alias { text } else { format!("{text} AS {alias}") }
}

/// An order as it stands behind ORDER BY: what is usual is not said.
pub(super) fn order<'a>(keys: impl ExactSizeIterator<Item = &'a PhysicalSortExpr>) -> String {
    list(keys.map(|key| {
        let options = key.options;
        let direction = if options.descending { " DESC" } else { "" };
        let nulls = match (options.descending, options.nulls_first) {
            (false, false) | (true, true) => "",
            (false, true) => " NULLS FIRST",
            (true, false) => " NULLS LAST",
        };
        format!("{}{direction}{nulls}", sql(&key.expr))
    }))
}

/// How many rows are enough.
pub(super) fn first(rows: usize) -> String {
    format!("first {rows}")
}

fn with_first(text: String, fetch: Option<usize>) -> String {
    match fetch {
        Some(rows) => format!("{text}, {}", first(rows)),
        None => text,
    }
}

fn matched(kind: &str, on: &[(PhysicalExprRef, PhysicalExprRef)], filter: Option<&JoinFilter>) -> String {
    let equal = on.iter().map(|(left, right)| format!("{} = {}", sql(left), sql(right)));
    let conditions: Vec<_> = equal.chain(filter.map(|filter| sql(filter.expression()))).collect();
    match conditions.is_empty() {
        true => kind.to_string(),
        false => format!("{kind} on {}", conditions.join(" AND ")),
    }
}

fn aggregated(aggregate: &AggregateExec) -> String {
    let mode = match aggregate.mode() {
        AggregateMode::Partial => "partial",
        AggregateMode::PartialReduce => "partial again",
        AggregateMode::Final | AggregateMode::FinalPartitioned => "final",
        AggregateMode::Single | AggregateMode::SinglePartitioned => "",
    };
    let groups = aggregate.group_expr();
    let keys = groups.expr();
    let by = (!keys.is_empty()).then(|| {
        let keys = list(keys.iter().map(|(expr, alias)| named(expr, alias)));
        let sets =
            if groups.is_single() { String::new() } else { format!(" in {} sets", groups.groups().len()) };
        format!("by {keys}{sets}")
    });
    let values = aggregate.aggr_expr();
    let values = (!values.is_empty())
        .then(|| list(values.iter().map(|value| value.human_display().unwrap_or(value.name()))));
    let mode = (!mode.is_empty()).then(|| mode.to_string());
    let fetch = aggregate.limit_options().map(|limit| first(limit.limit()));
    mode.into_iter().chain(by).chain(values).chain(fetch).collect::<Vec<_>>().join("; ")
}

fn windows(windows: &[Arc<dyn WindowExpr>]) -> String {
    list(windows.iter().map(|window| window.name().to_string()))
}

/// The file that a scan reads, or how many there are.
fn file_names(files: &FileScanConfig) -> String {
    let mut all: Vec<&PartitionedFile> = files.file_groups.iter().flat_map(|group| group.iter()).collect();
    // A large file is read in pieces by several tasks.
    all.sort_by_key(|file| file.path());
    all.dedup_by_key(|file| file.path());
    match all.as_slice() {
        [] => "no file".to_string(),
        [file] => file.path().filename().unwrap_or_default().to_string(),
        [first, ..] => format!("{} files like {}", all.len(), first.path().filename().unwrap_or_default()),
    }
}

/// What a sink says of its target. Of a path the last part is shown: while it is being written, a file is elsewhere.
fn written(sink: &DataSinkExec) -> String {
    let text = shown(sink.sink(), DisplayFormatType::TreeRender);
    let value = |key: &str| text.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim);
    let (path, format) = match sink.sink().downcast_ref::<ParquetSink>() {
        // It says nothing of itself.
        Some(parquet) => (Some(parquet.config().original_url.as_str()), Some("parquet")),
        None => (value("file="), value("format:")),
    };
    let name = |path: &str| match path.trim_end_matches('/').rsplit_once('/') {
        Some((_, name)) => format!("{name}{}", if path.ends_with('/') { "/" } else { "" }),
        None => path.to_string(),
    };
    let parts: Vec<_> = path.map(name).into_iter().chain(format.map(str::to_string)).collect();
    match parts.as_slice() {
        [] => "into a table in memory".to_string(),
        parts => parts.join(", "),
    }
}

/// Operators that run several queries.
fn nesting(plan: &dyn ExecutionPlan) -> Line {
    if let Some(scalar) = plan.downcast_ref::<ScalarSubqueryExec>() {
        let subqueries = match scalar.subqueries().len() {
            1 => "the scalar subquery that runs".to_string(),
            several => format!("{several} scalar subqueries that run"),
        };
        return line("ScalarSubquery", format!("the query, behind it {subqueries} first"));
    }
    let recursive = plan.downcast_ref::<RecursiveQueryExec>()?;
    let union = if recursive.is_distinct() { "union" } else { "union all" };
    line(
        "RecursiveQuery",
        format!("{}, {union}: the first rows, then the step that repeats", recursive.name()),
    )
}

#[cfg(test)]
mod tests {
    use super::without_indices;

    #[test]
    fn indices_of_columns_go_and_literals_stay() {
        assert_eq!(without_indices("a@0 = b@12 AND c = 'x@1' OR d@ > e@3"), "a = b AND c = 'x@1' OR d@ > e");
    }
}
