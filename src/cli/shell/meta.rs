//! Commands of the shell, in two dialects: `.tables` and `\dt`.

use std::path::{Path, PathBuf};

use super::items::Items;
use crate::cli::execute::Desk;
use crate::cli::record::Book;
use crate::cli::script;
use crate::error::{Error, Result};
use crate::output::Format;
use crate::source::file::looks_like_path;

/// Files that read files that read files: at this depth one of them reads itself.
const DEPTH_MAX: usize = 16;
/// Where the SQL stands that commands stand for.
pub(in crate::cli) const SCRIPT: &str = "<command>";
/// A name less similar than this was not meant.
const SIMILARITY_MIN: f64 = 0.5;

/// A command's names and what it does, for `.help`, completion and suggestions.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) twin: &'static str,
    args: &'static str,
    help: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Help,
    Tables,
    Schema,
    Read,
    Mode,
    Lines,
    Timer,
    Output,
    Refresh,
    Estimate,
    Why,
    Report,
    Quit,
}

/// All commands, in the order of `.help`.
pub(super) const COMMANDS: [Command; 13] = [
    command(".tables", "\\dt", "", "list tables and views", Kind::Tables),
    command(".schema", "\\d", "[TABLE]", "columns of a table or file; alone: of all", Kind::Schema),
    command(".read", "\\i", "FILE", "run the SQL and the commands in a file", Kind::Read),
    command(".mode", "\\pset format", "[FORMAT]", "write results as table, csv, json, line …", Kind::Mode),
    command(".lines", "\\x", "[on|off]", "one value per line (once: end with \\G)", Kind::Lines),
    command(".output", "\\o", "[FILE]", "write results to a file; alone: to the screen", Kind::Output),
    command(".timer", "\\timing", "[on|off]", "say how long each statement takes", Kind::Timer),
    command(".refresh", "\\refresh", "", "look anew at what S3 and other stores have", Kind::Refresh),
    command(".estimate", "\\estimate", "SQL", "say what a query would read of each table", Kind::Estimate),
    command(".why", "\\why", "", "say where the time went, and what to try", Kind::Why),
    command(".report", "\\report", "[FILE]", "write a page about the last statement", Kind::Report),
    command(".help", "\\?", "", "show this", Kind::Help),
    command(".quit", "\\q", "", "leave (also: quit, exit, Ctrl-D)", Kind::Quit),
];

const fn command(
    name: &'static str,
    twin: &'static str,
    args: &'static str,
    help: &'static str,
    kind: Kind,
) -> Command {
    Command { name, twin, args, help, kind }
}

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Meta {
    Help,
    Tables,
    Schema(Option<String>),
    Read(PathBuf),
    Mode(Option<Format>),
    Lines(Option<bool>),
    Timer(Option<bool>),
    Output(Option<PathBuf>),
    Refresh,
    Estimate(String),
    Why,
    Report(Option<PathBuf>),
    Quit,
}

/// What a command leaves to do.
pub(in crate::cli) enum Act {
    /// Run this.
    Run(Items),
    /// Print this on standard output.
    Print(String),
    /// Tell this to people.
    Say(String),
    Nothing,
    Quit,
}

/// Whether a line where a statement could start is a command.
pub(super) fn is_command(line: &str) -> bool {
    let mut chars = line.chars();
    match chars.next() {
        Some('.' | '\\') => chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '?'),
        _ => word(line).is_some(),
    }
}

/// The commands that need no mark.
fn word(line: &str) -> Option<Meta> {
    match line.trim().trim_end_matches(';').trim_end().to_ascii_lowercase().as_str() {
        "quit" | "exit" => Some(Meta::Quit),
        "help" => Some(Meta::Help),
        _ => None,
    }
}

