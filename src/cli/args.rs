//! Arguments as written (clap) and as meant ([`Args`]).

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::data::Data;
use super::graph::Drawing;
use super::record::Files;
use crate::config::{self, ColorChoice, EngineKind, ProgressChoice, ScanLimit};
use crate::error::{Error, Result};
use crate::frontend::sql::Params;
use crate::graph::GraphFormat;
use crate::memory::{Limits, temp_bytes};
use crate::output::Format;
use crate::session::{SessionOptions, find_project};
use crate::store::{Secret, file};

/// Run SQL over files, in a shell or from a script
#[derive(Parser)]
#[command(
    name = "query",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    args_conflicts_with_subcommands = false
)]
#[command(after_help = "Example: query -c \"SELECT region, sum(amount) FROM 'sales/*.csv' GROUP BY ALL\"\n\
    Exit codes: 0 done, 1 failed, 2 usage, 124 timeout, 130 Ctrl-C, 143 terminated")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Open this data file, pattern or folder as a table
    #[arg(value_name = "DATA")]
    data: Option<PathBuf>,
    /// Run this SQL (repeatable, in order with -f)
    #[arg(short = 'c', long = "command", value_name = "SQL", allow_hyphen_values = true)]
    commands: Vec<String>,
    /// Run a file of SQL, '-' for stdin (repeatable)
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Subcommand)]
enum Command {
    /// Run SQL files in order, in one session
    Run {
        /// The files, '-' for standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Draw the task graphs of queries without running them
    Graph(Graph),
}

#[derive(clap::Args)]
struct Graph {
    /// The files of SQL, '-' for standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Draw the queries of this SQL (repeatable)
    #[arg(short = 'c', long = "command", value_name = "SQL", allow_hyphen_values = true)]
    commands: Vec<String>,
    /// text, dot or svg [default: by -o, else text]
    #[arg(
        long = "format",
        id = "format",
        value_name = "FORMAT",
        value_parser = graph_formats(),
        hide_possible_values = true
    )]
    graph_format: Option<String>,
}

#[derive(clap::Args)]
struct Shared {
    /// table, csv, tsv, json, ndjson, markdown, line, parquet or arrow
    #[arg(long, global = true, value_name = "FORMAT", value_parser = formats(), hide_possible_values = true)]
    format: Option<String>,
    /// Write the result to this file, by its extension
    #[arg(short, long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Give $NAME in the SQL a value (repeatable)
    #[arg(long = "param", global = true, value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Go on after a failed statement; still exit with 1
    #[arg(long, global = true)]
    keep_going: bool,
    /// Rows of a table to show, 0 for all
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true)]
    max_rows: Option<usize>,
    /// Memory for queries, as 512MB or 50% [default: 75%]
    #[arg(long, global = true, value_name = "SIZE", allow_hyphen_values = true)]
    memory_limit: Option<String>,
    /// Folder for what does not fit into memory
    #[arg(long, global = true, value_name = "DIR")]
    temp_dir: Option<PathBuf>,
    /// Room in that folder [default: 90% of what is free]
    #[arg(long, global = true, value_name = "SIZE", allow_hyphen_values = true)]
    max_temp_size: Option<String>,
    /// Threads that queries run on [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Stop a statement that takes longer, as 30s or 5m
    #[arg(long, global = true, value_name = "TIME")]
    timeout: Option<String>,
    /// What runs queries: local, inline or stock
    #[arg(long, global = true, value_name = "ENGINE", hide_possible_values = true, value_parser = engines())]
    engine: Option<String>,
    /// Read this configuration file (secrets of stores)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write down in this file what stages and tasks did
    #[arg(long, global = true, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write down in this file what each thread did when
    #[arg(long, global = true, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write a page about the run into this HTML file
    #[arg(long, global = true, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Folder of tables that last [default: with .query]
    #[arg(long, global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Refuse what changes files or tables that last
    #[arg(long, global = true)]
    readonly: bool,
    /// Refuse a query that would read more, as 10GB
    #[arg(long, global = true, value_name = "SIZE", allow_hyphen_values = true)]
    max_scan: Option<String>,
    /// Show how far a statement is: auto, on or off
    #[arg(long, global = true, value_name = "WHEN", value_parser = progress_choices(), hide_possible_values = true)]
    progress: Option<String>,
    /// Say nothing but errors on standard error
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Colour messages: auto, always or never
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        hide_possible_values = true,
        hide_default_value = true
    )]
    color: When,
}

#[derive(Clone, Copy, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

fn formats() -> clap::builder::PossibleValuesParser {
    Format::ALL.map(Format::name).into()
}

fn graph_formats() -> clap::builder::PossibleValuesParser {
    GraphFormat::ALL.map(GraphFormat::name).into()
}

fn engines() -> clap::builder::PossibleValuesParser {
    EngineKind::ALL.map(EngineKind::name).into()
}

