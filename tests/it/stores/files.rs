//! Answers of servers that have files: by range, with versions, and lists as S3 has them.

use std::collections::BTreeMap;

use super::server::{Asked, Reply};

/// Files by path (`/bucket/key`).
pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Bytes that are unlike at every place.
pub(super) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8).collect()
}

/// One file, with this tag.
pub(super) fn file(asked: &Asked, content: &[u8], tag: &str) -> Reply {
    if asked.header("if-match").is_some_and(|wanted| wanted != tag) {
        return Reply::new(412, "");
    }
    let reply = match asked.range(content.len()) {
        Some((first, last)) => Reply::new(206, &content[first..=last])
            .with("content-range", format!("bytes {first}-{last}/{}", content.len())),
        None if asked.method == "HEAD" => {
            Reply::new(200, "").with("content-length", content.len().to_string())
        }
        None => Reply::new(200, content),
    };
    reply.with("etag", tag).with("last-modified", MODIFIED)
}

/// A file of many, or a list of those in a bucket.
pub(super) fn s3(asked: &Asked, files: &Files) -> Reply {
    let path = percent_encoding::percent_decode_str(asked.path()).decode_utf8().unwrap();
    match files.get(path.as_ref()) {
        Some(content) => file(asked, content, "\"v1\""),
        None if asked.query("list-type").is_some() => Reply::new(200, list(asked, files)),
        None => error(404, "NoSuchKey", "The specified key does not exist."),
    }
}

/// An error as S3 words it.
pub(super) fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    Reply::new(status, body).with("content-type", "application/xml")
}

fn list(asked: &Asked, files: &Files) -> String {
    let root = format!("{}/", asked.path().trim_end_matches('/'));
    let prefix = asked.query("prefix").unwrap_or_default();
    let after = asked.query("start-after").unwrap_or_default();
    let mut text = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
    for (path, content) in files {
        let Some(key) = path.strip_prefix(&root) else { continue };
        if key.starts_with(&prefix) && key > after.as_str() {
            text.push_str(&format!(
                "<Contents><Key>{key}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>\
                 <ETag>&quot;v1&quot;</ETag><Size>{}</Size></Contents>",
                content.len()
            ));
        }
    }
    text.push_str("</ListBucketResult>");
    text
}
