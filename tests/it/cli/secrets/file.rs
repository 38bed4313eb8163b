//! `[secrets]` in the configuration file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::Room;

const LAKE: &str = "[secrets.lake]\ntype = \"s3\"\nkey_id = \"AKIDFILE\"\nsecret = \"never-shown-file\"\n";
const LAKE_SHOWN: &str = "name,type,provider,scope,settings\nlake,s3,config,,\"key_id, secret\"\n";

fn with(path: &str, text: &str, mode: u32) -> Room {
    let room = Room::new();
    fs::create_dir_all(room.path(path).parent().unwrap()).unwrap();
    room.write(path, text);
    fs::set_permissions(room.path(path), fs::Permissions::from_mode(mode)).unwrap();
    room
}

#[test]
fn the_file_is_found_in_the_folder_for_configurations() {
    let room = with("config/query/config.toml", LAKE, 0o600);
    assert_eq!(room.sql("show secrets").rows(), LAKE_SHOWN);
    let replaced =
        room.sql("create or replace secret lake (type s3, region 'eu'); drop secret lake; show secrets");
    assert_eq!(replaced.rows(), "name,type,provider,scope,settings\n");
}

#[test]
fn the_file_may_be_named() {
    let room = with("other.toml", LAKE, 0o600);
    assert_eq!(room.query(["--config", "other.toml", "-c", "show secrets"]).run().rows(), LAKE_SHOWN);
    let by_environment = room.query(["-c", "show secrets"]).env("QUERY_CONFIG", "other.toml");
    assert_eq!(by_environment.run().rows(), LAKE_SHOWN);
    let error = room.query(["--config", "none.toml", "-c", "select 1"]).run().error(1);
    assert_eq!(error, "error: could not read 'none.toml': No such file or directory\n");
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let room = with("config/query/config.toml", LAKE, 0o644);
    let path = room.path("config/query/config.toml").display().to_string();
    assert_eq!(
        room.sql("select 1").error(2),
        format!(
            "error: '{path}' holds secrets, and others may read or change it (mode 0644)\n\
             help: run: chmod 600 '{path}'\n"
        )
    );
}

#[test]
fn what_is_wrong_in_it_has_its_line_and_no_value() {
    let room = with("c.toml", &LAKE.replace("secret =", "secert ="), 0o600);
    assert_eq!(
        room.query(["--config", "c.toml", "-c", "select 1"]).run().error(2),
        "error: 'c.toml', line 4: secret 'lake': there is no setting 'secert' of secrets of type s3\n\
         help: did you mean 'secret'?\n"
    );
    let room = with("c.toml", "[secrets.lake]\nsecret = never-shown-file\n", 0o600);
    let error = room.query(["--config", "c.toml", "-c", "select 1"]).run().error(2);
    assert!(error.starts_with("error: 'c.toml', line 2: text stands in quotes\n"), "{error}");
    assert!(!error.contains("never-shown"), "{error}");
}
