//! Texts cut to fit: names, expressions and literals may hold anything, and be of any length.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::hidden;

/// What stands for what was left out.
const CUT: char = '…';
/// Items of a list that are shown.
const ITEMS_MAX: usize = 12;

/// A text on one line: characters that would break it, or change how the rest is shown, as escapes. The values of
/// secrets are taken out here: a text that was cut or broken into lines shows parts of them that nobody knows again.
pub(super) fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in hidden::hide(text).chars() {
        if is_unseen(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Control characters, line breaks, marks that turn the direction of writing, and what XML has no place for.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{2028}' | '\u{2029}'
            | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Columns of a terminal that a text takes.
pub(super) fn cells(text: &str) -> usize {
    text.width()
}

/// As much of a text as fits into so many columns.
pub(super) fn cut(text: &str, cells_max: usize) -> String {
    if cells(text) <= cells_max {
        return text.to_string();
    }
    let mut taken = split_at_cells(text, cells_max.saturating_sub(1)).0.trim_end().to_string();
    taken.push(CUT);
    taken
}

/// A text on at most so many lines, broken behind commas and blanks where it can be, the last line cut.
pub(super) fn wrap(text: &str, cells_max: usize, lines_max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while lines.len() + 1 < lines_max && cells(rest) > cells_max {
        let (fits, _) = split_at_cells(rest, cells_max);
        // A break that leaves most of the line empty is worse than one inside of a word.
        let at = match fits.rfind(' ') {
            Some(blank) if 3 * cells(&fits[..blank]) > cells_max => blank,
            _ if fits.is_empty() => break,
            _ => fits.len(),
        };
        lines.push(rest[..at].trim_end().to_string());
        rest = rest[at..].trim_start();
    }
    lines.push(cut(rest, cells_max));
    lines
}

fn split_at_cells(text: &str, cells_max: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > cells_max {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// The items with commas between them; of many only the first, and how many more there are.
pub(super) fn list<T: AsRef<str>>(items: impl ExactSizeIterator<Item = T>) -> String {
    let more = items.len().saturating_sub(ITEMS_MAX);
    // One more item takes no more room than saying that there is one.
    let shown = if more == 1 { ITEMS_MAX + 1 } else { ITEMS_MAX };
    let mut text = String::new();
    for (at, item) in items.take(shown).enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(item.as_ref());
    }
    if more > 1 {
        text.push_str(&format!(", {CUT} {more} more"));
    }
    text
}

/// A count with its noun.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_line_is_escaped() {
        assert_eq!(
            one_line("a\nb\t\u{1b}[31m\u{202e}c\u{0}\u{ffff}é"),
            "a\\nb\\t\\u{1b}[31m\\u{202e}c\\u{0}\\u{ffff}é"
        );
    }

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 6), "日本語");
    }

    #[test]
    fn lines_break_behind_blanks_and_the_last_is_cut() {
        assert_eq!(wrap("one, two, three", 20, 2), ["one, two, three"]);
        assert_eq!(wrap("one, two, three", 10, 2), ["one, two,", "three"]);
        assert_eq!(wrap("one, two, three, four", 10, 2), ["one, two,", "three, fo…"]);
        assert_eq!(wrap("a bcdefghijklmnop", 8, 2), ["a bcdefg", "hijklmn…"]);
        assert_eq!(wrap("日", 1, 3), ["…"]);
    }

    #[test]
    fn long_lists_say_how_many_more_there_are() {
        let items = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(list(items(3).iter()), "1, 2, 3");
        assert!(list(items(13).iter()).ends_with("12, 13"));
        assert!(list(items(500).iter()).ends_with("12, … 488 more"));
    }
}
