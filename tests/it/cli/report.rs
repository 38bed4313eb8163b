//! `.why`, `.report` and `--report`: what they say, what they write, and the page in a browser.

mod browser;

use std::fs;
use std::thread;
use std::time::Duration;

use self::browser::{Browser, Look};
use super::Room;
use crate::tpch;

const TWO: [&str; 4] = ["--threads", "2", "-c", "set datafusion.execution.target_partitions = 2"];
const GROUPS: &str =
    "select value % 7 as k, count(*) as n from generate_series(1, 100000) group by 1 order by 2, 1";
/// Takes seconds, without giving a row before.
const LONG: &str = "select count(*) from generate_series(1, 100000) as a, generate_series(1, 100000) as b
    where (a.value * 7 + b.value) % 1000003 = 1";
const SECTIONS: [&str; 8] = [
    "Where the time went",
    "Task graph",
    "Tasks over time",
    "Memory and temporary files over time",
    "Stages",
    "Edges",
    "Operators",
    "Plan",
];
const WIDE: Look = Look { width: 1400, is_dark: false };

/// What `.why` says about a statement.
fn why(sql: &str, args: &[&str]) -> String {
    let all = TWO.into_iter().chain(["-c", sql, "-c", ".why", "--keep-going"]).chain(args.iter().copied());
    String::from_utf8(Room::new().query(all).run().stdout).unwrap()
}

/// A page about some statements.
fn page(statements: &[&str]) -> String {
    let room = Room::new();
    let sql = statements.iter().flat_map(|sql| ["-c", sql]);
    room.query(TWO.into_iter().chain(sql).chain(["--report", "run.html", "--keep-going"])).run();
    assert_eq!(room.names(), ["run.html"]);
    room.read("run.html")
}

#[test]
fn why_says_where_the_time_went() {
    for engine in ["local", "inline"] {
        let text = why(GROUPS, &["--engine", engine]);
        assert!(text.contains(" in all: ") && text.contains(" of work on 2 threads)"), "{text}");
        assert!(text.contains("slowest operator"), "{text}");
    }
}

#[test]
fn why_names_a_join_of_all_pairs_and_a_second_attempt_and_a_spill() {
    let pairs = why(
        "select count(*) from generate_series(1, 3000) as a, generate_series(1, 3000) as b where a.value * b.value % 1003 = 1",
        &[],
    );
    assert!(pairs.contains("compares every pair of rows"), "{pairs}");
    assert!(pairs.contains("9,000,000 pairs"), "{pairs}");
    let sort = "select max(value) from (select value from generate_series(1, 3000000) order by -value % 1000 offset 1)";
    let spill = why(sort, &["--memory-limit", "24MB"]);
    assert!(spill.contains("did not fit into memory"), "{spill}");
    assert!(spill.contains("SET datafusion.runtime.memory_limit (now 24.0 MB)"), "{spill}");
}

#[test]
fn why_answers_also_when_there_is_little_to_say() {
    let none = Room::new().query(["-c", ".why"]).run().error(2);
    assert_eq!(none, "error: no statement was run yet\nhelp: run one, then ask why it took its time\n");
    let failed = why("select nope", &[]);
    assert!(failed.contains("it failed before anything of it ran: column 'nope' does not exist"), "{failed}");
    let stock = why(GROUPS, &["--engine", "stock"]);
    assert!(stock.contains("SET query.engine = local, and run it again"), "{stock}");
    let late = why(LONG, &["--timeout", "300ms"]);
    assert!(late.contains("it did not come to its end: the statement took longer than"), "{late}");
    let effect = why("create view v as select 1 as a", &[]);
    assert!(effect.contains("without any task"), "{effect}");
    let secret = why(
        "select 'hunter2' as password from generate_series(1, 2) where 'hunter2' < cast(value as varchar)",
        &[],
    );
    assert!(!secret.split("password\n").nth(1).unwrap_or(&secret).contains("hunter2"), "{secret}");
}

#[test]
fn a_report_goes_where_it_is_told_and_else_over_no_file() {
    let room = Room::new();
    room.write("mine.html", "old");
    let done = room
        .query(["-c", "select 1 as a", "-c", ".report", "-c", ".report", "-c", "\\report mine.html"])
        .run();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(
        done.stderr,
        "report written to 'report.html'\nreport written to 'report-2.html'\nreport written to 'mine.html'\n"
    );
    assert_eq!(room.names(), ["mine.html", "report-2.html", "report.html"]);
    assert!(room.read("mine.html").ends_with("</html>\n"));
    let error =
        room.query(["-c", "copy (select 1 as a) to 'a.csv'", "--report", "no/run.html"]).run().error(1);
    assert!(error.starts_with("error: could not write beside 'no/run.html'"), "{error}");
    assert!(!room.path("a.csv").exists());
}

