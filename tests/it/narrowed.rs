//! Queries over folders with keys against the same queries over tables that have no keys: leaving out files
//! changes no row.
//!
//! The files differ in the type of a column, and some have one more: a file that has no part in a table's
//! columns and is read all the same gives an error or other values.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use fastrand::Rng;
use query::Session;

use crate::engine::{self, Answer};

/// How many queries a plain test run tries, unless `QUERY_SOAK_NARROWED` says otherwise.
const CASES: u64 = 400;
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Two folders with the keys `year` and `region`, in different order; NULL by its name, and by its absence.
pub(crate) fn folders(room: &Path) {
    let mut random = Rng::with_seed(1);
    let mut write = |folder: String, year: &str| {
        let folder = room.join(folder);
        fs::create_dir_all(&folder).unwrap();
        let (is_float, has_note) = (year != "2025", year == "2026" || year == "2024");
        let mut text = format!("id,v{}\n", if has_note { ",note" } else { "" });
        for _ in 0..random.usize(1..5) {
            let id = random.u8(1..9);
            let v = match (random.u8(..5), is_float) {
                (0, _) => String::new(),
                (_, true) => format!("{}.5", random.u8(..5)),
                (_, false) => ["1", "3", "2025", "2026"][random.usize(..4)].into(),
            };
            let note = if has_note { [",", ",x", ",y"][random.usize(..3)] } else { "" };
            writeln!(text, "{id},{v}{note}").unwrap();
        }
        fs::write(folder.join("x.csv"), text).unwrap();
    };
    for year in ["2024", "2025", "2026", NULL] {
        for region in ["a", "b", NULL] {
            write(format!("t/year={year}/region={region}"), year);
            if year != "2024" || region == "b" {
                write(format!("u/region={region}/year={year}"), year);
            }
        }
    }
    write("t".into(), "none");
    write("u/region=a".into(), "none");
}

const COLUMNS: [&str; 4] = ["id", "v", "year", "region"];

/// Writes queries with the columns `id`, `v`, `year` and `region`; `@t` and `@u` stand for the relations.
struct Writer(Rng);

impl Writer {
    fn one(&mut self, of: &[&str]) -> String {
        of[self.0.usize(..of.len())].to_string()
    }

    fn condition(&mut self, prefix: &str) -> String {
        self.condition_on(prefix, "")
    }

    /// One on columns whose names go on.
    fn condition_on(&mut self, prefix: &str, suffix: &str) -> String {
        let text = self.one(&[
            "#year = 2026",
            "#year = 2026",
            "#year = 2025",
            "#year in (2025, 2026)",
            "#year > 2024",
            "#year between 2025 and 2026",
            "#year is null",
            "#year is not null",
            "#year <> 2026",
            "not (#year = 2026)",
            "coalesce(#year, 0) = 2026",
            "coalesce(#year, 2026) = 2026",
            "#year is distinct from 2026",
            "#year = 2026 or #region = 'a'",
            "#region = 'a'",
            "#region > 'a'",
            "#region is null",
            "#year = #v",
            "#v > 1",
            "#year + 1 = 2027",
            "case when #year = 2026 then true end",
            "(#year = 2026) is not true",
            "#year = date_part('year', now()) - date_part('year', now()) + 2026",
            "#year = (select max(year) from @u)",
            "#year in (select year from @u where region = 'a')",
            "#year not in (select year from @u where region = 'b' and year is not null)",
            "1 = 0",
            "#id > 3",
            "#year in (2026, null)",
            "#year = 2026 and #region = 'b'",
            "#year = 2026 or #id > 5",
            "#year / 2 > 1012",
            "cast(#year as varchar) like '%26'",
            "#year = 2026 is null",
        ]);
        let more = if self.0.u8(..4) == 0 { self.condition_on(prefix, suffix) } else { "true".into() };
        let mut text = format!("({text}) and ({more})");
        for name in COLUMNS {
            text = text.replace(&format!("#{name}"), &format!("{prefix}{name}{suffix}"));
        }
        text
    }

    fn base(&mut self) -> String {
        let relation = self.one(&["@t", "@t", "@u"]);
        let columns = "id, cast(v as double) as v, year, region";
        let condition = self.condition("");
        match self.0.u8(..8) {
            0 | 1 => format!("select {columns} from {relation}"),
            2 => format!("select {columns} from (select * from {relation}) d"),
            3 => format!("select {columns} from {relation} where coalesce(note, '') <> 'x' and {condition}"),
            4 => format!("select {columns} from {relation} where filename like '%year=2026%'"),
            5 => format!("from {relation} |> where {condition} |> select {columns}"),
            _ => format!("select {columns} from {relation} where {condition}"),
        }
    }

