//! What a store has listed.

use std::collections::HashMap;
use std::sync::Arc;

use object_store::ObjectMeta;
use object_store::path::Path;

/// Objects that are kept at most; beyond, all listings are forgotten before one is added.
const OBJECTS_MAX: usize = 1 << 20;

/// One folder: what is in it, not what is below.
#[derive(Debug)]
pub(in crate::source) struct Level {
    /// The folders in it, with their whole path.
    pub(in crate::source) folders: Vec<Path>,
    /// The objects in it.
    pub(in crate::source) files: Vec<ObjectMeta>,
}

/// Listings by folder. What a listing of a folder with all that is below it has shown answers for the folders in it.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Those that were asked for by their names, with the number of the statement that did.
    objects: HashMap<Path, (u64, ObjectMeta)>,
    levels: HashMap<Path, Arc<Level>>,
    /// Sorted by the text of their path.
    trees: HashMap<Path, Arc<[ObjectMeta]>>,
    held: usize,
}

impl Lists {
    /// An object that a statement has asked for by its name.
    pub(super) fn asked(&self, key: &Path, statement: u64) -> Option<ObjectMeta> {
        let (by, meta) = self.objects.get(key)?;
        (*by == statement).then(|| meta.clone())
    }

    /// An object as it was when it was last listed or asked for.
    pub(super) fn last(&self, key: &Path) -> Option<ObjectMeta> {
        if let Some((_, meta)) = self.objects.get(key) {
            return Some(meta.clone());
        }
        let folder = key.parent()?;
        if let Some(level) = self.levels.get(&folder)
            && let Some(meta) = level.files.iter().find(|meta| meta.location == *key)
        {
            return Some(meta.clone());
        }
        let below = self.covering(&folder)?;
        let place = below.binary_search_by(|meta| meta.location.as_ref().cmp(key.as_ref())).ok()?;
        Some(below[place].clone())
    }

    /// A folder, if it was listed.
    pub(super) fn level(&self, folder: &Path) -> Option<Arc<Level>> {
        if let Some(level) = self.levels.get(folder) {
            return Some(Arc::clone(level));
        }
        let below = part(self.covering(folder)?, folder);
        let mut level = Level { folders: Vec::new(), files: Vec::new() };
        for meta in below {
            let mut parts = meta.location.prefix_match(folder)?;
            let (first, second) = (parts.next(), parts.next());
            match (first, second) {
                (Some(name), Some(_)) => {
                    let inner = folder.clone().join(name);
                    if level.folders.last() != Some(&inner) && !level.folders.contains(&inner) {
                        level.folders.push(inner);
                    }
                }
                _ => level.files.push(meta.clone()),
            }
        }
        Some(Arc::new(level))
    }

    /// A folder with all that is below it, if it was listed so.
    pub(super) fn tree(&self, folder: &Path) -> Option<Vec<ObjectMeta>> {
        if let Some(level) = self.levels.get(folder)
            && level.folders.is_empty()
        {
            return Some(level.files.clone());
        }
        Some(part(self.covering(folder)?, folder).to_vec())
    }

    pub(super) fn add_object(&mut self, meta: ObjectMeta, statement: u64) {
        if !self.objects.contains_key(&meta.location) {
            self.make_room(1);
        }
        self.objects.insert(meta.location.clone(), (statement, meta));
    }

    pub(super) fn add_level(&mut self, folder: Path, level: Arc<Level>) {
        self.make_room(level.files.len() + level.folders.len());
        self.levels.insert(folder, level);
    }

    pub(super) fn add_tree(&mut self, folder: Path, mut objects: Vec<ObjectMeta>) {
        self.make_room(objects.len());
        objects.sort_unstable_by(|a, b| a.location.as_ref().cmp(b.location.as_ref()));
        self.trees.insert(folder, objects.into());
    }

    fn make_room(&mut self, entries: usize) {
        if self.held + entries > OBJECTS_MAX {
            *self = Self::default();
        }
        self.held += entries;
    }

    /// The listing of the nearest folder that has this one in it, or is it.
    fn covering(&self, folder: &Path) -> Option<&[ObjectMeta]> {
        let mut next = Some(folder.clone());
        while let Some(above) = next {
            if let Some(tree) = self.trees.get(&above) {
                return Some(tree);
            }
            next = above.parent();
        }
        None
    }
}

/// The part of a sorted listing that is below a folder.
fn part<'a>(sorted: &'a [ObjectMeta], folder: &Path) -> &'a [ObjectMeta] {
    if folder.is_root() {
        return sorted;
    }
    let start = format!("{folder}/");
    let first = sorted.partition_point(|meta| meta.location.as_ref() < start.as_str());
    let rest = &sorted[first..];
    let end = rest.partition_point(|meta| meta.location.as_ref().starts_with(&start));
    &rest[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(key: &str) -> ObjectMeta {
        ObjectMeta {
            location: Path::from(key),
            last_modified: Default::default(),
            size: 1,
            e_tag: None,
            version: None,
        }
    }

    fn keys(metas: &[ObjectMeta]) -> Vec<&str> {
        metas.iter().map(|meta| meta.location.as_ref()).collect()
    }

    #[test]
    fn a_tree_answers_for_the_folders_in_it() {
        let mut lists = Lists::default();
        let all = ["t/a/x", "t/a/y/z", "t/a-b/x", "t/b", "t/a/y2/z"];
        lists.add_tree(Path::from("t"), all.map(meta).to_vec());
        assert_eq!(keys(&lists.tree(&Path::from("t/a")).unwrap()), ["t/a/x", "t/a/y/z", "t/a/y2/z"]);
        let level = lists.level(&Path::from("t/a")).unwrap();
        assert_eq!(keys(&level.files), ["t/a/x"]);
        assert_eq!(level.folders, [Path::from("t/a/y"), Path::from("t/a/y2")]);
        assert_eq!(lists.last(&Path::from("t/b")).unwrap().location.as_ref(), "t/b");
        assert!(lists.last(&Path::from("t/c")).is_none());
        assert!(lists.tree(&Path::from("u")).is_none() && lists.level(&Path::ROOT).is_none());
    }

    #[test]
    fn a_folder_without_folders_is_known_whole() {
        let mut lists = Lists::default();
        let level = |folders: &[&str]| {
            let folders = folders.iter().map(|folder| Path::from(*folder)).collect();
            Arc::new(Level { folders, files: vec![meta("t/a/x")] })
        };
        lists.add_level(Path::from("t/a"), level(&["t/a/y"]));
        assert!(lists.tree(&Path::from("t/a")).is_none());
        lists.add_level(Path::from("t/a"), level(&[]));
        assert_eq!(keys(&lists.tree(&Path::from("t/a")).unwrap()), ["t/a/x"]);
    }

    #[test]
    fn too_many_objects_are_forgotten() {
        let mut lists = Lists::default();
        lists.add_object(meta("a"), 1);
        lists.make_room(OBJECTS_MAX);
        assert!(lists.last(&Path::from("a")).is_none());
    }
}
