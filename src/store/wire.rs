//! The requests themselves: counted, given up when no answer comes, sent again where that may help.
//!
//! This is below what signs requests and reads answers (`object_store`, whose own retries are off), so a request is
//! sent again as it was. Bodies of objects pass through; `patient` looks after them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use datafusion::object_store::{ClientConfigKey, ClientOptions, Result, RetryConfig};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use super::counted::{Meter, Request};
use super::line::Line;
use super::pulse::Pulse;
use super::tries::Tries;
use super::trouble::{Answer, Trouble, What, region};

/// Answers without an object in them are read whole, and are no longer than this.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Of an answer that is no success, this much is read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// How often it is looked whether a request is late.
const LOOK: Duration = Duration::from_millis(100);

/// Makes the clients of one store.
#[derive(Debug, Clone)]
pub(super) struct Wire(pub(super) Arc<Line>);

impl Wire {
    /// The client's options: no time-out for a whole request, since scans take as long as they take.
    pub(super) fn options() -> ClientOptions {
        ClientOptions::new().with_timeout_disabled()
    }

    /// No retries but ours.
    pub(super) fn no_retries() -> RetryConfig {
        RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() }
    }
}

/// What makes one client of ours another than the next.
const CLIENT_SETTINGS: [ClientConfigKey; 18] = [
    ClientConfigKey::AllowHttp,
    ClientConfigKey::AllowInvalidCertificates,
    ClientConfigKey::ConnectTimeout,
    ClientConfigKey::DefaultContentType,
    ClientConfigKey::Http1Only,
    ClientConfigKey::Http2KeepAliveInterval,
    ClientConfigKey::Http2KeepAliveTimeout,
    ClientConfigKey::Http2KeepAliveWhileIdle,
    ClientConfigKey::Http2MaxFrameSize,
    ClientConfigKey::Http2Only,
    ClientConfigKey::PoolIdleTimeout,
    ClientConfigKey::PoolMaxIdlePerHost,
    ClientConfigKey::ProxyUrl,
    ClientConfigKey::ProxyCaCertificate,
    ClientConfigKey::ProxyExcludes,
    ClientConfigKey::RandomizeAddresses,
    ClientConfigKey::Timeout,
    ClientConfigKey::UserAgent,
];

type Clients = BTreeMap<Vec<Option<String>>, HttpClient>;

/// The clients of this process, by their settings. Making one takes 10 ms, in which the machine's certificates are
/// read: as long as a near store takes to answer. They share their connections as well.
static CLIENTS: Mutex<Clients> = Mutex::new(BTreeMap::new());

impl Wire {
    /// A client for this store alone: one that sends headers of its own.
    pub(super) fn connect_alone(&self, options: &ClientOptions) -> Result<HttpClient> {
        Ok(self.counting(ReqwestConnector::default().connect(options)?))
    }

    fn counting(&self, inner: HttpClient) -> HttpClient {
        HttpClient::new(Patiently { inner, line: Arc::clone(&self.0) })
    }
}

impl HttpConnector for Wire {
    /// A client without headers of its own.
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let settings = CLIENT_SETTINGS.iter().map(|key| options.get_config_value(key)).collect();
        let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match clients.entry(settings) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => place.insert(ReqwestConnector::default().connect(options)?).clone(),
        };
        drop(clients);
        Ok(self.counting(client))
    }
}

#[derive(Debug)]
struct Patiently {
    inner: HttpClient,
    line: Arc<Line>,
}

#[async_trait]
impl HttpService for Patiently {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let purpose = purpose(&request);
        let meter = Meter::of(request.extensions()).cloned();
        let mut tries = Tries::first();
        loop {
            self.count(&request, purpose, meter.as_ref(), !tries.is_first());
            let begun = Instant::now();
            let what = match self.answer(&request, purpose, meter.as_ref(), tries.attempts()).await {
                Ok(response) => return Ok(response),
                Err(what) => what,
            };
            if begins_upload(&request) && what.is_passing() && what.is_ambiguous() {
                self.line.lost_begins.fetch_add(1, Ordering::SeqCst);
            }
            let again = what.is_passing() && !(is_conditional(&request) && what.is_ambiguous());
            if !again || self.line.is_over(tries) {
                // Whatever it is, it is not to be tried by anybody above.
                let attempts = tries.attempts();
                return Err(HttpError::new(HttpErrorKind::Unknown, Trouble { what, attempts }));
            }
            sleep(self.line.pause(&what, purpose, &mut tries, begun.elapsed())).await;
            tries.again();
        }
    }
}

