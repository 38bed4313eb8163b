//! Texts of SQL with shell commands between the statements.
//!
//! A command (`.tables`, `\dt`) is one line where a statement could start; inside a statement, a string
//! or a comment it is none. Where it stood, the SQL has blanks, so that places in messages stay true.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use sqlparser::tokenizer::Token;

use super::meta;
use crate::error::{Error, Script};
use crate::frontend::sql::{RawStatement, Split, split, tokens};

/// A text taken apart.
pub(in crate::cli) struct Items {
    pub(in crate::cli) items: VecDeque<Item>,
    /// Why the rest of the text is no SQL at all.
    pub(in crate::cli) failure: Option<Error>,
    /// How many files stand open above this one, for files that read themselves.
    pub(in crate::cli) depth: usize,
}

/// A statement or a command.
pub(in crate::cli) enum Item {
    /// A statement; `as_lines` if it ends in `\G`.
    Statement { raw: RawStatement, as_lines: bool },
    /// A command, as it was written.
    Command(String),
}

impl Items {
    /// The statements of a script that knows no commands.
    pub(in crate::cli) fn of_sql(script: &Arc<Script>) -> Self {
        let Split { statements, failure } = split(script);
        let items = statements.into_iter().map(|raw| Item::Statement { raw, as_lines: false });
        Self { items: items.collect(), failure, depth: 0 }
    }

    /// The statements and commands of a text, in order.
    pub(in crate::cli) fn with_commands(name: &str, text: &str) -> Self {
        let Scan { sql, commands, line_ends, is_open: _ } = Scan::of(text);
        let Split { statements, failure } = split(&Script::new(name, sql.as_str()));
        let statements = statements.into_iter().map(|raw| {
            let end = raw.place().span.end;
            let as_lines = line_ends.iter().any(|&at| at >= end && sql[end..at].trim().is_empty());
            (raw.place().span.start, Item::Statement { raw, as_lines })
        });
        let commands = commands.into_iter().map(|(at, line)| (at, Item::Command(line)));
        let mut items: Vec<_> = statements.chain(commands).collect();
        items.sort_by_key(|(at, _)| *at);
        Self { items: items.into_iter().map(|(_, item)| item).collect(), failure, depth: 0 }
    }

    /// Whether there are commands among the statements.
    pub(in crate::cli) fn has_commands(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Command(_)))
    }

    /// The statements.
    pub(in crate::cli) fn statements(&self) -> impl Iterator<Item = &RawStatement> {
        self.items.iter().filter_map(|item| match item {
            Item::Statement { raw, .. } => Some(raw),
            Item::Command(_) => None,
        })
    }
}

/// Whether a text can be run as it stands: every statement has its semicolon, nothing is left open.
pub(super) fn is_complete(text: &str) -> bool {
    !Scan::of(text).is_open
}

/// A text with its commands told from its SQL.
struct Scan {
    /// The text with blanks in the place of commands, and `;` in the place of `\G`.
    sql: String,
    /// Commands by their place in the text.
    commands: Vec<(usize, String)>,
    /// The places of `\G`.
    line_ends: Vec<usize>,
    /// Whether the text ends within a statement.
    is_open: bool,
}

impl Scan {
    fn of(text: &str) -> Self {
        let mut scan = Self { sql: text.into(), commands: Vec::new(), line_ends: Vec::new(), is_open: false };
        // What follows a command may be other tokens once the command's own quotes are gone.
        while scan.take_one() {}
        scan
    }

    /// Takes out the first command or `\G`; `false` if there is none.
    fn take_one(&mut self) -> bool {
        let found = tokens(&self.sql);
        let mut starts = true;
        for (at, (token, span)) in found.tokens.iter().enumerate() {
            match token {
                Token::Whitespace(_) => continue,
                Token::SemiColon => {
                    starts = true;
                    continue;
                }
                _ => {}
            }
            if starts && self.take_command(span.start) {
                return true;
            }
            if !starts && *token == Token::Backslash && is_g(found.tokens.get(at + 1)) {
                self.sql.replace_range(span.start..span.start + 2, "; ");
                self.line_ends.push(span.start);
                return true;
            }
            starts = false;
        }
        self.is_open = match found.rest {
            Some(rest) => rest.is_unfinished,
            None => !starts,
        };
        false
    }

    /// Takes out the line that starts here, if it is a command.
    fn take_command(&mut self, start: usize) -> bool {
        // Most statements are told by their first letter: their lines may be long.
        if !self.sql[start..].starts_with(['.', '\\', 'q', 'Q', 'e', 'E', 'h', 'H']) {
            return false;
        }
        let line = self.sql[start..].lines().next().unwrap_or_default();
        if !meta::is_command(line) {
            return false;
        }
        let (end, command) = (start + line.len(), line.trim_end().to_string());
        self.sql.replace_range(start..end, &" ".repeat(end - start));
        self.commands.push((start, command));
        true
    }
}

/// Whether a token is the `G` of `\G`.
fn is_g(token: Option<&(Token, Range<usize>)>) -> bool {
    matches!(token, Some((Token::Word(word), _)) if word.value == "G" && word.quote_style.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let items = Items::with_commands("test", text);
        let shown = items.items.iter().map(|item| match item {
            Item::Statement { raw, as_lines } => {
                let place = raw.place();
                format!("{}{}", &place.script.text[place.span], if *as_lines { " (lines)" } else { "" })
            }
            Item::Command(line) => format!("command {line}"),
        });
        shown.collect()
    }

    #[test]
    fn commands_stand_between_statements() {
        assert_eq!(
            shown(".mode csv\nselect 1;\n\\dt\n select '\n.tables\n';quit"),
            ["command .mode csv", "select 1", "command \\dt", "select '\n.tables\n'", "command quit"]
        );
        assert_eq!(shown("select 1\n.tables"), ["select 1\n.tables"]);
        assert_eq!(shown(".read it's.sql\nselect 2;"), ["command .read it's.sql", "select 2"]);
        assert_eq!(shown("select .5; .timer on"), ["select .5", "command .timer on"]);
        assert_eq!(shown("/* .x */ -- .y\n"), Vec::<String>::new());
    }

    #[test]
    fn a_trailing_g_asks_for_lines() {
        assert_eq!(shown("select 1\\G"), ["select 1 (lines)"]);
        assert_eq!(shown("select 1; select 2 \\G\nselect 3;"), ["select 1", "select 2 (lines)", "select 3"]);
        assert_eq!(shown("select '\\G'"), ["select '\\G'"]);
    }

    #[test]
    fn a_text_is_complete_when_nothing_is_open() {
        let complete = [
            "",
            "  \n",
            "select 1;",
            "select 1; -- done",
            "select 1; /* done */",
            ".tables",
            "\\d t",
            "quit",
            "exit;",
            "select 1\\G",
            "select (1;",
            "-- a remark",
            "select 1;\n.mode csv\n",
            ";",
        ];
        for text in complete {
            assert!(is_complete(text), "{text:?}");
        }
        let open = [
            "select 1",
            "select 'a;",
            "select \"a;",
            "select $$a;",
            "select 1; select",
            "/* x;",
            "select 1 -- x;",
            "select 1;\nselect (",
            "select 1\n.tables",
        ];
        for text in open {
            assert!(!is_complete(text), "{text:?}");
        }
    }

    #[test]
    fn places_stay_true_behind_a_command() {
        let items = Items::with_commands("test", ".mode csv\nselect 1;");
        let place = items.statements().next().unwrap().place();
        assert_eq!(place.span, 10..18);
    }
}
