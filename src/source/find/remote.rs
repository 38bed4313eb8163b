//! URLs, patterns and folders to objects of a store of the network.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::{Result, plan_datafusion_err, plan_err};
use globset::{Glob, GlobMatcher};
use object_store::ObjectMeta;
use object_store::path::Path;

use super::{DataFile, Found, Object, depth_max, matcher, retain_data, spells_hidden};
use crate::source::at_once::at_once;
use crate::source::format::Format;
use crate::source::partition::{self, Keys, typed};
use crate::source::prune::{Conditions, Verdict};
use crate::source::remote::{LISTINGS_MAX, Remote, Wanted};
use crate::store::{Kind, Location, without_query};

/// Folders that are listed one by one for their keys; of more that have none, all that is below is listed at once.
const KEYLESS_MAX: usize = 64;

/// A place in a store, which may be a pattern.
pub(super) struct Place {
    /// As it is named in messages.
    text: String,
    /// What stands before the keys of the store in the names of files.
    start: String,
    key: String,
    remote: Arc<Remote>,
}

impl Place {
    /// A place as it was written, and what it means.
    pub(super) fn new(written: &str, location: Location, remote: Arc<Remote>) -> Self {
        let Location { store, key, .. } = location;
        // What lets one in has been taken out of the key, and must not come back in the name.
        let start = match written.strip_suffix(key.as_str()) {
            Some(start) if remote.kind != Kind::Http => start.to_string(),
            _ => store.as_str().to_string(),
        };
        let start = if start.ends_with('/') { start } else { format!("{start}/") };
        Self { text: format!("{start}{key}"), start, key, remote }
    }

    fn path(&self, key: &str) -> Result<Path> {
        Path::parse(key).map_err(|error| plan_datafusion_err!("'{}' cannot be looked up: {error}", self.text))
    }

    /// The object of the very key; `None` if there is none.
    async fn object(&self, path: &Path) -> Result<Option<ObjectMeta>> {
        let name = std::path::Path::new(without_query(&self.key));
        let wanted = match Format::of_name(name) {
            Some(Format::Parquet) => Wanted::Footer,
            Some(Format::Csv | Format::Tsv | Format::Json | Format::Avro | Format::Arrow) | None => {
                Wanted::Meta
            }
        };
        self.remote.object(path, wanted).await
    }

    fn file(&self, meta: ObjectMeta) -> DataFile {
        let path = PathBuf::from(format!("{}{}", self.start, meta.location));
        DataFile { path, object: Some(Object { remote: Arc::clone(&self.remote), meta }) }
    }

