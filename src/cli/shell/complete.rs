//! What Tab offers: commands, paths, tables, columns, functions, keywords.

use std::fs;
use std::path::Path;

use rustyline::completion::Pair;

use super::lookup::Lookup;
use super::meta::{self, COMMANDS};
use super::scope::{Place, Relation, Scope};
use super::words;
use crate::output::Format;

/// More than these are no help.
const OFFERS_MAX: usize = 500;
const ENTRIES_MAX: usize = 20_000;

/// Where the completed word starts, and what may stand in its place.
pub(super) fn complete(text: &str, cursor: usize, lookup: &Lookup) -> (usize, Vec<Pair>) {
    let line_start = text[..cursor].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..cursor].trim_start();
    let is_only_line = text[..line_start].trim().is_empty() || text[..line_start].trim_end().ends_with(';');
    let (start, mut offers) = match is_only_line && (meta::is_command(line) || matches!(line, "." | "\\")) {
        true => command(text, cursor - line.len(), cursor, lookup),
        false => statement(text, cursor, lookup),
    };
    offers.truncate(OFFERS_MAX);
    (start, offers)
}

fn command(text: &str, start: usize, cursor: usize, lookup: &Lookup) -> (usize, Vec<Pair>) {
    let line = &text[start..cursor];
    let Some(name_end) = line.find(char::is_whitespace) else {
        let names = COMMANDS.iter().flat_map(|command| [command.name, command.twin]);
        let mut names: Vec<_> = names.filter(|name| name.starts_with(line)).collect();
        names.sort_unstable();
        return (start, plain(names));
    };
    let argument = line[name_end..].trim_start();
    let at = cursor - argument.len();
    let starting = |names: Vec<String>| {
        plain(names.into_iter().filter(|name| name.starts_with(argument)).collect::<Vec<_>>())
    };
    match meta::argument_of(&line[..name_end]) {
        meta::Argument::None => (cursor, Vec::new()),
        meta::Argument::File => paths(argument.trim_start_matches(['\'', '"']), cursor),
        meta::Argument::Table if argument.starts_with('\'') => paths(&argument[1..], cursor),
        meta::Argument::Table => (at, starting(lookup.session().table_names())),
        meta::Argument::Format => (at, starting(Format::ALL.map(|format| format.name().to_string()).into())),
        meta::Argument::Switch => (at, starting(vec!["on".into(), "off".into()])),
    }
}

fn statement(text: &str, cursor: usize, lookup: &Lookup) -> (usize, Vec<Pair>) {
    let Scope { place, relations } = Scope::of(text, cursor);
    match place {
        Place::Nothing => (cursor, Vec::new()),
        Place::Path { start } => paths(&text[start..cursor], cursor),
        Place::Table { start } => {
            let word = &text[start..cursor];
            let tables = lookup.session().table_names();
            let mut offers = starting(word, tables);
            let functions = lookup.session().table_function_names().into_iter();
            offers.extend(starting(word, functions.map(|name| format!("{name}("))));
            if offers.is_empty() && !word.is_empty() {
                offers = plain(words::keywords(word));
            }
            (start, offers)
        }
        Place::Qualified { start, qualifier } => {
            let meant = |relation: &&Relation| {
                let name = relation.alias.as_deref().unwrap_or(&relation.name);
                name.eq_ignore_ascii_case(&qualifier)
            };
            let columns = relations.iter().filter(meant).flat_map(|relation| lookup.columns(relation));
            (start, starting(&text[start..cursor], columns.map(quoted)))
        }
        Place::Word { start } => (start, word(&text[start..cursor], &relations, lookup)),
    }
}

/// A word that may be a column of the statement's tables, a function or a keyword.
fn word(word: &str, relations: &[Relation], lookup: &Lookup) -> Vec<Pair> {
    let mut columns: Vec<String> = Vec::new();
    for column in relations.iter().flat_map(|relation| lookup.columns(relation)).map(quoted) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let mut offers = starting(word, columns);
    if word.is_empty() {
        return offers;
    }
    let aliases = relations.iter().map(|relation| match (&relation.alias, relation.is_path) {
        (Some(alias), _) => alias.clone(),
        (None, true) => String::new(),
        (None, false) => relation.name.clone(),
    });
    offers.extend(starting(word, aliases.filter(|name| !name.is_empty())));
    offers.extend(plain(words::keywords(word)));
    let functions = lookup.session().functions();
    let mut names: Vec<_> =
        functions.scalar.into_iter().chain(functions.aggregate).chain(functions.window).collect();
    names.sort();
    names.dedup();
    offers.extend(starting(word, names.into_iter().map(|name| format!("{name}("))));
    offers
}

/// Those names that start like the word, in whatever case.
fn starting(word: &str, names: impl IntoIterator<Item = String>) -> Vec<Pair> {
    let lower = word.to_lowercase();
    let is_start = |name: &String| name.trim_start_matches('"').to_lowercase().starts_with(&lower);
    plain(names.into_iter().filter(is_start).collect::<Vec<_>>())
}

fn plain<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Vec<Pair> {
    let pair = |name: S| {
        let name = name.into();
        Pair { display: name.clone(), replacement: name }
    };
    names.into_iter().map(pair).collect()
}

/// A column as SQL writes it.
fn quoted(name: String) -> String {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_plain = name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_plain && !name.is_empty() && !words::is_keyword(&name) {
        return name;
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The files and folders that a path may go on to; hidden ones when asked for by their dot.
fn paths(path: &str, cursor: usize) -> (usize, Vec<Pair>) {
    let (folder, start) = match path.rfind('/') {
        Some(slash) => (&path[..=slash], &path[slash + 1..]),
        None => ("", path),
    };
    let Ok(entries) = fs::read_dir(if folder.is_empty() { Path::new(".") } else { Path::new(folder) }) else {
        return (cursor, Vec::new());
    };
    let mut names: Vec<String> = entries
        .take(ENTRIES_MAX)
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_shown = name.starts_with(start) && (start.starts_with('.') || !name.starts_with('.'));
            // A name that drives the terminal is not shown to it.
            if !is_shown || name.contains(char::is_control) {
                return None;
            }
            Some(if entry.path().is_dir() { format!("{name}/") } else { name })
        })
        .collect();
    names.sort();
    (cursor - start.len(), plain(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_need_quotes_get_them() {
        assert_eq!(quoted("amount".into()), "amount");
        assert_eq!(quoted("Amount".into()), "\"Amount\"");
        assert_eq!(quoted("2026".into()), "\"2026\"");
        assert_eq!(quoted("order".into()), "\"order\"");
        assert_eq!(quoted("a\"b".into()), "\"a\"\"b\"");
    }
}