impl Meta {
    /// Reads a command line.
    ///
    /// # Errors
    /// An unknown command, with the nearest one; an argument that is missing or makes no sense.
    pub(in crate::cli) fn parse(line: &str) -> Result<Self> {
        if let Some(meta) = word(line) {
            return Ok(meta);
        }
        let line = line.trim().trim_end_matches(';').trim_end();
        let (name, rest) = split_name(line);
        let Some(known) = find(name) else { return Err(unknown(name)) };
        let argument = (!rest.is_empty()).then_some(rest);
        let need = |what| {
            Error::usage_help(format!("{name} needs {what}"), format!("write {} {}", known.name, known.args))
        };
        match (known.kind, argument) {
            (Kind::Help, _) => Ok(Self::Help),
            (Kind::Tables, None) => Ok(Self::Tables),
            (Kind::Schema, table) => Ok(Self::Schema(table.map(str::to_string))),
            (Kind::Read, None) => Err(need("a file")),
            (Kind::Read, Some(file)) => Ok(Self::Read(path(file))),
            (Kind::Mode, None) => Ok(Self::Mode(None)),
            (Kind::Mode, Some("aligned")) => Ok(Self::Mode(Some(Format::Table))),
            (Kind::Mode, Some(format)) => Ok(Self::Mode(Some(format.parse()?))),
            (Kind::Lines, switch) => Ok(Self::Lines(on_off(name, switch)?)),
            (Kind::Timer, switch) => Ok(Self::Timer(on_off(name, switch)?)),
            (Kind::Output, file) => Ok(Self::Output(file.map(path))),
            (Kind::Refresh, None) => Ok(Self::Refresh),
            (Kind::Estimate, None) => Err(need("a query")),
            (Kind::Estimate, Some(sql)) => Ok(Self::Estimate(sql.to_string())),
            (Kind::Why, None) => Ok(Self::Why),
            (Kind::Report, file) => Ok(Self::Report(file.map(path))),
            (Kind::Quit, None) => Ok(Self::Quit),
            (Kind::Tables | Kind::Refresh | Kind::Why | Kind::Quit, Some(_)) => {
                Err(Error::usage(format!("{name} takes no argument")))
            }
        }
    }

    /// Carries the command out, as far as it needs no statement.
    ///
    /// # Errors
    /// A file that cannot be read, a form that the place of results does not take.
    pub(in crate::cli) fn apply(self, desk: &mut Desk, depth: usize) -> Result<Act> {
        match self {
            Self::Help => Ok(Act::Print(help())),
            Self::Tables => {
                Ok(sql("select table_schema as schema, table_name as name, lower(table_type) as kind \
                 from information_schema.tables where table_schema <> 'information_schema' order by 1, 2"))
            }
            Self::Schema(Some(table)) => Ok(sql(&format!("describe {}", relation(&table)))),
            Self::Schema(None) => Ok(sql(
                "select table_name, column_name, data_type, is_nullable from information_schema.columns \
                 where table_schema <> 'information_schema' order by table_schema, table_name, ordinal_position",
            )),
            Self::Read(file) => read(&file, depth),
            Self::Mode(None) => {
                let known = Format::ALL.map(Format::name).join(", ");
                Ok(Act::Say(format!("mode {} (of {known})", desk.output.format())))
            }
            Self::Mode(Some(format)) => desk.output.set_format(format).map(|()| Act::Nothing),
            Self::Lines(switch) => {
                desk.output.set_lines(switch.unwrap_or(desk.output.format() != Format::Line));
                Ok(Act::Say(format!("mode {}", desk.output.format())))
            }
            Self::Timer(switch) => {
                desk.timer = switch.unwrap_or(!desk.timer);
                Ok(Act::Say(format!("timer {}", if desk.timer { "on" } else { "off" })))
            }
            Self::Output(file) => {
                if file.is_some() {
                    refuse_file(desk, ".output")?;
                }
                desk.output.set_file(file).map(|()| Act::Nothing)
            }
            Self::Refresh => {
                desk.session.refresh();
                Ok(Act::Nothing)
            }
            Self::Estimate(query) => Ok(sql(&format!("explain estimate {query}"))),
            Self::Why => Ok(Act::Print(book(desk)?.why()?)),
            Self::Report(file) => {
                refuse_file(desk, ".report")?;
                let file = book(desk)?.report(file)?;
                Ok(Act::Say(format!("report written to '{}'", file.display())))
            }
            Self::Quit => Ok(Act::Quit),
        }
    }
}

/// Refuses to write a file in a session that is to leave all as it is.
fn refuse_file(desk: &Desk, command: &str) -> Result<()> {
    match desk.session.is_readonly() {
        true => Err(Error::usage(format!("{command} writes a file, and the session is read-only"))),
        false => Ok(()),
    }
}

/// What is known of the last statement.
fn book(desk: &Desk) -> Result<&Book> {
    desk.book
        .as_ref()
        .ok_or_else(|| Error::Internal { message: "nothing is known of the last statement".into() })
}

/// `\pset format csv` has a name of two words.
fn split_name(line: &str) -> (&str, &str) {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match rest.strip_prefix("format") {
        Some(format) if name.eq_ignore_ascii_case("\\pset") && !format.starts_with(char::is_alphanumeric) => {
            ("\\pset format", format.trim())
        }
        _ => (name, rest),
    }
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|known| known.name.eq_ignore_ascii_case(name) || known.twin == name)
}

/// What may stand behind a command.
pub(super) enum Argument {
    None,
    File,
    Table,
    Format,
    Switch,
}

