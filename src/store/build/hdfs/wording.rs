//! What HDFS and its client say, in words for people.

use std::io::ErrorKind;
use std::sync::Arc;

use datafusion::object_store::Error;
use datafusion::object_store::path::Path;
use hdfs_native::HdfsError;

use super::files::absolute;
use crate::error::{StoreAction, StoreError};
use crate::store::trouble::{Trouble, What, find};

/// Words of the NameNode when it finds no DataNode for a block.
const NO_TARGETS: &str = " could only be written to ";

/// Who speaks: errors name the URL.
#[derive(Debug, Clone)]
pub(super) struct Wording {
    /// `hdfs://host:port`.
    pub(super) root: Arc<str>,
}

/// An exception of the server, as classes are called there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exception {
    Denied,
    NotFound,
    Exists,
    Standby,
    NotReady,
    NoLease,
    Other,
}

impl Exception {
    fn of(class: &str) -> Self {
        match class.rsplit(['.', '$']).next().unwrap_or_default() {
            "AccessControlException" | "AuthorizationException" => Self::Denied,
            "FileNotFoundException" => Self::NotFound,
            "FileAlreadyExistsException" => Self::Exists,
            "StandbyException" => Self::Standby,
            "SafeModeException" | "RetriableException" => Self::NotReady,
            "LeaseExpiredException" => Self::NoLease,
            _ => Self::Other,
        }
    }
}

/// Whether the same question may be answered in a moment.
pub(super) fn is_passing(error: &HdfsError) -> bool {
    match error {
        HdfsError::IOError(_) => true,
        HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _) => {
            matches!(Exception::of(class), Exception::Standby | Exception::NotReady)
        }
        _ => false,
    }
}

/// Whether a file is not open for its writer any more.
pub(super) fn has_no_lease(error: &HdfsError) -> bool {
    matches!(error, HdfsError::RPCError(class, _) if Exception::of(class) == Exception::NoLease)
}

impl Wording {
    /// An error about a file or folder. What asking again cannot change has a kind of its own.
    pub(super) fn of(&self, action: StoreAction, key: &Path, error: HdfsError) -> Error {
        let path = key.to_string();
        let told =
            |trouble: String| StoreError::of(action, format!("{}{}", self.root, absolute(key)), trouble);
        match error {
            HdfsError::FileNotFound(_) | HdfsError::BlocksNotFound(_) => {
                Error::NotFound { path, source: Box::new(error) }
            }
            HdfsError::AlreadyExists(_) => Error::AlreadyExists { path, source: Box::new(error) },
            HdfsError::IsADirectoryError(_) => {
                Error::NotFound { path, source: told("it is a folder".into()).into() }
            }
            HdfsError::RPCError(ref class, ref text) | HdfsError::FatalRPCError(ref class, ref text) => {
                let said = first_line(text);
                match Exception::of(class) {
                    Exception::Denied if text.contains("SIMPLE authentication is not enabled") => {
                        without_ticket(path, told("the NameNode wants Kerberos".into()))
                    }
                    Exception::Denied => {
                        let help = "the user is a secret's user, HADOOP_USER_NAME, or who runs this process";
                        Error::PermissionDenied { path, source: told(said).with_help(help).into() }
                    }
                    Exception::NotFound => Error::NotFound { path, source: Box::new(error) },
                    Exception::Exists => Error::AlreadyExists { path, source: Box::new(error) },
                    Exception::Standby => told("this NameNode is on standby".into())
                        .with_help(
                            "name the name service (hdfs://name), with its settings in HADOOP_CONF_DIR",
                        )
                        .into(),
                    Exception::NotReady => told(format!("the NameNode is not ready: {said}")).into(),
                    Exception::NoLease | Exception::Other => told(said).with_source(error).into(),
                }
            }
            HdfsError::GSSAPIError(..) | HdfsError::SASLError(_) | HdfsError::NoSASLMechanism => {
                without_ticket(path, told(format!("Kerberos does not let one in: {error}")))
            }
            HdfsError::OperationFailed(ref text) if text.contains("libgssapi") => {
                let help = "install it (Debian: libgssapi-krb5-2, Red Hat: krb5-libs)";
                let source = told("Kerberos needs the system's library for it".into()).with_help(help).into();
                Error::Unauthenticated { path, source }
            }
            HdfsError::IOError(error) => passing(unreachable(&error)),
            // The client lists all it knows of the DataNodes.
            HdfsError::DataTransferError(text) => {
                let text = text.split(": [").next().unwrap_or_default().to_string();
                passing(What::Broken(crate::error::lower_first(&text)))
            }
            HdfsError::ChecksumError => passing(What::Broken("the checksums do not fit".into())),
            other => told(other.to_string()).with_source(other).into(),
        }
    }
}

impl Wording {
    /// An error of the DataNodes that were to take the bytes of a file.
    pub(super) fn of_datanode(&self, key: &Path, error: HdfsError) -> StoreError {
        let said = match &error {
            HdfsError::IOError(error) => crate::error::lower_first(&error.to_string()),
            other => crate::error::lower_first(&other.to_string()),
        };
        let said = said.split(" (os error").next().unwrap_or_default().to_string();
        self.of_blocks(key, format!("a DataNode does not take its bytes: {said}")).with_source(error)
    }

