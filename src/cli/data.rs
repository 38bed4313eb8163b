//! A data file named on the command line: `query sales.csv`.

use std::path::Path;

use super::shell::items::Items;
use super::shell::meta::quoted;
use super::shell::words::is_keyword;
use crate::error::{Error, Result, Script};
use crate::frontend::sql::{Functions, split};
use crate::source::file::looks_like_path;

/// The name of files whose own cannot be a table's.
const NAME_DEFAULT: &str = "data";

/// A file, a pattern or a folder to be read as one table.
pub(super) struct Data {
    path: String,
}

/// The table that data goes by.
pub(super) struct View {
    pub(super) name: String,
    pub(super) path: String,
}

impl Data {
    /// Takes a word of the command line.
    ///
    /// # Errors
    /// A word that means no data: a file of SQL, nothing that exists.
    pub(super) fn of(word: &Path) -> Result<Self> {
        let Some(path) = word.to_str() else {
            return Err(Error::usage(format!("'{}' is not UTF-8 text", word.display())));
        };
        let is_sql = word.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"));
        if is_sql && !word.is_dir() {
            return Err(Error::usage_help(
                format!("'{path}' is SQL, not data"),
                format!("run it with `query run {path}`"),
            ));
        }
        let is_pattern = path.contains(['*', '?', '[']);
        if word.exists() || is_pattern || path.contains("://") {
            return Ok(Self { path: path.into() });
        }
        if looks_like_path(path) {
            return Err(Error::usage(format!("no such file: '{path}'")));
        }
        let help = match strsim::damerau_levenshtein(path, "run") {
            0..=2 => "did you mean `run`?",
            _ => "`query --help` shows what can be written",
        };
        Err(Error::usage_help(format!("'{path}' is neither a command nor a data file"), help))
    }

    /// What reads its rows.
    pub(super) fn rows(&self) -> Items {
        Items::of_sql(&Script::new("<command line>", format!("from {}", quoted(&self.path))))
    }

    /// The view of its rows: named after the file, if that is a name that SQL takes as it is.
    pub(super) fn view(self, functions: &Functions) -> View {
        let file_name = Path::new(&self.path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = file_name.split('.').next().unwrap_or_default().to_lowercase();
        let name = if is_name(&stem, functions) { stem } else { NAME_DEFAULT.into() };
        View { name, path: self.path }
    }
}

impl View {
    /// What makes it. A folder of the same name counts as a table of files: it is replaced.
    pub(super) fn items(&self) -> Items {
        let sql =
            format!("create or replace temp view {} as select * from {}", self.name, quoted(&self.path));
        Items::of_sql(&Script::new("<command line>", sql))
    }
}

/// Whether a text is a table's name without quotes; `order` is none.
fn is_name(text: &str, functions: &Functions) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        || !text.chars().all(is_word)
        || is_keyword(text)
    {
        return false;
    }
    let statements = split(&Script::new("", format!("select {text}.x from {text}"))).statements;
    let parsed = statements.first().and_then(|raw| raw.parse(functions).ok());
    parsed.is_some_and(|statement| {
        let relations = statement.relations();
        matches!(relations.as_slice(), [one] if one.to_string() == text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> String {
        Data { path: path.into() }.view(&Functions::default()).name
    }

    #[test]
    fn views_are_named_after_their_files() {
        assert_eq!(name("sales.csv"), "sales");
        assert_eq!(name("data/Sales_2026.csv.gz"), "sales_2026");
        assert_eq!(name("data/sales/"), "sales");
        assert_eq!(name("sales/*.csv"), "data");
        assert_eq!(name("2026.csv"), "data");
        assert_eq!(name("my sales.csv"), "data");
        assert_eq!(name("order.csv"), "data");
        assert_eq!(name("select.csv"), "data");
        assert_eq!(name("."), "data");
    }
}