#[test]
fn a_report_comes_with_every_way_to_run_sql_and_after_a_stop() {
    let room = Room::new();
    room.write("q.sql", format!("select 1 as one;\n{GROUPS};"));
    for args in [&["-f", "q.sql"][..], &["run", "q.sql"]] {
        room.query(args.iter().copied().chain(["--report", "run.html"])).run();
        let text = room.read("run.html");
        assert!(text.contains("q.sql, line 2") && text.contains("Statements"), "{text}");
        fs::remove_file(room.path("run.html")).unwrap();
    }
    let running = room.query(["-c", LONG, "--report", "stopped.html"]).start().read_all();
    thread::sleep(Duration::from_millis(700));
    running.signal(libc::SIGINT);
    assert_eq!(running.wait().code, Some(130));
    let text = room.read("stopped.html");
    assert!(text.contains("the statement was stopped") && text.contains("class=\"bar "), "{text}");
    assert_eq!(room.names(), ["q.sql", "stopped.html"]);
}

#[test]
fn statements_with_secrets_are_left_out_of_the_page() {
    let sql =
        "select 'hunter2' as password from generate_series(1, 2) where 'hunter2' < cast(value as varchar)";
    let text = page(&[sql, "select nope, 'hunter2' as secret", "select 5 as five"]);
    assert!(!text.contains("hunter2") && !text.contains("password"), "{text}");
    assert_eq!(text.matches("The statement is withheld").count(), 2);
    assert!(text.contains("select 5 as five"));
}

#[test]
fn statements_show_as_what_they_are() {
    let room = Room::new();
    let statements = [
        "create table t as select value as v from generate_series(1, 1000)",
        "insert into t select v + 1 from t where v > 990",
        "copy (select v, count(*) as n from t group by v) to 'out.parquet'",
        "copy (select v from t) to 'out.csv'",
        "with recursive r as (select 1 as n union all select n + 1 from r where n < 10) select sum(n) from r",
        "select count(*) from t where v = (select max(v) from t) or v < (select avg(v) from t)",
    ];
    let sql = statements.iter().flat_map(|sql| ["-c", sql]);
    let done = room.query(TWO.into_iter().chain(sql).chain(["--report", "run.html"])).run();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = room.read("run.html");
    let sections: Vec<_> = text.split("<section ").skip(2).collect();
    let [table, insert, parquet, csv, recursive, scalar] = sections.try_into().unwrap();
    assert!(table.contains("Stage 0  Scan  1 task") && table.contains("done, 1,000 rows"), "{table}");
    assert!(
        insert.contains("Write  into a table in memory") && insert.contains("10 rows written"),
        "{insert}"
    );
    assert!(
        parquet.contains("Write  out.parquet, parquet") && parquet.contains("1,001 rows written"),
        "{parquet}"
    );
    assert!(csv.contains("Write  out.csv, csv") && csv.contains("1,010 rows written"), "{csv}");
    assert!(
        recursive.contains("RecursiveQuery  r, union all: the first rows, then the step that repeats"),
        "{recursive}"
    );
    assert!(
        scalar.contains("ScalarSubquery  the query, behind it 2 scalar subqueries that run first"),
        "{scalar}"
    );
}

/// Asserts that the page asked for nothing and that its scripts ran.
fn assert_quiet(browser: &mut Browser) {
    assert_eq!(browser.requests(), Vec::<String>::new());
    assert_eq!(browser.troubles(), Vec::<String>::new());
    assert_eq!(browser.number("performance.getEntriesByType('resource').length"), 0.0);
}

#[test]
fn a_browser_shows_every_section_without_a_request_or_an_error() {
    let room = Room::new();
    tpch::generate(&room.path(""), 0.01);
    let tables = ["supplier", "lineitem", "orders", "nation"];
    let tables = tables.map(|name| format!("create view {name} as from '{name}.parquet';"));
    let sql = fs::read_to_string("queries/tpch/q21.sql").unwrap();
    room.write("q21.sql", format!("{}{sql}", tables.concat()));
    room.query(["--threads", "2", "-f", "q21.sql", "--report", "q21.html"]).run();

    let mut browser = Browser::start();
    browser.open(&room.path("q21.html"), WIDE);
    for section in SECTIONS {
        let shown = format!(
            "(() => {{ const head = [...document.querySelectorAll('h3')].find(head => head.textContent === '{section}');
              const next = head && head.nextElementSibling.getBoundingClientRect();
              return next ? next.width * next.height : 0; }})()"
        );
        assert!(browser.number(&shown) > 100.0, "{section} is not shown");
    }
    let stages = browser.number("document.querySelectorAll('.graph g[data-stage]').length");
    assert!(stages > 5.0, "{stages}");
    assert_eq!(browser.number("document.querySelectorAll('tr[data-stage]').length"), stages);
    assert!(browser.number("document.querySelectorAll('.timeline .bar').length") >= stages);
    assert!(
        browser
            .value("document.querySelector('.statement:last-of-type .sql').textContent")
            .as_str()
            .unwrap()
            .contains("numwait")
    );
    assert_quiet(&mut browser);

    let light = browser.value("getComputedStyle(document.body).backgroundColor");
    browser.open(&room.path("q21.html"), Look { width: 420, is_dark: true });
    assert_ne!(browser.value("getComputedStyle(document.body).backgroundColor"), light);
    assert!(
        browser.number("document.documentElement.scrollWidth") <= 420.0,
        "the page is wider than its window"
    );
    assert_quiet(&mut browser);
}