    /// An error in the middle of writing a file.
    pub(super) fn of_writing(&self, key: &Path, error: HdfsError) -> StoreError {
        match error {
            HdfsError::DataTransferError(text) => {
                let text = crate::error::lower_first(&text);
                self.of_blocks(key, format!("the DataNodes do not take its bytes: {text}"))
            }
            // The NameNode names the file that nobody was to see.
            HdfsError::RPCError(_, ref text) if text.contains(NO_TARGETS) => {
                let text = first_line(text);
                let (_, text) = text.split_once(NO_TARGETS).unwrap_or_default();
                let text = text.trim_end_matches('.');
                self.of_blocks(key, format!("no DataNode takes its bytes: it{NO_TARGETS}{text}"))
                    .with_source(error)
            }
            error => {
                let error = self.of(StoreAction::Write, key, error);
                match (find::<StoreError>(&error), find::<Trouble>(&error)) {
                    (Some(told), _) => told.again(),
                    (None, Some(trouble)) => self.told(key, trouble.to_string()),
                    (None, None) => self.told(key, error.to_string()),
                }
            }
        }
    }

    fn of_blocks(&self, key: &Path, trouble: String) -> StoreError {
        self.told(key, trouble)
            .with_help("write it again when the DataNodes are there; nothing of it was kept")
    }

    fn told(&self, key: &Path, trouble: String) -> StoreError {
        StoreError::of(StoreAction::Write, format!("{}{}", self.root, absolute(key)), trouble)
    }
}

fn unreachable(error: &std::io::Error) -> What {
    match error.kind() {
        ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => What::Broken(
            "it was closed: is this the port of a NameNode's RPC, and does it want Kerberos?".into(),
        ),
        ErrorKind::ConnectionRefused => What::Connect("connection refused".into()),
        _ => What::Connect(error.to_string()),
    }
}

pub(super) fn passing(what: What) -> Error {
    Error::Generic { store: "HDFS", source: Box::new(Trouble { what, attempts: 1 }) }
}

fn without_ticket(path: String, told: StoreError) -> Error {
    let help = "get a ticket (kinit), and set hadoop.security.authentication to kerberos in \
                HADOOP_CONF_DIR/core-site.xml";
    Error::Unauthenticated { path, source: told.with_help(help).into() }
}

/// An error of the settings.
pub(super) fn settings(root: &str, error: HdfsError) -> StoreError {
    let trouble = match &error {
        HdfsError::XmlParseError(_) => format!("the settings in HADOOP_CONF_DIR are no XML: {error}"),
        HdfsError::IOError(_) => format!("the settings in HADOOP_CONF_DIR cannot be read: {error}"),
        other => other.to_string(),
    };
    StoreError::new(root, trouble).with_source(error)
}

/// Servers send whole stack traces.
fn first_line(text: &str) -> String {
    crate::error::lower_first(text.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: HdfsError) -> Error {
        let wording = Wording { root: "hdfs://nn:8020".into() };
        wording.of(StoreAction::Read, &Path::from("logs/a.csv"), error)
    }

    fn rpc(class: &str, text: &str) -> Error {
        told(HdfsError::RPCError(class.into(), text.into()))
    }

    #[test]
    fn what_asking_again_cannot_change_has_its_own_kind() {
        let denied =
            rpc("org.apache.hadoop.security.AccessControlException", "Permission denied: user=a\n\tat b");
        let Error::PermissionDenied { source, .. } = denied else { panic!("{denied}") };
        assert_eq!(
            source.to_string(),
            "'hdfs://nn:8020/logs/a.csv' cannot be read: permission denied: user=a"
        );
        assert!(matches!(rpc("java.io.FileNotFoundException", "x"), Error::NotFound { .. }));
        assert!(matches!(told(HdfsError::FileNotFound("x".into())), Error::NotFound { .. }));
        assert!(matches!(told(HdfsError::AlreadyExists("x".into())), Error::AlreadyExists { .. }));
        assert!(matches!(told(HdfsError::NoSASLMechanism), Error::Unauthenticated { .. }));
        let simple = "SIMPLE authentication is not enabled.  Available:[TOKEN, KERBEROS]";
        let refused = rpc("org.apache.hadoop.security.AccessControlException", simple);
        assert!(matches!(refused, Error::Unauthenticated { .. }), "{refused}");
    }

    #[test]
    fn what_may_pass_is_told_without_a_stack_trace() {
        let standby = rpc("org.apache.hadoop.ipc.StandbyException", "Operation category READ\n\tat x");
        let Error::Generic { source, .. } = standby else { panic!("{standby}") };
        let text = "'hdfs://nn:8020/logs/a.csv' cannot be read: this NameNode is on standby";
        assert_eq!(source.to_string(), text);
        let failed = told(HdfsError::DataTransferError("All DataNodes failed: [DatanodeInfo …]".into()));
        let Error::Generic { source, .. } = failed else { panic!("{failed}") };
        assert_eq!(source.to_string(), "the connection broke: all DataNodes failed");
    }
}
