//! What is shown to nobody: the values of secrets, and what URLs carry of their own permission.
//!
//! Everything that leaves the program as words passes here: messages, plans, records, reports, pictures. The values
//! are the process's and not a session's, because what leaves the process is: standard error is one, and a message
//! may be made where no session is known. A value that was kept once stays hidden until the process ends.

mod forms;
mod links;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use memchr::memmem;

/// What stands in the place of a value.
pub const MASK: &str = "***";
/// Values of fewer letters are looked for in no text: every text has them, and a message without the word `a` tells less
/// than one that says so. Statements that have one are not quoted with it all the same ([`hide_words`]).
const CHARS_MIN: usize = 4;
/// Values up to this length are hidden where they stand as words of their own only.
const WORD_BYTES_MAX: usize = 5;

static VALUES: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Hides a value from now on, in each form in which a text may carry it. A value of up to three letters hides nothing.
pub fn keep(value: &str) {
    let forms = forms::of(value);
    VALUES.write().unwrap_or_else(PoisonError::into_inner).extend(forms);
}

/// The text without what is hidden.
pub fn hide(text: &str) -> Cow<'_, str> {
    let spans = spans(text);
    if spans.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(masked(text, &spans)) }
}

/// The same for a text that is owned: it is copied only if it has something to hide.
pub fn hidden(text: String) -> String {
    match hide(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(masked) => masked,
    }
}

/// The same without these values, where they stand as words: for texts about the statement that has them, if they are too
/// short to be looked for elsewhere.
pub fn hide_words(text: String, values: &[String]) -> String {
    let mut found = spans(&text);
    for value in values.iter().filter(|value| !value.is_empty()) {
        let places = memmem::find_iter(text.as_bytes(), value).map(|start| start..start + value.len());
        found.extend(places.filter(|place| is_word(&text, place)));
    }
    if found.is_empty() { text } else { masked(&text, &joined(found)) }
}

/// Whether a value is too short to be looked for in texts.
pub fn is_short(value: &str) -> bool {
    value.trim().chars().count() < CHARS_MIN
}

/// Whether a text has something to hide.
pub fn is_in(text: &str) -> bool {
    !spans(text).is_empty()
}

/// The bytes of a text that are to be hidden: in order, apart from each other.
pub fn spans(text: &str) -> Vec<Range<usize>> {
    let mut found = links::spans(text);
    for value in VALUES.read().unwrap_or_else(PoisonError::into_inner).iter() {
        let places = memmem::find_iter(text.as_bytes(), value).map(|start| start..start + value.len());
        found.extend(places.filter(|place| value.len() > WORD_BYTES_MAX || is_word(text, place)));
    }
    joined(found)
}

/// The text with a mask in the place of each span; spans are in order and apart.
pub fn masked(text: &str, spans: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for span in spans {
        out.push_str(&text[done..span.start]);
        out.push_str(MASK);
        done = span.end;
    }
    out.push_str(&text[done..]);
    out
}

/// Spans in order, those that touch or overlap made one.
pub fn joined(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_by_key(|span| (span.start, span.end));
    let mut out: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match out.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            Some(_) | None => out.push(span),
        }
    }
    out
}

fn is_word(text: &str, place: &Range<usize>) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !inside(text[..place.start].chars().next_back()) && !inside(text[place.end..].chars().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_hidden_in_each_of_its_forms() {
        keep("wJalr/K7M+EN'G=\"x");
        for text in [
            "key wJalr/K7M+EN'G=\"x.",
            "SECRET 'wJalr/K7M+EN''G=\"x'",
            "?k=wJalr%2FK7M%2BEN%27G%3D%22x",
            "?k=wJalr%2fK7M%2bEN%27G%3d%22x",
            r#"{"k": "wJalr/K7M+EN'G=\"x"}"#,
            "<td>wJalr/K7M+EN&#39;G=&quot;x</td>",
        ] {
            let shown = hide(text);
            assert!(shown.contains(MASK) && !shown.contains("wJalr"), "{shown}");
        }
        assert_eq!(hide("nothing"), "nothing");
    }

    #[test]
    fn a_short_value_is_hidden_as_a_word() {
        keep("q7zw");
        assert_eq!(hide("q7zw, 'q7zw' and q7zwero"), "***, '***' and q7zwero");
    }

    #[test]
    fn a_value_of_a_few_letters_is_hidden_where_it_is_named_only() {
        for value in ["a", " q ", "x9", "q7~", "%41%42"] {
            keep(value);
        }
        let text = "a q x9 q7~ AB %41%42";
        assert_eq!(hide(text), "a q x9 q7~ AB ***");
        let values = ["x9", "q7~", ""].map(String::from);
        assert_eq!(hide_words("a 'x9', x99, q7~".into(), &values), "a '***', x99, ***");
        assert!(is_short("äöü") && !is_short("äöüß"));
    }

    #[test]
    fn an_empty_value_hides_nothing() {
        keep("");
        keep("   ");
        assert_eq!(hide("a   b"), "a   b");
    }

    #[test]
    fn spans_that_overlap_are_one() {
        assert_eq!(joined(vec![4..6, 0..2, 1..3, 6..7]), [0..3, 4..7]);
    }
}
