//! One statement: its AST, and where everything in it stands.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement as Ast};
use sqlparser::ast::Statement as SqlAst;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError, ParserOptions};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::conditions::{self, Readings};
use super::refuse::{self, Functions, Refusal};
use super::split::RawStatement;
use super::{
    GraphOf, SecretStatement, byte_span, diagnose, estimate, filename, friendly, from_first, graph,
    materialized, secret, summarize,
};
use crate::error::{Error, Place, Result, StatementError, lower_first};

/// Nesting of parentheses, calls and subqueries that the parser accepts: the planner's time grows with the
/// cube of nested calls.
const NESTING_MAX: usize = 300;

/// A parsed statement.
#[derive(Debug)]
pub struct Statement {
    pub(super) ast: Ast,
    graph: Option<GraphOf>,
    secret: Option<SecretStatement>,
    is_estimate: bool,
    has_graph: bool,
    only_if_new: bool,
    place: Place,
    parameters: Vec<(String, Place)>,
}

impl RawStatement {
    /// The parameters (`$day`) in the statement and their places, without the `$`. Those of `PREPARE`
    /// are bound by `EXECUTE`, not from outside, so they do not count.
    pub fn parameters(&self) -> Vec<(String, Place)> {
        let is_prepare = |word: &Token| word.to_string().eq_ignore_ascii_case("prepare");
        if self.words().next().is_some_and(|first| is_prepare(&first.token)) {
            return Vec::new();
        }
        let named = self.words().filter_map(|token| match &token.token {
            Token::Placeholder(name) => Some((name.trim_start_matches('$').to_string(), token.span)),
            _ => None,
        });
        let place =
            |span| byte_span(&self.script, span).map(|span| Place { script: Arc::clone(&self.script), span });
        named.filter_map(|(name, span)| Some((name, place(span)?))).collect()
    }

    /// Parses the statement, and makes plain SQL of the friendly forms that the planner does not know.
    ///
    /// # Errors
    /// Text that is no statement, and SQL whose meaning the planner would drop in silence.
    pub fn parse(&self, functions: &Functions) -> Result<Statement> {
        self.parsed(functions).map_err(|error| self.veiled(error))
    }

    fn parsed(&self, functions: &Functions) -> Result<Statement> {
        let (place, parameters) = (self.place(), self.parameters());
        if let Some(secret) = secret::parse(self).transpose()? {
            let ast = Ast::Statement(Box::new(secret.ast()));
            return Ok(Statement {
                ast,
                graph: None,
                secret: Some(secret),
                is_estimate: false,
                has_graph: false,
                only_if_new: false,
                place,
                parameters,
            });
        }
        let explained = graph::explained(&self.tokens);
        let estimated = estimate::estimated(&self.tokens);
        let is_estimate = estimated.is_some();
        let (graph, mut ast) = match (explained, estimated) {
            (Some((graph, tokens)), _) => (Some(graph), self.parse_explained(&tokens, "GRAPH")?),
            (None, Some(tokens)) => (None, self.parse_explained(&tokens, "ESTIMATE")?),
            (None, None) => (None, self.parse_ast(&self.tokens)?),
        };
        let has_graph = has_graph(&ast);
        friendly::rewrite(&mut ast, functions).map_err(|refusal| self.refused(refusal))?;
        let only_if_new = take_unknown_words(&mut ast);
        Ok(Statement { ast, graph, secret: None, is_estimate, has_graph, only_if_new, place, parameters })
    }

    /// Parses the statement whose graph or size is asked for.
    fn parse_explained(&self, tokens: &[TokenWithSpan], what: &str) -> Result<Ast> {
        let Some(first) = tokens.first() else {
            let message = "expected a statement to explain, found the end of the statement";
            return Err(StatementError::new(message, Some(self.end())).into());
        };
        let word = first.token.to_string().to_lowercase();
        if matches!(word.as_str(), "explain" | "describe" | "desc") {
            let message = format!("EXPLAIN {what} takes a query, COPY or INSERT");
            return Err(StatementError::new(message, Some(self.place_at(first.span.start))).into());
        }
        self.parse_ast(tokens)
    }

    fn parse_ast(&self, tokens: &[TokenWithSpan]) -> Result<Ast> {
        let (tokens, marks) = materialized::taken(tokens);
        let expanded = summarize::expand(&tokens);
        for inner in expanded.inner {
            self.parse_tokens(inner.tokens, inner.close)?;
        }
        let mut ast = self.parse_tokens(expanded.tokens, None)?;
        materialized::mark(&mut ast, &marks);
        Ok(ast)
    }

