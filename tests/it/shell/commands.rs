//! The commands of the shell, in both dialects.

use super::Room;

#[test]
fn help_lists_the_commands() {
    let room = Room::new();
    let mut shell = room.shell();
    insta::assert_snapshot!(shell.line(".help"));
}

#[test]
fn an_unknown_command_names_the_nearest() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line(".tabels");
    shell.line("\\timign on");
    insta::assert_snapshot!(shell.line(".frobnicate"));
}

#[test]
fn tables_and_their_columns_are_shown() {
    let room = Room::new();
    room.write("cities.csv", "city,people\nParis,2100000\n");
    let mut shell = room.shell();
    shell.line("create view v as select 1 as a, 'x' as b;");
    shell.line("\\dt");
    shell.line("\\d v");
    insta::assert_snapshot!(shell.line(".schema cities.csv"));
}

#[test]
fn modes_change_the_form_of_results() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line(".mode csv");
    shell.line("select 1 as a, null as b;");
    shell.line("\\pset format json");
    shell.line("select 1 as a, null as b;");
    shell.line("\\x");
    shell.line("select 1 as a, null as b;");
    shell.line("\\x");
    shell.line("select 1 as a, null as b;");
    shell.line(".mode table");
    insta::assert_snapshot!(shell.line("select 1 as a, null as b\\G"));
    shell.line(".mode parquet");
    insta::assert_snapshot!("refused", shell.line(".mode yaml"));
}

#[test]
fn a_file_is_read_up_to_its_first_error() {
    let room = Room::new();
    room.write("good.sql", ".mode csv\nselect 1 as a;\n\\i more.sql\nselect 3 as c");
    room.write("more.sql", "select 2 as b;");
    room.write("bad.sql", "select 1 as a;\n\nselect nope;\nselect 2 as never;");
    room.write("self.sql", ".read self.sql\n");
    let mut shell = room.shell();
    shell.line(".read good.sql");
    shell.line(".read 'bad.sql'");
    shell.line(".read missing.sql");
    insta::assert_snapshot!(shell.line(".read self.sql"));
}

#[test]
fn results_go_to_a_file_and_back_to_the_screen() {
    let room = Room::new();
    room.write("out.csv", "old");
    let mut shell = room.shell();
    shell.line(".output out.csv");
    shell.line("select 1 as a;");
    shell.line("select nope;");
    shell.line("select 2 as b;");
    assert_eq!(room.read("out.csv"), "a\n1\nb\n2\n");
    shell.line("\\o 'out.parquet'");
    shell.line("select 3 as c;");
    shell.line("select 4 as d;");
    shell.line("\\o");
    let screen = shell.line("select c + 1 as four from 'out.parquet';");
    insta::assert_snapshot!(screen);
    assert_eq!(room.names(), ["out.csv", "out.parquet"]);
}

#[test]
fn the_timer_says_how_long_a_statement_took() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line(".timer on");
    let screen = shell.line("select 1 as a;");
    insta::with_settings!({filters => vec![(r"time: \d+\.\d{3} s", "time: [TIME] s")]}, {
        insta::assert_snapshot!(screen);
    });
    let screen = shell.line("\\timing off");
    assert!(screen.contains("timer off"), "{screen}");
    let screen = shell.line("select 2 as b;");
    assert!(screen.ends_with("1 row\nquery>"), "{screen}");
}

#[test]
fn a_command_needs_the_start_of_a_statement() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.send("select '\r.tables\r' as text\r");
    shell.shows("as text");
    let screen = shell.line("; .mode csv");
    assert!(screen.contains("│ .tables │"), "{screen}");
    let screen = shell.line("select 5 as five;");
    assert!(screen.contains("five\n5\n1 row"), "{screen}");
}

#[test]
fn why_and_report_are_about_the_last_statement() {
    let room = Room::new();
    let mut shell = room.shell();
    let screen = shell.line(".why");
    assert!(screen.contains("error: no statement was run yet"), "{screen}");
    shell.line("select value % 7 as k, count(*) as n from generate_series(1, 100000) group by 1;");
    let screen = shell.line("\\why");
    assert!(screen.contains(" in all: ") && screen.contains("slowest operator"), "{screen}");
    let screen = shell.line("\\report");
    assert!(screen.contains("report written to 'report.html'"), "{screen}");
    shell.line("select nope;");
    let screen = shell.line(".why");
    assert!(screen.contains("it failed before anything of it ran: column 'nope' does not exist"), "{screen}");
    let screen = shell.line(".report");
    assert!(screen.contains("report written to 'report-2.html'"), "{screen}");
    let (first, second) = (room.read("report.html"), room.read("report-2.html"));
    assert!(first.contains("value % 7") && !first.contains("nope"), "{first}");
    assert!(second.contains("nope") && !second.contains("value % 7"), "{second}");
}

#[test]
fn why_does_not_ask_about_what_a_command_ran() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("select value % 7 as k, count(*) as n from generate_series(1, 100000) group by 1;");
    shell.line(".tables");
    let screen = shell.line(".report last.html");
    assert!(screen.contains("report written to 'last.html'"), "{screen}");
    assert!(room.read("last.html").contains("value % 7"));
}
