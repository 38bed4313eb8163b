//! Planning errors for people: the place to point at and the nearest name that exists.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::{Column, Diagnostic, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::parser::{CopyToSource, Statement as Ast};
use sqlparser::ast::{Expr, ObjectName, Spanned, Visit, Visitor};

use super::{Statement, byte_range, byte_span};
use crate::error::{Place, StatementError};

/// Names farther away than this (edits relative to length) are no suggestion.
const SIMILARITY_MIN: f64 = 0.6;

/// Functions of other engines that read files.
const READERS: [&str; 8] = [
    "read_csv",
    "read_csv_auto",
    "read_parquet",
    "parquet_scan",
    "read_json",
    "read_json_auto",
    "read_ndjson",
    "read_avro",
];

/// What exists, to suggest from.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Tables and views.
    pub tables: Vec<String>,
    /// Functions of all kinds.
    pub functions: Vec<String>,
    /// Functions that give tables.
    pub table_functions: Vec<String>,
    /// The first relation of the statement that is neither a table nor a readable file.
    pub missing: Option<ObjectName>,
}

/// Makes an error that points at its cause out of the planner's.
pub fn diagnose(error: DataFusionError, statement: &Statement, names: &Names) -> StatementError {
    // Advice has names of the statement in it.
    diagnosed(error, statement, names).without_secrets()
}

fn diagnosed(error: DataFusionError, statement: &Statement, names: &Names) -> StatementError {
    if let Some(missing) = &names.missing {
        return unknown_relation(error, missing, statement, names);
    }
    if let Some(function) = unknown_function(&error, statement, names) {
        return function.into_error(error, statement);
    }
    if let Some((field, valid)) = unknown_field(&error) {
        return unknown_column(field.clone(), valid.to_vec(), error, statement);
    }
    let diagnostic = error.diagnostic().cloned();
    let place = diagnostic.as_ref().and_then(|diagnostic| place_of(diagnostic, statement));
    let placed = place.is_some();
    let mut failure = StatementError::from_engine(error, place.or_else(|| Some(statement.place().clone())));
    if !placed {
        failure.label = Some("in this statement".into());
    }
    for help in diagnostic.into_iter().flat_map(|diagnostic| diagnostic.helps) {
        failure.help.push(help.message);
    }
    failure
}

/// The relations that a statement reads, without the names it defines itself.
pub(super) fn relations(ast: &Ast) -> Vec<ObjectName> {
    let mut finder = Finder::default();
    visit(ast, &mut finder);
    let Finder { relations, ctes, .. } = finder;
    relations.into_iter().filter(|name| !ctes.contains(&name.to_string().to_lowercase())).collect()
}

fn visit(ast: &Ast, finder: &mut Finder) {
    match ast {
        Ast::Statement(statement) => {
            let _ = statement.visit(finder);
        }
        Ast::Explain(explain) => visit(&explain.statement, finder),
        Ast::CopyTo(copy) => match &copy.source {
            CopyToSource::Query(query) => {
                let _ = query.visit(finder);
            }
            CopyToSource::Relation(name) => finder.relations.push(name.clone()),
        },
        Ast::CreateExternalTable(_) | Ast::Reset(_) => {}
    }
}

#[derive(Default)]
struct Finder {
    relations: Vec<ObjectName>,
    functions: Vec<ObjectName>,
    ctes: Vec<String>,
}

impl Visitor for Finder {
    type Break = ();

    fn pre_visit_query(&mut self, query: &sqlparser::ast::Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.ctes.push(cte.alias.name.to_string().to_lowercase());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.relations.push(relation.clone());
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.functions.push(function.name.clone());
        }
        ControlFlow::Continue(())
    }
}

