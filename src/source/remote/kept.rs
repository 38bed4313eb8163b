//! The first bytes of objects, and small objects whole: what was read to know what an object is need not be read again.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use object_store::ObjectMeta;
use object_store::path::Path;

/// Bytes of an object's start that are read at once: enough for the first records of most, and all of a small one.
pub(super) const START_BYTES: u64 = 256 << 10;
/// Bytes of all starts that are kept; the oldest go first.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// Starts of objects.
#[derive(Debug, Default)]
pub(super) struct Kept {
    starts: HashMap<Path, (ObjectMeta, Bytes)>,
    order: VecDeque<Path>,
    bytes: usize,
}

impl Kept {
    /// The start of just this version of an object.
    pub(super) fn start(&self, meta: &ObjectMeta) -> Option<Bytes> {
        let (seen, start) = self.starts.get(&meta.location)?;
        (seen == meta).then(|| start.clone())
    }

    pub(super) fn add(&mut self, meta: &ObjectMeta, start: Bytes) {
        self.bytes += start.len();
        match self.starts.insert(meta.location.clone(), (meta.clone(), start)) {
            Some((_, old)) => self.bytes -= old.len(),
            None => self.order.push_back(meta.location.clone()),
        }
        while self.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some((_, old)) = self.starts.remove(&oldest) {
                self.bytes -= old.len();
            }
        }
    }

    /// Forgets the start of an object, whatever its version.
    pub(super) fn forget(&mut self, key: &Path) {
        if let Some((_, old)) = self.starts.remove(key) {
            self.bytes -= old.len();
            self.order.retain(|other| other != key);
        }
    }
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
        kept.add(&meta("a", "1"), Bytes::from_static(b"x"));
        assert!(kept.start(&meta("a", "1")).is_some());
        assert!(kept.start(&meta("a", "2")).is_none());
        kept.add(&meta("a", "2"), Bytes::from_static(b"yy"));
        assert_eq!(kept.bytes, 2);
    }

    #[test]
    fn what_is_forgotten_gives_its_room_back() {
        let mut kept = Kept::default();
        kept.add(&meta("a", "1"), Bytes::from_static(b"x"));
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
            kept.add(&meta(key, "1"), half.clone());
        }
        assert!(kept.start(&meta("a", "1")).is_none());
        assert!(kept.start(&meta("b", "1")).is_some() && kept.start(&meta("c", "1")).is_some());
    }
}