    /// The files of objects, sorted as local ones are.
    fn files(&self, objects: Vec<ObjectMeta>) -> Vec<DataFile> {
        let mut files: Vec<_> = objects.into_iter().map(|meta| self.file(meta)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    fn is_pattern(&self) -> bool {
        // A question mark begins the query of a web server's URL.
        let marks: &[char] =
            if self.remote.kind == Kind::Http { &['*', '[', '{'] } else { &['*', '?', '[', '{'] };
        self.key.contains(marks)
    }
}

/// The files that a place means.
pub(super) async fn find(place: &Place, wanted: Option<&Conditions<'_>>) -> Result<Found> {
    match place.is_pattern() {
        true if place.remote.kind == Kind::Http => plan_err!(
            "'{}' is a pattern, and web servers do not list their files: name each file by its URL",
            place.text
        ),
        true => matching(place, wanted).await,
        false => named(place, wanted).await,
    }
}

/// A file by its name, or the files in a folder.
async fn named(place: &Place, wanted: Option<&Conditions<'_>>) -> Result<Found> {
    let path = place.path(&place.key)?;
    let is_folder = place.key.is_empty() || place.key.ends_with('/');
    if (!is_folder || place.remote.kind == Kind::Http)
        && let Some(meta) = place.object(&path).await?
    {
        // What marks a folder has no data, and the name of a file has no slash at its end.
        return Ok(Found { files: vec![place.file(meta)], is_part: false });
    }
    if place.remote.kind == Kind::Http {
        return plan_err!("no such file: '{}'", place.text);
    }
    let tree = Tree { root: path.clone(), depth_max: usize::MAX, spelled: false, steps: Steps::any() };
    let (mut objects, is_part) = tree.walk(&place.remote, wanted).await?;
    drop_markers(&mut objects, &path);
    let mut files = place.files(objects);
    retain_data(&mut files);
    match files.is_empty() && !is_part {
        true if is_folder => plan_err!("folder '{}' has no data files", place.text),
        true => plan_err!("no such file: '{}'", place.text),
        false => Ok(Found { files, is_part }),
    }
}

/// The files that a pattern matches.
async fn matching(place: &Place, wanted: Option<&Conditions<'_>>) -> Result<Found> {
    let matcher = matcher(&place.text, &place.key)?;
    let tree = Tree::of_pattern(place)?;
    let (mut objects, is_part) = tree.walk(&place.remote, wanted).await?;
    // What exists under the very name is no pattern.
    if let Some(at) = objects.iter().position(|meta| meta.location.as_ref() == place.key) {
        return Ok(Found { files: vec![place.file(objects.swap_remove(at))], is_part: false });
    }
    drop_markers(&mut objects, &tree.root);
    objects.retain(|meta| matcher.is_match(meta.location.as_ref()));
    match objects.is_empty() && !is_part {
        true => plan_err!("no file matches '{}'", place.text),
        false => Ok(Found { files: place.files(objects), is_part }),
    }
}

/// The keys in the paths of a place's files, as far as one way down shows them, up to the first that are not known.
pub(super) async fn keys(
    place: &Place,
    wanted: Option<&Conditions<'_>>,
    known: &[FieldRef],
) -> Result<Vec<FieldRef>> {
    let tree = match place.is_pattern() {
        _ if place.remote.kind == Kind::Http => return Ok(Vec::new()),
        true => Tree::of_pattern(place)?,
        false => {
            let path = place.path(&place.key)?;
            let is_folder = place.key.is_empty() || place.key.ends_with('/');
            if !is_folder && let Some(meta) = place.object(&path).await? {
                return Ok(fields(&[partition::keys(&place.file(meta).path)]));
            }
            Tree { root: path, depth_max: usize::MAX, spelled: false, steps: Steps::any() }
        }
    };
    let mut seen: Vec<Keys> = Vec::new();
    let mut next = Some(tree.root.clone());
    let mut depth = 0;
    while let Some(folder) = next.take() {
        depth += 1;
        if depth >= tree.depth_max {
            break;
        }
        let level = place.remote.level(&folder).await?;
        let folders = tree.folders(&level.folders, depth - 1);
        let here: Vec<_> = folders.iter().map(folder_keys).collect();
        let verdicts = wanted.map(|wanted| wanted.judge(&here));
        let is_wanted = |place: &usize| {
            verdicts.as_ref().is_none_or(|verdicts| verdicts.get(*place) != Some(&Verdict::Unwanted))
        };
        let is_known = |name: &String| known.iter().any(|field| field.name() == name);
        if here.iter().flatten().all(|(name, _)| is_known(name)) {
            next = (0..folders.len()).find(is_wanted).map(|place| folders[place].clone());
        }
        seen.extend(here);
    }
    if seen.is_empty() {
        seen.push(folder_keys(&tree.root));
    }
    // Those on the way down have fewer keys than those at its end: that is no NULL.
    Ok(fields(&seen))
}

fn fields(keys: &[Keys]) -> Vec<FieldRef> {
    // Without declared types there is nothing that a value could miss.
    typed(keys, &[]).map(|keys| keys.fields).unwrap_or_default()
}

/// The part of a store in which a place's files are.
struct Tree {
    root: Path,
    /// Names from the root to a file, at most.
    depth_max: usize,
    /// Whether hidden names are meant.
    spelled: bool,
    steps: Steps,
}

impl Tree {
    fn of_pattern(place: &Place) -> Result<Self> {
        let parts: Vec<_> = place.key.split('/').collect();
        let first = parts.iter().position(|part| part.contains(['*', '?', '[', '{'])).unwrap_or(0);
        let root = place.path(&parts[..first].join("/"))?;
        let rest = parts[first..].join("/");
        Ok(Self {
            root,
            depth_max: depth_max(&rest),
            spelled: spells_hidden(&rest),
            steps: Steps::of(&parts[first..]),
        })
    }

    /// All objects that may be meant, and whether folders were left out because of their keys.
    async fn walk(
        &self,
        remote: &Arc<Remote>,
        wanted: Option<&Conditions<'_>>,
    ) -> Result<(Vec<ObjectMeta>, bool)> {
        let mut found = Vec::new();
        let mut is_part = false;
        let wanted = wanted.filter(|wanted| !wanted.is_empty());
        if wanted.is_none() && self.depth_max > 1 {
            found = remote.tree(&self.root).await?;
        } else {
            let mut folders = vec![self.root.clone()];
            let mut depth = 0;
            while !folders.is_empty() {
                let listed = folders.into_iter().map(|folder| async move { remote.level(&folder).await });
                let levels = at_once(listed, LISTINGS_MAX).await?;
                found.extend(levels.iter().flat_map(|level| level.files.iter().cloned()));
                let below: Vec<_> =
                    levels.iter().flat_map(|level| self.folders(&level.folders, depth)).collect();
                depth += 1;
                let (Some(wanted), true) = (wanted, depth < self.depth_max) else { break };
                let split = split(below, wanted);
                is_part |= split.is_part;
                let whole = split.whole.into_iter().map(|folder| async move { remote.tree(&folder).await });
                let whole = at_once(whole, LISTINGS_MAX).await?;
                found.extend(whole.into_iter().flatten());
                folders = split.open;
            }
        }
        found.retain(|meta| self.shows(&meta.location));
        Ok((found, is_part))
    }

    /// Whether a path has no hidden names below the root, or these are meant.
    fn shows(&self, path: &Path) -> bool {
        let mut below = path.parts().skip(self.root.parts_count());
        self.spelled || !below.any(|part| part.as_ref().starts_with(['.', '_']))
    }

    /// Those of some folders, so many names below the root, in which files may be.
    fn folders(&self, folders: &[Path], depth: usize) -> Vec<Path> {
        let may = |folder: &&Path| {
            self.shows(folder) && folder.filename().is_none_or(|name| self.steps.admit(depth, name))
        };
        folders.iter().filter(may).cloned().collect()
    }
}

/// Folders by what is to be done with them.
struct Split {
    /// All in them is to be listed.
    whole: Vec<Path>,
    /// Their folders are to be judged.
    open: Vec<Path>,
    is_part: bool,
}

fn split(folders: Vec<Path>, wanted: &Conditions<'_>) -> Split {
    let keys: Vec<_> = folders.iter().map(folder_keys).collect();
    let verdicts = wanted.judge(&keys);
    let has_key = |folder: &Path| folder.filename().is_some_and(|name| name.contains('='));
    let keyless = folders.iter().filter(|folder| !has_key(folder)).count();
    let mut split = Split { whole: Vec::new(), open: Vec::new(), is_part: false };
    for (folder, verdict) in folders.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Unwanted => split.is_part = true,
            Verdict::Wanted => split.whole.push(folder),
            Verdict::Open if keyless > KEYLESS_MAX && !has_key(&folder) => split.whole.push(folder),
            Verdict::Open => split.open.push(folder),
        }
    }
    split
}

