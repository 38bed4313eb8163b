//! Conditions that do not stand beside the path: in outer queries, in joins, on names of files, on the time.

use std::collections::BTreeSet;

use super::{Room, Watch, check, run, sales};

const FIRST: &[&str] = &["2026-1"];
const YEAR: &[&str] = &["2026-1", "2026-2"];

#[test]
fn filters_of_outer_queries_reach_the_files() {
    check(&[
        ("select id from (select * from 'sales/') where year = 2026", YEAR),
        (
            "select id from (select id, year as y, month from 'sales/') d where d.y = 2026 and month = 1",
            FIRST,
        ),
        ("select id from (select id, year from 'sales/' where month = 1) where year = 2026", FIRST),
        (
            "select id from (select * from (select * from 'sales/') a where a.month = 1) b where b.year = 2026",
            FIRST,
        ),
        ("with c as (from 'sales/') select id from c where year = 2026", YEAR),
        ("with c (i, y) as (select id, year from 'sales/') select i as id from c where y = 2026", YEAR),
        (
            "with c as (from 'sales/'), d as (from c where month = 1) select id from d where year = 2026",
            FIRST,
        ),
        (
            "with c as (from 'sales/') select id from c where year = 2026 and month = 1 union all select id from c where year = 2026 and month = 2",
            YEAR,
        ),
        ("select id from (select distinct id, year from 'sales/') where year = 2026", YEAR),
        ("select max(id) as id from 'sales/' group by year, month having year = 2026", YEAR),
        (
            "select id from (select max(id) as id, year as y from 'sales/' group by y, month) where y = 2026",
            YEAR,
        ),
        (
            "select id from (select id, year from 'sales/' union all select id, year from 'sales/' where month = 5) where year = 2026",
            YEAR,
        ),
        (
            "select id from (select *, row_number() over (partition by year order by id) as n from 'sales/') where year = 2026",
            YEAR,
        ),
        (
            "select id from 'sales/' where year = 2026 qualify row_number() over (partition by month) = 1",
            YEAR,
        ),
        ("from 'sales/' |> select id, year as y |> where y = 2026 |> select id", YEAR),
        (
            "from 'sales/' |> aggregate max(id) as id group by year, month |> where year = 2026 |> select id",
            YEAR,
        ),
        ("create view v as from (from 'sales/') where year = 2026; select id from v where month = 1", YEAR),
        ("create table t as with c as (from 'sales/') select id from c where year = 2026; from t", YEAR),
        (
            "select * exclude (amount, year, month) from (select * replace (id + 0 as id) from 'sales/') where year = 2026",
            YEAR,
        ),
    ]);
}

#[test]
fn conditions_of_joins_reach_the_files() {
    check(&[
        ("select id from 'sales/' join (values (3), (4)) v (id) using (id) where year = 2026", YEAR),
        ("select a.id from 'sales/' a join 'sales/' b using (year, month) where year = 2026", YEAR),
        (
            "select a.id from 'sales/' a join 'sales/' b using (year, month) where a.year = 2026 and b.month = 1",
            FIRST,
        ),
        (
            "select id from 'sales/' s natural join (values (2026, 1)) v (year, month) where s.year = 2026",
            YEAR,
        ),
        ("select a.id from 'sales/' a natural join 'sales/' b where b.year = 2026", YEAR),
        (
            "select a.id from 'sales/' a join 'sales/' b on a.year = b.year and a.month = b.month and b.year = 2026",
            YEAR,
        ),
        (
            "select a.id from 'sales/' a, 'sales/' b where a.id = b.id and a.year = b.year and b.year = 2026",
            YEAR,
        ),
        (
            "select a.id from (values (3), (4)) v (n) left join 'sales/' a on a.id = v.n and a.year = 2026",
            YEAR,
        ),
        (
            "select a.id from (values (3), (4)) v (n) left join 'sales/' a on a.id = v.n where a.year = 2026",
            YEAR,
        ),
        (
            "select a.id from 'sales/' a right join (values (3), (4)) v (n) on a.id = v.n and a.year = 2026",
            YEAR,
        ),
        (
            "select a.id from (values (3), (4)) v (n) right join 'sales/' a on a.id = v.n where a.year = 2026",
            YEAR,
        ),
        (
            "select a.id from 'sales/' a full join (values (3), (4)) v (n) on a.id = v.n where a.year = 2026",
            YEAR,
        ),
        (
            "select a.id from 'sales/' a semi join (values (3), (4)) v (n) on a.id = v.n and a.year = 2026",
            YEAR,
        ),
        ("select s.id from (values (2026)) v (n) join 'sales/' s on s.year = v.n and s.year > 2025", YEAR),
        (
            "select id from 'sales/' s where year = 2026 and exists (select 1 from 'sales/' o where o.year = s.year and o.year = 2026)",
            YEAR,
        ),
    ]);
}

