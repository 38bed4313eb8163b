//! What is typed while a statement runs: the keys that are ours, and a text for the next prompt.

/// A key that is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Unfold the line, or fold it back.
    Tab,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-\.
    Quit,
}

/// A text as somebody types it without an editor: Backspace and Ctrl-U take back.
#[derive(Debug, Default)]
pub(in crate::cli) struct Typed {
    bytes: Vec<u8>,
    /// Whether Ctrl-D came on an empty line.
    pub(in crate::cli) is_end: bool,
    escape: Escape,
}

/// Where in a sequence that a special key sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Escape {
    #[default]
    None,
    Begun,
    Within,
}

impl Typed {
    /// Takes a byte that the terminal sends; gives the key, if it is one of ours.
    pub(super) fn take(&mut self, byte: u8) -> Option<Key> {
        match (self.escape, byte) {
            (Escape::Begun, b'[' | b'O') => self.escape = Escape::Within,
            (Escape::Begun, _) | (Escape::Within, b'@'..=b'~') => self.escape = Escape::None,
            (Escape::Within, _) => {}
            (Escape::None, 0x1b) => self.escape = Escape::Begun,
            (Escape::None, b'\t') => return Some(Key::Tab),
            (Escape::None, 0x1a) => return Some(Key::Suspend),
            (Escape::None, 0x1c) => return Some(Key::Quit),
            (Escape::None, _) if self.is_end => {}
            (Escape::None, b'\r' | b'\n') => self.bytes.push(b'\n'),
            (Escape::None, 0x04) => self.is_end = self.line_start() == self.bytes.len(),
            (Escape::None, 0x15) => self.bytes.truncate(self.line_start()),
            (Escape::None, 0x08 | 0x7f) => self.erase(),
            (Escape::None, 0..0x20) => {}
            (Escape::None, _) => self.bytes.push(byte),
        }
        None
    }

    /// The text.
    pub(in crate::cli) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// A text that was typed before, and whether Ctrl-D came behind it.
    pub(in crate::cli) fn of(text: &str, is_end: bool) -> Self {
        Self { bytes: text.into(), is_end, ..Self::default() }
    }

    /// Appends what was typed later.
    pub(in crate::cli) fn append(&mut self, later: Self) {
        if !self.is_end {
            self.bytes.extend(later.bytes);
            self.is_end = later.is_end;
        }
    }

    fn line_start(&self) -> usize {
        self.bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
    }

    /// Takes back the last character of the line.
    fn erase(&mut self) {
        let start = self.line_start();
        while self.bytes.len() > start {
            // The bytes of a character that follow its first one.
            if self.bytes.pop().is_some_and(|byte| byte & 0xc0 != 0x80) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &str) -> (String, Vec<Key>, bool) {
        let mut typed = Typed::default();
        let keys = bytes.bytes().filter_map(|byte| typed.take(byte)).collect();
        (typed.text(), keys, typed.is_end)
    }

    #[test]
    fn letters_are_kept_and_tab_is_ours() {
        let (text, keys, is_end) = typed("select\t 1;\rgroup by");
        assert_eq!((text.as_str(), is_end), ("select 1;\ngroup by", false));
        assert_eq!(keys, [Key::Tab]);
        assert_eq!(typed("\u{1a}\u{1c}").1, [Key::Suspend, Key::Quit]);
    }

    #[test]
    fn what_is_taken_back_stays_within_its_line() {
        assert_eq!(typed("aé\u{7f}b\u{7f}\u{7f}\u{7f}").0, "");
        assert_eq!(typed("one\rtwo\u{15}2").0, "one\n2");
        assert_eq!(typed("one\r\u{7f}").0, "one\n");
    }

    #[test]
    fn special_keys_leave_nothing() {
        assert_eq!(typed("a\u{1b}[A\u{1b}[1;5Cb\u{1b}OPc\u{1b}xd\u{1}").0, "abcd");
    }

    #[test]
    fn ctrl_d_ends_an_empty_line_only() {
        assert_eq!(typed("a\u{4}b"), ("ab".into(), vec![], false));
        assert_eq!(typed("a\r\u{4}b"), ("a\n".into(), vec![], true));
    }
}
