//! Web servers: files are read, by range where the server has ranges, and whole where it has none.
//!
//! The client of `object_store` for web servers fails where one ignores `Range`, has no place for the query of a URL,
//! and lists by WebDAV, which few speak; so this is one of our own.

mod answer;
mod whole;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::object_store::client::{
    HttpClient, HttpConnector, HttpRequest, HttpRequestBody, HttpResponse,
};
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, HeaderMap,
    HeaderValue, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use url::Url;

use super::options;
use crate::error::{StoreAction, StoreError};
use crate::hidden;
use crate::store::aside;
use crate::store::counted::{HERE, Request};
use crate::store::line::Line;
use crate::store::secret::Secret;
use crate::store::trouble::find;
use crate::store::wire::Wire;
use answer::{Described, described};
use whole::{Whole, Wholes};

/// A web server. A secret's `bearer_token` and `extra_http_headers` go with each request to it; a name and password in
/// the URL as well.
pub(super) async fn open(url: &Url, secret: Option<&Secret>, wire: Wire) -> Result<Arc<dyn ObjectStore>> {
    let mut headers = extra_headers(url, secret)?;
    let wrong = |what: &str| {
        StoreError::new(url.origin().ascii_serialization(), format!("{what} cannot be sent in a header"))
    };
    let get = |name: &str| secret.and_then(|secret| secret.get(name));
    let authorization = match (get("bearer_token"), aside::user(url.username())) {
        (Some(token), _) => Some(format!("Bearer {token}")),
        (None, Some(user)) => Some(format!("Basic {}", base64(decoded(&user).as_bytes()))),
        (None, None) => None,
    };
    if let Some(text) = authorization {
        // A server may tell us what we have told it, and a name with its password goes there in another form.
        hidden::keep(&text);
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| wrong("the bearer token or the password"))?;
        value.set_sensitive(true);
        headers.insert("authorization", value);
    }
    let options = options(Some(url.as_str()));
    let client = match headers.is_empty() {
        true => wire.connect(&options)?,
        false => wire.connect_alone(&options.with_default_headers(headers))?,
    };
    let root = url.origin().ascii_serialization();
    Ok(Arc::new(Files { client, root, wholes: Wholes::default(), line: wire.0 }))
}

