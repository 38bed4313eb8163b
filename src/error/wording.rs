//! The engine's sentences that were written for programmers, in words for people.

use super::{Explained, lower_first};

/// Kinds of errors that say nothing to the one who has to act.
const KINDS: [&str; 6] =
    ["Execution error: ", "Parquet error: ", "Arrow error: ", "NYI: ", "EOF: ", "External: "];

/// Words a sentence of the engine.
pub(super) fn explain(text: &str) -> Explained {
    let text = without_system_number(without_kinds(text.trim())).trim_end_matches('.').to_string();
    known(&text).unwrap_or_else(|| Explained { message: lower_first(&text), help: None })
}

/// Without the number that Rust writes behind what the operating system says: `(os error 2)`.
pub(super) fn without_system_number(text: &str) -> String {
    let Some((before, rest)) = text.split_once(" (os error ") else { return text.to_string() };
    match rest.split_once(')') {
        Some((number, after)) if number.parse::<i32>().is_ok() => format!("{before}{after}"),
        _ => text.to_string(),
    }
}

fn without_kinds(mut text: &str) -> &str {
    while let Some(rest) = KINDS.iter().find_map(|kind| text.strip_prefix(kind)) {
        text = rest;
    }
    text
}

fn known(text: &str) -> Option<Explained> {
    let said = |message: String, help: &str| {
        let help = (!help.is_empty()).then(|| help.to_string());
        Some(Explained { message, help })
    };
    let between = |start: &str, end: &str| text.strip_prefix(start)?.split_once(end).map(|(name, _)| name);
    if let Some(name) = between("Config value \"", "\" not found on ") {
        return said(format!("there is no setting or option '{name}'"), "SHOW ALL lists the settings");
    }
    let unknown = between("could not find config namespace for key \"", "\"");
    if let Some(name) = unknown.or_else(|| between("Could not find config namespace \"", "\"")) {
        return said(format!("there is no setting '{name}'"), "SHOW ALL lists the settings");
    }
    if let Some(name) = text.strip_prefix("There is no registered file format with ext ") {
        let message = format!("files named '.{name}' cannot be written: the name tells no format");
        return said(message, "say it: STORED AS CSV, JSON, PARQUET or ARROW");
    }
    if let Some(name) = text.strip_prefix("Unable to find factory for ") {
        let message = format!("'{name}' is no format of files");
        return said(message, "formats are CSV, TSV, JSON, PARQUET, AVRO and ARROW");
    }
    if let Some(name) = between("Table '", "' doesn't exist") {
        return said(format!("table '{name}' does not exist"), "");
    }
    if let Some((_, call)) = text.split_once("Array overflow on ") {
        return said(format!("integer overflow: {call}"), "");
    }
    if text.starts_with("Date arithmetic overflow: ") {
        return said("date overflow: the result is no date that can be stored".into(), "");
    }
    if text.starts_with("Dot access not supported for non-string expr: ") {
        return said("a dot takes no field of this expression".into(), "write (…)['name']");
    }
    if text.starts_with("Attempting to write an Arrow interval type ") {
        return said("Parquet files cannot hold this kind of interval".into(), "cast it to text: x::varchar");
    }
    if let Some(words) = text.split_once(" While expanding wildcard, column \"") {
        let (column, _) = words.1.split_once('"')?;
        return said(format!("column '{column}' must be in GROUP BY or inside an aggregate function"), "");
    }
    if let Some(kind) = text.strip_prefix("Cannot create filter with non-boolean predicate ") {
        let (_, kind) = kind.rsplit_once(" returning ")?;
        return said(format!("a condition has to be true or false, and this one is of type {kind}"), "");
    }
    if let Some((function, reason)) = text.split_once(" user-defined coercion failed with: ") {
        let name = function.split('\'').nth(1)?;
        let reason = without_kinds(reason).split(". No function matches").next().unwrap_or_default();
        return said(
            format!("function '{name}' cannot take these arguments: {}", reason.trim_end_matches('.')),
            "",
        );
    }
    if let Some(node) = text.strip_prefix("Unsupported ast node in sqltorel: ") {
        let name = node.split(['{', '(', ' ']).next().unwrap_or_default();
        return said(format!("{} is not supported", name.to_uppercase()), "");
    }
    if let Some(text) = without_syntax_tree(text) {
        return said(lower_first(text), "");
    }
    csv(text).or_else(|| json(text)).map(|message| Explained { message, help: None })
}

/// A sentence without the piece of the parser's tree that is printed at its end.
fn without_syntax_tree(text: &str) -> Option<&str> {
    text.contains("Span(Location(").then_some(())?;
    let (sentence, _) = text.split_at(text.find(['{', '('])?);
    let (sentence, _type) = sentence.trim_end().rsplit_once(' ')?;
    Some(sentence.trim_end_matches([':', ' ']))
}

/// A CSV value of another type. The engine counts columns from 0, and lines from where a thread started
/// to read, which tells nothing: the row itself does.
fn csv(text: &str) -> Option<String> {
    let rest = text.strip_prefix("Error while parsing value '")?;
    let (value, rest) = rest.split_once("' as type '")?;
    let (kind, rest) = rest.split_once("' for column ")?;
    let (column, rest) = rest.split_once(" at line ")?;
    let (_, row) = rest.split_once(" Row data: ")?;
    let column = column.parse::<usize>().ok()? + 1;
    let row = row.trim_matches('\'');
    Some(format!("'{value}' in column {column} is no {kind}; the row is {row}"))
}

fn json(text: &str) -> Option<String> {
    if let Some(found) = text.strip_prefix("Expected JSON record to be an object, found ") {
        let found = found.split(['(', ' ']).next().unwrap_or_default().to_lowercase();
        return Some(format!("its records have to be JSON objects, and one is not ({found})"));
    }
    let is_mixed = text.starts_with("Expected scalar or scalar array JSON type, found: ")
        || text.starts_with("Expected object json type, found: ")
        || text.starts_with("Expected array json type, found: ");
    is_mixed.then(|| "a field holds objects or lists in some records, and other values in others".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_for_programmers_are_reworded() {
        for (engine, ours) in [
            ("Execution error: Cannot take it", "cannot take it"),
            ("Parquet error: EOF: file is short", "file is short"),
            ("No space left on device (os error 28)", "no space left on device"),
            (
                "Config value \"batch_sise\" not found on ExecutionOptions",
                "there is no setting or option 'batch_sise'",
            ),
            ("Int64Array overflow on abs(-9)", "integer overflow: abs(-9)"),
            ("Table 'x' doesn't exist.", "table 'x' does not exist"),
            (
                "Error while parsing value 'x' as type 'Int64' for column 0 at line 7. Row data: '[x,2]'",
                "'x' in column 1 is no Int64; the row is [x,2]",
            ),
            (
                "Substring without for/from is not valid Substring { expr: Value(Span(Location(1,15)..)) }",
                "substring without for/from is not valid",
            ),
            (
                "Execution error: Function 'max' user-defined coercion failed with: Execution error: min/max was \
                 called with 0 arguments. It requires only 1.. No function matches the given name",
                "function 'max' cannot take these arguments: min/max was called with 0 arguments. It requires only 1",
            ),
            (
                "Cannot create filter with non-boolean predicate 'Utf8(\"abc\")' returning Utf8",
                "a condition has to be true or false, and this one is of type Utf8",
            ),
            ("JSON is what it is", "JSON is what it is"),
        ] {
            assert_eq!(explain(engine).message, ours);
        }
    }
}
