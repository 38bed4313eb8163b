//! The part of TOML that the configuration file is written in: tables, strings, numbers, true and false. Dates, lists
//! of tables and floats are no settings of ours, and refused.
//!
//! Written after <https://toml.io/en/v1.0.0>. Errors tell the line and quote no value: it may be a secret's.

use std::iter::Peekable;
use std::str::Chars;

/// A table: names and what they are, in the order of the file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Table(Vec<(String, Entry)>);

/// What a name is, and the line where it stands, from 1.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A string; a number or a boolean as it is written.
    Text(String),
    /// A table.
    Table(Table),
}

/// Text that is none of what is read here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TomlError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, in one line without a full stop.
    pub message: String,
}

impl Table {
    /// The names and what they are, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// What a name is.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, entry)| entry)
    }

    /// The table that a path of names leads to, made where it is not there.
    fn at(&mut self, path: &[String], line: usize) -> Result<&mut Self, TomlError> {
        let Some((name, rest)) = path.split_first() else { return Ok(self) };
        let at = match self.0.iter().position(|(known, _)| known == name) {
            Some(at) => at,
            None => {
                self.0.push((name.clone(), Entry { line, value: Value::Table(Self::default()) }));
                self.0.len() - 1
            }
        };
        match &mut self.0[at].1.value {
            Value::Table(table) => table.at(rest, line),
            Value::Text(_) => Err(wrong(line, format!("'{name}' is a value already, and no table"))),
        }
    }

    fn put(&mut self, name: String, entry: Entry) -> Result<(), TomlError> {
        if self.get(&name).is_some() {
            return Err(wrong(entry.line, format!("'{name}' is given twice")));
        }
        self.0.push((name, entry));
        Ok(())
    }
}

fn wrong(line: usize, message: impl Into<String>) -> TomlError {
    TomlError { line, message: message.into() }
}

/// Reads a file's text.
///
/// # Errors
/// What is no TOML, or none of the part that is read here.
pub fn read(text: &str) -> Result<Table, TomlError> {
    let mut reader =
        Reader { chars: text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable(), line: 1 };
    let mut root = Table::default();
    let mut heading: Vec<String> = Vec::new();
    let mut headings: Vec<Vec<String>> = Vec::new();
    loop {
        reader.lines();
        let line = reader.line;
        match reader.chars.peek() {
            None => return Ok(root),
            Some('[') => {
                reader.chars.next();
                if reader.chars.peek() == Some(&'[') {
                    return Err(wrong(line, "lists of tables are not read here"));
                }
                heading = reader.path()?;
                reader.sign(']')?;
                if headings.contains(&heading) {
                    return Err(wrong(line, format!("[{}] is there twice", heading.join("."))));
                }
                headings.push(heading.clone());
                root.at(&heading, line)?;
            }
            Some(_) => {
                let (path, entry) = reader.pair(line)?;
                put(root.at(&heading, line)?, path, entry)?;
            }
        }
        reader.end_of_line()?;
    }
}

