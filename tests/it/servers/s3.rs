//! The S3 server.

use std::sync::{Arc, Mutex, OnceLock};

use datafusion::object_store::aws::{AmazonS3, AmazonS3Builder};

use super::process::Process;

/// What lets a user in.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) key: String,
    pub(crate) secret: String,
}

/// An S3 server that checks signatures and permissions.
pub(crate) struct S3 {
    /// `http://127.0.0.1:PORT`.
    pub(crate) endpoint: String,
    /// May do everything.
    pub(crate) writer: Keys,
    /// May read objects and list them.
    pub(crate) reader: Keys,
    /// Is known, and may do nothing.
    pub(crate) nobody: Keys,
    process: Mutex<Process>,
}

impl S3 {
    /// The one server of this process. Tests do not get into each other's way with a bucket of their own each.
    pub(crate) fn get() -> &'static Self {
        static SERVER: OnceLock<S3> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    fn start() -> Self {
        let (process, told) = Process::start(&["s3"]);
        let mut values = told.into_iter().map(|(_, value)| value);
        let mut next = || values.next().unwrap();
        let endpoint = next();
        let mut keys = || Keys { key: next(), secret: next() };
        let (writer, reader, nobody) = (keys(), keys(), keys());
        Self { endpoint, writer, reader, nobody, process: Mutex::new(process) }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// Makes a bucket.
    pub(crate) fn bucket(&self, name: &str) {
        self.process.lock().unwrap().command(&format!("bucket {name}")).unwrap();
    }

    /// Makes objects `<prefix>00000.csv` and so on: a column `n`, and in it one row with the object's number.
    pub(crate) fn fill(&self, bucket: &str, prefix: &str, count: usize) {
        self.process.lock().unwrap().command(&format!("fill {bucket} {prefix} {count}")).unwrap();
    }

    /// Multipart uploads that were begun and neither completed nor aborted.
    pub(crate) fn unfinished_uploads(&self, bucket: &str) -> usize {
        let mut process = self.process.lock().unwrap();
        process.ask(&format!("uploads {bucket}")).unwrap().parse().unwrap()
    }

    /// Parts of these uploads.
    pub(crate) fn unfinished_parts(&self, bucket: &str) -> usize {
        let mut process = self.process.lock().unwrap();
        process.ask(&format!("parts {bucket}")).unwrap().parse().unwrap()
    }

    /// A client of the server that is no part of the program, through an endpoint that may be a proxy's.
    pub(crate) fn client(endpoint: &str, bucket: &str, keys: &Keys) -> Arc<AmazonS3> {
        let builder = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name(bucket)
            .with_access_key_id(&keys.key)
            .with_secret_access_key(&keys.secret);
        Arc::new(builder.build().unwrap())
    }
}
