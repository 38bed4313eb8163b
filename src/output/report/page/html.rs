//! Text on its way into HTML.

use std::fmt::{self, Write};

/// A text as HTML has it, in elements and in quoted attributes. What would change the direction of the rest is shown
/// as an escape: a page quotes names and literals of whoever made the data.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(character)?,
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(f, "{}", character.escape_unicode())?;
                }
                other if other.is_control() => write!(f, "{}", other.escape_unicode())?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Adds to a page. Writing to a text does not fail.
macro_rules! add {
    ($page:expr, $($part:tt)*) => {
        { let _ = write!($page, $($part)*); }
    };
}

pub(super) use add;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_a_text() {
        let text = "</script><img src=x onerror='a(\"b\")'>&\u{202e}\u{0}\nnext";
        assert_eq!(
            Escaped(text).to_string(),
            "&lt;/script&gt;&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;\\u{202e}\\u{0}\nnext"
        );
    }
}
