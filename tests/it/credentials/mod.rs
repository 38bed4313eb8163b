//! Where credentials for S3 come from: each source against a server of the test on loopback, in a process of its own,
//! because all that says which source it is stands in the environment.

mod server;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use datafusion::object_store::CredentialProvider;
use query::datafusion;
use query::store::credentials;
use tempfile::TempDir;

use self::server::{Request, Server, timestamp};

/// Set in the process that looks for credentials; its value says how.
const CHILD: &str = "QUERY_TEST_CREDENTIALS";
/// The line of its answer.
const ANSWER: &str = "answer: ";

/// A home folder, a server, and the environment of a process between them.
struct Case {
    home: TempDir,
    server: Server,
    variables: Vec<(&'static str, String)>,
}

impl Case {
    fn new(answer: impl Fn(&Request) -> (u16, String) + Send + Sync + 'static) -> Self {
        let server = Server::start(answer);
        let variables = vec![
            ("AWS_ENDPOINT_URL_STS", server.url("")),
            ("AWS_ENDPOINT_URL_SSO", server.url("")),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url("")),
        ];
        Self { home: tempfile::tempdir().unwrap(), server, variables }
    }

    fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    /// What a process finds that looks like this; `None` in that process itself. `test` is the name of the test that
    /// asks.
    #[expect(clippy::print_stdout, reason = "the child answers by it")]
    fn found(&self, test: &str, how: &str) -> Option<String> {
        if let Ok(how) = env::var(CHILD) {
            println!("{ANSWER}{}", look(&how));
            return None;
        }
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([&format!("credentials::{test}"), "--exact", "--nocapture", "--test-threads=1"]);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.env("HOME", self.home.path()).env(CHILD, how);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer = text.lines().find_map(|line| line.split_once(ANSWER));
        assert!(answer.is_some(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        Some(answer.unwrap().1.to_string())
    }
}

/// Looks for credentials: of the chain, of a profile (`profile NAME`), or twice with a pause between them (`again MS`).
fn look(how: &str) -> String {
    let (how, argument) = how.split_once(' ').unwrap_or((how, ""));
    let profile = (how == "profile").then_some(argument);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let found = match credentials::find("s3://bucket", profile).await {
            Ok(found) => found,
            Err(error) => return format!("error {error:?}").replace('\n', " "),
        };
        let region = found.region.unwrap_or_else(|| "nowhere".into());
        let Some(provider) = found.provider else { return format!("nobody in {region}") };
        if how == "again" {
            provider.get_credential().await.unwrap();
            tokio::time::sleep(Duration::from_millis(argument.parse().unwrap())).await;
        }
        let keys = provider.get_credential().await.unwrap();
        format!("{} {} {} in {region}", keys.key_id, keys.secret_key, keys.token.as_deref().unwrap_or("-"))
    })
}

/// The document with which containers and machines are told their keys.
fn keys(number: usize, life_seconds: u64) -> (u16, String) {
    let text = format!(
        r#"{{"Code": "Success", "AccessKeyId": "AKID{number}", "SecretAccessKey": "secret{number}",
            "Token": "token{number}", "Expiration": "{}"}}"#,
        timestamp(life_seconds)
    );
    (200, text)
}

/// The document of the service that lends roles.
fn role(action: &str) -> (u16, String) {
    let text = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
         <AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>secretrole</SecretAccessKey>\
         <SessionToken>tokenrole</SessionToken><Expiration>{}</Expiration></Credentials>\
         <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>\
         </{action}Result></{action}Response>",
        timestamp(3600)
    );
    (200, text)
}

fn nothing(_: &Request) -> (u16, String) {
    (404, String::new())
}

#[test]
fn the_environment_is_asked_first_and_nobody_else() {
    let case = Case::new(nothing)
        .set("AWS_ACCESS_KEY_ID", "AKIDENV")
        .set("AWS_SECRET_ACCESS_KEY", "secretenv")
        .set("AWS_SESSION_TOKEN", "tokenenv")
        .set("AWS_REGION", "eu-central-1")
        .file(".aws/credentials", "[default]\naws_access_key_id = other\naws_secret_access_key = other\n");
    let Some(found) = case.found("the_environment_is_asked_first_and_nobody_else", "chain") else { return };
    assert_eq!(found, "AKIDENV secretenv tokenenv in eu-central-1");
    assert!(case.server.seen().is_empty(), "{:?}", case.server.seen());
}