#[test]
fn tables_sort_the_graph_leads_to_its_rows_and_bars_say_what_they_are() {
    let room = Room::new();
    room.query(TWO.into_iter().chain(["-c", GROUPS, "--report", "run.html"])).run();
    let mut browser = Browser::start();
    browser.open(&room.path("run.html"), WIDE);
    let column =
        "[...document.querySelectorAll('tr[data-stage]')].map(row => Number(row.cells[0].dataset.key))";
    browser.value("document.querySelector('table.sorted th button').click()");
    let down = browser.value(column);
    browser.value("document.querySelector('table.sorted th button').click()");
    let up = browser.value(column);
    let reversed: Vec<_> = down.as_array().unwrap().iter().rev().cloned().collect();
    assert!(reversed.len() > 1 && reversed == *up.as_array().unwrap(), "{down} {up}");
    browser.value("document.querySelector('.graph [data-stage=\"0\"]').dispatchEvent(new MouseEvent('click', { bubbles: true }))");
    assert_eq!(browser.value("document.querySelector('tr.marked').dataset.stage"), "0");
    browser.value(
        "document.querySelector('.bar').dispatchEvent(new PointerEvent('pointermove', { bubbles: true }))",
    );
    let tip = browser
        .value("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent");
    assert!(tip.as_str().unwrap().contains("worker"), "{tip}");
    let width = "document.querySelector('.graph svg').getBoundingClientRect().width";
    let before = browser.number(width);
    browser.value("document.querySelector('[data-zoom=\"+\"]').click()");
    assert!(browser.number(width) > before);
    assert_quiet(&mut browser);
}

#[test]
fn texts_that_look_like_markup_do_nothing() {
    let room = Room::new();
    let nasty =
        "</script><img src=http://127.0.0.1:9/x onerror=document.title=1><script>document.title=2</script>";
    let literal = format!(
        "select '{nasty}' as \"{nasty}\", count(*) as n from generate_series(1, 9) where '{nasty}' < cast(value as varchar)"
    );
    let failing = format!("select \"{nasty}\"");
    room.query(["-c", &literal, "-c", &failing, "--keep-going", "--report", "run.html"]).run();
    let mut browser = Browser::start();
    browser.open(&room.path("run.html"), WIDE);
    assert_eq!(browser.number("document.images.length"), 0.0);
    assert_eq!(browser.number("document.scripts.length"), 1.0);
    assert!(browser.value("document.querySelector('.sql').textContent").as_str().unwrap().contains(nasty));
    assert!(browser.value("document.title").as_str().unwrap().starts_with("query: "));
    assert_quiet(&mut browser);
}

#[test]
fn a_page_of_two_thousand_tasks_stays_usable() {
    let room = Room::new();
    let part = |at: usize| {
        format!(
            "select {at} as q, value % 10 as k, count(*) as n from t where value % {} = 1 group by 2",
            at + 2
        )
    };
    let parts: Vec<_> = (0..50).map(part).collect();
    let sql = format!("{} order by 1, 2", parts.join(" union all "));
    let table = "create table t as select value from generate_series(1, 1000)";
    let setting = "set datafusion.execution.target_partitions = 40";
    room.query(["-c", table, "-c", setting, "-c", &sql, "--report", "run.html"]).run();
    assert!(room.bytes("run.html").len() < 2_000_000);
    let mut browser = Browser::start();
    browser.open(&room.path("run.html"), WIDE);
    assert!(
        browser.number("document.querySelectorAll('.statement:last-of-type tr[data-stage]').length") > 60.0
    );
    let bars = browser.number("document.querySelectorAll('.statement:last-of-type .bar').length");
    assert!((100.0..=400.0).contains(&bars), "{bars}");
    assert!(browser.value("document.body.textContent").as_str().unwrap().contains("busiest are drawn"));
    assert_quiet(&mut browser);
}

#[test]
fn requests_and_errors_would_be_seen() {
    let room = Room::new();
    room.write(
        "bad.html",
        "<!doctype html><body><img src='http://127.0.0.1:9/x.png'><script>nothing.here()</script></body>",
    );
    room.write(
        "policy.html",
        "<!doctype html><meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\"><img src='x.png'>",
    );
    let mut browser = Browser::start();
    browser.open(&room.path("bad.html"), WIDE);
    assert_eq!(browser.requests(), ["http://127.0.0.1:9/x.png"]);
    assert!(browser.troubles().iter().any(|trouble| trouble.contains("nothing is not defined")));
    browser.open(&room.path("policy.html"), WIDE);
    assert!(browser.troubles().iter().any(|trouble| trouble.contains("Content Security Policy")));
}
