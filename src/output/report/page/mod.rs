//! A page about statements that have run: one HTML file that needs nothing but itself.
//!
//! All of it is in the markup; the script only sorts tables, enlarges the graph and shows what a bar stands for. A
//! policy in the head forbids the browser to load anything, whatever the texts in the page would have it do.

mod curve;
mod html;
mod tables;
#[cfg(test)]
mod tests;
mod timeline;

use std::fmt::Write;
use std::time::SystemTime;

use self::html::{Escaped, add};
use super::why::{Finding, Why};
use super::{End, Ran, elapsed};
use crate::graph::{Drawing, EdgeId, GraphFormat, Notes, StageId};
use crate::output::numbers::{bytes, count, grouped, percent, rows, time};
use crate::scheduler::record::JobRun;
use crate::scheduler::state::{Outcome, Status};

const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");
/// What the browser may do with the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'";
/// Stages from which on a picture of the graph is no help any more.
const DRAWN_STAGES_MAX: usize = 250;

/// The page about these statements, made at this time. `errors`: those that are no statement's.
pub fn html(statements: &[Ran], errors: &[String], made: SystemTime) -> String {
    let mut page = String::with_capacity(256 * 1024);
    let name = match statements {
        [one] => one.sql.as_deref().map(first_line).unwrap_or_else(|| "a statement".into()),
        several => count(several.len() as u64, "statement"),
    };
    add!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>query: {}</title>\n<style>\n{CSS}{}</style>\n</head>\n<body>\n",
        Escaped(&name),
        Drawing::svg_css()
    );
    add!(
        page,
        "<header><h1>What the run did</h1><p class=\"made\">query {} on DataFusion {}, {}</p></header>\n<main>\n",
        env!("CARGO_PKG_VERSION"),
        datafusion::DATAFUSION_VERSION,
        timestamp(made)
    );
    for error in errors {
        add!(page, "<p class=\"error\">{}</p>\n", Escaped(error));
    }
    if statements.is_empty() {
        page.push_str("<p>No statement was run.</p>\n");
    }
    if statements.len() > 1 {
        add_contents(&mut page, statements);
    }
    for (at, ran) in statements.iter().enumerate() {
        add_statement(&mut page, at, ran, statements.len() > 1);
    }
    add!(page, "</main>\n<div id=\"tip\" hidden></div>\n<script>\n{JS}</script>\n</body>\n</html>\n");
    page
}

/// As `2026-11-27 18:05:12 UTC`.
fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let date = i64::try_from(since.as_millis())
        .ok()
        .and_then(datafusion::arrow::temporal_conversions::timestamp_ms_to_datetime);
    date.map(|date| format!("{} UTC", date.format("%Y-%m-%d %H:%M:%S"))).unwrap_or_default()
}

