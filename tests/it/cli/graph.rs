//! EXPLAIN GRAPH and `query graph`, as they are read, and what goes wrong with them.

use super::Room;

/// Two partitions, whatever machine this is.
const TWO: &str = "set datafusion.execution.target_partitions = 2";
const ORDERS: &str = "create table orders as
    select value as id, value % 3 as region, value * 2 as amount from generate_series(1, 9)";
const JOIN: &str =
    "select r.name, sum(amount) as amount from orders join (values (1, 'north'), (2, 'south')) as r(id, name)
    on region = r.id group by r.name order by amount desc limit 3";

fn explained(sql: &str) -> String {
    let args = ["--format", "table", "-c", TWO, "-c", ORDERS, "-c", sql];
    Room::new().query(args).run().rows()
}

/// What `query graph` prints of statements after the two above.
fn drawn(room: &Room, args: &[&str]) -> super::Done {
    let all = ["graph", "-c", TWO, "-c", ORDERS].into_iter().chain(args.iter().copied());
    room.query(all).run()
}

#[test]
fn explain_graph_shows_stages() {
    insta::assert_snapshot!(explained(&format!("explain graph {JOIN}")), @r"
    task_graph
    5 stages, 8 tasks

    Stage 4  Map  1 task
      ← Merge from stage 3, 2 → 1, in order of amount DESC, first 3

    Stage 3  GroupBy  2 tasks
      Projection  name, sum(orders.amount) AS amount
      Sort  sum(orders.amount) DESC, first 3
      Aggregate  final; by name; sum(orders.amount)
      ← Shuffle from stage 2, 2 → 2, by name

    Stage 2  GroupBy  2 tasks
      Aggregate  partial; by name; sum(orders.amount)
      ← Rebalance from stage 1, 1 → 2

    Stage 1  Join  1 task
      HashJoin  Inner on region = id
      ├ ← Gather from stage 0, 2 → 1
      └ Projection  column1 AS id, column2 AS name
        Scan  memory (column1, column2)

    Stage 0  Scan  2 tasks
      Scan  memory (region, amount)
    ");
}

#[test]
fn explain_graph_is_one_value_elsewhere() {
    let done = Room::new().query(["--format", "ndjson", "-c", "explain graph select 1 as a"]).run();
    insta::assert_snapshot!(done.rows(), @r#"{"plan_type":"task_graph","plan":"1 stage, 1 task\n\nStage 0  Scan  1 task\n  Projection  1 AS a\n  PlaceholderRow\n"}"#);
}

#[test]
fn writes_are_shown_and_not_done() {
    let room = Room::new();
    let rows = room.sql("explain graph copy (select 1 as a) to 'out.csv'").rows();
    assert!(rows.contains("Write") && rows.contains("out.csv"), "{rows}");
    let rows = drawn(&room, &["-c", "insert into orders select 1, 2, 3"]).rows();
    assert!(rows.contains("Write"), "{rows}");
    let rows = room.query(["graph", "-c", "copy (select 1 as a) to 'out.csv'"]).run().rows();
    assert!(rows.contains("Write") && rows.contains("out.csv"), "{rows}");
    assert_eq!(room.names(), Vec::<String>::new());
}

#[test]
fn errors_point_at_their_place() {
    let room = Room::new();
    insta::assert_snapshot!(room.sql("explain graph -- of\nselect 1 as a, nope").error(1), @r"
    error: column 'nope' does not exist
     --> <command line>:2:16
      |
    2 | select 1 as a, nope
      |                ^^^^
    ");
    insta::assert_snapshot!(room.sql("explain graph").error(1), @r"
    error: expected a statement to explain, found the end of the statement
     --> <command line>:1:14
      |
    1 | explain graph
      |              ^
    ");
    insta::assert_snapshot!(room.sql("explain graph select 1 +").error(1), @r"
    error: expected an expression, found the end of the statement
     --> <command line>:1:25
      |
    1 | explain graph select 1 +
      |                         ^
    ");
    insta::assert_snapshot!(room.sql("explain graph summarize select 1 form t").error(1), @r"
    error: expected end of statement, found t
     --> <command line>:1:39
      |
    1 | explain graph summarize select 1 form t
      |                                       ^
      |
      = help: did you mean FROM?
    ");
    insta::assert_snapshot!(room.sql("explain graph drop table t").error(1), @r"
    error: EXPLAIN of DropTable is not supported
     --> <command line>:1:1
      |
    1 | explain graph drop table t
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
    insta::assert_snapshot!(room.sql("explain graph explain select 1").error(1), @r"
    error: EXPLAIN GRAPH takes a query, COPY or INSERT
     --> <command line>:1:15
      |
    1 | explain graph explain select 1
      |               ^^^^^^^
    ");
    insta::assert_snapshot!(room.sql("explain graph verbose select 1").error(1), @r"
    error: expected an SQL statement, found verbose
     --> <command line>:1:15
      |
    1 | explain graph verbose select 1
      |               ^^^^^^^
    ");
}

#[test]
fn explain_analyze_graph_runs_the_query_and_says_what_stages_did() {
    let text = explained(&format!("explain analyze graph {JOIN}"));
    // Times and memory are never the same.
    insta::with_settings!({ filters => vec![
        (r"[0-9.]+ (µs|ms|s)\b", "[time]"),
        (r"[0-9.]+ ([kM]?B)\b", "[bytes]"),
    ]}, { insta::assert_snapshot!(text, @r"
    task_graph
    5 stages, 8 tasks

    Stage 4  Map  1 task
      ← Merge from stage 3, 2 → 1, in order of amount DESC, first 3, 2 rows
      = 2 rows in [time] ([time] of work)
      = peak memory [bytes]

    Stage 3  GroupBy  2 tasks
      Projection  name, sum(orders.amount) AS amount
      Sort  sum(orders.amount) DESC, first 3
      Aggregate  final; by name; sum(orders.amount)
      ← Shuffle from stage 2, 2 → 2, by name, 2 rows
      = 2 rows in [time] ([time] of work)
      = a task: [time] to [time], median [time]; 0 to 2 rows
      = peak memory [bytes]

    Stage 2  GroupBy  2 tasks
      Aggregate  partial; by name; sum(orders.amount)
      ← Rebalance from stage 1, 1 → 2, 6 rows
      = 2 rows in [time] ([time] of work)
      = a task: [time] to [time], median [time]; 0 to 2 rows
      = peak memory [bytes]

    Stage 1  Join  1 task
      HashJoin  Inner on region = id
      ├ ← Gather from stage 0, 2 → 1, 9 rows
      └ Projection  column1 AS id, column2 AS name
        Scan  memory (column1, column2)
      = 6 rows in [time] ([time] of work)
      = peak memory [bytes]

    Stage 0  Scan  2 tasks
      Scan  memory (region, amount)
      = 9 rows in [time] ([time] of work)
      = a task: [time] to [time], median [time]; 0 to 9 rows

    2 rows in [time], peak memory [bytes]
    ") });
    let failed = Room::new().sql("explain analyze graph select 1 / (value - 5) from generate_series(1, 9)");
    assert!(failed.error(1).starts_with("error: division by zero\n"));
}

#[test]
fn a_graph_is_drawn_in_each_form() {
    let room = Room::new();
    let text = drawn(&room, &["-c", JOIN]).rows();
    assert!(text.contains("← Shuffle from stage"), "{text}");
    assert_eq!(drawn(&room, &["--format", "text", "-c", JOIN]).rows(), text);
    let dot = drawn(&room, &["--format", "dot", "-c", JOIN]).rows();
    assert!(dot.starts_with("digraph query {\n") && dot.ends_with("}\n"), "{dot}");
    let svg = drawn(&room, &["--format", "svg", "-c", JOIN]).rows();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    for (name, format, content) in
        [("a.txt", "text", &text), ("a.dot", "dot", &dot), ("a.gv", "dot", &dot), ("a.svg", "svg", &svg)]
    {
        assert_eq!(drawn(&room, &["-o", name, "-c", JOIN]).rows(), "");
        assert_eq!(&room.read(name), content);
        assert_eq!(drawn(&room, &["-o", "any", "--format", format, "-c", JOIN]).rows(), "");
        assert_eq!(&room.read("any"), content);
    }
}

#[test]
fn statements_before_a_query_run_and_queries_do_not() {
    let room = Room::new();
    room.write(
        "script.sql",
        "set datafusion.execution.target_partitions = 2;
         create table t as select value as a from generate_series(1, 3);
         create view v as select a + 1 as b from t;
         prepare p as select 1;
         show tables; describe t; explain select 1;
         select 1 / (b - 2) from v;
         copy v to 'v.csv';",
    );
    let text = room.query(["graph", "script.sql"]).run().rows();
    assert_eq!(room.names(), ["script.sql"]);
    insta::assert_snapshot!(text, @r"
    -- script.sql:6
    1 stage, 1 task

    Stage 0  Scan  1 task
      Projection  1 / checked_sub(checked_add(a, 1), 2) AS 1 / (b - 2)
      Scan  memory (a)

    -- script.sql:7
    2 stages, 2 tasks

    Stage 1  Write  1 task
      Write  v.csv, csv
      ← Gather from stage 0, 1 → 1

    Stage 0  Scan  1 task
      Projection  checked_add(a, 1) AS b
      Scan  memory (a)
    ");
}

#[test]
fn files_stdin_and_commands_are_read() {
    let room = Room::new();
    room.write("one.sql", "create view v as select 1 as first_column;");
    room.write("two.sql", "from v;");
    let text = room.query(["graph", "one.sql", "two.sql", "-c", "select 2 as other_column"]).run().rows();
    assert!(text.find("first_column") < text.find("other_column"), "{text}");
    assert_eq!(text.matches("1 stage, 1 task").count(), 2, "{text}");
    let piped = room.query(["graph"]).input("select 1 as first_column").run().rows();
    assert_eq!(piped, room.query(["graph", "-"]).input("select 1 as first_column").run().rows());
    assert!(piped.contains("first_column"), "{piped}");
    room.write("sales.csv", "region,amount\nnorth,1\n");
    let text = room.query([
        "graph",
        "-c",
        "select region from 'sales.csv' where amount > $least",
        "--param",
        "least=3",
    ]);
    let text = text.run().rows();
    assert!(text.contains("sales.csv (region") && text.contains("amount > 3"), "{text}");
}

#[test]
fn a_picture_takes_one_query() {
    let room = Room::new();
    for args in [["-o", "a.svg"], ["--format", "svg"]] {
        let error = drawn(&room, &[&args[..], &["-c", "select 1", "-c", "select 2"]].concat()).error(2);
        insta::allow_duplicates! { insta::assert_snapshot!(error, @r"
        error: svg takes the graph of one query, the SQL has 2
        help: draw each with a call of its own, or all as text or dot
        ") };
    }
    assert_eq!(room.names(), Vec::<String>::new());
    let dot = drawn(&room, &["--format", "dot", "-c", "select 1", "-c", "select 2"]).rows();
    assert_eq!(dot.matches("digraph").count(), 2);
}

#[test]
fn misuse_is_told_with_exit_code_2() {
    let room = Room::new();
    insta::assert_snapshot!(room.query(["graph", "-c", "set datafusion.execution.batch_size = 1"]).run().error(2), @r"
    error: the SQL has no query that a graph could be drawn of
    help: queries, COPY and INSERT have graphs
    ");
    insta::assert_snapshot!(room.query(["graph", "-o", "a.png", "-c", "select 1"]).run().error(2), @r"
    error: the format of 'a.png' cannot be told from its name
    help: say it with --format text, dot or svg
    ");
    insta::assert_snapshot!(room.query(["graph", "--format", "csv", "-c", "select 1"]).run().error(2), @r"
    error: invalid value 'csv' for '--format <FORMAT>'
      [possible values: text, dot, svg]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(room.query(["-c", "select 1", "graph"]).run().error(2), @r"
    error: -c and -f cannot stand before `graph`
    help: put them behind it
    ");
    assert_eq!(room.names(), Vec::<String>::new());
}

#[test]
fn a_failed_statement_leaves_the_old_file() {
    let room = Room::new();
    room.write("a.txt", "old");
    let args = ["graph", "-o", "a.txt", "-c", "select 1", "-c", "select nope"];
    let error = room.query(args).run().error(1);
    assert!(error.contains("column 'nope' does not exist"), "{error}");
    assert_eq!(room.read("a.txt"), "old");
    let done =
        room.query(["graph", "--keep-going", "-o", "a.txt", "-c", "select nope", "-c", "select 1"]).run();
    assert!(done.error(1).contains("column 'nope'"));
    assert!(room.read("a.txt").contains("1 stage, 1 task\n"));
    let error = room.query(["graph", "missing.sql"]).run().error(1);
    assert!(error.contains("missing.sql"), "{error}");
    let error = room.query(["graph", "-o", "no/a.svg", "-c", "select 1"]).run().error(1);
    assert!(error.contains("no/a.svg"), "{error}");
    assert_eq!(room.names(), ["a.txt"]);
}

#[test]
fn help_fits_80_columns() {
    let help = Room::new().query(["graph", "--help"]).run().rows();
    assert!(help.contains("text, dot or svg"), "{help}");
    assert!(!help.contains("parquet"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
}
