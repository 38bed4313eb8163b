//! The first and the last bytes of objects, and small objects whole: what was read to know what an object is need not be
//! read again.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use object_store::ObjectMeta;
use object_store::path::Path;

/// Bytes of an object's start that are read at once: enough for the first records of most, and all of a small one.
pub(super) const START_BYTES: u64 = 256 << 10;
/// Bytes of all objects that are kept; those of the oldest go first.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// Starts and ends of objects.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pieces: HashMap<Path, Pieces>,
    order: VecDeque<Path>,
    bytes: usize,
}

/// What is kept of one version of an object.
#[derive(Debug)]
struct Pieces {
    meta: ObjectMeta,
    start: Bytes,
    end: Bytes,
}

impl Pieces {
    fn bytes(&self) -> usize {
        self.start.len() + self.end.len()
    }

    /// Where the end begins.
    fn end_at(&self) -> u64 {
        self.meta.size.saturating_sub(self.end.len() as u64)
    }
}

impl Kept {
    /// The start of just this version of an object.
    pub(super) fn start(&self, meta: &ObjectMeta) -> Option<Bytes> {
        let pieces = self.pieces(meta)?;
        match (pieces.start.is_empty(), pieces.end_at()) {
            (false, _) => Some(pieces.start.clone()),
            (true, 0) => Some(pieces.end.clone()),
            (true, _) => None,
        }
    }

    /// The bytes of a range of just this version of an object, if all of them are here.
    pub(super) fn bytes(&self, meta: &ObjectMeta, range: &Range<u64>) -> Option<Bytes> {
        let pieces = self.pieces(meta)?;
        within(&pieces.start, 0, range).or_else(|| within(&pieces.end, pieces.end_at(), range))
    }

    fn pieces(&self, meta: &ObjectMeta) -> Option<&Pieces> {
        self.pieces.get(&meta.location).filter(|pieces| pieces.meta == *meta)
    }

    /// Keeps the first bytes of an object.
    pub(super) fn add_start(&mut self, meta: &ObjectMeta, start: Bytes) {
        self.add(meta, |pieces| pieces.start = start);
    }

    /// Keeps the last bytes of an object.
    pub(super) fn add_end(&mut self, meta: &ObjectMeta, end: Bytes) {
        self.add(meta, |pieces| pieces.end = end);
    }

    fn add(&mut self, meta: &ObjectMeta, set: impl FnOnce(&mut Pieces)) {
        if self.pieces(meta).is_none() {
            self.forget(&meta.location);
        }
        let pieces = match self.pieces.entry(meta.location.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                self.order.push_back(meta.location.clone());
                place.insert(Pieces { meta: meta.clone(), start: Bytes::new(), end: Bytes::new() })
            }
        };
        self.bytes -= pieces.bytes();
        set(pieces);
        self.bytes += pieces.bytes();
        while self.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(old) = self.pieces.remove(&oldest) {
                self.bytes -= old.bytes();
            }
        }
    }

    /// Forgets what is kept of an object, whatever its version.
    pub(super) fn forget(&mut self, key: &Path) {
        if let Some(old) = self.pieces.remove(key) {
            self.bytes -= old.bytes();
            self.order.retain(|other| other != key);
        }
    }
}

/// A range of an object's bytes, of some that begin at a place in it.
fn within(bytes: &Bytes, first: u64, range: &Range<u64>) -> Option<Bytes> {
    let from = usize::try_from(range.start.checked_sub(first)?).ok()?;
    let to = usize::try_from(range.end.checked_sub(first)?).ok()?;
    (from <= to && to <= bytes.len()).then(|| bytes.slice(from..to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(key: &str, tag: &str) -> ObjectMeta {
        ObjectMeta {
            location: Path::from(key),
            last_modified: Default::default(),
            size: 1,
            e_tag: Some(tag.into()),
            version: None,
        }
    }

    #[test]
    fn a_start_is_of_one_version() {
        let mut kept = Kept::default();
        kept.add_start(&meta("a", "1"), Bytes::from_static(b"x"));
        kept.add_end(&meta("a", "1"), Bytes::from_static(b"x"));
        assert!(kept.start(&meta("a", "1")).is_some());
        assert!(kept.start(&meta("a", "2")).is_none());
        kept.add_start(&meta("a", "2"), Bytes::from_static(b"yy"));
        assert_eq!(kept.bytes, 2);
    }

    #[test]
    fn ranges_come_from_the_start_and_from_the_end() {
        let mut kept = Kept::default();
        let meta = ObjectMeta { size: 10, ..meta("a", "1") };
        kept.add_end(&meta, Bytes::from_static(b"789"));
        assert!(kept.start(&meta).is_none() && kept.bytes(&meta, &(0..2)).is_none());
        assert_eq!(kept.bytes(&meta, &(8..10)).unwrap(), "89");
        assert!(kept.bytes(&meta, &(6..8)).is_none() && kept.bytes(&meta, &(8..11)).is_none());
        kept.add_start(&meta, Bytes::from_static(b"0123"));
        assert_eq!(kept.start(&meta).unwrap(), "0123");
        assert_eq!(kept.bytes(&meta, &(0..2)).unwrap(), "01");
        assert_eq!(kept.bytes(&meta, &(7..9)).unwrap(), "78");
        assert!(kept.bytes(&meta, &(3..8)).is_none());
        kept.forget(&meta.location);
        kept.add_end(&meta, Bytes::from_static(b"0123456789"));
        assert_eq!(kept.start(&meta).unwrap(), "0123456789");
    }

    #[test]
    fn what_is_forgotten_gives_its_room_back() {
        let mut kept = Kept::default();
        kept.add_start(&meta("a", "1"), Bytes::from_static(b"x"));
        kept.forget(&Path::from("a"));
        kept.forget(&Path::from("a"));
        assert!(kept.start(&meta("a", "1")).is_none());
        assert_eq!((kept.bytes, kept.order.len()), (0, 0));
    }

    #[test]
    fn the_oldest_go_first() {
        let mut kept = Kept::default();
        let half = Bytes::from(vec![0; KEPT_BYTES_MAX / 2]);
        for key in ["a", "b", "c"] {
            kept.add_start(&meta(key, "1"), half.clone());
        }
        assert!(kept.start(&meta("a", "1")).is_none());
        assert!(kept.start(&meta("b", "1")).is_some() && kept.start(&meta("c", "1")).is_some());
    }
}
