//! How far a statement is, as its users see it: on a terminal, with keys, and anywhere else.

use std::fs::File;
use std::io::Read;

use super::{CTRL_C, Room, Shell, TAB};

/// Runs for hours, and says how far it is.
const ENDLESS: &str = "select count(*) from (select value as x from generate_series(1, 300000)) a, 't.parquet' b where a.x % 7 = b.n % 11";
const TABLE: &str = "copy (select value as n from generate_series(1, 3000000)) to 't.parquet'";
/// Many rows, which go where somebody reads them as slowly as the test likes.
const ROWS: &str = "select n, n + 1 as m, n + 2 as o from 't.parquet'";
/// Longer than a statement takes to show how far it is.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
const HINT: &str = "[Tab] graph";

impl Shell {
    /// What the line has said, from the first to the last.
    fn percents(&self) -> Vec<u32> {
        let bytes = self.bytes();
        let text = String::from_utf8_lossy(&bytes);
        let said = text.split('%').collect::<Vec<_>>();
        let numbers = said[..said.len() - 1].iter().map(|before| {
            let start = before.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
            before[start..].parse()
        });
        numbers.filter_map(Result::ok).collect()
    }

    /// Whether the terminal gives lines, and shows what is typed.
    #[expect(unsafe_code, reason = "std does not know of terminals")]
    fn is_in_line_mode(&self) -> bool {
        let mut mode = std::mem::MaybeUninit::<libc::termios>::uninit();
        let terminal = self.master.as_raw_fd().unwrap();
        // SAFETY: the structure is written by a call that succeeds, and read only then.
        let mode = unsafe {
            assert_eq!(libc::tcgetattr(terminal, mode.as_mut_ptr()), 0);
            mode.assume_init()
        };
        mode.c_lflag & (libc::ICANON | libc::ECHO) == libc::ICANON | libc::ECHO
            && mode.c_cc[libc::VSUSP] != libc::_POSIX_VDISABLE
    }

    fn in_line_mode(&mut self) {
        let until = std::time::Instant::now() + super::HANG;
        while !self.is_in_line_mode() {
            assert!(std::time::Instant::now() < until, "{}", self.screen());
            std::thread::sleep(super::POLL);
        }
    }
}

/// Variables and their values.
type Env<'a> = &'a [(&'a str, &'a str)];

/// A room with a file of many numbers.
fn room() -> Room {
    let room = Room::new();
    let query = std::process::Command::new(env!("CARGO_BIN_EXE_query"))
        .args(["-q", "-c", TABLE])
        .current_dir(room.path(""))
        .status();
    assert!(query.unwrap().success());
    room
}

/// A statement on a terminal whose rows wait in a pipe.
fn slow(room: &Room, args: &[&str], env: &[(&str, &str)]) -> (Shell, File) {
    room.pipe("pipe.csv");
    let args = [&["-c", ROWS, "-o", "pipe.csv"], args].concat();
    let shell = room.spawn(&args, env);
    (shell, File::open(room.path("pipe.csv")).unwrap())
}

fn read(pipe: &mut File, bytes: u64) -> u64 {
    std::io::copy(&mut pipe.take(bytes), &mut std::io::sink()).unwrap()
}

#[test]
fn a_line_says_how_far_a_query_is_and_goes_with_it() {
    let room = room();
    let (mut shell, mut pipe) = slow(&room, &[], &[]);
    shell.shows(HINT);
    // Whoever reads the rows decides how far the query comes.
    for _ in 0..4 {
        let said = shell.percents().last().copied();
        read(&mut pipe, 8_000_000);
        let until = std::time::Instant::now() + super::HANG;
        while shell.percents().last().copied() <= said {
            assert!(std::time::Instant::now() < until, "{}", shell.screen());
            std::thread::sleep(super::POLL);
        }
    }
    read(&mut pipe, u64::MAX);
    assert_eq!(shell.ends(), 0);
    shell.in_line_mode();
    // The terminal may have more to say than was read when the process ended.
    let screen = shell.until("a line that was taken away", |seen| {
        String::from_utf8_lossy(&seen.bytes).contains("100%") && super::screen(&seen.parser).is_empty()
    });
    assert_eq!(screen, "");
    let percents = shell.percents();
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!(percents.last(), Some(&100));
    assert!(percents.iter().filter(|percent| **percent == 100).count() == 1, "{percents:?}");
    let mut different = percents.clone();
    different.dedup();
    assert!(different.len() > 3, "{percents:?}");
}

