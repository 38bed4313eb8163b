//! The ways out.

use super::{CTRL_D, Room};

#[test]
fn each_way_out_ends_well() {
    let room = Room::new();
    for way in [CTRL_D, ".quit\r", "\\q\r", "exit\r", "quit;\r", "EXIT\r", "select 1; .quit\r"] {
        let mut shell = room.shell();
        shell.send(way);
        assert_eq!(shell.ends(), 0, "{way:?}");
    }
}

#[test]
fn ctrl_d_in_a_line_is_not_the_end() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.send("select 1 as a");
    shell.shows("as a");
    shell.send(CTRL_D);
    let screen = shell.line(";");
    assert!(screen.contains("│ a │"), "{screen}");
}

#[test]
fn a_polite_kill_gives_the_terminal_back() {
    let room = Room::new();
    let mut shell = room.shell();
    let flags = |shell: &super::Shell| format!("{:?}", shell.master.get_termios().unwrap().local_flags);
    assert!(!flags(&shell).contains("ICANON"), "{}", flags(&shell));
    shell.send("select 'half a line");
    shell.shows("half a line");
    shell.signal(libc::SIGTERM);
    assert_eq!(shell.ends(), 143);
    assert!(flags(&shell).contains("ICANON") && flags(&shell).contains("ECHO"), "{}", flags(&shell));
}

#[test]
fn a_polite_kill_ends_a_running_query() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.send("copy (select value from generate_series(1, 100000000000)) to 'out.csv';\r");
    shell.runs();
    while room.names().is_empty() {
        std::thread::sleep(super::POLL);
    }
    shell.signal(libc::SIGTERM);
    assert_eq!(shell.ends(), 143);
    assert!(room.names().is_empty(), "{:?}", room.names());
}