/// The keys of a folder, its own name included.
fn folder_keys(folder: &Path) -> Keys {
    partition::keys(&PathBuf::from(folder.as_ref()).join("file"))
}

/// What a pattern says of the names on the way from its root.
struct Steps {
    steps: Vec<GlobMatcher>,
}

impl Steps {
    fn any() -> Self {
        Self { steps: Vec::new() }
    }

    /// The first parts of a pattern that are about one name each.
    fn of(parts: &[&str]) -> Self {
        let folders = &parts[..parts.len().saturating_sub(1)];
        let step = |part: &&str| match part.contains("**") {
            true => None,
            // A list of paths is torn by its slashes: such a part is no pattern, and ends the steps.
            false => Glob::new(part).ok().map(|glob| glob.compile_matcher()),
        };
        Self { steps: folders.iter().map_while(step).collect() }
    }

    fn admit(&self, depth: usize, name: &str) -> bool {
        self.steps.get(depth).is_none_or(|step| step.is_match(name))
    }
}

/// Drops the empty objects that some programs write where other stores have folders.
fn drop_markers(objects: &mut Vec<ObjectMeta>, root: &Path) {
    let is_empty = |meta: &ObjectMeta| {
        meta.size == 0 && Format::of_name(std::path::Path::new(meta.location.as_ref())).is_none()
    };
    if !objects.iter().any(is_empty) {
        return;
    }
    let above = |meta: &ObjectMeta| std::iter::successors(meta.location.parent(), Path::parent);
    let mut folders: HashSet<Path> = objects.iter().flat_map(above).collect();
    folders.insert(root.clone());
    objects.retain(|meta| !(is_empty(meta) && folders.contains(&meta.location)));
}