    /// Parses tokens of the statement, up to its end or to a parenthesis.
    fn parse_tokens(&self, tokens: Vec<TokenWithSpan>, close: Option<Span>) -> Result<Ast> {
        let failed = |error: DataFusionError| self.parse_failure(error, close);
        let dialect = GenericDialect {};
        let mut parser = DFParserBuilder::new(from_first::with_select(&tokens))
            .with_dialect(&dialect)
            .with_recursion_limit(NESTING_MAX)
            .build()
            .map_err(failed)?;
        let inner = std::mem::replace(&mut parser.parser, Parser::new(&dialect));
        parser.parser = inner.with_options(ParserOptions::new().with_trailing_commas(true));
        let mut statements = parser.parse_statements().map_err(failed)?;
        match (statements.pop_front(), statements.is_empty()) {
            (Some(ast), true) => Ok(ast),
            _ => Err(StatementError::new("expected one statement", Some(self.place())).into()),
        }
    }

    fn parse_failure(&self, error: DataFusionError, close: Option<Span>) -> Error {
        let text = match error.find_root() {
            DataFusionError::SQL(parser, _) => match parser.as_ref() {
                ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
                ParserError::RecursionLimitExceeded => {
                    let message = format!("statement is nested more than {NESTING_MAX} levels deep");
                    return StatementError::new(message, Some(self.place()))
                        .with_label("in this statement")
                        .into();
                }
            },
            other => other.message().into_owned(),
        };
        let (message, location) = take_location(&text);
        let end = || close.map_or_else(|| self.end(), |close| self.place_at(close.start));
        let place = location.map_or_else(end, |location| self.place_at(location));
        let word = place.script.text[place.span.clone()].to_string();
        if let Some((feature, help)) = refuse::instead_of(&word) {
            let mut failure = StatementError::new(format!("{feature} is not supported"), Some(place));
            failure.source = Some(error);
            return failure.with_help(help).into();
        }
        let message = match message.strip_suffix(", found: EOF") {
            Some(expected) if close.is_some() => format!("{expected}, found )"),
            Some(expected) => format!("{expected}, found the end of the statement"),
            None => message,
        };
        let mut failure = StatementError::new(lower_expected(&message), Some(place));
        // `select 1 form t`: the word before the one that does not fit may be the one misspelt.
        let before = self.words().take_while(|token| location.is_none_or(|at| token.span.start < at)).last();
        let before = before.and_then(|token| diagnose::nearest_keyword(&token.token.to_string()));
        let fits = location.is_none() || diagnose::is_keyword(&word);
        if let Some(keyword) = before.filter(|_| !fits).or_else(|| diagnose::nearest_keyword(&word)) {
            failure = failure.with_help(format!("did you mean {keyword}?"));
        }
        failure.source = Some(error);
        failure.into()
    }

    fn refused(&self, refusal: Refusal) -> Error {
        let Refusal { message, span, help } = refusal;
        let place =
            byte_span(&self.script, span).map(|span| Place { script: Arc::clone(&self.script), span });
        let mut failure = StatementError::new(message, Some(place.unwrap_or_else(|| self.place())));
        failure.help.extend(help.map(str::to_string));
        failure.into()
    }

    fn end(&self) -> Place {
        let Place { script, span } = self.place();
        Place { script, span: span.end..span.end }
    }
}

impl Statement {
    /// From its first to its last word.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What DataFusion's planner takes.
    pub fn ast(&self) -> &Ast {
        &self.ast
    }

    /// The format that a COPY states. The planner goes by the file's name when it does not know the format.
    pub fn copy_format(&self) -> Option<&str> {
        match &self.ast {
            Ast::CopyTo(copy) => copy.stored_as.as_deref(),
            Ast::Statement(_) | Ast::Explain(_) | Ast::CreateExternalTable(_) | Ast::Reset(_) => None,
        }
    }

    /// Whether some expression names the column `filename`.
    pub fn names_filename(&self) -> bool {
        filename::is_named(&self.ast)
    }

    /// Takes the virtual column `filename` out of each `*` over one of these relations.
    pub fn hide_filename(ast: &mut Ast, relations: &HashSet<String>) {
        filename::hide(ast, relations);
    }

    /// The relations all of whose readings may have conditions on their keys, with these: guesses, which the
    /// planned statement has to confirm. `keys` tells the keys of a relation by its name.
    pub fn conditions(ast: &Ast, keys: &dyn Fn(&str) -> Vec<String>) -> Vec<Readings> {
        conditions::conditions(ast, keys)
    }

    /// Whether some query in it has a condition on rows.
    pub fn has_conditions(&self) -> bool {
        conditions::are_there(&self.ast)
    }

    /// The columns that `* REPLACE` names, with the statement that plans only if each exists. The planner
    /// would ignore a replacement of a column that is not there.
    pub fn replace_probe(&self) -> Option<(Vec<String>, Ast)> {
        let columns = friendly::replaced_columns(&self.ast);
        let names = columns.into_iter().map(|column| column.value).collect::<Vec<_>>();
        (!names.is_empty()).then(|| (names, friendly::replace_probe(&self.ast)))
    }