fn unknown_relation(
    source: DataFusionError,
    missing: &ObjectName,
    statement: &Statement,
    names: &Names,
) -> StatementError {
    let place = place_of_name(missing, statement);
    let spelled = spelled(missing);
    let is_our_words = |error: &DataFusionError| !error.message().starts_with("table '");
    let is_function = source.find_root().message().starts_with("table function '");
    let known = if is_function { &names.table_functions } else { &names.tables };
    let mut failure = match source.find_root() {
        root if is_our_words(root) => StatementError::from_engine(source, place),
        _ => {
            let mut failure = StatementError::new(format!("table '{spelled}' does not exist"), place);
            failure.source = Some(source);
            failure
        }
    };
    let quoted =
        missing.0.iter().any(|part| part.as_ident().is_some_and(|ident| ident.quote_style.is_some()));
    if let Some(near) = nearest(&spelled, known) {
        failure.help.push(format!("did you mean '{near}'?"));
    } else if is_function && READERS.contains(&spelled.to_lowercase().as_str()) {
        failure.help.push("a file is read by its path alone: FROM 'path'".into());
    } else if !quoted && crate::source::file::looks_like_path(&spelled) {
        failure.help.push(format!("to read a file, put its path in quotes: FROM '{spelled}'"));
    }
    failure
}

/// A name as it was written, without quotes.
fn spelled(name: &ObjectName) -> String {
    let parts =
        name.0.iter().map(|part| part.as_ident().map_or_else(|| part.to_string(), |id| id.value.clone()));
    parts.collect::<Vec<_>>().join(".")
}

struct UnknownFunction {
    name: ObjectName,
    near: Option<String>,
}

impl UnknownFunction {
    fn into_error(self, source: DataFusionError, statement: &Statement) -> StatementError {
        let place = place_of_name(&self.name, statement);
        let mut failure =
            StatementError::new(format!("function '{}' does not exist", spelled(&self.name)), place);
        failure.help.extend(self.near.map(|near| format!("did you mean '{near}'?")));
        failure.source = Some(source);
        failure
    }
}

fn unknown_function(
    error: &DataFusionError,
    statement: &Statement,
    names: &Names,
) -> Option<UnknownFunction> {
    if !error.find_root().message().starts_with("Invalid function") {
        return None;
    }
    let mut finder = Finder::default();
    visit(&statement.ast, &mut finder);
    let exists = |name: &ObjectName| {
        let quoted =
            name.0.iter().any(|part| part.as_ident().is_some_and(|ident| ident.quote_style.is_some()));
        let name = if quoted { spelled(name) } else { spelled(name).to_lowercase() };
        names.functions.contains(&name)
    };
    let name = finder.functions.into_iter().find(|name| !exists(name))?;
    let near = nearest(&spelled(&name), &names.functions);
    Some(UnknownFunction { name, near })
}

fn unknown_field(error: &DataFusionError) -> Option<(&Column, &[Column])> {
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => Some((field, valid_fields)),
            _ => None,
        },
        _ => None,
    }
}

fn unknown_column(
    field: Column,
    valid: Vec<Column>,
    source: DataFusionError,
    statement: &Statement,
) -> StatementError {
    let spanned = source.diagnostic().and_then(|diagnostic| place_of(diagnostic, statement));
    let place = spanned.or_else(|| place_of_word(&field.name, statement));
    let name = field.flat_name();
    let mut failure =
        StatementError::new(format!("column '{}' does not exist", name.replace('"', "")), place);
    let mut seen = HashSet::new();
    let mut names: Vec<String> = valid.iter().map(|column| column.name.clone()).collect();
    names.retain(|name| seen.insert(name.clone()));
    let same_but_case =
        names.iter().find(|known| **known != field.name && known.eq_ignore_ascii_case(&field.name));
    let qualified = valid.iter().find(|column| column.name == field.name && column.relation.is_some());
    failure.help.extend(match (qualified, same_but_case, nearest(&field.name, &names)) {
        (Some(column), ..) => Some(format!("did you mean '{}'?", column.flat_name())),
        (None, Some(known), _) => Some(format!("names keep their case only in quotes: \"{known}\"")),
        (None, None, Some(near)) => Some(format!("did you mean '{near}'?")),
        (None, None, None) => (!names.is_empty()).then(|| format!("columns are {}", listed(&names))),
    });
    failure.source = Some(source);
    failure
}