/// What may stand behind a command of this name.
pub(super) fn argument_of(name: &str) -> Argument {
    match find(name).map(|known| known.kind) {
        Some(Kind::Read | Kind::Output | Kind::Report) => Argument::File,
        Some(Kind::Schema) => Argument::Table,
        Some(Kind::Mode) => Argument::Format,
        Some(Kind::Lines | Kind::Timer) => Argument::Switch,
        Some(Kind::Help | Kind::Tables | Kind::Refresh | Kind::Estimate | Kind::Why | Kind::Quit) | None => {
            Argument::None
        }
    }
}

fn unknown(name: &str) -> Error {
    let names = || COMMANDS.iter().flat_map(|known| [known.name, known.twin]);
    let score = |known: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), known);
    let nearest =
        names().map(|known| (score(known), known)).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
    let help = match nearest.filter(|(score, _)| name.len() > 2 && *score >= SIMILARITY_MIN) {
        Some((_, near)) => format!("did you mean '{near}'?"),
        None => "'.help' lists the commands".into(),
    };
    Error::usage_help(format!("unknown command '{name}'"), help)
}

fn on_off(name: &str, switch: Option<&str>) -> Result<Option<bool>> {
    match switch.map(str::to_ascii_lowercase).as_deref() {
        None => Ok(None),
        Some("on") => Ok(Some(true)),
        Some("off") => Ok(Some(false)),
        Some(other) => Err(Error::usage_help(format!("{name} cannot be '{other}'"), "write on or off")),
    }
}

/// A path with or without quotes around it.
fn path(text: &str) -> PathBuf {
    let quoted = |mark: char| text.strip_prefix(mark)?.strip_suffix(mark);
    PathBuf::from(quoted('\'').or_else(|| quoted('"')).unwrap_or(text))
}

/// A name for SQL: paths get quotes if they have none.
fn relation(name: &str) -> String {
    match name.starts_with(['\'', '"']) {
        false if looks_like_path(name) => quoted(name),
        _ => name.to_string(),
    }
}

/// A text as a string of SQL.
pub(in crate::cli) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn sql(text: &str) -> Act {
    Act::Run(Items::with_commands(SCRIPT, text))
}

fn read(file: &Path, depth: usize) -> Result<Act> {
    if depth >= DEPTH_MAX {
        let message = format!("'{}' is read by files that read each other", file.display());
        return Err(Error::usage(message));
    }
    let script = script::read_file(file)?;
    let items = Items::with_commands(&script.name, &script.text);
    Ok(Act::Run(Items { depth: depth + 1, ..items }))
}

fn help() -> String {
    let lines = COMMANDS.iter().map(|command| {
        let name = format!("{} {}", command.name, command.args);
        format!("{name:<18} {:<13} {}", command.twin, command.help)
    });
    let lines: Vec<_> = lines.collect();
    format!(
        "SQL ends with a semicolon and may take several lines. Tab completes, Ctrl-R\n\
         searches, Ctrl-C clears the line or stops the query.\n\n{}",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_mean_the_same() {
        let pairs = [
            (".tables", "\\dt"),
            (".schema t", "\\d t"),
            (".read a b.sql", "\\i a b.sql"),
            (".mode csv", "\\pset format csv"),
            (".mode", "\\pset format"),
            (".timer", "\\timing"),
            (".output 'x.csv'", "\\o x.csv"),
            (".output", "\\o"),
            (".refresh", "\\refresh"),
            (".why", "\\why"),
            (".estimate from t;", "\\estimate from t"),
            (".report 'a b.html'", "\\report a b.html"),
            (".help", "\\?"),
            (".quit", "\\q"),
            ("EXIT;", "quit"),
            (".lines on", "\\x on"),
            (".TIMER ON ;", "\\timing on"),
        ];
        for (one, other) in pairs {
            assert_eq!(Meta::parse(one).unwrap(), Meta::parse(other).unwrap(), "{one} {other}");
        }
    }

    #[test]
    fn a_misspelt_command_names_the_nearest() {
        let help = |line: &str| match Meta::parse(line) {
            Err(Error::Usage { help: Some(help), .. }) => help,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(help(".tabels"), "did you mean '.tables'?");
        assert_eq!(help(".exit"), "did you mean '.quit'?");
        assert_eq!(help("\\timign"), "did you mean '\\timing'?");
        assert_eq!(help(".frobnicate"), "'.help' lists the commands");
        assert_eq!(help(".timer maybe"), "write on or off");
        assert_eq!(help(".read"), "write .read FILE");
    }

    #[test]
    fn statements_are_no_commands() {
        for line in ["select 1", "quitting", ".5", "exit now", "help me", "\\", "."] {
            assert!(!is_command(line), "{line}");
        }
    }
}
