//! The forms in which a text may carry a value: as it is, and escaped for where it stands.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::is_short;

/// What URLs leave as it is.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Lines and members shorter than this tell nothing.
const PART_BYTES_MIN: usize = 12;

/// All forms of a value, those of its parts too; none of one that is too short.
pub(super) fn of(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    add(value, &mut forms);
    // JSON has the lines of a key on one.
    let lines = value.replace("\\n", "\n");
    for part in parts(&lines).filter(|part| *part != value) {
        add(part, &mut forms);
    }
    forms
}

fn add(value: &str, forms: &mut BTreeSet<String>) {
    let value = value.trim();
    let decoded = percent_decode_str(value).decode_utf8_lossy().into_owned();
    for plain in [value.to_string(), decoded].into_iter().filter(|plain| !is_short(plain)) {
        let encoded = utf8_percent_encode(&plain, &UNRESERVED).to_string();
        forms.insert(lower_hex(&encoded));
        forms.insert(encoded);
        forms.insert(plain.replace('\'', "''"));
        forms.insert(plain.escape_debug().to_string());
        forms.insert(plain.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
        let html = plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        forms.insert(html.replace('"', "&quot;").replace('\'', "&#39;"));
        forms.insert(html);
        forms.insert(plain);
    }
}

/// What a value of several parts is made of: the lines of a key, the members of a connection string, a signature in
/// a query, the words behind `Bearer`. Names of members are none of them.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    let pieces = value.split(['\n', ';', '&', '"', ' ', '\\']);
    let values = pieces.map(|piece| match piece.split_once('=') {
        // Base64 ends with `=`: that is no name before a value.
        Some((name, rest)) if !rest.trim_matches('=').is_empty() && is_name(name) => rest,
        Some(_) | None => piece,
    });
    values.filter(|part| part.len() >= PART_BYTES_MIN && !is_plain(part))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '?'))
}

/// What tells nothing by itself: addresses, and words that the forms of keys are made of.
fn is_plain(part: &str) -> bool {
    part.starts_with("http")
        || part.starts_with("-----")
        || part.chars().all(|c| c.is_lowercase() || c == '_')
}

fn lower_hex(encoded: &str) -> String {
    let mut digits = 0;
    let lower = encoded.chars().map(|c| {
        let is_digit = digits > 0;
        digits = if c == '%' { 2 } else { digits.max(1) - 1 };
        if is_digit { c.to_ascii_lowercase() } else { c }
    });
    lower.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_value_are_hidden_alone_too() {
        let forms = of("DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=Zm9vYmFyYmF6cXV4==;x");
        assert!(forms.contains("Zm9vYmFyYmF6cXV4=="), "{forms:?}");
        assert!(!forms.contains("https") && !forms.contains("acc"), "{forms:?}");
        let forms = of("sv=2024-01-01&sig=a1b2c3d4e5f6%2Bx");
        assert!(forms.contains("a1b2c3d4e5f6%2Bx") && forms.contains("a1b2c3d4e5f6+x"), "{forms:?}");
        assert!(of("Bearer abcdefghijkl0").contains("abcdefghijkl0"));
        let key =
            of("{\"type\": \"service_account\", \"private_key\": \"-----BEGIN-----\\nMIIEvQIBADANBg\\n\"}");
        assert!(key.contains("MIIEvQIBADANBg") && !key.contains("service_account"), "{key:?}");
    }

    #[test]
    fn digits_of_escapes_have_two_cases() {
        assert_eq!(lower_hex("A%2FB%3D"), "A%2fB%3d");
    }
}