/// Names for a message, not too many.
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn place_of(diagnostic: &Diagnostic, statement: &Statement) -> Option<Place> {
    let script = &statement.place().script;
    diagnostic
        .span
        .map(|span| Place { script: Arc::clone(script), span: byte_range(script, span.start, span.end) })
}

fn place_of_name(name: &ObjectName, statement: &Statement) -> Option<Place> {
    let script = &statement.place().script;
    let span = byte_span(script, name.span());
    let place = span.map(|span| Place { script: Arc::clone(script), span });
    // The parser keeps no place for a name in single quotes.
    place
        .or_else(|| place_of_word(&format!("'{}'", spelled(name)), statement))
        .or_else(|| Some(statement.place().clone()))
}

/// The first word of the statement that is spelled so, for errors that carry no place.
fn place_of_word(word: &str, statement: &Statement) -> Option<Place> {
    let Place { script, span } = statement.place();
    let text = &script.text[span.clone()];
    let found = text.match_indices(word).find(|(at, _)| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !inside(before) && !inside(after)
    });
    let start = span.start + found?.0;
    Some(Place { script: Arc::clone(script), span: start..start + word.len() })
}

/// The most similar of the names, if it is similar enough to have been meant.
pub(crate) fn nearest(name: &str, names: &[String]) -> Option<String> {
    let wanted = name.to_lowercase();
    let score = |known: &String| strsim::normalized_damerau_levenshtein(&wanted, &known.to_lowercase());
    let best =
        names.iter().map(|known| (score(known), known)).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
    best.filter(|(score, _)| *score >= SIMILARITY_MIN).map(|(_, known)| known.clone())
}

/// Keywords that a misspelt word may have meant.
const KEYWORDS: [&str; 26] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "JOIN",
    "UNION",
    "INSERT",
    "CREATE",
    "EXTERNAL",
    "TABLE",
    "VALUES",
    "EXPLAIN",
    "DESCRIBE",
    "SUMMARIZE",
    "DISTINCT",
    "BETWEEN",
    "QUALIFY",
    "WINDOW",
    "PARTITION",
    "OFFSET",
    "WITH",
    "COPY",
    "SECRET",
];

/// Whether a word is a keyword as it stands.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word.to_uppercase().as_str())
}

/// The keyword that a word was probably meant to be, when it is a near miss of one.
pub(super) fn nearest_keyword(word: &str) -> Option<String> {
    let upper = word.to_uppercase();
    let is_word = word.len() > 2 && word.chars().all(char::is_alphanumeric);
    if !is_word || KEYWORDS.contains(&upper.as_str()) {
        return None;
    }
    let near =
        |keyword: &&&str| strsim::damerau_levenshtein(&upper, keyword) <= if upper.len() > 4 { 2 } else { 1 };
    KEYWORDS
        .iter()
        .filter(near)
        .min_by_key(|keyword| strsim::damerau_levenshtein(&upper, keyword))
        .map(ToString::to_string)
}

impl Statement {
    /// The relations it reads, in order of appearance.
    pub fn relations(&self) -> Vec<ObjectName> {
        relations(&self.ast)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["amount", "account", "customer"].map(String::from);
        assert_eq!(nearest("amuont", &names).as_deref(), Some("amount"));
        assert_eq!(nearest("CUSTOMERS", &names).as_deref(), Some("customer"));
        assert_eq!(nearest("zebra", &names), None);
    }

    #[test]
    fn keywords_are_suggested_for_near_misses_only() {
        assert_eq!(nearest_keyword("FORM").as_deref(), Some("FROM"));
        assert_eq!(nearest_keyword("slect").as_deref(), Some("SELECT"));
        assert_eq!(nearest_keyword("select"), None);
        assert_eq!(nearest_keyword("total"), None);
        assert_eq!(nearest_keyword(","), None);
    }
}