fn first_line(sql: &str) -> String {
    let line: String = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(90) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

fn outcome(ran: &Ran) -> (&'static str, String) {
    match &ran.end {
        End::Rows(number) => ("done", rows(*number)),
        End::Written(number) => ("done", format!("{} written", rows(*number))),
        // The rows of a table that was made are those of the graph that made them.
        End::Effect => {
            ("done", ran.jobs.last().map_or("done".into(), |job| format!("done, {}", rows(job.rows()))))
        }
        End::Failed(_) => ("failed", "failed".into()),
        End::Stopped(_) => ("stopped", "stopped".into()),
    }
}

fn add_contents(page: &mut String, statements: &[Ran]) {
    page.push_str("<nav><h2>Statements</h2><ol>\n");
    for (at, ran) in statements.iter().enumerate() {
        let (class, end) = outcome(ran);
        let took = ran.took.map(time).unwrap_or_default();
        let name =
            ran.sql.as_deref().map(first_line).unwrap_or_else(|| "withheld: it may hold a secret".into());
        add!(
            page,
            "<li><a href=\"#s{at}\">{}</a> <span class=\"quiet\">{took}, </span><span class=\"{class}\">{end}</span></li>\n",
            Escaped(&name)
        );
    }
    page.push_str("</ol></nav>\n");
}

fn add_statement(page: &mut String, at: usize, ran: &Ran, is_one_of_many: bool) {
    let class = if ran.jobs.is_empty() { "statement short" } else { "statement" };
    add!(page, "<section class=\"{class}\" id=\"s{at}\">\n");
    let place = format!("{}, line {}", ran.script, ran.line);
    match is_one_of_many {
        true => add!(page, "<h2>{}. <span class=\"quiet\">{}</span></h2>\n", at + 1, Escaped(&place)),
        false => add!(page, "<p class=\"quiet\">{}</p>\n", Escaped(&place)),
    }
    match &ran.sql {
        Some(sql) => add!(page, "<pre class=\"sql\">{}</pre>\n", Escaped(sql.trim())),
        None => page.push_str("<p class=\"withheld\">The statement is withheld: it may hold a secret. Names and values of its operators are too.</p>\n"),
    }
    if let End::Failed(message) | End::Stopped(message) = &ran.end {
        add!(page, "<p class=\"error\">{}</p>\n", Escaped(message));
    }
    let why = Why::of(ran);
    if ran.jobs.is_empty() {
        add!(page, "<p class=\"summary\">{}</p>\n</section>\n", Escaped(&why.summary));
        return;
    }
    add_figures(page, ran);
    add_why(page, at, &why);
    let last = ran.jobs.len().saturating_sub(1);
    for (attempt, job) in ran.jobs.iter().enumerate() {
        if last > 0 {
            add!(page, "<h2 class=\"attempt\">Attempt {}: {}</h2>\n", attempt + 1, attempt_end(job));
        }
        let id = if attempt == last { format!("s{at}") } else { format!("s{at}a{attempt}") };
        add_job(page, &id, ran, job);
    }
    page.push_str("</section>\n");
}

fn attempt_end(job: &JobRun) -> &'static str {
    match job.end {
        None => "not over",
        Some((_, Outcome::Done)) => "done",
        Some((_, Outcome::Failed)) => "failed",
        Some((_, Outcome::Cancelled)) => "stopped",
    }
}

/// The figures that are looked for first.
fn add_figures(page: &mut String, ran: &Ran) {
    let (class, end) = outcome(ran);
    let stages: usize = ran.jobs.last().map_or(0, |job| job.stages.len());
    let tasks: usize =
        ran.jobs.last().map_or(0, |job| job.stages.iter().map(|stage| stage.tasks.len()).sum());
    let figures = [
        ("result", end),
        ("time", ran.took.map_or_else(|| "not over".into(), time)),
        ("planning", ran.planning.map(time).unwrap_or_default()),
        ("work", if ran.jobs.is_empty() { String::new() } else { time(ran.busy()) }),
        ("engine", format!("{}, {}", ran.engine.name(), count(ran.threads as u64, "thread"))),
        (
            "graph",
            if stages == 0 {
                String::new()
            } else {
                format!("{}, {}", count(stages as u64, "stage"), count(tasks as u64, "task"))
            },
        ),
        ("peak memory", if stages == 0 { String::new() } else { bytes(ran.memory_peak() as u64) }),
        ("spilled", if stages == 0 { String::new() } else { bytes(ran.spilled()) }),
    ];
    page.push_str("<dl class=\"figures\">\n");
    for (name, value) in figures.iter().filter(|(_, value)| !value.is_empty()) {
        let class = if *name == "result" { class } else { "" };
        add!(page, "<div><dt>{name}</dt><dd class=\"{class}\">{}</dd></div>\n", Escaped(value));
    }
    page.push_str("</dl>\n");
}

fn add_why(page: &mut String, at: usize, why: &Why) {
    add!(page, "<h3>Where the time went</h3>\n<p class=\"summary\">{}</p>\n", Escaped(&why.summary));
    if let Some(slowest) = &why.slowest {
        let start = match why.findings.is_empty() {
            true => "Nothing stands out. The slowest operator:",
            false => "Slowest operator:",
        };
        add!(
            page,
            "<p>{start} <code>{}</code> (<a href=\"#s{at}-stage{}\">stage {}</a>), {} of the work: {}.</p>\n",
            Escaped(&slowest.words),
            slowest.stage,
            slowest.stage,
            percent(slowest.share),
            Escaped(&slowest.evidence)
        );
    }
    if why.findings.is_empty() {
        return;
    }
    page.push_str("<ol class=\"findings\">\n");
    for finding in &why.findings {
        add_finding(page, at, finding);
    }
    page.push_str("</ol>\n");
}

