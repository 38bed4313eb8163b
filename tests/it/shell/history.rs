//! What is remembered, where, and what is not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{CTRL_C, CTRL_D, CTRL_R, ENTER, Room, UP};

#[test]
fn the_history_is_for_its_owner_and_without_secrets() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("select 1 as a;");
    shell.line("select 1 as a;");
    shell.line("select 2\ras b;");
    shell.line("create secret s (type s3, key_id 'AKIAXYZ', secret 'hush');");
    shell.line("select 'https://user:hush@host/x.csv' as url;");
    shell.line("select 'hush' as password;");
    shell.line(" select 'hush' as blank;");
    // The value of a secret is known by now, wherever it stands.
    shell.line("create secret t (type http, bearer_token 'never-kept-in-history');");
    shell.line("select 'never-kept-in-history' as a;");
    // Over several lines, also if somebody thinks better of it half way.
    shell.send(&format!("create secret u (type s3,{ENTER}  key_id 'AKIALINES',{ENTER}"));
    shell.line("  secret 'hush-over-lines');");
    shell.send(&format!("create secret v (type s3,{ENTER}  secret 'hush-half-way',{ENTER}"));
    shell.shows("'hush-half-way',");
    shell.send(CTRL_C);
    shell.ready(1);
    shell.line("select 3 as c;");
    shell.line(&format!("create secret w (type s3,{ENTER} secret 'q~7', key_id 'z~7');"));
    shell.line("set password 'q~7';");
    shell.line(".tables");
    shell.send(CTRL_D);
    assert_eq!(shell.ends(), 0);

    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&room.history()), 0o600);
    assert_eq!(mode(room.history().parent().unwrap()), 0o700);
    let text = fs::read_to_string(room.history()).unwrap();
    assert_eq!(text, "#V2\nselect 1 as a;\nselect 2\\nas b;\nselect 3 as c;\n.tables\n");
}

#[test]
fn the_next_session_finds_it_again() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("select 41 + 1 as answer;");
    shell.line("select 'other' as thing;");
    drop(shell);
    let mut shell = room.shell();
    shell.send(&format!("{UP}{UP}"));
    shell.shows("select 41 + 1");
    let screen = shell.line("");
    assert!(screen.contains("│     42 │"), "{screen}");
    shell.send(&format!("{CTRL_R}thing"));
    shell.shows("(reverse-i-search)`thing'");
    let screen = shell.line("");
    assert!(screen.contains("│ other │"), "{screen}");
}

#[test]
fn the_state_folder_can_be_named() {
    let room = Room::new();
    let state = room.path("state");
    let mut shell = room.start(&[], &[("XDG_STATE_HOME", state.to_str().unwrap())]);
    shell.line("select 1 as a;");
    assert_eq!(fs::read_to_string(state.join("query/history")).unwrap(), "#V2\nselect 1 as a;\n");
    assert!(!room.history().exists());
}

#[test]
fn a_home_that_cannot_be_written_is_no_hindrance() {
    let room = Room::new();
    room.write("file", "");
    let home = room.path("file/home");
    let mut shell = room.start(&[], &[("HOME", home.to_str().unwrap())]);
    assert_eq!(shell.screen().matches("the history is not kept").count(), 1, "{}", shell.screen());
    shell.line("select 1 as a;");
    shell.send(UP);
    let screen = shell.line("");
    assert_eq!(screen.matches("│ a │").count(), 2, "{screen}");
    assert_eq!(screen.matches("history").count(), 1, "{screen}");
}
