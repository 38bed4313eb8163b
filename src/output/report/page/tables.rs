//! Tables of stages, edges and operators.

use std::fmt::Write;
use std::time::Duration;

use super::html::{Escaped, add};
use super::{cell, number};
use crate::graph::EdgeId;
use crate::output::numbers::{bytes, grouped, percent, time};
use crate::output::report::{busy, elapsed, operator_time, share};
use crate::scheduler::measure::OperatorRun;
use crate::scheduler::record::{JobRun, Spread, StageRun};

/// Rows of a table that are shown.
const ROWS_MAX: usize = 2_000;

fn head(page: &mut String, columns: &[(&str, bool)]) {
    page.push_str("<div class=\"wide\"><table class=\"sorted\"><thead><tr>");
    for (name, is_number) in columns {
        let class = if *is_number { " class=\"n\"" } else { "" };
        add!(page, "<th{class}><button type=\"button\">{name}</button></th>");
    }
    page.push_str("</tr></thead><tbody>\n");
}

fn foot(page: &mut String, rows: usize) {
    page.push_str("</tbody></table></div>\n");
    if rows > ROWS_MAX {
        add!(
            page,
            "<p class=\"quiet\">The first {} of {} are shown.</p>\n",
            grouped(ROWS_MAX as u64),
            grouped(rows as u64)
        );
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn duration(page: &mut String, of: Duration) {
    cell(page, micros(of), &time(of));
}

fn size(page: &mut String, of: u64) {
    cell(page, of, &bytes(of));
}

/// Text of any length.
fn text(page: &mut String, of: &str) {
    add!(page, "<td>{}</td>", Escaped(of));
}

pub(super) fn add_stages(page: &mut String, id: &str, job: &JobRun) {
    let columns = [
        ("stage", true),
        ("op", false),
        ("status", false),
        ("tasks", true),
        ("start", true),
        ("time", true),
        ("work", true),
        ("of all", true),
        ("busiest", true),
        ("median", true),
        ("rows", true),
        ("most rows", true),
        ("bytes", true),
        ("peak memory", true),
        ("spilled", true),
    ];
    head(page, &columns);
    let all = busy(job);
    for (stage, run) in job.stages.iter().enumerate().take(ROWS_MAX) {
        add!(page, "<tr id=\"{id}-stage{stage}\" data-stage=\"{stage}\">");
        add_stage(page, stage, run, elapsed(job), all);
        page.push_str("</tr>\n");
    }
    foot(page, job.stages.len());
}

fn add_stage(page: &mut String, id: usize, run: &StageRun, end: Duration, all: Duration) {
    let volume = run.volume();
    let busy = Spread::of(run.tasks.iter().map(|task| task.volume.busy));
    let rows = run.tasks.iter().map(|task| task.volume.rows).max();
    number(page, id as u64);
    let op = run.op.name();
    add!(
        page,
        "<td class=\"op\"><span class=\"chip {}\"></span>{op}</td><td class=\"{}\">{}</td>",
        op.to_lowercase(),
        run.status.name(),
        run.status.name()
    );
    number(page, run.tasks.len() as u64);
    match run.started {
        Some(started) => {
            duration(page, started);
            duration(page, run.ended.unwrap_or(end).saturating_sub(started));
        }
        None => page.push_str("<td class=\"n\"></td><td class=\"n\"></td>"),
    }
    duration(page, volume.busy);
    cell(page, micros(volume.busy), &percent(share(volume.busy, all)));
    duration(page, busy.map_or(Duration::ZERO, |spread| spread.max));
    duration(page, busy.map_or(Duration::ZERO, |spread| spread.median));
    number(page, volume.rows);
    number(page, rows.unwrap_or(0));
    size(page, volume.bytes);
    size(page, run.memory_peak as u64);
    size(page, run.spilled().0);
}

pub(super) fn add_edges(page: &mut String, id: &str, job: &JobRun) {
    if job.edges.is_empty() {
        page.push_str("<p class=\"quiet\">The graph is one stage.</p>\n");
        return;
    }
    let columns = [
        ("edge", true),
        ("kind", false),
        ("from", true),
        ("to", true),
        ("partitions", true),
        ("rows go", false),
        ("rows", true),
        ("bytes", true),
        ("spilled", true),
    ];
    head(page, &columns);
    for (edge, run) in job.edges.iter().enumerate().take(ROWS_MAX) {
        let reader = job.reader(EdgeId::new(edge));
        let metric = |name| reader.map_or(0, |reader| reader.metric(name));
        page.push_str("<tr>");
        number(page, edge as u64);
        text(page, run.kind.name());
        for stage in [run.from, run.to] {
            add!(
                page,
                "<td class=\"n\" data-key=\"{stage}\"><a href=\"#{id}-stage{stage}\">{stage}</a></td>"
            );
        }
        number(page, run.partitions as u64);
        text(page, run.keys.as_deref().unwrap_or(""));
        number(page, metric("output_rows"));
        size(page, metric("output_bytes"));
        size(page, run.spilled_bytes);
        page.push_str("</tr>\n");
    }
    foot(page, job.edges.len());
}

pub(super) fn add_operators(page: &mut String, id: &str, job: &JobRun) {
    let own = |operator: &&OperatorRun| operator.edge.is_none();
    let all = busy(job);
    page.push_str(
        "<p class=\"quiet\">Times are what operators count by themselves; some count none, and what is within a step that repeats is made anew each time and not counted.</p>\n",
    );
    head(
        page,
        &[
            ("stage", true),
            ("operator", false),
            ("time", true),
            ("of all", true),
            ("rows out", true),
            ("bytes out", true),
            ("spilled", true),
            ("everything counted", false),
        ],
    );
    let listed = job
        .stages
        .iter()
        .enumerate()
        .flat_map(|(stage, run)| run.operators.iter().filter(own).map(move |operator| (stage, operator)));
    for (stage, operator) in listed.clone().take(ROWS_MAX) {
        let taken = operator_time(operator);
        add!(
            page,
            "<tr><td class=\"n\" data-key=\"{stage}\"><a href=\"#{id}-stage{stage}\">{stage}</a></td>"
        );
        text(page, if operator.words.is_empty() { &operator.name } else { &operator.words });
        duration(page, taken);
        cell(page, micros(taken), &percent(share(taken, all)));
        match operator.metrics.contains_key("output_rows") {
            true => number(page, operator.metric("output_rows")),
            false => page.push_str("<td class=\"n\"></td>"),
        }
        size(page, operator.metric("output_bytes"));
        size(page, operator.metric("spilled_bytes"));
        add_details(page, operator);
        page.push_str("</tr>\n");
    }
    foot(page, listed.count());
}

/// The engine's own words and numbers.
fn add_details(page: &mut String, operator: &OperatorRun) {
    add!(
        page,
        "<td><details><summary>show</summary><p class=\"engine\">{}</p><table>",
        Escaped(&operator.text)
    );
    for (name, value) in operator.metrics.iter().filter(|(_, value)| **value > 0) {
        let (name, shown) = match name.strip_suffix("_ns") {
            Some(name) => (name, time(Duration::from_nanos(*value))),
            None => (name.as_str(), grouped(*value)),
        };
        add!(page, "<tr><td>{}</td><td class=\"n\">{}</td></tr>", Escaped(name), Escaped(&shown));
    }
    page.push_str("</table></details></td>");
}
