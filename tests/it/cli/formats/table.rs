//! Tables that are cut say so, and only tables are cut.

use crate::cli::Room;

const TEN: &str = "select value from generate_series(1, 10)";

fn table(args: &[&str], sql: &str) -> String {
    let fixed = ["--format", "table", "-c", sql];
    Room::new().query(fixed.iter().chain(args)).run().rows()
}

#[test]
fn a_cut_table_says_how_many_rows_there_are() {
    insta::assert_snapshot!(table(&["--max-rows", "4"], TEN), @r"
    ╭───────╮
    │ value │
    ╞═══════╡
    │     1 │
    │     2 │
    │     … │
    │     9 │
    │    10 │
    ╰───────╯
    10 rows (4 shown)
    ");
    insta::assert_snapshot!(table(&["--max-rows", "3"], TEN), @r"
    ╭───────╮
    │ value │
    ╞═══════╡
    │     1 │
    │     2 │
    │     … │
    │    10 │
    ╰───────╯
    10 rows (3 shown)
    ");
    insta::assert_snapshot!(table(&["--max-rows", "1"], TEN), @r"
    ╭───────╮
    │ value │
    ╞═══════╡
    │     1 │
    │     … │
    ╰───────╯
    10 rows (1 shown)
    ");
}

#[test]
fn a_table_that_fits_is_whole() {
    let whole = table(&[], TEN);
    assert_eq!(whole.lines().count(), 14);
    assert_eq!(table(&["--max-rows", "0"], TEN), whole);
    assert_eq!(table(&["--max-rows", "10"], TEN), format!("{whole}10 rows\n"));
    assert_eq!(table(&["--max-rows", "1000"], TEN), format!("{whole}10 rows\n"));
}

#[test]
fn counts_agree_with_their_noun() {
    assert!(table(&["--max-rows", "5"], "select 1 as a").ends_with("\n1 row\n"));
    assert!(table(&["--max-rows", "5"], "select 1 as a where false").ends_with("\n0 rows\n"));
    let many = table(&["--max-rows", "2"], "select value from generate_series(1, 12345) order by value");
    assert!(many.ends_with("\n12,345 rows (2 shown)\n"), "{many}");
}

#[test]
fn other_formats_are_never_cut() {
    let room = Room::new();
    for format in ["csv", "tsv", "ndjson", "markdown", "line"] {
        let whole = room.query(["--format", format, "-c", TEN]).run().rows();
        let cut = room.query(["--format", format, "--max-rows", "2", "-c", TEN]).run().rows();
        assert_eq!(whole, cut, "{format}");
    }
}

#[test]
fn a_table_in_a_pipe_or_file_has_all_rows_and_columns() {
    let columns = (0..200).map(|n| format!("value as column_{n}")).collect::<Vec<_>>().join(", ");
    let sql = format!("select {columns} from generate_series(1, 100)");
    let whole = table(&[], &sql);
    assert_eq!(whole.lines().count(), 104);
    assert!(whole.contains("column_0 ") && whole.contains("column_100 ") && whole.contains("column_199 "));
    let room = Room::new();
    assert_eq!(room.query(["-c", &sql, "-o", "out.txt"]).run().rows(), "");
    assert_eq!(room.read("out.txt"), whole);
}

#[test]
fn control_characters_do_not_drive_the_terminal() {
    let shown = table(&[], r"select E'\x1b[31mred\x07' as x, E'a\tb' as y");
    assert!(shown.contains(r"\u{1b}[31mred\u{7}") && shown.contains(r"a\tb"), "{shown}");
    assert!(!shown.contains('\u{1b}'));
}
