//! When each task ran: a bar from its first turn on a thread to its end, the darker the more of it it was busy.

use std::fmt::Write;
use std::time::Duration;

use super::html::{Escaped, add};
use crate::output::numbers::{count, percent, rows, time};
use crate::output::report::{elapsed, share};
use crate::scheduler::record::{JobRun, StageRun, TaskRun};
use crate::scheduler::state::TaskEnd;

/// Bars that are drawn: more than a screen shows, and fewer than slow a browser down.
const BARS_MAX: usize = 400;
/// Marks on the axis.
const TICKS: u32 = 5;
/// The lightest bar.
const OPACITY_MIN: f64 = 0.18;

pub(super) fn add(page: &mut String, job: &JobRun) {
    let all = elapsed(job);
    let mut stages: Vec<_> =
        job.stages.iter().enumerate().filter(|(_, stage)| stage.started.is_some()).collect();
    if stages.is_empty() || all.is_zero() {
        page.push_str("<p class=\"quiet\">No task ran.</p>\n");
        return;
    }
    let skipped = job.stages.len() - stages.len();
    let dropped = stages.len().saturating_sub(BARS_MAX);
    stages.sort_by_key(|(_, stage)| std::cmp::Reverse(stage.volume().busy));
    stages.truncate(BARS_MAX);
    stages.sort_by_key(|(id, stage)| (stage.started, *id));
    let per_stage = (BARS_MAX / stages.len()).max(1);
    add_legend(page, &stages, per_stage, skipped, dropped);
    page.push_str("<div class=\"timeline\">\n");
    add_axis(page, all);
    for (id, stage) in stages {
        add_stage(page, id, stage, per_stage, all);
    }
    page.push_str("</div>\n");
}

fn add_legend(
    page: &mut String,
    stages: &[(usize, &StageRun)],
    per_stage: usize,
    skipped: usize,
    dropped: usize,
) {
    page.push_str(
        "<p class=\"quiet\">A bar goes from a task's first turn on a thread to its end. The darker it is, the more of that time the task was busy; \
         the rest it waited for rows, for its readers, or for a thread.",
    );
    if stages.iter().any(|(_, stage)| stage.tasks.len() > per_stage) {
        add!(page, " Of stages with more than {per_stage} tasks the {per_stage} busiest are drawn.");
    }
    if dropped > 0 {
        add!(page, " {} with the least work are left out.", count(dropped as u64, "stage"));
    }
    if skipped > 0 {
        add!(page, " {} never ran.", count(skipped as u64, "stage"));
    }
    page.push_str("</p>\n");
}

fn add_axis(page: &mut String, all: Duration) {
    page.push_str("<div class=\"lane axis\"><span></span><span class=\"track\">");
    for tick in 0..=TICKS {
        let left = f64::from(tick) / f64::from(TICKS) * 100.0;
        let class = if tick == TICKS { "tick last" } else { "tick" };
        add!(page, "<span class=\"{class}\" style=\"left:{left:.1}%\">{}</span>", time(all * tick / TICKS));
    }
    page.push_str("</span></div>\n");
}

fn add_stage(page: &mut String, id: usize, stage: &StageRun, per_stage: usize, all: Duration) {
    let mut tasks: Vec<_> = stage.tasks.iter().enumerate().collect();
    tasks.sort_by_key(|(_, task)| std::cmp::Reverse(task.volume.busy));
    tasks.truncate(per_stage);
    tasks.sort_by_key(|(partition, _)| *partition);
    let class = stage.op.name().to_lowercase();
    for (at, (partition, task)) in tasks.into_iter().enumerate() {
        let name = match at {
            0 => format!("<span><b>{}</b> {id}</span>", stage.op),
            _ => String::new(),
        };
        let first = if at == 0 { " first" } else { "" };
        add!(
            page,
            "<div class=\"lane{first}\"><span class=\"name\">{name}<i>.{partition}</i></span><span class=\"track\">"
        );
        add_bar(page, &class, id, partition, stage, task, all);
        page.push_str("</span></div>\n");
    }
}

fn add_bar(
    page: &mut String,
    class: &str,
    id: usize,
    partition: usize,
    stage: &StageRun,
    task: &TaskRun,
    all: Duration,
) {
    let Some((start, worker)) = task.started else {
        page.push_str("<span class=\"none\">never ran</span>");
        return;
    };
    let end = task.ended.map_or(all, |(at, _)| at).max(start);
    let lasted = end - start;
    let busy = share(task.volume.busy, lasted);
    let (left, width) = (share(start, all) * 100.0, share(lasted, all) * 100.0);
    let opacity = OPACITY_MIN + (1.0 - OPACITY_MIN) * busy;
    let (state, how) = match task.ended.map(|(_, end)| end) {
        Some(TaskEnd::Done) => ("", ""),
        Some(TaskEnd::Failed) => (" failed", "\nfailed"),
        Some(TaskEnd::Stopped) => (" stopped", "\nstopped before its end"),
        None => (" stopped", "\nnot over"),
    };
    let tip = format!(
        "{} {id}.{partition}, worker {}\nfrom {} to {} ({})\nbusy {} ({})\n{}{how}",
        stage.op,
        worker.0,
        time(start),
        time(end),
        time(lasted),
        time(task.volume.busy),
        percent(busy),
        rows(task.volume.rows)
    );
    add!(
        page,
        "<span class=\"bar {class}{state}\" style=\"left:{left:.3}%;width:{width:.3}%\" data-tip=\"{}\"><i style=\"opacity:{opacity:.2}\"></i></span>",
        Escaped(&tip)
    );
}