fn progress_choices() -> clap::builder::PossibleValuesParser {
    ProgressChoice::ALL.map(ProgressChoice::name).into()
}

/// What to run and how.
pub(super) struct Args {
    pub(super) inputs: Vec<Input>,
    pub(super) data: Option<Data>,
    /// Whether to ask for SQL on the terminal.
    pub(super) is_shell: bool,
    /// Whether to draw graphs instead of running queries, and how.
    pub(super) drawing: Option<Drawing>,
    pub(super) params: Params,
    /// As it was asked for.
    pub(super) format: Option<Format>,
    pub(super) output: Option<PathBuf>,
    pub(super) keep_going: bool,
    pub(super) max_rows: Option<usize>,
    pub(super) session: SessionOptions,
    /// The time that a statement may take.
    pub(super) timeout: Option<Duration>,
    /// Where to write down what happens.
    pub(super) files: Files,
    pub(super) quiet: bool,
    pub(super) color: ColorChoice,
}

/// A source of SQL text.
pub(super) enum Input {
    Command(String),
    File(PathBuf),
    Stdin,
}

/// Reads the process's arguments. `--help`, `--version` and misuse are answered here.
pub(super) fn parse() -> Result<Args, ExitCode> {
    let matches = Cli::command().try_get_matches().map_err(answer)?;
    let cli = Cli::from_arg_matches(&matches).map_err(answer)?;
    let color = color(cli.shared.color);
    mean(cli, &matches).map_err(|error| ExitCode::from(super::report::Reporter::new(color).fail(&error)))
}

/// Prints what clap has to say, by its own rules for streams and exit codes; a closed pipe is no error.
fn answer(message: clap::Error) -> ExitCode {
    drop(message.print());
    if let Some(ContextValue::String(word)) = message.get(ContextKind::InvalidArg)
        && std::path::Path::new(word).exists()
    {
        super::report::Reporter::new(ColorChoice::Auto)
            .note("\nTo open several files as one table, quote a pattern: query 'data/*.csv'");
    }
    ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(2))
}

fn mean(cli: Cli, matches: &ArgMatches) -> Result<Args> {
    let mut shared = cli.shared;
    // `-o -` is standard output, which is where results go anyway.
    shared.output = shared.output.filter(|path| path.as_os_str() != "-");
    let data = cli.data.as_deref().map(Data::of).transpose()?;
    let mut inputs = in_order(&cli.commands, &cli.files, matches);
    let (stdin, stdout) = (std::io::stdin().is_terminal(), std::io::stdout().is_terminal());
    let mut drawing = None;
    let is_shell = cli.command.is_none() && inputs.is_empty() && shared.output.is_none() && stdin && stdout;
    match cli.command {
        Some(Command::Run { .. }) if !inputs.is_empty() => {
            return Err(Error::usage_help("`run` cannot be combined with -c or -f", "use -c and -f alone"));
        }
        Some(Command::Run { files }) => inputs = files.into_iter().map(file).collect(),
        Some(Command::Graph(_)) if !inputs.is_empty() => {
            return Err(Error::usage_help("-c and -f cannot stand before `graph`", "put them behind it"));
        }
        Some(Command::Graph(graph)) => {
            let format = graph.graph_format.as_deref().map(GraphFormat::from_str).transpose()?;
            drawing = Some(Drawing::new(format, shared.output.take())?);
            shared.format = None;
            inputs = graph.files.into_iter().map(file).collect();
            inputs.extend(graph.commands.into_iter().map(Input::Command));
            if inputs.is_empty() {
                inputs.push(piped(stdin)?);
            }
        }
        None if data.is_some() || is_shell || !inputs.is_empty() => {}
        None => inputs.push(piped(stdin)?),
    }
    if inputs.iter().filter(|input| matches!(input, Input::Stdin)).count() > 1 {
        return Err(Error::usage("standard input can be read only once"));
    }
    let session = SessionOptions {
        limits: limits(&shared)?,
        engine: shared.engine.as_deref().map(str::parse).transpose()?,
        threads: shared.threads,
        progress: progress(&shared)?,
        secrets: secrets(&shared)?,
        patience: None,
        project: project(&shared)?,
        readonly: shared.readonly,
        max_scan: max_scan(&shared)?,
    };
    if shared.readonly {
        refuse_files(&shared, drawing.as_ref())?;
    }
    Ok(Args {
        inputs,
        data,
        is_shell,
        drawing,
        params: Params::parse(&shared.params)?,
        format: shared.format.as_deref().map(Format::from_str).transpose()?,
        output: shared.output,
        keep_going: shared.keep_going,
        max_rows: shared.max_rows,
        session,
        timeout: shared.timeout.as_deref().map(duration).transpose()?,
        files: Files { record: shared.record, trace: shared.trace, report: shared.report },
        quiet: shared.quiet,
        color: color(shared.color),
    })
}

