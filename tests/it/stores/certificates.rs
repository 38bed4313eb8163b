//! Keys and certificates, made anew with `openssl` for each run of the tests: none is kept anywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// Who signs and what is signed.
pub(super) struct Certificates {
    room: TempDir,
}

impl Certificates {
    /// Those of this process.
    pub(super) fn get() -> &'static Self {
        static MADE: OnceLock<Certificates> = OnceLock::new();
        MADE.get_or_init(Self::make)
    }

    fn make() -> Self {
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("names"), "subjectAltName = DNS:localhost, IP:127.0.0.1\n").unwrap();
        let curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        for arguments in [
            format!(
                "req -x509 {curve} -keyout authority.key -out authority.pem -days 30 -subj /CN=authority"
            ),
            format!("req {curve} -keyout localhost.key -out localhost.csr -subj /CN=localhost"),
            "x509 -req -in localhost.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 30 \
             -extfile names -out localhost.crt"
                .to_string(),
        ] {
            openssl(room.path(), &arguments);
        }
        let part = |name| fs::read_to_string(room.path().join(name)).unwrap();
        fs::write(room.path().join("localhost.pem"), part("localhost.crt") + &part("localhost.key")).unwrap();
        Self { room }
    }

    /// The certificate of an authority that nothing else trusts.
    pub(super) fn authority(&self) -> PathBuf {
        self.room.path().join("authority.pem")
    }

    /// A certificate for `localhost` that the authority has signed, with its key.
    pub(super) fn localhost(&self) -> PathBuf {
        self.room.path().join("localhost.pem")
    }
}

/// A private key (RSA, 2048 bits), and the modulus of its public key.
pub(super) fn rsa_key() -> (String, Vec<u8>) {
    let room = tempfile::tempdir().unwrap();
    openssl(room.path(), "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    let told = openssl(room.path(), "rsa -in key.pem -noout -modulus");
    let digits = told.trim().strip_prefix("Modulus=").unwrap();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let modulus = (0..digits.len()).step_by(2).map(byte).collect();
    (fs::read_to_string(room.path().join("key.pem")).unwrap(), modulus)
}

/// What `openssl` says.
fn openssl(room: &Path, arguments: &str) -> String {
    let done = Command::new("openssl").args(arguments.split_whitespace()).current_dir(room).output().unwrap();
    assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