/// Puts a value where a dotted name leads.
fn put(table: &mut Table, mut path: Vec<String>, entry: Entry) -> Result<(), TomlError> {
    let Some(name) = path.pop() else { return Err(wrong(entry.line, "a name is missing")) };
    table.at(&path, entry.line)?.put(name, entry)
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
    }

    /// Goes on to what is neither blank nor comment nor the end of a line.
    fn lines(&mut self) {
        loop {
            self.blanks();
            match self.chars.peek() {
                Some('#') => while self.chars.next_if(|c| *c != '\n').is_some() {},
                Some('\n') => {
                    self.chars.next();
                    self.line += 1;
                }
                Some('\r') => drop(self.chars.next()),
                Some(_) | None => return,
            }
        }
    }

    fn end_of_line(&mut self) -> Result<(), TomlError> {
        self.blanks();
        match self.chars.peek() {
            None | Some('#' | '\n' | '\r') => Ok(()),
            Some(_) => Err(wrong(self.line, "there is more on this line than one setting")),
        }
    }

    fn sign(&mut self, sign: char) -> Result<(), TomlError> {
        self.blanks();
        match self.chars.next_if_eq(&sign) {
            Some(_) => Ok(()),
            None => Err(wrong(self.line, format!("'{sign}' is missing"))),
        }
    }

    /// `name = value`.
    fn pair(&mut self, line: usize) -> Result<(Vec<String>, Entry), TomlError> {
        let path = self.path()?;
        self.sign('=')?;
        let value = self.value()?;
        Ok((path, Entry { line, value }))
    }

    /// `a.b."c d"`.
    fn path(&mut self) -> Result<Vec<String>, TomlError> {
        let mut path = Vec::new();
        loop {
            self.blanks();
            path.push(match self.chars.peek() {
                Some('"' | '\'') => self.string()?,
                Some(_) | None => self.bare()?,
            });
            self.blanks();
            if self.chars.next_if_eq(&'.').is_none() {
                return Ok(path);
            }
        }
    }

    fn bare(&mut self) -> Result<String, TomlError> {
        let mut name = String::new();
        while let Some(c) = self.chars.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            name.push(c);
        }
        if name.is_empty() {
            Err(wrong(self.line, "the name of a setting or a table is missing"))
        } else {
            Ok(name)
        }
    }

    fn value(&mut self) -> Result<Value, TomlError> {
        self.blanks();
        match self.chars.peek() {
            Some('"' | '\'') => self.string().map(Value::Text),
            Some('{') => self.inline(),
            Some('[') => Err(wrong(self.line, "lists are not read here")),
            Some(_) | None => {
                let word =
                    self.bare().map_err(|_| wrong(self.line, "a value is missing: text stands in quotes"))?;
                let is_number = word.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '_');
                match word.as_str() {
                    "true" | "false" => Ok(Value::Text(word)),
                    _ if is_number => Ok(Value::Text(word.replace('_', ""))),
                    _ => Err(wrong(self.line, "text stands in quotes")),
                }
            }
        }
    }

    /// `{ a = 1, b = "c" }`.
    fn inline(&mut self) -> Result<Value, TomlError> {
        let mut table = Table::default();
        self.sign('{')?;
        self.blanks();
        if self.chars.next_if_eq(&'}').is_some() {
            return Ok(Value::Table(table));
        }
        loop {
            let (path, entry) = self.pair(self.line)?;
            put(&mut table, path, entry)?;
            self.blanks();
            match self.chars.next() {
                Some(',') => {}
                Some('}') => return Ok(Value::Table(table)),
                Some(_) | None => return Err(wrong(self.line, "',' or '}' is missing")),
            }
        }
    }

    /// A string in either kind of quotes, of one line or, in three of them, of several.
    fn string(&mut self) -> Result<String, TomlError> {
        let start = self.line;
        let open = |_| wrong(start, "a string has no end");
        let quote = self.chars.next().ok_or(()).map_err(open)?;
        let mut is_long = false;
        if self.chars.next_if_eq(&quote).is_some() {
            if self.chars.next_if_eq(&quote).is_none() {
                return Ok(String::new());
            }
            is_long = true;
            self.chars.next_if_eq(&'\r');
            if self.chars.next_if_eq(&'\n').is_some() {
                self.line += 1;
            }
        }
        let mut text = String::new();
        loop {
            match self.chars.next().ok_or(()).map_err(open)? {
                c if c == quote && !is_long => return Ok(text),
                c if c == quote => {
                    text.push(c);
                    // Up to two quotes may stand before the three that end it.
                    let ends =
                        text.ends_with(&quote.to_string().repeat(3)) && self.chars.peek() != Some(&quote);
                    if ends {
                        text.truncate(text.len() - 3);
                        return Ok(text);
                    }
                }
                '\n' if !is_long => return Err(open(())),
                '\n' => {
                    self.line += 1;
                    text.push('\n');
                }
                '\\' if quote == '"' => self.escape(&mut text)?,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), TomlError> {
        let line = self.line;
        let unknown = || {
            wrong(line, "a backslash in a string stands before b, t, n, f, r, e, u, U, a quote or another")
        };
        match self.chars.next().ok_or_else(unknown)? {
            'b' => text.push('\u{8}'),
            't' => text.push('\t'),
            'n' => text.push('\n'),
            'f' => text.push('\u{c}'),
            'r' => text.push('\r'),
            'e' => text.push('\u{1b}'),
            '"' => text.push('"'),
            '\\' => text.push('\\'),
            mark @ ('u' | 'U') => {
                let digits: String = self.chars.by_ref().take(if mark == 'u' { 4 } else { 8 }).collect();
                let found = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                text.push(found.ok_or_else(unknown)?);
            }
            // At the end of a line it takes the line's end and the blanks behind it away.
            c if c.is_whitespace() => {
                self.line += usize::from(c == '\n');
                while let Some(c) = self.chars.next_if(|c| c.is_whitespace()) {
                    self.line += usize::from(c == '\n');
                }
            }
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(table: &Table) -> String {
        let entries = table.entries().map(|(name, entry)| match &entry.value {
            Value::Text(text) => format!("{name}={text:?}@{}", entry.line),
            Value::Table(table) => format!("{name}{{{}}}", shown(table)),
        });
        entries.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tables_and_values_are_read() {
        let text = "# a comment\n\n[secrets.prod] # more\r\ntype = \"s3\"\nkey_id = 'A\\n'\nuse_ssl = false\n\
                    n = 1_000\n\n[secrets.\"a b\"]\ntext = \"\"\"\none\\n\\\"two\\u0041\n \"\"\"\"\n\
                    [secrets]\nweb = { type = \"http\", extra.a = \"x\" }\n";
        let table = read(text).map(|table| shown(&table));
        assert_eq!(
            table.unwrap(),
            "secrets{prod{type=\"s3\"@4 key_id=\"A\\\\n\"@5 use_ssl=\"false\"@6 n=\"1000\"@7} \
             a b{text=\"one\\n\\\"twoA\\n \\\"\"@10} web{type=\"http\"@14 extra{a=\"x\"@14}}}"
        );
        assert_eq!(read("").map(|table| shown(&table)).unwrap(), "");
    }

    #[test]
    fn errors_tell_the_line_and_no_value() {
        for (text, line, message) in [
            ("a = hush", 1, "text stands in quotes"),
            ("\na = 'hush", 2, "a string has no end"),
            ("a = 'hush' 'hush'", 1, "there is more on this line than one setting"),
            ("a = 'hush'\na = 'hush'", 2, "'a' is given twice"),
            ("[a]\n[b]\n[a]", 3, "[a] is there twice"),
            ("a = 'hush'\n[a]", 2, "'a' is a value already, and no table"),
            ("a = ['hush']", 1, "lists are not read here"),
            ("[[a]]", 1, "lists of tables are not read here"),
            ("a =", 1, "a value is missing: text stands in quotes"),
            ("[a\nb = 1", 1, "']' is missing"),
            ("a = { b = 'hush'", 1, "',' or '}' is missing"),
            ("= 'hush'", 1, "the name of a setting or a table is missing"),
            ("a 'hush'", 1, "'=' is missing"),
        ] {
            let error = read(text).err().unwrap();
            assert_eq!((error.line, error.message.as_str()), (line, message), "{text}");
        }
    }
}