#[test]
fn a_profile_is_chosen_by_the_environment() {
    let case = Case::new(nothing)
        .set("AWS_PROFILE", "team")
        .file(
            ".aws/credentials",
            "[team]\naws_access_key_id = AKIDTEAM\naws_secret_access_key = secretteam\n",
        )
        .file(".aws/config", "[profile team]\nregion = eu-north-1\n");
    let Some(found) = case.found("a_profile_is_chosen_by_the_environment", "chain") else { return };
    assert_eq!(found, "AKIDTEAM secretteam - in eu-north-1");
    assert!(case.server.seen().is_empty(), "{:?}", case.server.seen());
}

#[test]
fn a_profile_that_a_secret_names_beats_the_environment() {
    let case = Case::new(nothing)
        .set("AWS_ACCESS_KEY_ID", "AKIDENV")
        .set("AWS_SECRET_ACCESS_KEY", "secretenv")
        .set("AWS_PROFILE", "other")
        .file(
            ".aws/credentials",
            "[team]\naws_access_key_id = AKIDTEAM\naws_secret_access_key = secretteam\n",
        )
        .file(".aws/config", "[profile team]\nregion = eu-north-1\n");
    let test = "a_profile_that_a_secret_names_beats_the_environment";
    let Some(found) = case.found(test, "profile team") else { return };
    assert_eq!(found, "AKIDTEAM secretteam - in eu-north-1");
}

#[test]
fn a_profile_that_is_not_there_is_an_error() {
    let case = Case::new(nothing).file(".aws/config", "[profile team]\nregion = eu-north-1\n");
    let Some(found) = case.found("a_profile_that_is_not_there_is_an_error", "profile taem") else { return };
    assert!(found.starts_with("error") && found.contains("profile 'taem'"), "{found}");
    assert!(case.server.seen().is_empty(), "{:?}", case.server.seen());
}

#[test]
fn a_profile_may_sign_in_once_for_all() {
    let answer = |request: &Request| match request.path.split_once('?') {
        Some(("/federation/credentials", query))
            if query.contains("role_name=Reader")
                && request.header("x-amz-sso_bearer_token") == Some("ssotoken") =>
        {
            let expires = server::now_seconds() * 1000 + 3_600_000;
            let text = r#"{"roleCredentials": {"accessKeyId": "AKIDSSO", "secretAccessKey": "secretsso",
                "sessionToken": "tokensso", "expiration": EXPIRES}}"#;
            (200, text.replace("EXPIRES", &expires.to_string()))
        }
        _ => (401, "{}".to_string()),
    };
    // The cache's files are named by the SHA-1 of the session's name, here of `corp`.
    let cache = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    let case = Case::new(answer)
        .set("AWS_PROFILE", "work")
        .file(
            ".aws/config",
            "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Reader\n\
             [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example/start\n",
        )
        .file(
            cache,
            r#"{"accessToken": "ssotoken", "expiresAt": "2199-01-01T00:00:00Z", "region": "eu-west-1",
                "startUrl": "https://corp.example/start"}"#,
        );
    let Some(found) = case.found("a_profile_may_sign_in_once_for_all", "chain") else { return };
    assert_eq!(found, "AKIDSSO secretsso tokensso in nowhere");
    assert_eq!(case.server.seen().len(), 1, "{:?}", case.server.seen());
}

#[test]
fn a_profile_may_take_a_role() {
    let answer = |request: &Request| {
        let signed =
            request.header("authorization").is_some_and(|text| text.contains("Credential=AKIDBASE/"));
        match request.body.contains("Action=AssumeRole&") && signed {
            true => role("AssumeRole"),
            false => (403, String::new()),
        }
    };
    let case = Case::new(answer)
        .set("AWS_PROFILE", "role")
        .set("AWS_REGION", "eu-west-1")
        .file(
            ".aws/credentials",
            "[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = secretbase\n",
        )
        .file(".aws/config", "[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n");
    let Some(found) = case.found("a_profile_may_take_a_role", "chain") else { return };
    assert_eq!(found, "AKIDROLE secretrole tokenrole in eu-west-1");
}

