//! The line unfolded: the job's graph with what its stages do at the moment.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::line::{Line, short};
use crate::graph::{Notes, StageId};
use crate::scheduler::progress::{Progress, StageProgress};

/// What each stage does, for its graph.
pub(super) fn notes(progress: &Progress) -> Notes {
    let mut notes = Notes::default();
    for (stage, progress) in progress.stages.iter().enumerate() {
        notes.add_to_stage(StageId::new(stage), note(progress));
    }
    notes
}

fn note(stage: &StageProgress) -> String {
    let mut note = stage.status.name().to_string();
    if stage.rows_read > 0 {
        note.push_str(&format!(", {} rows read", short(stage.rows_read as f64)));
    }
    if stage.rows > 0 {
        note.push_str(&format!(", {} given", short(stage.rows as f64)));
    }
    if stage.spilled_bytes > 0 {
        note.push_str(&format!(", {} spilled", bytesize::ByteSize(stage.spilled_bytes).display().si()));
    }
    note
}

/// Lines of the graph as the terminal takes them.
pub(super) fn fitted(lines: Vec<String>, width: usize, utf8: bool) -> Vec<Line> {
    let fit = |line: String| {
        let line = if utf8 { line } else { ascii(&line) };
        let mut cells = 0;
        let text: String = line
            .chars()
            .take_while(|character| {
                cells += character.width().unwrap_or(0);
                cells <= width
            })
            .collect();
        Line { cells: text.width(), text }
    };
    lines.into_iter().map(fit).collect()
}

/// The text in letters that every terminal has.
fn ascii(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '←' => text.push_str("<-"),
            '→' => text.push_str("->"),
            '├' | '└' => text.push('+'),
            '│' => text.push('|'),
            '…' => text.push_str("..."),
            character if character.is_ascii() => text.push(character),
            _ => text.push('?'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::state::Status;

    #[test]
    fn a_stage_says_what_it_has_done() {
        let stage =
            StageProgress { status: Status::Running, rows_read: 1_500_000, rows: 20, spilled_bytes: 0 };
        assert_eq!(note(&stage), "running, 1.50M rows read, 20 given");
        let stage =
            StageProgress { status: Status::Waiting, rows_read: 0, rows: 0, spilled_bytes: 5_000_000 };
        assert_eq!(note(&stage), "waiting, 5.0 MB spilled");
    }

    #[test]
    fn lines_are_cut_to_the_width_and_to_ascii() {
        let lines = || vec!["  ├ ← Shuffle from stage 1, 4 → 4".to_string()];
        assert_eq!(fitted(lines(), 12, true)[0], Line { text: "  ├ ← Shuffl".into(), cells: 12 });
        assert_eq!(fitted(lines(), 60, false)[0].text, "  + <- Shuffle from stage 1, 4 -> 4");
        assert_eq!(fitted(vec!["日本".into()], 3, true)[0], Line { text: "日".into(), cells: 2 });
    }
}
