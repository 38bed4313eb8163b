//! Web servers over a folder.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use percent_encoding::percent_decode_str;

use super::message::{Head, answer, listen, send};

/// What a web server does when it is asked for a part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// It sends the part.
    Served,
    /// It sends the whole file, as it is allowed to.
    Ignored,
}

/// A web server for GET and HEAD, on threads of this process.
pub(crate) struct Http {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<Head>>>,
}

impl Http {
    /// Serves the files of a folder.
    pub(crate) fn start(folder: &Path, ranges: Ranges) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, folder) = (Arc::clone(&requests), folder.to_path_buf());
        let site = Arc::new(Site { folder, ranges, files: Mutex::default() });
        let address = listen(move |head, _, stream| {
            log.lock().unwrap().push(head.clone());
            let (answer, body) = site.respond(head);
            let body = if head.method() == "HEAD" { &[] } else { &body[..] };
            send(stream, &answer, body)?;
            Ok(true)
        });
        Self { address, requests }
    }

    /// The URL of a file.
    pub(crate) fn url(&self, file: &str) -> String {
        format!("http://{}/{file}", self.address)
    }

    /// What was asked for so far.
    pub(crate) fn requests(&self) -> Vec<Head> {
        self.requests.lock().unwrap().clone()
    }
}

/// What is served.
struct Site {
    folder: PathBuf,
    ranges: Ranges,
    files: Mutex<HashMap<PathBuf, (SystemTime, File)>>,
}

/// A file's bytes, and a tag that changes with them.
#[derive(Clone)]
struct File {
    bytes: Arc<Vec<u8>>,
    tag: String,
}

impl Site {
    fn respond(&self, head: &Head) -> (Head, Vec<u8>) {
        let text = |status: &str| answer(status, "text/plain", format!("{status}\n").as_bytes());
        if !matches!(head.method(), "GET" | "HEAD") {
            return text("405 Method Not Allowed");
        }
        let Some(File { bytes, tag }) = path(&self.folder, head.target()).and_then(|path| self.file(path))
        else {
            return text("404 Not Found");
        };
        if head.get("if-match").is_some_and(|wanted| wanted != tag && wanted != "*") {
            return text("412 Precondition Failed");
        }
        if head.get("if-none-match").is_some_and(|known| known == tag) {
            return text("304 Not Modified");
        }
        let range = head.get("range").filter(|_| self.ranges == Ranges::Served);
        let (mut answer, body) = match range.map(|range| part(range, bytes.len())) {
            None => answer("200 OK", "application/octet-stream", &bytes),
            Some(None) => {
                let (mut answer, body) = text("416 Range Not Satisfiable");
                answer.set("Content-Range", format!("bytes */{}", bytes.len()));
                return (answer, body);
            }
            Some(Some(part)) => {
                let range = format!("bytes {}-{}/{}", part.start, part.end - 1, bytes.len());
                let (mut answer, body) =
                    answer("206 Partial Content", "application/octet-stream", &bytes[part]);
                answer.set("Content-Range", range);
                (answer, body)
            }
        };
        answer.set("ETag", tag);
        answer.set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT");
        answer.set("Accept-Ranges", if self.ranges == Ranges::Served { "bytes" } else { "none" });
        (answer, body)
    }

    /// A file as it is now; read and told by its tag once as long as it is not written anew.
    fn file(&self, path: PathBuf) -> Option<File> {
        let time = fs::metadata(&path).ok().filter(|meta| meta.is_file())?.modified().ok()?;
        if let Some((known, file)) = self.files.lock().unwrap().get(&path)
            && *known == time
        {
            return Some(file.clone());
        }
        let bytes = fs::read(&path).ok()?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let file = File { bytes: Arc::new(bytes), tag: format!("\"{:016x}\"", hasher.finish()) };
        self.files.lock().unwrap().insert(path, (time, file.clone()));
        Some(file)
    }
}

/// The file of a path; none outside of the folder.
fn path(folder: &Path, target: &str) -> Option<PathBuf> {
    let name = percent_decode_str(target.split('?').next()?).decode_utf8().ok()?.into_owned();
    let name = name.trim_start_matches('/');
    (!name.split('/').any(|part| part == "..")).then(|| folder.join(name))
}

/// The part of so many bytes that a header asks for: `bytes=0-9`, `bytes=10-`, `bytes=-8`.
fn part(range: &str, length: usize) -> Option<Range<usize>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let part = match (from, to) {
        ("", count) => length.saturating_sub(count.parse().ok()?)..length,
        (from, "") => from.parse().ok()?..length,
        (from, to) => from.parse().ok()?..length.min(to.parse::<usize>().ok()? + 1),
    };
    (part.start < part.end).then_some(part)
}