#[test]
fn the_time_at_which_a_statement_runs_is_a_constant() {
    let then = "date_part('year', now()) - date_part('year', current_date) + 2025";
    for sql in [
        format!("select id from 'sales/' where year > {then}"),
        format!("with c as (from 'sales/') select id from c where year > {then}"),
        format!("create table t as select id from 'sales/' where year > {then}; from t"),
    ] {
        check(&[(sql.as_str(), YEAR)]);
    }
    // The column is named by what was written, and what runs later has a time of its own.
    let (rows, opened) = run(
        "csv",
        &["-c", &format!("select now() > timestamp '2026-01-01' from 'sales/' where year > {then}")],
    );
    assert_eq!(
        (rows.lines().next(), opened.as_slice()),
        (Some("now() > TIMESTAMP '2026-01-01'"), &["2026-1".to_string(), "2026-2".to_string()][..])
    );
}

#[test]
fn filters_on_the_name_of_a_file_alone_reach_it() {
    for format in ["csv", "parquet", "json"] {
        for (filter, expected) in [
            (format!("filename = 'sales/year=2026/month=1/x.{format}'"), FIRST),
            ("filename like '%/year=2026/%'".into(), YEAR),
            ("filename like '%/year=2026/%' and month = 1".into(), FIRST),
        ] {
            for sql in [
                format!("select id from 'sales/' where {filter}"),
                format!("select id from (select *, filename from 'sales/') where {filter}"),
            ] {
                let (rows, opened) = run(format, &["-c", &sql]);
                assert_eq!(rows.lines().count() - 1, expected.len(), "{sql}: {rows}");
                assert_eq!(opened, expected, "{sql}");
            }
        }
    }
}

#[test]
fn a_file_that_has_a_column_of_that_name_is_asked_for_it() {
    let room = Room::new();
    room.write("a.csv", "filename,n\nb.csv,1\n");
    room.write("b.csv", "n\n2\n");
    room.write("c.csv", "filename,n\na.csv,3\n");
    assert_eq!(room.sql("select n from 'a.csv' where filename = 'b.csv'").rows(), "n\n1\n");
    assert_eq!(room.sql("select n from '{a,c}.csv' where filename = 'a.csv'").rows(), "n\n3\n");
    assert_eq!(room.sql("select n from '*.csv' where filename = 'b.csv'").rows(), "n\n2\n");
}

#[test]
fn a_guess_that_is_too_narrow_is_widened_to_what_is_read() {
    for (sql, expected, files) in [
        (
            "select n from (select month, row_number() over (order by month desc) as n from 'sales/' where year = 2026) where month = 1",
            "n\n2\n",
            YEAR,
        ),
        (
            "select count(*) as n from (from 'sales/' where year = 2026 order by month limit 1) where month = 2",
            "n\n0\n",
            YEAR,
        ),
        (
            "with c as (from 'sales/' where year = 2026) select (select count(*) from c) as a, (select count(*) from c where month = 1) as b",
            "a,b\n2,1\n",
            YEAR,
        ),
    ] {
        let (rows, opened) = run("csv", &["-c", sql]);
        assert_eq!(rows, expected, "{sql}");
        assert_eq!(opened, files, "{sql}");
    }
}

#[test]
fn a_key_may_have_the_name_of_another() {
    let (room, names) = sales("csv");
    room.write(&names[1], "id,amount\n2,2.5\n");
    let watch = Watch::new(&room, &names);
    let sql = "select sum(id) as s from (select id, month as year from 'sales/') where year = 2";
    assert_eq!(room.sql(sql).rows(), "s\n6\n");
    let opened: BTreeSet<_> = watch.opened().into_iter().collect();
    assert_eq!(opened, BTreeSet::from([names[1].clone(), names[3].clone()]));
}
