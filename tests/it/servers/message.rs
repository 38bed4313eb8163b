//! As much of HTTP/1.1 as the web servers and the proxy of the tests need.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// The first line of a request or an answer, and its headers, as they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) first: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head; `None` if the other side has closed the connection instead.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(first) = line(from)? else { return Ok(None) };
        let mut head = Self { first, headers: Vec::new() };
        loop {
            let text = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if text.is_empty() {
                return Ok(Some(head));
            }
            let (name, value) = text.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
            head.headers.push((name.to_string(), value.trim().to_string()));
        }
    }

    /// A header's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let named = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// Gives a header this value, whatever it had.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self.headers.push((name.to_string(), value.into()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
    }

    /// GET, HEAD, …
    pub(crate) fn method(&self) -> &str {
        self.first.split(' ').next().unwrap()
    }

    /// What is asked for: path and query.
    pub(crate) fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap()
    }

    /// The number in an answer's first line.
    pub(super) fn status(&self) -> u16 {
        self.first.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The body that follows; of an answer without a length it ends with the connection.
    pub(super) fn body(&self, from: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.get("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            loop {
                let size = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let size = usize::from_str_radix(size.split(';').next().unwrap(), 16).unwrap();
                let start = body.len();
                body.resize(start + size, 0);
                from.read_exact(&mut body[start..])?;
                line(from)?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match self.get("content-length") {
            Some(length) => {
                body.resize(length.parse().unwrap(), 0);
                from.read_exact(&mut body)?;
            }
            None if self.first.starts_with("HTTP/") => drop(from.read_to_end(&mut body)?),
            None => {}
        }
        Ok(body)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        self.headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        text.push_str("\r\n");
        text.into_bytes()
    }
}

fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    if from.read_line(&mut text)? == 0 {
        return Ok(None);
    }
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_string()))
}

/// An answer with a body that is whole.
pub(super) fn answer(status: &str, kind: &str, body: &[u8]) -> (Head, Vec<u8>) {
    let mut head = Head { first: format!("HTTP/1.1 {status}"), headers: Vec::new() };
    head.set("Content-Type", kind);
    head.set("Content-Length", body.len().to_string());
    (head, body.to_vec())
}

/// Sends a head and a body.
pub(super) fn send(to: &mut impl Write, head: &Head, body: &[u8]) -> io::Result<()> {
    to.write_all(&head.bytes())?;
    to.write_all(body)?;
    to.flush()
}

/// Listens on a port that is free, and has a function answer each request that comes in on a connection, until it says
/// that the connection is to be closed. Gives `127.0.0.1:PORT`. The threads go with the process.
pub(super) fn listen(
    answer: impl Fn(&Head, Vec<u8>, &mut TcpStream) -> io::Result<bool> + Clone + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (answer, Ok(mut stream)) = (answer.clone(), stream) else { continue };
            thread::spawn(move || -> io::Result<()> {
                stream.set_nodelay(true)?;
                let mut reader = BufReader::new(stream.try_clone()?);
                while let Some(head) = Head::read(&mut reader)? {
                    let body = head.body(&mut reader)?;
                    if !answer(&head, body, &mut stream)? {
                        break;
                    }
                }
                Ok(())
            });
        }
    });
    address
}