fn add_finding(page: &mut String, at: usize, finding: &Finding) {
    let Finding { what, evidence, remedies, stage, .. } = finding;
    add!(page, "<li><strong>{}</strong>", Escaped(what));
    if let Some(stage) = stage {
        add!(page, " <a href=\"#s{at}-stage{stage}\">stage {stage}</a>");
    }
    for line in evidence {
        add!(page, "<br>{}", Escaped(line));
    }
    for line in remedies {
        add!(page, "<div class=\"try\">{}</div>", Escaped(line));
    }
    page.push_str("</li>\n");
}

fn add_job(page: &mut String, id: &str, ran: &Ran, job: &JobRun) {
    let notes = notes(job);
    add!(page, "<h3>Task graph</h3>\n");
    if job.stages.len() > DRAWN_STAGES_MAX {
        add!(
            page,
            "<p class=\"quiet\">{} are too many for a picture: the plan below has them.</p>\n",
            count(job.stages.len() as u64, "stage")
        );
    } else {
        page.push_str(
            "<p class=\"quiet\">The result is at the top, rows flow upwards. <span class=\"zoom\"><button type=\"button\" data-zoom=\"fit\">fit</button> \
             <button type=\"button\" data-zoom=\"1\">100 %</button> <button type=\"button\" data-zoom=\"+\">larger</button> \
             <button type=\"button\" data-zoom=\"-\">smaller</button></span></p>\n",
        );
        let svg = job.drawing.clone().draw_inline(&notes);
        add!(
            page,
            "<div class=\"graph\" data-job=\"{id}\" tabindex=\"0\" role=\"group\" aria-label=\"Task graph\">\n{svg}</div>\n"
        );
    }
    page.push_str("<h3>Tasks over time</h3>\n");
    timeline::add(page, job);
    page.push_str("<h3>Memory and temporary files over time</h3>\n");
    curve::add(page, ran, job);
    page.push_str(
        "<h3>Stages</h3>\n<p class=\"quiet\">Work is the time that tasks had a thread; busiest, median and most rows are those of single tasks.</p>\n",
    );
    tables::add_stages(page, id, job);
    page.push_str("<h3>Edges</h3>\n");
    tables::add_edges(page, id, job);
    page.push_str("<h3>Operators</h3>\n");
    tables::add_operators(page, id, job);
    let plan = job.drawing.clone().draw(GraphFormat::Text, &notes);
    add!(page, "<h3>Plan</h3>\n<pre class=\"plan\">{}</pre>\n", Escaped(plan.trim_end()));
}

/// What each stage and edge did, in a few lines.
fn notes(job: &JobRun) -> Notes {
    let mut notes = Notes::default();
    for (index, stage) in job.stages.iter().enumerate() {
        let id = StageId::new(index);
        let Some(started) = stage.started else {
            notes.add_to_stage(id, "never ran: nobody wanted its rows");
            continue;
        };
        let volume = stage.volume();
        let lasted = stage.ended.unwrap_or_else(|| elapsed(job)).saturating_sub(started);
        notes.add_to_stage(
            id,
            format!(
                "{} in {} ({} of work){}",
                rows(volume.rows),
                time(lasted),
                time(volume.busy),
                ended(stage.status)
            ),
        );
        let (spilled, files) = stage.spilled();
        if spilled > 0 {
            notes.add_to_stage(id, format!("spilled {} to {}", bytes(spilled), count(files, "file")));
        }
        if stage.memory_peak > 0 {
            notes.add_to_stage(id, format!("peak memory {}", bytes(stage.memory_peak as u64)));
        }
    }
    for (index, edge) in job.edges.iter().enumerate() {
        let id = EdgeId::new(index);
        if let Some(reader) = job.reader(id) {
            notes.add_to_edge(id, rows(reader.metric("output_rows")));
        }
        if edge.spilled_bytes > 0 {
            notes.add_to_edge(id, format!("{} spilled", bytes(edge.spilled_bytes)));
        }
    }
    notes
}

/// How a stage ended, where that is not as it should.
fn ended(status: Status) -> &'static str {
    match status {
        Status::Failed => ", failed",
        Status::Stopped | Status::Stopping => ", stopped early",
        Status::Running => ", not over",
        Status::Waiting | Status::Done | Status::Skipped => "",
    }
}

/// A number for a cell that sorts by it.
fn cell(page: &mut String, key: u64, shown: &str) {
    add!(page, "<td class=\"n\" data-key=\"{key}\">{}</td>", Escaped(shown));
}

/// The same, for plain numbers.
fn number(page: &mut String, value: u64) {
    cell(page, value, &grouped(value));
}
