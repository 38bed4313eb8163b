//! Errors and notices for people, on standard error.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::progress;
use crate::config::ColorChoice;
use crate::error::{Error, Place, StatementError};
use crate::frontend::sql::secret_spans;
use crate::hidden;

/// Lines longer than this are cut around the place that matters.
const WIDTH_DEFAULT: usize = 120;
/// Characters of a message or a line of help.
const MESSAGE_CHARS_MAX: usize = 600;
/// Bytes of a line shown before and after the place.
const CONTEXT_BYTES_MAX: usize = 400;

static SILENT: AtomicBool = AtomicBool::new(false);

/// Prints to standard error; what cannot be printed is dropped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reporter {
    colours: bool,
    width: usize,
}

impl Reporter {
    pub(super) fn new(color: ColorChoice) -> Self {
        let stderr = std::io::stderr();
        let width =
            terminal_size::terminal_size_of(&stderr).map_or(WIDTH_DEFAULT, |(width, _)| width.0.into());
        Self { colours: color.colours(stderr.is_terminal()), width }
    }

    /// A line for people, without the values of secrets.
    pub(super) fn note(self, text: &str) {
        if !SILENT.load(Ordering::SeqCst) {
            progress::wipe();
            drop(writeln!(std::io::stderr(), "{}", hidden::hide(text)));
        }
    }

    /// Says nothing more: the process has been told to stop, and has said so.
    pub(super) fn silence(self) {
        SILENT.store(true, Ordering::SeqCst);
    }

    /// Prints an error and gives its exit code. A closed pipe is not worth a word.
    pub(super) fn fail(self, error: &Error) -> u8 {
        if !matches!(error, Error::BrokenPipe) {
            self.note(&self.render(error));
        }
        error.exit_code()
    }

    fn render(self, error: &Error) -> String {
        // A message that is cut first may end within a value, which nobody knows again.
        let message = cut(hidden::hidden(error.to_string()));
        let (title, details) = message.split_once('\n').unwrap_or((&message, ""));
        let details = details.lines().filter(|line| !line.trim().is_empty()).map(str::to_string);
        let details = details.chain(error.defect_place().map(|place| format!("in {place}")));
        let details: Vec<_> = details.collect();
        let (statement, help) = match error {
            Error::Statement(statement) => {
                (Some(statement.as_ref()), statement.help.iter().map(|help| cut(help.clone())).collect())
            }
            Error::Usage { help, .. } => (None, help.iter().cloned().collect()),
            Error::Internal { .. } => {
                (None, vec!["this is a defect: please report it with the query".into()])
            }
            Error::Engine(_)
            | Error::Io { .. }
            | Error::BrokenPipe
            | Error::Interrupted { .. }
            | Error::Timeout { .. } => (None, Vec::new()),
        };
        let title = Level::ERROR.primary_title(title);
        match statement.and_then(Shown::of) {
            Some(ref shown) => {
                let notes = details.iter().map(|line| Level::NOTE.message(line));
                let helps = help.iter().map(|line| Level::HELP.message(line));
                let group = match shown.is_cut {
                    true => title.element(shown.origin()).element(shown.snippet()),
                    false => title.element(shown.snippet().path(shown.name)),
                };
                let group = group.elements(notes).elements(helps);
                self.renderer().render(&[group])
            }
            None => {
                let notes = details.iter().map(|line| Level::NOTE.secondary_title(line));
                let helps = help.iter().map(|line| Level::HELP.secondary_title(line));
                let groups: Vec<_> =
                    std::iter::once(title).chain(notes).chain(helps).map(Group::with_title).collect();
                let texts = groups.iter().map(|group| self.renderer().render(std::slice::from_ref(group)));
                texts.collect::<Vec<_>>().join("\n")
            }
        }
    }

