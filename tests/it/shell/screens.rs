//! Screens as they are to look, kept as text.

use super::{ENTER, Room};

#[test]
fn a_first_session() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("create table t as select * from (values (1, 'one'), (2, 'two')) as v (n, word);");
    shell.line("select * from t;");
    insta::assert_snapshot!(shell.line(".tables"));
}

#[test]
fn a_statement_of_several_lines_waits_for_its_semicolon() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.send("select 'a;");
    shell.send(ENTER);
    shell.send("-- b' as text,");
    shell.send(ENTER);
    shell.send("  (1 +");
    shell.send(ENTER);
    shell.shows("(1 +");
    insta::assert_snapshot!(shell.line("  2) as three;"));
}

#[test]
fn several_statements_on_a_line_run_in_order() {
    let room = Room::new();
    let mut shell = room.shell();
    insta::assert_snapshot!(shell.line("select 1 as a; select 2 as b;"));
}

#[test]
fn errors_point_at_their_place() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("create table sales as select 'north' as region, 10 as amount;");
    shell.line("select regoin from sales;");
    insta::assert_snapshot!(shell.line("selct 1; select 2;"));
}

#[test]
fn a_table_fits_the_window_after_a_resize() {
    let room = Room::new();
    let mut shell = room.shell();
    let sql = "select 'abcdefghij' as a, repeat('long text ', 5) as b, repeat('xyz ', 20) as c;";
    shell.line(sql);
    shell.resize(44);
    // Keys that come at the same moment are still drawn for the old size.
    shell.line("");
    insta::assert_snapshot!(shell.line("select repeat('long text ', 8) as b, 1 as one;"));
}

#[test]
fn a_resize_at_the_prompt_moves_the_line_only() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.send("select 'a long line that fills more than half of the window' as text");
    shell.shows("as text");
    shell.resize(40);
    // The editor has drawn the line anew when it takes up more rows than before.
    shell.until("a line that is folded", |seen| seen.parser.screen().cursor_position().0 >= 2);
    insta::assert_snapshot!(shell.line(";"));
}

#[test]
fn a_paste_of_500_lines_runs_each_statement_once() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("create table t as select 0 as n;");
    let lines: Vec<_> = (1..=499).map(|n| format!("insert into t select {n};")).collect();
    shell.send(&format!("\x1b[200~{}\n\x1b[201~", lines.join("\n")));
    shell.shows("select 499;");
    shell.line("select 'pasted' as done;");
    let screen = shell.line("select count(*) as rows, count(distinct n) as numbers, sum(n) as total from t;");
    assert!(screen.contains("│  500 ┆     500 ┆ 124750 │"), "{screen}");
}

#[test]
fn a_paste_of_one_long_statement_runs() {
    let room = Room::new();
    let mut shell = room.shell();
    let rows: Vec<_> = (1..=498).map(|n| format!("({n})")).collect();
    shell.send(&format!(
        "\x1b[200~select count(*), sum(n) from (values\n{}) as v (n)\x1b[201~",
        rows.join(",\n")
    ));
    shell.shows("(498)) as v (n)");
    let screen = shell.line(";");
    assert!(screen.contains("│      498 ┆ 124251 │"), "{screen}");
}

#[test]
fn commands_within_a_paste_are_carried_out_in_order() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.send("\x1b[200~.mode csv\nselect 1 as a;\n.mode json\nselect 2 as b;\n\x1b[201~");
    shell.shows("2 as b");
    insta::assert_snapshot!(shell.line(""));
}

#[test]
fn an_empty_line_and_a_comment_do_nothing() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("");
    shell.line("-- nothing");
    shell.line(";");
    insta::assert_snapshot!(shell.line("   "));
}

#[test]
fn colours_are_shown_unless_they_are_not_wanted() {
    const BLUE: &[u8] = b"\x1b[1;34mselect";
    let has = |bytes: Vec<u8>, text: &[u8]| bytes.windows(text.len()).any(|found| found == text);
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("select 1 as a;");
    assert!(has(shell.bytes(), BLUE));

    let mut shell = room.start(&[], &[("NO_COLOR", "1")]);
    shell.line("select nope;");
    assert!(!has(shell.bytes(), b"\x1b[1;"), "{}", shell.screen());

    let mut shell = room.start(&["--color", "never"], &[]);
    shell.line("select nope;");
    assert!(!has(shell.bytes(), b"\x1b[1;"), "{}", shell.screen());
}

#[test]
fn a_terminal_that_can_nothing_gets_plain_text() {
    let room = Room::new();
    let mut shell = room.spawn(&[], &[("TERM", "dumb")]);
    shell.shows("query> ");
    shell.send("select 1\n");
    shell.send("+ 1 as two;\n");
    shell.shows("│ two │");
    shell.send(".quit\n");
    assert_eq!(shell.ends(), 0);
    assert!(!shell.bytes().contains(&0x1b), "{}", shell.screen());
}

#[test]
fn what_is_typed_while_a_statement_runs_is_run_after_it() {
    let room = Room::new();
    room.pipe("pipe.csv");
    let mut shell = room.shell();
    shell.line("create table t as select 1 as n;");
    shell.line(".output pipe.csv");
    shell.send("select 'slow' as a;\r");
    shell.runs();
    // Nobody reads the pipe yet, so the statement waits while these are typed.
    shell.send("insert into t select 2;\rinsert into t\rselect 3;\r.output\rselect 6 +");
    shell.shows("select 6 +");
    assert_eq!(room.read("pipe.csv"), "a\nslow\n");
    shell.prompts += 1;
    shell.until("the line that was begun", |seen| super::last_line(&seen.parser) == "query> select 6 +");
    let screen = shell.line(" sum(n) as twelve from t;");
    assert!(screen.contains("│     12 │"), "{screen}");
}