#[test]
fn a_web_identity_takes_a_role() {
    let answer = |request: &Request| {
        let is_asked = request.body.contains("Action=AssumeRoleWithWebIdentity");
        match is_asked && request.body.contains("WebIdentityToken=webtoken") {
            true => role("AssumeRoleWithWebIdentity"),
            false => (403, String::new()),
        }
    };
    let case = Case::new(answer).file("token", "webtoken").set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
    let token = case.path("token").display().to_string();
    let case = case.set("AWS_WEB_IDENTITY_TOKEN_FILE", token);
    let Some(found) = case.found("a_web_identity_takes_a_role", "chain") else { return };
    assert_eq!(found, "AKIDROLE secretrole tokenrole in nowhere");
    assert_eq!(case.server.seen().len(), 1, "{:?}", case.server.seen());
}

/// A container whose keys live so long, asked at `/keys`.
fn container(life_seconds: u64) -> Case {
    let answer = move |request: &Request| match request.path.as_str() {
        "/keys" if request.header("authorization") == Some("containertoken") => {
            keys(request.number, life_seconds)
        }
        _ => (403, String::new()),
    };
    let case = Case::new(answer).set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "containertoken");
    let url = case.server.url("/keys");
    case.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
}

#[test]
fn a_container_is_told_its_keys() {
    let case = container(3600);
    let Some(found) = case.found("a_container_is_told_its_keys", "again 10") else { return };
    assert_eq!(found, "AKID1 secret1 token1 in nowhere");
    assert_eq!(case.server.seen(), ["GET /keys"], "once is enough while they are good");
}

#[test]
fn keys_are_fetched_again_before_they_expire() {
    let case = container(4);
    let Some(found) = case.found("keys_are_fetched_again_before_they_expire", "again 3500") else { return };
    assert_eq!(found, "AKID2 secret2 token2 in nowhere");
    assert_eq!(case.server.seen(), ["GET /keys", "GET /keys"]);
}

#[test]
fn a_machine_is_told_its_keys_last() {
    let answer = |request: &Request| match request.path.as_str() {
        "/latest/api/token" => (200, "metadatatoken".to_string()),
        _ if request.header("x-aws-ec2-metadata-token") != Some("metadatatoken") => (401, String::new()),
        "/latest/meta-data/iam/security-credentials/" => (200, "machine".to_string()),
        "/latest/meta-data/iam/security-credentials/machine" => keys(7, 3600),
        _ => (404, String::new()),
    };
    let case = Case::new(answer);
    let Some(found) = case.found("a_machine_is_told_its_keys_last", "chain") else { return };
    assert_eq!(found, "AKID7 secret7 token7 in nowhere");
    assert_eq!(case.server.seen()[0], "PUT /latest/api/token");
}

#[test]
fn where_nobody_has_keys_nobody_signs() {
    let case = Case::new(nothing).set("AWS_EC2_METADATA_DISABLED", "true").set("AWS_REGION", "us-west-2");
    let Some(found) = case.found("where_nobody_has_keys_nobody_signs", "chain") else { return };
    assert_eq!(found, "nobody in us-west-2");
    assert!(case.server.seen().is_empty(), "{:?}", case.server.seen());
}

#[test]
fn a_metadata_service_that_is_silent_is_left() {
    let silent = |_: &Request| {
        thread::sleep(Duration::from_secs(20));
        (404, String::new())
    };
    let case = Case::new(silent);
    let Some(found) = case.found("a_metadata_service_that_is_silent_is_left", "chain") else { return };
    assert_eq!(found, "nobody in nowhere");
}

#[test]
fn a_service_that_refuses_is_an_error_without_the_token() {
    let answer = |request: &Request| {
        let code = "<Code>AccessDenied</Code>";
        (
            403,
            format!(
                "<ErrorResponse><Error>{code}<Message>no: {}</Message></Error></ErrorResponse>",
                request.body
            ),
        )
    };
    let case =
        Case::new(answer).file("token", "webtoken-never-shown").set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
    let token = case.path("token").display().to_string();
    let case = case.set("AWS_WEB_IDENTITY_TOKEN_FILE", token);
    let test = "a_service_that_refuses_is_an_error_without_the_token";
    let Some(found) = case.found(test, "chain") else { return };
    assert!(found.starts_with("error") && found.contains("s3://bucket"), "{found}");
    assert!(!found.contains("webtoken-never-shown"), "{found}");
}