    /// The parameters in the statement and their places.
    pub fn parameters(&self) -> &[(String, Place)] {
        &self.parameters
    }

    /// What graph it asks for, if it is an EXPLAIN GRAPH. Everything else here is about what is explained.
    pub fn graph(&self) -> Option<GraphOf> {
        self.graph
    }

    /// What it does about secrets, if it is about them.
    pub fn secret(&self) -> Option<&SecretStatement> {
        self.secret.as_ref()
    }

    /// Whether it asks how much would be read. Everything else here is about the statement that it asks that of.
    pub fn is_estimate(&self) -> bool {
        self.is_estimate
    }

    /// Whether it is run by a graph of its own that can be drawn: it reads or writes rows. Others have an effect on the
    /// session alone, or look into it.
    pub fn has_graph(&self) -> bool {
        self.has_graph
    }

    /// Whether its rows are words about plans and definitions (EXPLAIN, SHOW), and not data.
    pub fn tells_of_plans(&self) -> bool {
        match &self.ast {
            Ast::Explain(_) => true,
            Ast::Statement(statement) => matches!(
                statement.as_ref(),
                SqlAst::Explain { .. }
                    | SqlAst::ExplainTable { .. }
                    | SqlAst::ShowCreate { .. }
                    | SqlAst::ShowVariable { .. }
                    | SqlAst::ShowVariables { .. }
            ),
            Ast::CreateExternalTable(_) | Ast::CopyTo(_) | Ast::Reset(_) => false,
        }
    }

    /// Whether it makes a view only if there is none of its name. The planner does not know `CREATE VIEW IF NOT
    /// EXISTS`, so the words are not in the AST.
    pub fn only_if_new(&self) -> bool {
        self.only_if_new
    }

    /// Whether running it gives a result set (and not only an effect or a count).
    pub fn returns_rows(&self) -> bool {
        self.graph.is_some() || self.is_estimate || self.gives_rows()
    }

    fn gives_rows(&self) -> bool {
        match &self.ast {
            Ast::Statement(statement) => match statement.as_ref() {
                SqlAst::Query(query) => !matches!(
                    query.body.as_ref(),
                    sqlparser::ast::SetExpr::Insert(_)
                        | sqlparser::ast::SetExpr::Update(_)
                        | sqlparser::ast::SetExpr::Delete(_)
                ),
                SqlAst::Explain { .. }
                | SqlAst::ExplainTable { .. }
                | SqlAst::Execute { .. }
                | SqlAst::ShowTables { .. }
                | SqlAst::ShowColumns { .. }
                | SqlAst::ShowVariable { .. }
                | SqlAst::ShowVariables { .. }
                | SqlAst::ShowFunctions { .. }
                | SqlAst::ShowCreate { .. }
                | SqlAst::ShowDatabases { .. }
                | SqlAst::ShowSchemas { .. } => true,
                _ => false,
            },
            Ast::Explain(_) => true,
            Ast::CreateExternalTable(_) | Ast::CopyTo(_) | Ast::Reset(_) => false,
        }
    }
}

/// Takes `IF NOT EXISTS` out of a CREATE VIEW, and says whether it was there; `TEMP` out of a CREATE TABLE.
fn take_unknown_words(ast: &mut Ast) -> bool {
    match ast {
        Ast::Statement(statement) => match statement.as_mut() {
            SqlAst::CreateView(view) => std::mem::take(&mut view.if_not_exists),
            // A table in memory always ends with the session; the planner knows no word for it.
            SqlAst::CreateTable(table) => {
                table.temporary = false;
                false
            }
            _ => false,
        },
        Ast::CopyTo(_) | Ast::CreateExternalTable(_) | Ast::Explain(_) | Ast::Reset(_) => false,
    }
}

/// Whether a statement, as it was written, reads or writes rows.
fn has_graph(ast: &Ast) -> bool {
    match ast {
        Ast::Statement(statement) => matches!(
            statement.as_ref(),
            SqlAst::Query(_)
                | SqlAst::Insert(_)
                | SqlAst::Update(_)
                | SqlAst::Delete(_)
                | SqlAst::Merge(_)
                | SqlAst::Execute { .. }
        ),
        Ast::CopyTo(_) => true,
        Ast::CreateExternalTable(_) | Ast::Explain(_) | Ast::Reset(_) => false,
    }
}

/// Splits `Expected: x, found: y at Line: 1, Column: 8` into message and place.
fn take_location(text: &str) -> (String, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else { return (text.to_string(), None) };
    let location = place.split_once(", Column: ").and_then(|(line, column)| {
        let digits =
            |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
        Some(Location { line: digits(line)?, column: digits(column)? })
    });
    (message.to_string(), location)
}

/// `Expected: an expression, found: FORM` in our own form: `expected an expression, found FORM`.
fn lower_expected(message: &str) -> String {
    lower_first(&message.replacen("Expected: ", "expected ", 1).replacen(", found: ", ", found ", 1))
}