/// Standard input, if nothing else is said and it is no terminal.
fn piped(is_terminal: bool) -> Result<Input> {
    match is_terminal {
        true => Err(Error::usage_help(
            "there is no SQL to run",
            "give some with `query run FILE`, -c SQL, or on a pipe",
        )),
        false => Ok(Input::Stdin),
    }
}

/// The limits of memory and disk: flags, else the environment.
fn limits(shared: &Shared) -> Result<Limits> {
    let memory = shared.memory_limit.clone().or_else(config::memory_limit);
    let size = shared.max_temp_size.clone().or_else(config::max_temp_size);
    Ok(Limits {
        memory: memory.map(|text| text.parse()).transpose()?,
        temp_dir: shared.temp_dir.clone().or_else(config::chosen_temp_dir),
        temp_bytes_max: size.map(|text| temp_bytes(&text)).transpose()?,
    })
}

/// The secrets of the configuration file: of the flag's, else the environment's, which have to be there, else of the
/// usual one.
fn secrets(shared: &Shared) -> Result<Vec<Secret>> {
    let chosen = shared.config.clone().or_else(config::chosen_config_file);
    let usual = if chosen.is_none() { config::config_file() } else { None };
    match (&chosen, &usual) {
        (Some(path), _) => file::read(path, true),
        (None, Some(path)) => file::read(path, false),
        (None, None) => Ok(Vec::new()),
    }
}

/// When to show how far statements are: the flag, else the environment.
fn progress(shared: &Shared) -> Result<Option<ProgressChoice>> {
    let Some(text) = shared.progress.clone().or_else(config::progress) else { return Ok(None) };
    match text.parse() {
        Ok(choice) => Ok(Some(choice)),
        Err(_) => {
            let message = format!("QUERY_PROGRESS cannot be '{text}'");
            Err(Error::usage_help(message, "set it to auto, on or off"))
        }
    }
}

/// The folder of the project: the flag's, else the one that the working directory is in.
fn project(shared: &Shared) -> Result<Option<PathBuf>> {
    match &shared.project {
        Some(folder) if folder.is_dir() => Ok(Some(folder.clone())),
        Some(folder) => Err(Error::usage_help(
            format!("no folder '{}'", folder.display()),
            "--project names an existing one",
        )),
        None => Ok(std::env::current_dir().ok().and_then(|here| find_project(&here))),
    }
}

fn max_scan(shared: &Shared) -> Result<ScanLimit> {
    let Some(text) = &shared.max_scan else { return Ok(ScanLimit::default()) };
    text.parse().map_err(|_| {
        Error::usage_help(format!("'{text}' is not a size for --max-scan"), "write it as 10GB or 500MiB")
    })
}

/// Refuses files that the flags name together with `--readonly`.
fn refuse_files(shared: &Shared, drawing: Option<&Drawing>) -> Result<()> {
    let named = [
        (shared.output.is_some() || drawing.is_some_and(Drawing::has_file), "-o"),
        (shared.record.is_some(), "--record"),
        (shared.trace.is_some(), "--trace"),
        (shared.report.is_some(), "--report"),
    ];
    match named.iter().find(|(is_named, _)| *is_named) {
        Some((_, flag)) => Err(Error::usage(format!("{flag} writes a file, and --readonly refuses that"))),
        None => Ok(()),
    }
}

/// A time such as `30s`, `500ms`, `5m` or `1h`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let seconds = match unit {
        "ms" => Some(0.001),
        "" | "s" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let number = number.trim().parse::<f64>().ok().filter(|number| *number > 0.0);
    let time = number.zip(seconds).and_then(|(number, unit)| Duration::try_from_secs_f64(number * unit).ok());
    time.ok_or_else(|| {
        Error::usage_help(format!("'{text}' is not a time for --timeout"), "write it as 30s, 500ms, 5m or 1h")
    })
}

fn color(when: When) -> ColorChoice {
    match when {
        When::Auto => ColorChoice::Auto,
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    }
}

fn file(path: PathBuf) -> Input {
    if path.as_os_str() == "-" { Input::Stdin } else { Input::File(path) }
}

/// `-c` and `-f` as they stood on the command line.
fn in_order(commands: &[String], files: &[PathBuf], matches: &ArgMatches) -> Vec<Input> {
    let places = |id: &str| matches.indices_of(id).into_iter().flatten().collect::<Vec<_>>();
    let commands = places("commands").into_iter().zip(commands.iter().cloned().map(Input::Command));
    let files = places("files").into_iter().zip(files.iter().cloned().map(file));
    let mut inputs: Vec<_> = commands.chain(files).collect();
    inputs.sort_by_key(|(place, _)| *place);
    inputs.into_iter().map(|(_, input)| input).collect()
}