#[test]
fn rows_on_the_same_terminal_take_its_place() {
    let room = room();
    let mut shell = room.start(&["--format", "csv"], &[]);
    // The first rows come long after the line.
    let sql = "select n, count(*) as c from (select a.n % 5 as n from 't.parquet' a, \
               (select value from generate_series(1, 100)) b where a.n % 3 <> b.value % 7) group by n order by n";
    shell.send(&format!("{sql};\r"));
    shell.until("the line", |seen| String::from_utf8_lossy(&seen.bytes).contains(HINT));
    let screen = shell.ready(1);
    assert!(screen.contains("n,c\n0,"), "{screen}");
    assert!(!screen.contains(HINT), "{screen}");
}

#[test]
fn nothing_is_shown_where_it_is_not_wanted() {
    let off: [(&[&str], Env<'_>); 5] = [
        (&["--progress", "off"], &[]),
        (&[], &[("QUERY_PROGRESS", "off")]),
        (&["-q"], &[]),
        (&["--progress", "auto"], &[("TERM", "dumb")]),
        (&["--progress", "off"], &[("QUERY_PROGRESS", "on")]),
    ];
    let rooms = off.map(|_| room());
    let shells: Vec<_> = off.iter().zip(&rooms).map(|((args, env), room)| slow(room, args, env)).collect();
    // Long enough for a line to come, were it wanted.
    std::thread::sleep(PAUSE);
    for ((args, env), (mut shell, mut pipe)) in off.into_iter().zip(shells) {
        read(&mut pipe, u64::MAX);
        assert_eq!(shell.ends(), 0);
        assert!(!shell.bytes().contains(&b'%'), "{args:?} {env:?}: {}", shell.screen());
    }
}

#[test]
fn a_session_can_switch_it_off() {
    let room = room();
    let mut shell = room.shell();
    shell.line("set query.progress = off;");
    room.pipe("pipe.csv");
    shell.line(".output pipe.csv");
    shell.send(&format!("{ROWS};\r"));
    let mut pipe = File::open(room.path("pipe.csv")).unwrap();
    std::thread::sleep(PAUSE);
    read(&mut pipe, u64::MAX);
    shell.ready(1);
    assert!(!String::from_utf8_lossy(&shell.bytes()).contains(HINT));
    shell.line(".output");
    let screen = shell.line("show query.progress;");
    assert!(screen.contains("┆ off "), "{screen}");
    let screen = shell.line("set query.progress = sometimes;");
    assert!(screen.contains("auto, on or off"), "{screen}");
}

#[test]
fn a_quick_statement_shows_nothing() {
    let room = room();
    let mut shell = room.shell();
    // On a machine that is very busy some of them are not quick.
    let is_quiet = (0..20).any(|_| {
        let before = shell.bytes().len();
        shell.line("select 1 as one;");
        let bytes = shell.bytes();
        !String::from_utf8_lossy(&bytes[before..]).contains(HINT)
    });
    assert!(is_quiet, "{}", shell.screen());
}

#[test]
fn ctrl_c_leaves_a_clean_screen() {
    let room = room();
    let mut shell = room.shell();
    shell.send(&format!("{ENDLESS};\r"));
    shell.shows(HINT);
    shell.send(CTRL_C);
    let screen = shell.ready(1);
    assert!(screen.ends_with("\ninterrupted\nquery>"), "{screen}");
    assert!(!screen.contains(HINT), "{screen}");
    let screen = shell.line("select 1 as still;");
    assert!(screen.contains("│ still │") && !screen.contains(HINT), "{screen}");
}

#[test]
fn signals_give_the_terminal_back() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let room = room();
        let mut shell = room.spawn(&["-c", ENDLESS], &[]);
        shell.shows(HINT);
        assert!(!shell.is_in_line_mode());
        shell.signal(signal);
        assert_eq!(shell.ends(), code);
        assert!(shell.is_in_line_mode());
        let screen = shell.until("the message", |seen| seen.parser.screen().contents().contains("error"));
        assert!(!screen.contains(HINT), "{screen}");
        assert_eq!(screen.lines().count(), 1, "{screen}");
    }
}