    fn query(&mut self, depth: u8) -> String {
        if depth == 0 {
            return self.base();
        }
        let (inner, condition) = (self.query(depth - 1), self.condition(""));
        match self.0.u8(..18) {
            0 | 1 => format!("select * from ({inner}) d where {condition}"),
            2 => {
                let (renamed, there) = (self.condition_on("", "_y"), with_suffix(&inner, "_y"));
                format!(
                    "select id_y as id, v_y as v, year_y as year, region_y as region from ({there}) d where {renamed}"
                )
            }
            3 => {
                let set = self.one(&["union all", "union all", "union", "except", "intersect"]);
                let other = self.query(depth - 1);
                format!("select * from (({inner}) {set} ({other})) d where {condition}")
            }
            4 => format!("select distinct * from ({inner}) d where {condition}"),
            5 => format!(
                "select max(id) as id, sum(v) as v, year, region from ({inner}) d group by year, region having {}",
                self.key_condition()
            ),
            6 => format!(
                "select min(id) as id, count(*) as v, year, max(region) as region from ({inner}) d group by year"
            ),
            7 | 8 => {
                let (rows, skip) = (self.0.u8(..12), self.0.u8(..3));
                format!(
                    "select * from (select * from ({inner}) d order by year, id, v, region limit {rows} offset {skip}) e where {condition}"
                )
            }
            9 => {
                let by =
                    self.one(&["", "partition by year", "partition by year, region", "partition by region"]);
                format!(
                    "select * from (select id, row_number() over ({by} order by year, id, v, region) as v, year, region from ({inner}) d) e where {condition}"
                )
            }
            10..=13 => self.join(&inner, depth),
            14 => {
                let other = self.condition("");
                format!(
                    "with c as ({inner}) select * from c where {condition} union all select * from c where {other}"
                )
            }
            15 => {
                let (not, other) = (self.one(&["", "not "]), self.query(depth - 1));
                let on = self.condition("e.");
                format!(
                    "select * from ({inner}) d where {not}exists (select 1 from ({other}) e where e.year = d.year and {on})"
                )
            }
            16 => format!(
                "select id, year as v, cast(v as bigint) as year, region from ({inner}) d where {condition}"
            ),
            _ => format!("from ({inner}) d |> where {condition} |> select id, v, year, region"),
        }
    }

    /// One on the keys that a grouping hands on.
    fn key_condition(&mut self) -> String {
        self.one(&["year = 2026", "region = 'a'", "year is null", "year in (2025, 2026) and count(*) > 0"])
    }

    fn join(&mut self, left: &str, depth: u8) -> String {
        let right = self.query(depth - 1);
        let kind = self.one(&["join", "join", "left join", "right join", "full join"]);
        let condition = self.condition("");
        match self.0.u8(..6) {
            0 | 1 => {
                let kind = self.one(&["join", "left join"]);
                let (using, region) =
                    if self.0.bool() { ("year", "l.region") } else { ("year, region", "region") };
                let here = self.one(&[
                    "true",
                    "year = 2026",
                    "year in (2025, 2026)",
                    "r.year = 2025 or year > 2025",
                ]);
                format!(
                    "select * from (select l.id, r.v, year, {region} from ({left}) l {kind} ({right}) r \
                     using ({using}) where {here}) d where {condition}"
                )
            }
            2 => format!(
                "select * from (select id, v, year, region from ({left}) l natural join ({right}) r) d where {condition}"
            ),
            3 => {
                let kind = self.one(&["semi", "anti"]);
                let on = self.condition("r.");
                let on = if on.contains("select") { "true".into() } else { on };
                format!("select l.* from ({left}) l {kind} join ({right}) r on l.year = r.year and {on}")
            }
            _ => {
                // Names of their own: the engine looks for columns by name when it moves a filter that it has
                // planned already, and may take one side's for the other's.
                let (left, right) = (with_suffix(left, "_l"), with_suffix(&right, "_r"));
                let on = self.one(&[
                    "id_l = id_r",
                    "year_l = year_r",
                    "region_l = region_r and year_l = year_r",
                    "year_l = v_r",
                ]);
                let (side, other) = (self.one(&["_l", "_r"]), self.one(&["_l", "_r"]));
                let (more, outer) = (self.condition_on("", &side), self.condition_on("", &other));
                let (year, region) = (self.one(&["year_l", "year_r"]), self.one(&["region_l", "region_r"]));
                // A condition with a subquery in ON is not supported for every kind of join.
                let on = if more.contains("select") { on } else { format!("{on} and {more}") };
                format!(
                    "select id_l as id, v_r as v, {year} as year, {region} as region \
                     from ({left}) l {kind} ({right}) r on {on} where {outer}"
                )
            }
        }
    }
}

/// A query whose columns' names go on.
fn with_suffix(query: &str, suffix: &str) -> String {
    let columns = COLUMNS.map(|name| format!("{name} as {name}{suffix}")).join(", ");
    format!("select {columns} from ({query}) s")
}

/// A query over `@t` and `@u`.
pub(crate) fn generated(case: u64) -> String {
    let mut writer = Writer(Rng::with_seed(case));
    let depth = writer.0.u8(1..4);
    writer.query(depth)
}

async fn rows(session: &Session, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    match engine::run(session, sql).await {
        Ok(Answer::Rows(_, batches)) => {
            let mut rows = engine::texts(&batches);
            rows.sort();
            Ok(rows)
        }
        Ok(Answer::Count(_)) => Err("no rows".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn leaving_out_files_changes_no_row() {
    let cases = std::env::var("QUERY_SOAK_NARROWED").map_or(CASES, |cases| cases.parse().unwrap());
    let room = tempfile::tempdir().unwrap();
    folders(room.path());
    let path = |name: &str| format!("'{}'", room.path().join(name).display());
    let (mut failed, mut filled) = (0, 0);
    engine::runtime().block_on(async {
        let session = Session::new().unwrap();
        for name in ["t", "u"] {
            let sql = format!("create table {name} as select *, filename from {}", path(name));
            engine::run(&session, &sql).await.unwrap();
        }
        for case in 0..cases {
            let sql = generated(case);
            let files = rows(&session, &sql.replace("@t", &path("t")).replace("@u", &path("u"))).await;
            let tables = rows(&session, &sql.replace("@t", "t").replace("@u", "u")).await;
            match (files, tables) {
                (Ok(files), Ok(tables)) => {
                    assert_eq!(files, tables, "case {case}: {sql}");
                    filled += u64::from(!files.is_empty());
                }
                (Err(_), Err(_)) => failed += 1,
                (files, tables) => panic!("case {case}: {sql}\nfiles: {files:?}\ntables: {tables:?}"),
            }
        }
    });
    assert!(failed * 10 < cases && filled * 3 > cases, "{failed} of {cases} fail, {filled} have rows");
}