impl Patiently {
    fn count(&self, request: &HttpRequest, purpose: Request, meter: Option<&Meter>, again: bool) {
        self.line.counts.request(purpose, again);
        if purpose == Request::Put {
            self.line.counts.written(length(request));
        }
        if let Some(meter) = meter {
            meter.request(again);
        }
    }

    /// An attempt. If nothing is heard of it, the same is asked for beside it where that does no harm, and the answer
    /// that is here first is taken: what was lost on the way is not waited for until the time-out.
    async fn answer(
        &self,
        request: &HttpRequest,
        purpose: Request,
        meter: Option<&Meter>,
        attempt: u32,
    ) -> Result<HttpResponse, What> {
        let pulse = Pulse::default();
        let asked = |number: u32| {
            let (request, pulse) = (request.clone(), &pulse);
            async move { (number, self.attempt(request, purpose, attempt, pulse).await) }
        };
        let mut under_way = FuturesUnordered::new();
        under_way.push(asked(0));
        let mut beside = 0;
        loop {
            // What is usual may change meanwhile, by the answers to others. That two are silent happens in bad times.
            let soon = self.patience_before_second(request, purpose, attempt - 1 + beside / 2);
            let wait = soon.map_or(LOOK, |soon| soon.saturating_sub(pulse.since()).min(LOOK));
            tokio::select! {
                biased;
                Some((number, answer)) = under_way.next() => match answer {
                    Ok(response) => {
                        if number > 0 {
                            self.resumed(meter);
                        }
                        return Ok(response);
                    }
                    Err(what) if under_way.is_empty() || !what.is_passing() || what.after().is_some() => {
                        return Err(what);
                    }
                    // Another is under way.
                    Err(_) => {}
                },
                () = pulse.news() => {}
                () = sleep(wait) => if soon.is_some_and(|soon| pulse.since() >= soon) {
                    if self.line.allowance.take() {
                        beside += 1;
                        self.count(request, purpose, meter, false);
                        under_way.push(asked(beside));
                    }
                    pulse.restart();
                },
            }
        }
    }

    /// How long nothing is to be heard of a request before the same is asked for beside it; `None` if it is not to be:
    /// what changes something may arrive late, and undo what was done since.
    fn patience_before_second(&self, request: &HttpRequest, purpose: Request, done: u32) -> Option<Duration> {
        let Line { usual, patience, parts_differ, .. } = &*self.line;
        match purpose {
            Request::Get | Request::Head | Request::List => Some(usual.second(patience, purpose, done)),
            // How long parts take is known by one that was answered, and so is whether they differ.
            Request::Put if is_part(request) && !parts_differ.load(Ordering::Relaxed) => {
                usual.second_part(patience, length(request), done)
            }
            Request::Put | Request::Other => None,
        }
    }

    /// A request beside another was the one that was answered.
    fn resumed(&self, meter: Option<&Meter>) {
        self.line.counts.resumed();
        if let Some(meter) = meter {
            meter.resumed();
        }
    }

    async fn attempt(
        &self,
        request: HttpRequest,
        purpose: Request,
        attempt: u32,
        pulse: &Pulse,
    ) -> Result<HttpResponse, What> {
        let wait = self.line.usual.wait(&self.line.patience, attempt);
        let rate = self.line.patience.sent_bytes_per_second.max(1);
        let sending = Duration::from_secs(length(&request) / rate);
        let part = is_part(&request).then(|| length(&request));
        let begun = Instant::now();
        let response = match timeout(wait + sending, self.inner.execute(request)).await {
            Err(_) => return Err(What::Silent(wait + sending)),
            Ok(Err(error)) => return Err(What::of(&error)),
            Ok(Ok(response)) => response,
        };
        pulse.beat();
        self.line.usual.heard();
        let status = response.status().as_u16();
        match status {
            200..300 if purpose == Request::Get => {
                self.line.answered(purpose, begun.elapsed());
                Ok(response)
            }
            200..300 => {
                self.line.answered(purpose, begun.elapsed());
                if let Some(bytes) = part {
                    self.line.usual.sent(bytes, begun.elapsed());
                    if has_own_key(&response) {
                        self.line.parts_differ.store(true, Ordering::Relaxed);
                    }
                }
                // The first answer tells what is usual, and its body is part of it.
                let wait = self.line.usual.wait(&self.line.patience, attempt);
                let (parts, body) = response.into_parts();
                let body = whole(body, wait, ANSWER_BYTES_MAX, Overlong::Fails, pulse).await?;
                if purpose == Request::Other
                    && let Some(answer) = error_in_success(status, &body)
                {
                    return Err(What::Answer(answer));
                }
                Ok(HttpResponse::from_parts(parts, body.into()))
            }
            // Those that say something about the object have errors of their own above.
            304 | 404 | 409 | 412 | 416 => {
                let (parts, body) = response.into_parts();
                let body = whole(body, wait, REFUSAL_BYTES_MAX, Overlong::IsCut, pulse).await?;
                Ok(HttpResponse::from_parts(parts, body.into()))
            }
            _ => Err(What::Answer(refusal(response, wait, pulse).await)),
        }
    }
}