    fn renderer(self) -> Renderer {
        let renderer = if self.colours { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(self.width)
    }
}

/// The lines of a script around a place, without the values of secrets.
struct Shown<'a> {
    name: &'a str,
    text: String,
    line: usize,
    column: usize,
    /// Whether the text shown is a piece of its line.
    is_cut: bool,
    span: std::ops::Range<usize>,
    label: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(error: &'a StatementError) -> Option<Self> {
        let Place { script, span } = error.place.as_ref()?;
        let text = script.text.as_str();
        let start = span.start.min(text.len());
        // One line is enough: a statement is pointed at by its first.
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line_end = if text[start..line_end].ends_with('\r') { line_end - 1 } else { line_end };
        let end = span.end.clamp(start, line_end);
        let line = Masked::of(text, line_start..line_end);
        let (start_shown, end_shown) =
            (line.place(start - line_start, true), line.place(end - line_start, false));
        let from = floor(&line.text, start_shown.saturating_sub(CONTEXT_BYTES_MAX));
        let to = floor(&line.text, end_shown.saturating_add(CONTEXT_BYTES_MAX)).max(start_shown);
        Some(Self {
            name: &script.name,
            text: line.text[from..to].to_string(),
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            is_cut: from > 0,
            span: start_shown - from..end_shown.clamp(start_shown, to) - from,
            label: error.label.as_deref(),
        })
    }

    fn snippet(&self) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
        let annotation = AnnotationKind::Primary.span(self.span.clone()).label(self.label);
        Snippet::source(self.text.as_str()).line_start(self.line).annotation(annotation)
    }

    /// The place in the whole line, which a piece of the line does not tell.
    fn origin(&self) -> Origin<'a> {
        Origin::path(self.name).line(self.line).char_column(self.column)
    }
}

/// A line without the values of secrets, and what stood where.
struct Masked {
    text: String,
    spans: Vec<std::ops::Range<usize>>,
}

impl Masked {
    /// A line of a script. What a statement says are values of secrets is left out however short it is.
    fn of(script: &str, line: std::ops::Range<usize>) -> Self {
        let named =
            secret_spans(script).into_iter().filter(|span| span.start < line.end && line.start < span.end);
        let named =
            named.map(|span| span.start.max(line.start) - line.start..span.end.min(line.end) - line.start);
        let line = &script[line.clone()];
        let spans = hidden::joined(hidden::spans(line).into_iter().chain(named).collect());
        Self { text: hidden::masked(line, &spans), spans }
    }

    /// Where a byte of the line is now. One within a value is where its mask starts or ends.
    fn place(&self, at: usize, is_start: bool) -> usize {
        let mut shown = at;
        for span in self.spans.iter().take_while(|span| span.start < at) {
            let inside = span.end.min(at);
            shown = shown + hidden::MASK.len() - (inside - span.start);
            if span.end > at && is_start {
                shown -= hidden::MASK.len();
            }
        }
        shown
    }
}

/// A message without the bulk of a value or name that it quotes.
fn cut(message: String) -> String {
    let Some((at, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) else { return message };
    format!("{}…", &message[..at])
}

/// The start of the character that a byte offset lies in.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_move_with_the_masks_before_them() {
        hidden::keep("report-value-1");
        hidden::keep("rv2x");
        let line = "a report-value-1 b 'rv2x' c";
        let masked = Masked::of(line, 0..line.len());
        assert_eq!(masked.text, "a *** b '***' c");
        let at = |word: &str| line.find(word).unwrap();
        assert_eq!(masked.place(at("b "), true), masked.text.find("b ").unwrap());
        assert_eq!(masked.place(at(" c"), true), masked.text.find(" c").unwrap());
        assert_eq!((masked.place(2, true), masked.place(16, false)), (2, 5));
        assert_eq!((masked.place(5, true), masked.place(9, false)), (2, 5));
        assert_eq!(masked.place(line.len(), false), masked.text.len());
    }

    #[test]
    fn a_short_value_is_left_out_of_the_lines_that_name_it() {
        let script = "create secret s (type s3,\n  key_id 'a', secret 'of the\nday')";
        let lines: Vec<_> = script.match_indices('\n').map(|(at, _)| at).collect();
        let shown = |line| Masked::of(script, line).text;
        assert_eq!(shown(lines[0] + 1..lines[1]), "  key_id '***', secret '***");
        assert_eq!(shown(lines[1] + 1..script.len()), "***')");
    }
}
