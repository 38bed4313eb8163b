//! What Tab offers.

use super::{CTRL_C, Room, TAB};

#[test]
fn columns_of_the_tables_in_the_statement_are_offered() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("create table sales as select 'north' as region, 10 as amount, 1 as \"Order No\";");
    shell.line("create table other as select 1 as regular;");
    shell.send(&format!("select reg{TAB}"));
    shell.shows("regexp");
    shell.send(CTRL_C);
    shell.ready(1);
    // One column fits: it is written out.
    shell.send(&format!("from sales select regi{TAB}"));
    shell.shows("select region");
    shell.send(&format!(", s{CTRL_C}"));
    shell.ready(1);
    shell.send(&format!("select s.{TAB}"));
    shell.send(CTRL_C);
    shell.ready(1);
    // The cursor is before FROM.
    shell.send(&format!("select  from sales s\x1b[1;5D\x1b[1;5D\x1b[1;5D\x1b[Ds.{TAB}"));
    shell.until("the columns", |seen| {
        let screen = super::screen(&seen.parser);
        screen.matches("Order No").count() == 2 && screen.ends_with("select s. from sales s")
    });
    insta::assert_snapshot!(shell.screen());
}

#[test]
fn columns_of_a_quoted_file_are_offered() {
    let room = Room::new();
    room.write("trips.csv", "city,distance_km\nParis,3\n");
    let mut shell = room.shell();
    shell.send(&format!("from 'trips.csv' select dista{TAB}"));
    shell.shows("select distance_km");
    let screen = shell.line(";");
    assert!(screen.contains("│ distance_km │"), "{screen}");
}

#[test]
fn paths_are_offered_inside_quotes_and_after_commands() {
    let room = Room::new();
    std::fs::create_dir(room.path("folder")).unwrap();
    room.write("folder/alpha.csv", "a\n1\n");
    room.write("folder/beta.csv", "b\n2\n");
    room.write("script.sql", "select 3 as c;");
    let mut shell = room.shell();
    shell.send(&format!("from 'fo{TAB}al{TAB}"));
    shell.shows("from 'folder/alpha.csv");
    let screen = shell.line("';");
    assert!(screen.contains("│ a │"), "{screen}");
    let screen = shell.line(&format!(".read scr{TAB}"));
    assert!(screen.contains("│ c │"), "{screen}");
}

#[test]
fn keywords_tables_and_commands_are_offered() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("create table a_rather_long_name as select 1 as x;");
    shell.send(&format!("SEL{TAB} * from a_r{TAB}"));
    shell.shows("SELECT * from a_rather_long_name");
    shell.line(";");
    shell.send(&format!(".tab{TAB}"));
    shell.shows(".tables");
    let screen = shell.line("");
    assert!(screen.contains("│ public ┆ a_rather_long_name ┆ base table │"), "{screen}");
    let screen = shell.line(&format!(".mode ndj{TAB}"));
    assert!(screen.contains(".mode ndjson"), "{screen}");
}

#[test]
fn a_pipe_is_not_read_for_its_columns() {
    let room = Room::new();
    room.pipe("pipe.csv");
    let mut shell = room.shell();
    // Had the pipe been opened, the editor would wait here.
    shell.send(&format!("from 'pipe.csv' select dis{TAB}"));
    shell.shows("distinct");
    shell.send(CTRL_C);
    shell.ready(1);
    let screen = shell.line("select 1 as alive;");
    assert!(screen.contains("│ alive │"), "{screen}");
}
