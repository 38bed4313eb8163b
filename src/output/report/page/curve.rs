//! What was held over time, as far as it is known.

use std::fmt::Write;
use std::time::Duration;

use super::html::add;
use crate::output::numbers::{bytes, time};
use crate::output::report::{Ran, elapsed, share, spilled};
use crate::scheduler::record::{JobRun, Sample};

/// The picture's own units; it is stretched to the width of the page.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 120.0;

pub(super) fn add(page: &mut String, ran: &Ran, job: &JobRun) {
    let samples = job.held.list();
    let all = elapsed(job);
    let peak = job.memory_peak as u64;
    if samples.len() < 2 || all.is_zero() {
        add!(
            page,
            "<p class=\"quiet\">There is no curve: what is held is looked at every few milliseconds, and the tasks were over before the second look. \
             The most memory held was {}; {} were spilled.</p>\n",
            bytes(peak),
            bytes(spilled(job))
        );
        return;
    }
    add!(
        page,
        "<p class=\"quiet\">Memory that the query's tasks held, of at most {} for all queries. Looked at {} times; the most between two looks can be missed, \
         the peak is not: {}.</p>\n",
        bytes(ran.memory_limit as u64),
        samples.len(),
        bytes(peak)
    );
    let seen = samples.iter().map(|sample| sample.held.memory as u64).max().unwrap_or(0);
    add_curve(page, "memory", samples, all, peak.max(seen), |sample| sample.held.memory as u64);
    let temp = samples.iter().map(|sample| sample.held.temp).max().unwrap_or(0);
    match (temp, spilled(job)) {
        (0, 0) => page.push_str("<p class=\"quiet\">Nothing was written to temporary files.</p>\n"),
        (0, spilled) => add!(
            page,
            "<p class=\"quiet\">{} were written to temporary files and gone again between two looks.</p>\n",
            bytes(spilled)
        ),
        (temp, spilled) => {
            add!(
                page,
                "<p class=\"quiet\">Size of the program's temporary files: {} at most; {} were written to them by this query.</p>\n",
                bytes(temp),
                bytes(spilled)
            );
            add_curve(page, "temp", samples, all, temp, |sample| sample.held.temp);
        }
    }
}

fn add_curve(
    page: &mut String,
    class: &str,
    samples: &[Sample],
    all: Duration,
    highest: u64,
    value: impl Fn(&Sample) -> u64,
) {
    let x = |at: Duration| share(at, all) * WIDTH;
    let y = |value: u64| HEIGHT - value as f64 / highest.max(1) as f64 * (HEIGHT - 4.0);
    let mut line = String::new();
    for (at, sample) in samples.iter().enumerate() {
        let command = if at == 0 { 'M' } else { 'L' };
        add!(line, "{command}{:.1} {:.1}", x(sample.at), y(value(sample)));
    }
    let (first, last) = (x(samples[0].at), x(samples[samples.len() - 1].at));
    add!(
        page,
        "<figure class=\"curve {class}\"><figcaption><span>{}</span><span>0</span></figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{class} over time\">\
         <path class=\"area\" d=\"{line}L{last:.1} {HEIGHT}L{first:.1} {HEIGHT}Z\"/><path class=\"line\" d=\"{line}\"/></svg>\
         <div class=\"ends\"><span>0</span><span>{}</span></div></figure>\n",
        bytes(highest),
        time(all)
    );
}
