//! One JSON array of objects as lines of JSON, piece by piece.

/// Turns the elements of an array into lines. Holds no more than the chunk at hand.
#[derive(Debug, Default)]
pub(super) struct JsonArray {
    state: State,
    /// Open brackets and braces inside the current element.
    depth: usize,
    in_string: bool,
    escaped: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Before,
    /// After `[` or `,`: an element or, after `[`, the end.
    Between {
        first: bool,
    },
    Element,
    After,
}

impl JsonArray {
    /// The lines that a chunk of the array gives.
    ///
    /// # Errors
    /// What stands before, between or after the elements where nothing should.
    pub(super) fn lines(&mut self, chunk: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut lines = Vec::with_capacity(chunk.len() + 1);
        for &byte in chunk {
            match self.state {
                State::Element => self.element(byte, &mut lines),
                _ if byte.is_ascii_whitespace() => {}
                State::Before if byte == b'[' => self.state = State::Between { first: true },
                State::Before => return Err("it does not start with a JSON array"),
                State::Between { first: true } if byte == b']' => self.state = State::After,
                State::Between { .. } if matches!(byte, b',' | b']' | b'}') => {
                    return Err("the JSON array lacks an element");
                }
                State::Between { .. } => {
                    self.state = State::Element;
                    self.element(byte, &mut lines);
                }
                State::After => return Err("there is something after the JSON array"),
            }
        }
        Ok(lines)
    }

    /// Checks that the array has ended when its text has.
    pub(super) fn finish(&self) -> Result<(), &'static str> {
        match self.state {
            State::After => Ok(()),
            State::Before => Err("it is empty"),
            State::Between { .. } | State::Element => Err("it ends in the middle of the JSON array"),
        }
    }

    fn element(&mut self, byte: u8, lines: &mut Vec<u8>) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            lines.push(byte);
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => self.depth -= 1,
            b',' | b']' if self.depth == 0 => {
                lines.push(b'\n');
                self.state = if byte == b',' { State::Between { first: false } } else { State::After };
                return;
            }
            _ => {}
        }
        // A line break between an element's own tokens would end its line.
        lines.push(if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a text that comes in chunks of every size, which must not matter.
    fn lines(text: &str) -> Result<String, &'static str> {
        let whole = by(text, text.len());
        for size in 1..text.len() {
            assert_eq!(by(text, size), whole, "in chunks of {size}");
        }
        whole
    }

    fn by(text: &str, size: usize) -> Result<String, &'static str> {
        let mut array = JsonArray::default();
        let mut lines = Vec::new();
        for chunk in text.as_bytes().chunks(size.max(1)) {
            lines.extend(array.lines(chunk)?);
        }
        array.finish()?;
        Ok(String::from_utf8(lines).unwrap())
    }

    #[test]
    fn elements_become_lines() {
        assert_eq!(lines("[]").unwrap(), "");
        assert_eq!(lines(" [ {\"a\": 1},\n {\"a\": 2}\n]\n").unwrap(), "{\"a\": 1}\n{\"a\": 2} \n");
        assert_eq!(lines("[{\"a\":\n[1,\n2]}]").unwrap(), "{\"a\": [1, 2]}\n");
        assert_eq!(
            lines(r#"[{"a":"],\"{"},{"b":"\\"}]"#).unwrap(),
            "{\"a\":\"],\\\"{\"}\n{\"b\":\"\\\\\"}\n"
        );
    }

    #[test]
    fn broken_arrays_are_told() {
        assert!(lines("[{}").unwrap_err().contains("in the middle"));
        assert!(lines("[{},").unwrap_err().contains("in the middle"));
        assert!(lines("[{},]").unwrap_err().contains("lacks an element"));
        assert!(lines("[{}] x").unwrap_err().contains("after"));
        assert!(lines("{}").unwrap_err().contains("does not start"));
        assert!(lines("  ").unwrap_err().contains("empty"));
    }
}
