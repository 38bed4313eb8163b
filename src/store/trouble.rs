//! What went wrong with a request, and how it is told.

use std::time::Duration;

use datafusion::object_store::Error as Store;
use datafusion::object_store::client::{HttpError, HttpErrorKind};

/// Longer messages of servers are cut: some answer with a page.
const MESSAGE_CHARS_MAX: usize = 200;

/// What went wrong with a request after it was sent as often as is of use.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}{}", again(*attempts))]
pub(super) struct Trouble {
    /// What went wrong in the last attempt.
    #[source]
    pub(super) what: What,
    /// How often it was tried.
    pub(super) attempts: u32,
}

/// What can go wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum What {
    /// The server said no.
    #[error("the server answered {}", .0.text())]
    Answer(Answer),
    /// There was no connection.
    #[error("could not connect: {0}")]
    Connect(String),
    /// The server said nothing for so long.
    #[error("the server did not answer for {0:?}")]
    Silent(Duration),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// An answer that is no success.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `Forbidden` and its like.
    pub(super) reason: &'static str,
    /// The store's own word for it: `NoSuchBucket`.
    pub(super) code: Option<String>,
    /// Its sentence about it.
    pub(super) message: Option<String>,
    /// The region that it says to go to.
    pub(super) region: Option<String>,
    /// When it says to come again.
    pub(super) after: Option<Duration>,
}

impl Answer {
    /// Takes from the body what is for people: of XML, as S3, Google and Azure answer, the code and the message. All
    /// else may repeat what we sent, signatures included, and is left out.
    pub(super) fn read_body(&mut self, body: &str) {
        self.code = element(body, "Code").map(String::from);
        self.message = element(body, "Message").map(short);
        if self.region.is_none() {
            self.region = element(body, "Region").and_then(region);
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{} {}", self.status, self.reason);
        text.truncate(text.trim_end().len());
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => text.push_str(&format!(" ({code}: {message})")),
            (Some(said), None) | (None, Some(said)) => text.push_str(&format!(" ({said})")),
            (None, None) => {}
        }
        text
    }

    /// Whether the same request may succeed in a moment.
    fn is_passing(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        match self.status {
            408 | 425 | 429 => true,
            501 | 505 => false,
            500.. => true,
            // S3 closed a connection on which nothing came.
            400 => code == "RequestTimeout",
            // An error in the body of a success.
            200 => matches!(code, "InternalError" | "SlowDown"),
            _ => matches!(code, "SlowDown" | "ServerBusy"),
        }
    }
}

impl What {
    /// Whether the same request may succeed in a moment.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Answer(answer) => answer.is_passing(),
            Self::Connect(_) | Self::Silent(_) | Self::Broken(_) => true,
        }
    }

    /// Whether the server may have done what was asked all the same.
    pub(super) fn is_ambiguous(&self) -> bool {
        match self {
            Self::Answer(answer) => !matches!(answer.status, 429 | 503),
            Self::Connect(_) => false,
            Self::Silent(_) | Self::Broken(_) => true,
        }
    }

    /// When the server says to come again.
    pub(super) fn after(&self) -> Option<Duration> {
        match self {
            Self::Answer(answer) => answer.after,
            Self::Connect(_) | Self::Silent(_) | Self::Broken(_) => None,
        }
    }

    /// An error of the client.
    pub(super) fn of(error: &HttpError) -> Self {
        let text = deepest(error);
        match error.kind() {
            HttpErrorKind::Connect => Self::Connect(text),
            _ => Self::Broken(text),
        }
    }
}

/// The first cause; what is around it says only that there was an error.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let last = std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error);
    let text = last.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

/// The trouble below an error of the stores.
pub(super) fn trouble(error: &Store) -> Option<Trouble> {
    if let Some(found) = find::<Trouble>(error) {
        return Some(found.clone());
    }
    let http = find::<HttpError>(error)?;
    Some(Trouble { what: What::of(http), attempts: 1 })
}

/// An error of a kind in a chain of causes.
pub(super) fn find<'a, E: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// The text of an XML element without others in it.
pub(super) fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    (!text.is_empty() && !text.contains('<')).then_some(text)
}

/// The name of a region, if it is one: it becomes part of a host's name.
pub(super) fn region(text: &str) -> Option<String> {
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_name.then(|| text.to_string())
}

/// The first line, cut.
fn short(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim_end_matches('.');
    match line.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((at, _)) => format!("{} …", &line[..at]),
        None => line.to_string(),
    }
}

fn again(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        attempts => format!("; it was tried {attempts} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let mut answer = Answer { status, reason: "Reason", ..Answer::default() };
        answer.read_body(body);
        answer
    }

    #[test]
    fn code_and_message_are_taken_and_nothing_else() {
        let body = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>No match.\nmore</Message>\
                    <AWSAccessKeyId>AKIDPLANTED</AWSAccessKeyId><Region>eu-west-1</Region></Error>";
        let answer = answer(403, body);
        assert_eq!(answer.region.as_deref(), Some("eu-west-1"));
        let text = Trouble { what: What::Answer(answer), attempts: 3 }.to_string();
        assert_eq!(
            text,
            "the server answered 403 Reason (SignatureDoesNotMatch: No match); it was tried 3 times"
        );
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let passes = |status, code: &str| answer(status, &format!("<Code>{code}</Code>")).is_passing();
        assert!(passes(503, "SlowDown") && passes(500, "InternalError") && passes(429, ""));
        assert!(passes(400, "RequestTimeout") && passes(200, "InternalError"));
        assert!(
            !passes(400, "ExpiredToken") && !passes(403, "AccessDenied") && !passes(501, "NotImplemented")
        );
    }

    #[test]
    fn pages_are_left_out() {
        assert_eq!(answer(502, "<html><body>Bad gateway</body></html>").text(), "502 Reason");
        let long = format!("<Message>{}</Message>", "x".repeat(1000));
        assert!(answer(500, &long).text().len() < 300);
    }
}
