//! The words MATERIALIZED and NOT MATERIALIZED of a common table expression, which the parser does not know in this
//! dialect. They are taken out of the tokens and written into the parsed statement; the body becomes a derived table
//! of a name that nobody writes, by which the planner (`frontend::materialized`) knows it again.
//!
//! ```text
//! WITH t AS MATERIALIZED (SELECT …)    WITH t AS (SELECT * FROM (SELECT …) AS "materialized t")
//! ```

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement as Ast};
use sqlparser::ast::{
    Cte, CteAsMaterialized, Ident, ObjectName, Query, SelectItem, SetExpr, SetOperator, TableAlias,
    TableFactor, Visit, VisitMut, Visitor, VisitorMut, WildcardAdditionalOptions,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::plan::shared::Wish;

const KEPT: &str = "materialized ";
const NOT_KEPT: &str = "not materialized ";

/// Where a common table expression's name stands, and what is said about it.
pub(super) type Marks = Vec<(Location, CteAsMaterialized)>;

/// The tokens without the words, and what they said.
pub(super) fn taken(tokens: &[TokenWithSpan]) -> (Vec<TokenWithSpan>, Marks) {
    let words: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let is = |at: usize, keyword: Keyword| words.get(at).is_some_and(|at| self::is(&tokens[*at], keyword));
    let mut left_out = Vec::new();
    let mut marks = Vec::new();
    for at in 0..words.len() {
        if !is(at, Keyword::AS) {
            continue;
        }
        let (said, count) = match (is(at + 1, Keyword::MATERIALIZED), is(at + 2, Keyword::MATERIALIZED)) {
            (true, _) => (CteAsMaterialized::Materialized, 1),
            (false, true) if is(at + 1, Keyword::NOT) => (CteAsMaterialized::NotMaterialized, 2),
            (false, _) => continue,
        };
        let opens = words.get(at + count + 1).is_some_and(|at| matches!(tokens[*at].token, Token::LParen));
        if opens && let Some(name) = defined(tokens, &words[..at]) {
            marks.push((tokens[name].span.start, said));
            left_out.extend(&words[at + 1..=at + count]);
        }
    }
    let kept = tokens.iter().enumerate().filter(|(at, _)| !left_out.contains(at));
    (kept.map(|(_, token)| token.clone()).collect(), marks)
}

/// The name that a WITH defines just before an AS.
fn defined(tokens: &[TokenWithSpan], before: &[usize]) -> Option<usize> {
    let token = |at: usize| before.get(at).map(|at| &tokens[*at]);
    let mut name = before.len().checked_sub(1)?;
    if matches!(token(name)?.token, Token::RParen) {
        let opens = |at: &usize| token(*at).is_some_and(|token| matches!(token.token, Token::LParen));
        name = (0..name).rev().find(opens)?.checked_sub(1)?;
    }
    if !matches!(token(name)?.token, Token::Word(_)) {
        return None;
    }
    let ahead = token(name.checked_sub(1)?)?;
    let starts = is(ahead, Keyword::WITH) || is(ahead, Keyword::RECURSIVE) || ahead.token == Token::Comma;
    starts.then(|| before[name])
}

fn is(token: &TokenWithSpan, keyword: Keyword) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == keyword && word.quote_style.is_none())
}

/// Writes what was said into the common table expressions of a statement.
pub(super) fn mark(ast: &mut Ast, marks: &Marks) {
    if marks.is_empty() {
        return;
    }
    match ast {
        Ast::Statement(statement) => {
            let _ = statement.visit(&mut Marking(marks));
        }
        Ast::Explain(explain) => mark(&mut explain.statement, marks),
        Ast::CopyTo(copy) => {
            if let CopyToSource::Query(query) = &mut copy.source {
                let _ = query.visit(&mut Marking(marks));
            }
        }
        Ast::CreateExternalTable(_) | Ast::Reset(_) => {}
    }
}

struct Marking<'a>(&'a Marks);

impl VisitorMut for Marking<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            let start = cte.alias.name.span.start;
            let said = self.0.iter().find(|(place, _)| *place == start);
            cte.materialized = said.map(|(_, said)| *said);
        }
        ControlFlow::Continue(())
    }
}

/// Makes the derived table of a common table expression's body, if something is said about it.
///
/// One that reads itself stays as it is: the planner looks for a UNION in its place. It is a stage of its own in any
/// case, and is shared by all that read it.
pub(super) fn plain(cte: &mut Cte, is_recursive: bool) {
    let Some(said) = cte.materialized.take() else { return };
    if is_recursive && is_union(&cte.query) && reads(&cte.query, &cte.alias.name) {
        return;
    }
    let Ok(mut parsed) = Parser::parse_sql(&GenericDialect {}, "SELECT * FROM (SELECT 1) AS t") else {
        return;
    };
    let Some(sqlparser::ast::Statement::Query(mut outer)) = parsed.pop() else { return };
    let SetExpr::Select(select) = outer.body.as_mut() else { return };
    select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
    let Some(TableFactor::Derived { subquery, alias, .. }) =
        select.from.first_mut().map(|from| &mut from.relation)
    else {
        return;
    };
    let name = &cte.alias.name;
    let word = match said {
        CteAsMaterialized::Materialized => KEPT,
        CteAsMaterialized::NotMaterialized => NOT_KEPT,
    };
    let name = Ident::with_quote('"', format!("{word}{}", super::friendly::normal(name)));
    *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
    std::mem::swap(subquery, &mut cte.query);
    cte.query = outer;
}

