//! Uploads to S3 that nobody knows: the request that begins one was answered, and the answer was lost.
//!
//! The request is sent again, and begins another upload; the first would stay for ever, unseen. When ours is over, the
//! uploads of the same key that have not a single part are aborted: one that somebody else is at work with gets its
//! first part as soon as it is begun.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::object_store::aws::{AmazonS3, AwsAuthorizer, AwsCredentialProvider};
use datafusion::object_store::client::{HttpConnector, HttpRequest, HttpRequestBody};
use datafusion::object_store::multipart::MultipartStore;
use datafusion::object_store::path::Path;
use datafusion::object_store::{Error, MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::options;
use crate::store::counted::Request;
use crate::store::trouble::element;
use crate::store::wire::Wire;

/// As requests of S3 are signed.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b'/');

/// Where to look for them.
#[derive(Debug, Clone)]
pub(super) struct Strays {
    pub(super) wire: Wire,
    /// The bucket's URL.
    pub(super) address: String,
    pub(super) region: String,
    pub(super) signer: AwsCredentialProvider,
    pub(super) store: Arc<AmazonS3>,
    pub(super) key: Path,
}

impl Strays {
    /// Aborts them, as far as that is possible: they do no harm but to be there.
    pub(super) async fn sweep(&self) {
        let Ok(found) = self.asked(&format!("?uploads&prefix={}", self.encoded(IN_QUERY))).await else {
            return;
        };
        for id in uploads(&found, self.key.as_ref()) {
            let of_upload = format!(
                "/{}?max-parts=1&uploadId={}",
                self.encoded(IN_PATH),
                utf8_percent_encode(&id, IN_QUERY)
            );
            if self.asked(&of_upload).await.is_ok_and(|parts| !parts.contains("<Part>")) {
                // Whoever begins another one will look for it as well.
                let _ = self.store.abort_multipart(&self.key, &id).await;
            }
        }
    }

    fn encoded(&self, set: &'static AsciiSet) -> String {
        utf8_percent_encode(self.key.as_ref(), set).to_string()
    }

    /// The text of an answer about the bucket, or about something in it.
    async fn asked(&self, rest: &str) -> Result<String> {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::Generic { store: "S3", source };
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = format!("{}{rest}", self.address).parse().map_err(|e| failed(Box::new(e)))?;
        request.extensions_mut().insert(Request::List);
        let credential = self.signer.get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let client = self.wire.connect(&options(Some(&self.address)))?;
        let answer = client.execute(request).await.map_err(|e| failed(Box::new(e)))?;
        if !answer.status().is_success() {
            return Err(failed("the server does not say".into()));
        }
        let body = answer.into_body().bytes().await.map_err(|e| failed(Box::new(e)))?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// The ids of the uploads of a key in a list of them.
fn uploads(list: &str, key: &str) -> Vec<String> {
    let uploads = list.split("<Upload>").skip(1);
    let of_key = uploads.filter(|upload| element(upload, "Key").is_some_and(|text| unescaped(text) == key));
    of_key.filter_map(|upload| element(upload, "UploadId")).map(unescaped).collect()
}

/// A text of XML as it is meant.
fn unescaped(text: &str) -> String {
    let marks =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    marks.iter().fold(text.to_string(), |text, (escaped, mark)| text.replace(escaped, mark))
}

/// An upload that others may have been begun for.
#[derive(Debug)]
pub(super) struct Swept {
    pub(super) upload: Box<dyn MultipartUpload>,
    pub(super) strays: Strays,
}

#[async_trait]
impl MultipartUpload for Swept {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.upload.complete().await?;
        self.strays.sweep().await;
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await?;
        self.strays.sweep().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_the_very_key_are_found() {
        let upload =
            |key: &str, id: &str| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>");
        let list = [upload("a&amp;b", "1"), upload("a&amp;b/c", "2"), upload("a&amp;b", "3&quot;")].concat();
        let list = format!("<R><Prefix>a&amp;b</Prefix>{list}</R>");
        assert_eq!(uploads(&list, "a&b"), ["1", "3\""]);
        assert!(uploads("<R></R>", "a").is_empty());
    }
}