/// What a request is for: as it says itself, or as far as it can be told from it.
fn purpose(request: &HttpRequest) -> Request {
    if let Some(purpose) = request.extensions().get() {
        return *purpose;
    }
    let has = |name: &str| asks_for(request, name);
    match request.method().as_str() {
        "HEAD" => Request::Head,
        "GET" if has("list-type") || (has("comp") && has("restype")) => Request::List,
        "GET" => Request::Get,
        "PUT" => Request::Put,
        _ => Request::Other,
    }
}

/// Whether a parameter is in the query.
fn asks_for(request: &HttpRequest, name: &str) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|part| part.split('=').next() == Some(name))
}

/// Whether a part of an upload is sent: one that arrives late is the same again, or too late to be of any effect.
fn is_part(request: &HttpRequest) -> bool {
    request.method().as_str() == "PUT" && asks_for(request, "partNumber") && asks_for(request, "uploadId")
}

fn length(request: &HttpRequest) -> u64 {
    request.body().content_length() as u64
}

/// Whether what was sent is encrypted with a key of its own: by a key service, or by one of the sender's. Its tag is
/// not one of its bytes then.
fn has_own_key(response: &HttpResponse) -> bool {
    let service = response.headers().get("x-amz-server-side-encryption");
    service.is_some_and(|value| value.as_bytes().starts_with(b"aws:kms"))
        || response.headers().contains_key("x-amz-server-side-encryption-customer-algorithm")
}

/// Whether each answer to the request stands for another upload.
fn begins_upload(request: &HttpRequest) -> bool {
    request.method().as_str() == "POST" && asks_for(request, "uploads")
}

/// Whether the answer depends on what is there, so that a repeated request may meet its own doing.
fn is_conditional(request: &HttpRequest) -> bool {
    let has = |name: &str| request.headers().contains_key(name);
    request.method().as_str() == "PUT"
        && (has("if-none-match") || has("if-match") || has("x-goog-if-generation-match"))
}

/// S3 answers some uploads with a success that has an error in it.
fn error_in_success(status: u16, body: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.contains("<Error>"))?;
    let mut answer = Answer { status, reason: "OK", ..Answer::default() };
    answer.read_body(text);
    answer.code.is_some().then_some(answer)
}

async fn refusal(response: HttpResponse, wait: Duration, pulse: &Pulse) -> Answer {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let mut answer = Answer {
        status: response.status().as_u16(),
        reason: response.status().canonical_reason().unwrap_or_default(),
        region: header("x-amz-bucket-region").and_then(region),
        after: header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs),
        // Answers to HEAD have no body; Azure says it here as well.
        code: header("x-ms-error-code").map(String::from),
        message: None,
    };
    // An answer whose text cannot be had is an answer all the same.
    if let Ok(body) = whole(response.into_body(), wait, REFUSAL_BYTES_MAX, Overlong::IsCut, pulse).await {
        let code = answer.code.take();
        answer.read_body(&String::from_utf8_lossy(&body));
        answer.code = answer.code.or(code);
    }
    answer
}

/// What to do with a body that is longer than is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlong {
    Fails,
    IsCut,
}

/// A body, whole; each piece of it is awaited as long as the answer was.
async fn whole(
    body: HttpResponseBody,
    wait: Duration,
    bytes_max: usize,
    overlong: Overlong,
    pulse: &Pulse,
) -> Result<Bytes, What> {
    let mut pieces = body.bytes_stream();
    let mut all = Vec::new();
    loop {
        match timeout(wait, pieces.next()).await {
            Err(_) => return Err(What::Silent(wait)),
            Ok(Some(Err(error))) => return Err(What::of(&error)),
            Ok(None) => return Ok(all.into()),
            Ok(Some(Ok(piece))) => {
                pulse.beat();
                all.extend_from_slice(&piece);
                if all.len() <= bytes_max {
                    continue;
                }
                return match overlong {
                    Overlong::IsCut => Ok(all.into()),
                    Overlong::Fails => {
                        let text = format!("an answer is longer than {bytes_max} bytes");
                        Err(What::Broken(text))
                    }
                };
            }
        }
    }
}
