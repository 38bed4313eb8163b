//! What a web server's answer says of the file.

use std::ops::Range;

use datafusion::object_store::client::HttpResponse;
use datafusion::object_store::path::Path;
use datafusion::object_store::{GetRange, ObjectMeta};

/// Headers of an answer.
#[derive(Debug)]
pub(super) struct Described {
    key: Path,
    /// Whether the body is a part of the file (206).
    pub(super) is_part: bool,
    /// `bytes 0-0/1234`, as the server has it.
    pub(super) content_range: Option<String>,
    pub(super) status: u16,
    length: Option<u64>,
    tag: Option<String>,
    modified: Option<String>,
}

pub(super) fn described(key: &Path, response: &HttpResponse) -> Described {
    let header = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.map(|text| text.trim().to_string())
    };
    let status = response.status().as_u16();
    Described {
        key: key.clone(),
        is_part: status == 206,
        content_range: header("content-range"),
        status,
        length: header("content-length").and_then(|text| text.parse().ok()),
        tag: header("etag"),
        modified: header("last-modified"),
    }
}

impl Described {
    /// Size and version of the file; `None` if its size is not said. `asked` is the range that was asked for.
    pub(super) fn meta(&self, asked: Option<&GetRange>) -> Option<ObjectMeta> {
        let size = match (asked, self.status) {
            // `bytes */0`: an empty file has no first byte.
            (Some(_), 206 | 416) => self.content_range.as_deref().and_then(total)?,
            (_, 200) => self.length?,
            _ => return None,
        };
        Some(self.of_size(size))
    }

    pub(super) fn of_size(&self, size: u64) -> ObjectMeta {
        ObjectMeta {
            location: self.key.clone(),
            // Without a date the epoch, which says that it is not known.
            last_modified: self
                .modified
                .as_deref()
                .and_then(iso)
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            size,
            e_tag: self.tag.clone(),
            version: None,
        }
    }

    /// The range that the body is; `None` if it is not the one that was asked for.
    pub(super) fn range(&self, asked: Option<&GetRange>, meta: &ObjectMeta) -> Option<Range<u64>> {
        let Some(asked) = asked else { return Some(0..meta.size) };
        let (part, _) = self.content_range.as_deref()?.strip_prefix("bytes ")?.trim().split_once('/')?;
        let (first, last) = part.split_once('-')?;
        let sent = first.trim().parse().ok()?..last.trim().parse::<u64>().ok()?.checked_add(1)?;
        (within(asked, meta.size)? == sent).then_some(sent)
    }
}

fn total(content_range: &str) -> Option<u64> {
    content_range.rsplit_once('/')?.1.trim().parse().ok()
}

/// The bytes of a file of this size that a range means; `None` if it begins beyond its end.
pub(super) fn within(range: &GetRange, size: u64) -> Option<Range<u64>> {
    match range {
        GetRange::Bounded(range) if range.start < size => Some(range.start..range.end.min(size)),
        GetRange::Offset(start) if *start < size => Some(*start..size),
        GetRange::Suffix(length) => Some(size.saturating_sub(*length)..size),
        GetRange::Bounded(_) | GetRange::Offset(_) => None,
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as `1994-11-06T08:49:37Z`.
fn iso(date: &str) -> Option<String> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = date.split_once(',')?.1.split_whitespace();
    let day: u32 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (year, time) = (words.next()?, words.next()?);
    Some(format!("{year}-{month:02}-{day:02}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_ranges_are_read() {
        assert_eq!(iso("Sun, 06 Nov 1994 08:49:37 GMT").as_deref(), Some("1994-11-06T08:49:37Z"));
        assert_eq!(iso("yesterday"), None);
        assert_eq!(total("bytes 0-0/1234"), Some(1234));
        assert_eq!(total("bytes */0"), Some(0));
        assert_eq!(total("bytes 0-0/*"), None);
        assert_eq!(within(&GetRange::Bounded(2..100), 10), Some(2..10));
        assert_eq!(within(&GetRange::Suffix(100), 10), Some(0..10));
        assert_eq!(within(&GetRange::Offset(10), 10), None);
    }
}
