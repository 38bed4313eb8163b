//! A small web server on loopback that does what a test tells it: answers, refuses, breaks off, keeps silent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// A part of the query, percent-decoded.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The first and the last byte of the range that is asked for, in a file of this size.
    pub(super) fn range(&self, size: usize) -> Option<(usize, usize)> {
        let text = self.header("range")?.strip_prefix("bytes=")?;
        let (first, last) = text.split_once('-').unwrap();
        Some(match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) => (first, last.min(size - 1)),
            (Ok(first), Err(_)) => (first, size - 1),
            (Err(_), Ok(suffix)) => (size.saturating_sub(suffix), size - 1),
            (Err(_), Err(_)) => panic!("{text}"),
        })
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) how: How,
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Whole,
    /// Without its length, up to the end of the connection.
    Unmeasured,
    /// So many bytes of the body, then the connection is closed.
    Cut(usize),
    /// So many bytes of the body, then the connection is reset.
    Reset(usize),
    /// So many bytes of the body, then nothing more.
    Stall(usize),
    /// So many bytes of the body, then nothing for so long, then the rest.
    Pause(usize, Duration),
    /// Nothing at all.
    Silent,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), how: How::Whole }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_string(), value.into()));
        self
    }

    pub(super) fn sent(mut self, how: How) -> Self {
        self.how = how;
        self
    }
}

/// A server that lives as long as the process; what it was asked is kept.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Starts one. The closure answers the requests; the number counts them from 0.
    pub(super) fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let (asked, answer) = (Arc::clone(&server.asked), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                std::thread::spawn(move || drop(serve(connection, &asked, answer.as_ref())));
            }
        });
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All requests until now.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Their methods and targets, one a line.
    pub(super) fn log(&self) -> Vec<String> {
        self.asked().iter().map(|asked| format!("{} {}", asked.method, asked.target)).collect()
    }
}

fn serve(
    connection: TcpStream,
    asked: &Mutex<Vec<Asked>>,
    answer: &(impl Fn(&Asked, usize) -> Reply + ?Sized),
) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut input = BufReader::new(connection.try_clone()?);
    let mut output = connection;
    while let Some(request) = read(&mut input)? {
        let number = {
            let mut asked = asked.lock().unwrap();
            asked.push(request.clone());
            asked.len() - 1
        };
        let reply = answer(&request, number);
        let is_over = send(&mut output, &request, reply)?;
        if is_over {
            return Ok(());
        }
    }
    Ok(())
}

fn read(input: &mut impl BufRead) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(String::from);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_string());
    }
    let length = headers.get("content-length").map_or(0, |text: &String| text.parse().unwrap());
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    Ok(Some(Asked { method, target, headers, body }))
}

/// Sends an answer; whether the connection is over.
fn send(output: &mut TcpStream, request: &Asked, reply: Reply) -> std::io::Result<bool> {
    if reply.how == How::Silent {
        hold(output);
        return Ok(true);
    }
    let mut head = format!("HTTP/1.1 {} Reason\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let has_length = reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match reply.how {
        How::Unmeasured => head.push_str("connection: close\r\n"),
        _ if has_length => {}
        _ => head.push_str(&format!("content-length: {}\r\n", reply.body.len())),
    }
    output.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method == "HEAD" || reply.status == 304 {
        return Ok(reply.how == How::Unmeasured);
    }
    let part = |bytes: usize| &reply.body[..bytes.min(reply.body.len())];
    match reply.how {
        How::Whole => output.write_all(&reply.body)?,
        How::Unmeasured => {
            output.write_all(&reply.body)?;
            return Ok(true);
        }
        How::Cut(bytes) => {
            output.write_all(part(bytes))?;
            return Ok(true);
        }
        How::Reset(bytes) => {
            output.write_all(part(bytes))?;
            std::thread::sleep(Duration::from_millis(20));
            reset(output);
            return Ok(true);
        }
        How::Stall(bytes) => {
            output.write_all(part(bytes))?;
            hold(output);
            return Ok(true);
        }
        How::Pause(bytes, time) => {
            output.write_all(part(bytes))?;
            std::thread::sleep(time);
            output.write_all(&reply.body[part(bytes).len()..])?;
        }
        How::Silent => {}
    }
    Ok(false)
}

/// Keeps a connection until the other side closes it.
fn hold(output: &mut TcpStream) {
    drop(output.set_read_timeout(Some(Duration::from_secs(120))));
    drop(output.read(&mut [0]));
}

/// Makes the close that follows a reset.
#[expect(unsafe_code, reason = "std has no stable way to set SO_LINGER")]
fn reset(output: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = std::mem::size_of_val(&linger) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the pointer is to a value of the size that is said.
    unsafe {
        libc::setsockopt(
            output.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            std::ptr::from_ref(&linger).cast(),
            size,
        );
    }
}