fn is_union(query: &Query) -> bool {
    matches!(query.body.as_ref(), SetExpr::SetOperation { op: SetOperator::Union, .. })
}

/// Whether a query names a relation.
fn reads(query: &Query, name: &Ident) -> bool {
    struct Finder<'a>(&'a Ident);
    impl Visitor for Finder<'_> {
        type Break = ();

        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            let named = match relation.0.as_slice() {
                [part] => part.as_ident(),
                _ => None,
            };
            let same = |ident: &Ident| super::friendly::normal(ident) == super::friendly::normal(self.0);
            if named.is_some_and(same) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    query.visit(&mut Finder(name)).is_break()
}

/// What a derived table's name says.
pub(in crate::frontend) fn wish(alias: Option<&TableAlias>) -> Option<Wish> {
    let name = alias.filter(|alias| alias.name.quote_style.is_some())?.name.value.as_str();
    match (name.strip_prefix(KEPT), name.strip_prefix(NOT_KEPT)) {
        (Some(table), _) => Some(Wish::Materialized(table.into())),
        (None, Some(_)) => Some(Wish::NotMaterialized),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::tokenizer::Tokenizer;

    use super::*;

    /// The words that are left, and how many names something is said about.
    fn left(sql: &str) -> (String, usize) {
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap();
        let (tokens, marks) = taken(&tokens);
        let texts = tokens.iter().map(|token| token.token.to_string());
        let texts: Vec<_> = texts.filter(|text| !text.trim().is_empty() && text != "EOF").collect();
        (texts.join(" "), marks.len())
    }

    #[test]
    fn the_words_are_taken_out_of_definitions() {
        for (sql, expected, names) in [
            ("with c as materialized (select 1) from c", "with c as ( select 1 ) from c", 1),
            ("WITH c AS NOT MATERIALIZED (SELECT 1) FROM c", "WITH c AS ( SELECT 1 ) FROM c", 1),
            (
                "with recursive c as materialized (select 1) from c",
                "with recursive c as ( select 1 ) from c",
                1,
            ),
            (
                "with \"C\" (a, b) as materialized (select 1, 2), d as not materialized (from c) from d",
                "with \"C\" ( a , b ) as ( select 1 , 2 ) , d as ( from c ) from d",
                2,
            ),
            (
                "from (with c as materialized (with d as materialized (select 1) from d) from c)",
                "from ( with c as ( with d as ( select 1 ) from d ) from c )",
                2,
            ),
        ] {
            assert_eq!(left(sql), (expected.into(), names), "{sql}");
        }
    }

    #[test]
    fn elsewhere_they_stay() {
        for sql in [
            "select 1 as materialized",
            "select a as materialized , b from t",
            "with materialized as ( select 1 ) from materialized",
            "create view v as materialized ( select 1 )",
            "with c as \"materialized\" ( select 1 ) from c",
            "with c as not ( select 1 ) from c",
            "with c as materialized select 1",
        ] {
            assert_eq!(left(sql), (sql.into(), 0), "{sql}");
        }
    }

    fn rewritten(sql: &str, is_recursive: bool) -> String {
        let mut parsed = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        let Some(sqlparser::ast::Statement::Query(mut query)) = parsed.pop() else { unreachable!("{sql}") };
        let cte = &mut query.with.as_mut().unwrap().cte_tables[0];
        cte.materialized = Some(CteAsMaterialized::Materialized);
        plain(cte, is_recursive);
        query.to_string()
    }

    #[test]
    fn the_body_becomes_a_derived_table_that_says_so() {
        assert_eq!(
            rewritten("WITH C AS (SELECT 1) SELECT * FROM C", false),
            "WITH C AS (SELECT * FROM (SELECT 1) AS \"materialized c\") SELECT * FROM C"
        );
        let own = "WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM R WHERE n < 3) SELECT * FROM r";
        assert_eq!(rewritten(own, true), own);
        let other = "WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT 2) SELECT * FROM r";
        assert!(rewritten(other, true).contains("\"materialized r\""));
    }

    #[test]
    fn a_table_of_another_name_says_nothing() {
        let alias = |name: Ident| TableAlias { explicit: true, name, columns: Vec::new(), at: None };
        let wished = |name: &str| wish(Some(&alias(Ident::with_quote('"', name))));
        assert_eq!(wished("materialized a b"), Some(Wish::Materialized("a b".into())));
        assert_eq!(wished("not materialized a"), Some(Wish::NotMaterialized));
        assert_eq!(wished("materialized"), None);
        assert_eq!(wish(Some(&alias(Ident::new("materialized a")))), None);
        assert_eq!(wish(None), None);
    }
}
