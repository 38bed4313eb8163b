//! `COPY … TO 'file.tsv.gz'`: the format and options that a file's name asks for.

use datafusion::sql::parser::CopyToStatement;
use sqlparser::ast::Value;

/// Names of formats and the engine's format with the delimiter that they stand for.
const FORMATS: [(&str, &str, Option<&str>); 7] = [
    ("csv", "CSV", None),
    ("tsv", "CSV", Some("\t")),
    ("tab", "CSV", Some("\t")),
    ("json", "JSON", None),
    ("ndjson", "JSON", None),
    ("jsonl", "JSON", None),
    ("pq", "PARQUET", None),
];

/// Extensions of compressed text and the engine's names for them.
const COMPRESSIONS: [(&str, &str); 4] = [("gz", "gzip"), ("bz2", "bzip2"), ("xz", "xz"), ("zst", "zstd")];

/// States the format of a COPY, where its name or its target's extension is one that the engine does not
/// know by itself. What the statement says stays.
pub(super) fn spell_format(copy: &mut CopyToStatement) {
    let name = copy.target.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_lowercase();
    let mut parts = name.rsplit('.');
    let mut extension = parts.next().unwrap_or_default();
    let compression = COMPRESSIONS.iter().find(|(suffix, _)| *suffix == extension);
    if compression.is_some() {
        extension = parts.next().unwrap_or_default();
    }
    let wanted = copy.stored_as.as_deref().unwrap_or(extension).to_lowercase();
    let Some((_, format, delimiter)) = FORMATS.iter().find(|(known, ..)| *known == wanted) else { return };
    copy.stored_as = Some((*format).to_string());
    let delimiter = delimiter.map(|delimiter| ("format.delimiter", delimiter));
    let compression = compression.map(|(_, engine)| ("format.compression", *engine));
    for (key, value) in delimiter.into_iter().chain(compression.filter(|_| *format != "PARQUET")) {
        if !copy.options.iter().any(|(known, _)| known.eq_ignore_ascii_case(key)) {
            copy.options.push((key.to_string(), Value::SingleQuotedString(value.to_string())));
        }
    }
}
