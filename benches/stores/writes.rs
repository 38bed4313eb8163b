//! What is written to the server: objects that are sent whole, and in parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use crate::server::Request;

/// What was written since it was last forgotten.
#[derive(Debug, Default)]
pub(crate) struct Writes(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    objects: BTreeMap<String, Vec<u8>>,
    /// Uploads that were begun, by their number.
    uploads: BTreeMap<String, Upload>,
    /// Numbers of those that are objects now.
    done: BTreeSet<String>,
    begun: usize,
}

#[derive(Debug)]
struct Upload {
    key: String,
    parts: BTreeMap<usize, Vec<u8>>,
}

/// An answer to a request that writes, or that asks for uploads.
pub(crate) struct Answer {
    pub(crate) status: &'static str,
    pub(crate) text: String,
    pub(crate) is_tagged: bool,
}

fn answer(status: &'static str, text: impl Into<String>) -> Option<Answer> {
    Some(Answer { status, text: text.into(), is_tagged: false })
}

fn tagged(text: impl Into<String>) -> Option<Answer> {
    Some(Answer { status: "200 OK", text: text.into(), is_tagged: true })
}

impl Writes {
    /// Nothing has been written.
    pub(crate) fn forget(&self) {
        *self.lock() = Written::default();
    }

    /// An object's bytes; of one that is whole.
    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().objects.get(key).cloned()
    }

    /// Uploads that were neither completed nor aborted.
    pub(crate) fn open(&self) -> usize {
        self.lock().uploads.len()
    }

    /// Does what is asked for; `None` if that is something else.
    pub(crate) fn answer(&self, key: &str, request: &Request) -> Option<Answer> {
        let mut written = self.lock();
        let id = request.query.get("uploadId");
        match (request.method.as_str(), id) {
            ("POST", None) if request.query.contains_key("uploads") => {
                written.begun += 1;
                let id = written.begun.to_string();
                let text = format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                );
                written.uploads.insert(id, Upload { key: key.to_string(), parts: BTreeMap::new() });
                answer("200 OK", text)
            }
            ("PUT", Some(id)) => {
                let number = request.query.get("partNumber")?.parse().ok()?;
                match written.uploads.get_mut(id) {
                    Some(upload) => {
                        upload.parts.insert(number, request.body.clone());
                        tagged("")
                    }
                    None => answer("404 Not Found", "<Error><Code>NoSuchUpload</Code></Error>"),
                }
            }
            ("PUT", None) => {
                written.objects.insert(key.to_string(), request.body.clone());
                tagged("")
            }
            ("POST", Some(id)) => {
                if let Some(upload) = written.uploads.remove(id) {
                    written.objects.insert(upload.key, upload.parts.into_values().flatten().collect());
                    written.done.insert(id.clone());
                }
                match written.done.contains(id) {
                    true => tagged(
                        "<CompleteMultipartUploadResult><ETag>written</ETag></CompleteMultipartUploadResult>",
                    ),
                    false => answer("404 Not Found", "<Error><Code>NoSuchUpload</Code></Error>"),
                }
            }
            ("DELETE", Some(id)) => {
                written.uploads.remove(id);
                answer("204 No Content", "")
            }
            ("DELETE", None) => {
                written.objects.remove(key);
                answer("204 No Content", "")
            }
            ("GET", Some(id)) => {
                let parts = written.uploads.get(id).map_or(0, |upload| upload.parts.len());
                answer(
                    "200 OK",
                    format!("<ListPartsResult>{}</ListPartsResult>", "<Part></Part>".repeat(parts)),
                )
            }
            ("GET", None) if request.query.contains_key("uploads") => {
                let uploads = written.uploads.iter().map(|(id, upload)| {
                    format!("<Upload><Key>{}</Key><UploadId>{id}</UploadId></Upload>", upload.key)
                });
                let uploads: String = uploads.collect();
                answer(
                    "200 OK",
                    format!("<ListMultipartUploadsResult>{uploads}</ListMultipartUploadsResult>"),
                )
            }
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap()
    }
}