/// `EXTRA_HTTP_HEADERS MAP {'X-Key': '…'}`, kept as lines of `name: value`.
fn extra_headers(url: &Url, secret: Option<&Secret>) -> Result<HeaderMap> {
    let text = secret.and_then(|secret| secret.get("extra_http_headers")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let pairs: HashMap<_, _> =
        lines.map(|(name, value)| (name.trim().to_string(), value.trim().to_string())).collect();
    HeaderMap::try_from(&pairs).map_err(|_| {
        let root = url.origin().ascii_serialization();
        StoreError::new(root, "a header of the secret has a name or a value that no header can have").into()
    })
}

/// The files of a web server.
struct Files {
    client: HttpClient,
    root: String,
    /// Files of which no part can be had alone.
    wholes: Wholes,
    line: Arc<Line>,
}

impl Files {
    fn request(
        &self,
        method: &str,
        key: &Path,
        options: &GetOptions,
        range: Option<&GetRange>,
    ) -> Result<HttpRequest> {
        let text = format!("{}{}", self.root, aside::path_and_query(key.as_ref()));
        // As a browser would: what cannot be in a URL is encoded.
        let url = Url::parse(&text).map_err(generic)?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.try_into().map_err(generic)?;
        *request.uri_mut() = url.as_str().parse().map_err(generic)?;
        let headers = request.headers_mut();
        let value = |text: &str| HeaderValue::from_str(text).map_err(generic);
        if let Some(range) = range {
            headers.insert("range", value(&range.to_string())?);
        }
        if let Some(tag) = &options.if_match {
            headers.insert("if-match", value(tag)?);
        }
        if let Some(tag) = &options.if_none_match {
            headers.insert("if-none-match", value(tag)?);
        }
        *request.extensions_mut() = options.extensions.clone();
        request.extensions_mut().insert(if method == "HEAD" { Request::Head } else { Request::Get });
        Ok(request)
    }

    async fn send(
        &self,
        method: &str,
        key: &Path,
        options: &GetOptions,
        range: Option<&GetRange>,
    ) -> Result<HttpResponse> {
        let response =
            self.client.execute(self.request(method, key, options, range)?).await.map_err(generic)?;
        let path = key.to_string();
        let status = response.status().as_u16();
        let source: Box<dyn std::error::Error + Send + Sync> = format!("the server answered {status}").into();
        match status {
            404 => Err(Error::NotFound { path, source }),
            412 => Err(Error::Precondition { path, source }),
            304 => Err(Error::NotModified { path, source }),
            _ => Ok(response),
        }
    }

    /// Size and version. A server may know neither HEAD nor ranges, or not tell the size: then the file is read.
    async fn head(&self, key: &Path, options: &GetOptions) -> Result<ObjectMeta> {
        // A signed URL is for GET alone.
        let is_signed = aside::path_and_query(key.as_ref()).contains('?');
        if !is_signed {
            match self.send("HEAD", key, options, None).await {
                Ok(response) => {
                    let answer = described(key, &response);
                    if let Some(meta) = answer.meta(None) {
                        self.wholes.forget_unless(&meta);
                        return Ok(meta);
                    }
                    if let Some(meta) = self.wholes.same(key, &answer) {
                        return Ok(meta);
                    }
                }
                Err(error) if refuses_head(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let range = GetRange::Bounded(0..1);
        let response = self.send("GET", key, options, Some(&range)).await?;
        let answer = described(key, &response);
        match answer.meta(Some(&range)) {
            Some(meta) => {
                self.wholes.forget_unless(&meta);
                Ok(meta)
            }
            None => match self.wholes.same(key, &answer) {
                Some(meta) => Ok(meta),
                None => {
                    self.wholes.forget(key);
                    let whole = self.whole(key, Some(response)).await?;
                    Ok(whole.meta.clone())
                }
            },
        }
    }

    /// The whole file; from this answer, if there is one.
    async fn whole(&self, key: &Path, response: Option<HttpResponse>) -> Result<Arc<Whole>> {
        let mut first = response;
        let again = || async move { self.send("GET", key, &GetOptions::default(), None).await };
        self.wholes.get(key, &self.line, first.take(), again).await
    }

    fn part(&self, whole: Arc<Whole>, range: Option<&GetRange>) -> Result<GetResult> {
        let range = match range {
            None => 0..whole.meta.size,
            Some(range) => answer::within(range, whole.meta.size)
                .ok_or_else(|| generic(beyond(range, whole.meta.size)))?,
        };
        let meta = whole.meta.clone();
        let payload = GetResultPayload::Stream(whole.read(range.clone()));
        let mut attributes = Attributes::new();
        attributes.insert(HERE, "whole".into());
        Ok(GetResult { payload, meta, range, attributes })
    }
}

/// Whether a server answered HEAD as one does that has only GET. Some say 403 or 404 for it.
fn refuses_head(error: &Error) -> bool {
    use crate::store::trouble::{Trouble, What};
    let status = match find::<Trouble>(error).map(|trouble| &trouble.what) {
        Some(What::Answer(answer)) => answer.status,
        _ => return matches!(error, Error::NotFound { .. }),
    };
    matches!(status, 400 | 403 | 405 | 501)
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("root", &self.root).finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for Files {
    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            let meta = self.head(key, &options).await?;
            let payload = GetResultPayload::Stream(stream::empty().boxed());
            let range = 0..meta.size;
            return Ok(GetResult { payload, meta, range, attributes: Attributes::new() });
        }
        let range = options.range.as_ref();
        // Who does not know the size has not looked the file up: it may have changed since it was read whole.
        if self.wholes.has(key) && matches!(range, Some(GetRange::Suffix(_))) {
            self.head(key, &options).await?;
        }
        if self.wholes.has(key) {
            return self.part(self.whole(key, None).await?, range);
        }
        let response = self.send("GET", key, &options, range).await?;
        let answer = described(key, &response);
        if !matches!(answer.status, 200 | 206) {
            return nothing(&answer, range);
        }
        match (answer.meta(range), range) {
            // A part as it was asked for, or the whole that was asked for.
            (Some(meta), range) if answer.is_part == range.is_some() => {
                let range = answer.range(range, &meta).ok_or_else(|| unexpected(&answer))?;
                let body = response.into_body().bytes_stream().map_err(generic).boxed();
                let payload = GetResultPayload::Stream(body);
                Ok(GetResult { payload, meta, range, attributes: Attributes::new() })
            }
            (_, _) if answer.is_part => Err(unexpected(&answer)),
            // The server ignores ranges, or does not say how much it will send.
            (_, range) => self.part(self.whole(key, Some(response)).await?, range),
        }
    }

    async fn put_opts(&self, key: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(self.read_only(key, StoreAction::Write))
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(self.read_only(key, StoreAction::Write))
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let root = self.root.clone();
        keys.map(move |key| Err(read_only(&root, &key?, StoreAction::Delete))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let error = self.unlisted(prefix);
        stream::once(async move { Err(error) }).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        Err(self.unlisted(prefix))
    }

    async fn copy_opts(&self, _: &Path, to: &Path, _: CopyOptions) -> Result<()> {
        Err(self.read_only(to, StoreAction::Write))
    }
}

impl Files {
    fn read_only(&self, key: &Path, action: StoreAction) -> Error {
        read_only(&self.root, key, action)
    }

    fn unlisted(&self, prefix: Option<&Path>) -> Error {
        let url = format!("{}/{}", self.root, prefix.map(Path::as_ref).unwrap_or_default());
        StoreError::of(StoreAction::List, url, "web servers do not say what files they have")
            .with_help("name each file: FROM 'https://host/a.csv' UNION ALL FROM 'https://host/b.csv'")
            .into()
    }
}

/// The end of a file, of a file without bytes; or an error.
fn nothing(answer: &Described, range: Option<&GetRange>) -> Result<GetResult> {
    let asked = range.and_then(|range| Some((range, answer.meta(Some(range))?)));
    match asked {
        Some((GetRange::Suffix(_), meta)) if meta.size == 0 => {
            let payload = GetResultPayload::Stream(stream::empty().boxed());
            Ok(GetResult { payload, meta, range: 0..0, attributes: Attributes::new() })
        }
        Some((range, meta)) => Err(generic(beyond(range, meta.size))),
        None => Err(generic(std::io::Error::other(format!(
            "the server answered {}, which is no file",
            answer.status
        )))),
    }
}

fn beyond(range: &GetRange, size: u64) -> std::io::Error {
    std::io::Error::other(format!("{range} is beyond the end of the file, which has {size} bytes"))
}

fn read_only(root: &str, key: &Path, action: StoreAction) -> Error {
    let url = format!("{root}/{}", key.as_ref().split('?').next().unwrap_or_default());
    StoreError::of(action, url, "web servers are only read from").into()
}

fn unexpected(answer: &Described) -> Error {
    generic(std::io::Error::other(format!(
        "the server sent another part than was asked for: {}",
        answer.content_range.as_deref().unwrap_or("it does not say which")
    )))
}

pub(super) fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: "http", source: Box::new(source) }
}

/// What `%40` and its like in a name or a password mean.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0u32, |number, byte| (number << 8) | u32::from(*byte));
        let number = number << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_encoded() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"a"), "YQ==");
        assert_eq!(base64(b"me:pw"), "bWU6cHc=");
        assert_eq!(base64(b"Aladdin:open sesame"), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(decoded("a%40b"), "a@b");
    }
}