#[test]
fn a_timeout_leaves_a_clean_screen() {
    let room = room();
    let mut shell = room.spawn(&["-c", ENDLESS, "--timeout", "8s"], &[]);
    shell.until("the line", |seen| String::from_utf8_lossy(&seen.bytes).contains(HINT));
    assert_eq!(shell.ends(), 124);
    assert!(shell.is_in_line_mode());
    let screen = shell.until("the message", |seen| seen.parser.screen().contents().contains("error"));
    assert!(screen.starts_with("error:") && !screen.contains(HINT), "{screen}");
}

#[test]
fn a_key_unfolds_the_graph_and_folds_it_back() {
    let room = room();
    let mut shell = room.spawn(&["-c", ENDLESS], &[("LANG", "C.UTF-8")]);
    shell.shows(HINT);
    for _ in 0..2 {
        shell.send(TAB);
        let screen = shell.shows("[Tab] fold");
        assert!(screen.contains("Stage 0") && screen.contains("running"), "{screen}");
        assert!(screen.lines().count() < usize::from(super::ROWS), "{screen}");
        shell.send(TAB);
        let screen = shell.shows(HINT);
        assert_eq!(screen.lines().count(), 1, "{screen}");
    }
    shell.send(TAB);
    shell.shows("[Tab] fold");
    shell.send(CTRL_C);
    assert_eq!(shell.ends(), 130);
    let screen = shell.until("the message", |seen| seen.parser.screen().contents().contains("error"));
    assert!(screen.starts_with("error: interrupted"), "{screen}");
    assert!(!screen.contains("Stage"), "{screen}");
}

#[test]
fn the_graph_follows_the_window() {
    let room = room();
    let mut shell = room.spawn(&["-c", ENDLESS], &[]);
    shell.shows(HINT);
    shell.resize(30);
    // What is folded is told by the numbers alone.
    shell.until("a narrow line", |seen| {
        let screen = super::screen(&seen.parser);
        screen.lines().count() == 1 && screen.contains("rows") && !screen.contains("[Tab]")
    });
    shell.send(TAB);
    shell.until("a narrow graph", |seen| {
        let screen = super::screen(&seen.parser);
        screen.contains("Stage 0") && screen.lines().all(|line| line.len() <= 30)
    });
}

#[test]
fn what_is_typed_while_the_line_is_shown_is_run_after_it() {
    let room = room();
    room.pipe("pipe.csv");
    let mut shell = room.shell();
    shell.line(".output pipe.csv");
    shell.send(&format!("{ROWS};\r"));
    let mut pipe = File::open(room.path("pipe.csv")).unwrap();
    shell.shows(HINT);
    shell.send("seX\u{7f}lect 1 as goxx\u{7f}\u{7f}ne;\r.output\rselect 6");
    // A pipe ends whenever nobody writes into it: with the first statement, then with the second.
    let mut text = Vec::new();
    let until = std::time::Instant::now() + super::HANG;
    while !text.ends_with(b"gone\n1\n") {
        assert!(std::time::Instant::now() < until, "{}", shell.screen());
        pipe.read_to_end(&mut text).unwrap();
        std::thread::sleep(super::POLL);
    }
    shell.until("the line that was begun", |seen| super::last_line(&seen.parser) == "query> select 6");
    // Two prompts were passed by.
    shell.prompts = shell.seen.lock().unwrap().listened;
    let screen = shell.line(" * 7 as answer;");
    assert!(screen.contains("│     42 │"), "{screen}");
}

#[test]
fn without_colours_the_line_is_plain() {
    let room = room();
    let has_green = |env: &[(&str, &str)], args: &[&str]| {
        let args = [&["-c", ENDLESS], args].concat();
        let mut shell = room.spawn(&args, env);
        shell.shows(HINT);
        shell.bytes().windows(5).any(|bytes| bytes == b"\x1b[32m")
    };
    assert!(has_green(&[], &[]));
    assert!(!has_green(&[("NO_COLOR", "1")], &[]));
    assert!(!has_green(&[], &["--color", "never"]));
}

#[test]
fn a_locale_without_utf8_gets_ascii() {
    let room = room();
    let mut shell = room.spawn(&["-c", ENDLESS], &[("LC_ALL", "C")]);
    shell.shows(HINT);
    shell.send(TAB);
    let screen = shell.shows("[Tab] fold");
    assert!(screen.is_ascii() && screen.contains("<- "), "{screen}");
    let mut shell = room.spawn(&["-c", ENDLESS], &[("LANG", "en_US.UTF-8")]);
    shell.shows("──");
}
