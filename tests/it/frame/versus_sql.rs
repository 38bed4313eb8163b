//! Each operation against the same question in SQL, over random small tables with NULLs.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampSecondArray,
};
use query::prelude::*;

use super::Table;
use crate::engine;

const SEEDS: u64 = 12;
const PARTITIONS: [usize; 3] = [1, 2, 7];

/// A question: the frame that asks it, the SQL that does, and whether the order of rows is part of it.
struct Case {
    frame: query::Result<DataFrame>,
    sql: &'static str,
    ordered: bool,
}

fn any(frame: query::Result<DataFrame>, sql: &'static str) -> Case {
    Case { frame, sql, ordered: false }
}

fn ordered(frame: query::Result<DataFrame>, sql: &'static str) -> Case {
    Case { frame, sql, ordered: true }
}

/// Values from small sets, so that they meet: keys with NULLs, floats that add up exactly in any order.
fn random_table(random: &mut fastrand::Rng, value: &str) -> Vec<RecordBatch> {
    let batches = random.usize(1..4);
    let make = |random: &mut fastrand::Rng| {
        let rows = random.usize(0..12);
        let null = |random: &mut fastrand::Rng| random.u8(0..5) == 0;
        let mut column = |make: &mut dyn FnMut(&mut fastrand::Rng) -> i64| -> Vec<Option<i64>> {
            (0..rows).map(|_| (!null(random)).then(|| make(random))).collect()
        };
        let k = column(&mut |random| random.i64(0..4));
        let n = column(&mut |random| random.i64(-3..4));
        let x = column(&mut |random| random.i64(-40..40));
        let b = column(&mut |random| random.i64(0..2));
        let t = column(&mut |random| random.i64(0..2_000_000_000));
        let k = StringArray::from_iter(k.into_iter().map(|k| k.map(|k| ["a", "b", "ab", ""][k as usize])));
        let x = Float64Array::from_iter(x.into_iter().map(|x| x.map(|x| x as f64 * 0.25)));
        let b = BooleanArray::from_iter(b.into_iter().map(|b| b.map(|b| b == 1)));
        let columns: [(&str, ArrayRef, bool); 5] = [
            ("k", Arc::new(k), true),
            ("n", Arc::new(Int64Array::from(n)), true),
            (value, Arc::new(x), true),
            ("b", Arc::new(b), true),
            ("t", Arc::new(TimestampSecondArray::from(t)), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    (0..batches).map(|_| make(random)).collect()
}

/// Columns of `l` are k, n, x, b, t; of `r` k, n, y.
fn cases(l: &DataFrame, r: &DataFrame) -> Vec<Case> {
    [columns_and_rows(l), groups(l), joins(l, r), unions(l, r), windows(l), missing(l), statistics(l)]
        .into_iter()
        .flatten()
        .collect()
}

fn columns_and_rows(l: &DataFrame) -> Vec<Case> {
    let everything = || [desc("n"), asc("k"), asc("x"), asc("b"), asc("t")];
    vec![
        any(l.select([col("k"), (col("n") + lit(1)).alias("m")]), "select k, n + 1 as m from l"),
        any(l.select(["t", "k"]), "select t, k from l"),
        any(l.filter(col("n").gt(lit(0))), "select * from l where n > 0"),
        any(l.filter(col("n").gt(lit(0)).or(col("k").is_null())), "select * from l where n > 0 or k is null"),
        any(l.with_column("m", col("n") * col("n")), "select *, n * n as m from l"),
        any(l.with_column("n", col("n") * lit(2)), "select k, n * 2 as n, x, b, t from l"),
        any(l.rename([("k", "n"), ("n", "k")]), "select k as n, n as k, x, b, t from l"),
        any(l.drop(["x", "t"]), "select k, n, b from l"),
        any(l.select(["k", "b"]).and_then(|l| l.distinct()), "select distinct k, b from l"),
        ordered(
            l.sort(everything()),
            "select * from l order by n desc nulls last, k nulls last, x nulls last, b nulls last, t nulls last",
        ),
        ordered(
            l.sort(everything()).and_then(|l| l.offset(2)?.limit(3)),
            "select * from l order by n desc nulls last, k, x, b, t limit 3 offset 2",
        ),
        ordered(
            l.sort([col("n").sort(true, true), asc("k"), asc("x"), asc("b"), asc("t")])
                .and_then(|l| l.filter(col("b"))?.select(["n", "k", "x"])),
            "select n, k, x from l where b order by n nulls first, k, x, b, t",
        ),
        any(
            l.select([
                col("t").dt().hour().alias("hour"),
                col("t").dt().year().alias("year"),
                col("t").dt().floor("month").alias("month"),
            ]),
            "select date_part('hour', t) as hour, extract(year from t) as year, date_trunc('month', t) as month from l",
        ),
    ]
}

fn groups(l: &DataFrame) -> Vec<Case> {
    let all = || {
        [
            count(lit(1)).alias("rows"),
            count(col("n")).alias("ns"),
            sum(col("n")).alias("total"),
            avg(col("x")).alias("mean"),
            min(col("k")).alias("least"),
            max(col("t")).alias("latest"),
            count_distinct(col("b")).alias("different"),
        ]
    };
    vec![
        any(
            l.group_by(["k"]).agg(all()),
            "select k, count(*) as rows, count(n) as ns, sum(n) as total, avg(x) as mean, min(k) as least, \
             max(t) as latest, count(distinct b) as different from l group by k",
        ),
        any(
            l.group_by(["k", "b"]).dropna().agg(all()),
            "select k, b, count(*) as rows, count(n) as ns, sum(n) as total, avg(x) as mean, min(k) as least, \
             max(t) as latest, count(distinct b) as different from l \
             where k is not null and b is not null group by k, b",
        ),
        any(
            l.agg(all()),
            "select count(*) as rows, count(n) as ns, sum(n) as total, avg(x) as mean, min(k) as least, \
             max(t) as latest, count(distinct b) as different from l",
        ),
        any(
            l.group_by([(col("n") % lit(2)).alias("odd")])
                .agg([(sum(col("x")) / count(col("x")).alias("ignored")).alias("mean")]),
            "select n % 2 as odd, sum(x) / nullif(count(x), 0) as mean from l group by n % 2",
        ),
        any(l.group_by(["b"]).size(), "select b, count(*) as size from l group by b"),
        ordered(
            l.value_counts(["k"]),
            "select k, count(*) as count from l group by k order by count desc, k nulls last",
        ),
        any(
            l.pivot(["b"], "n", [-1, 0, 1], sum(col("x"))),
            "select b, sum(x) filter (where n = -1) as \"-1\", sum(x) filter (where n = 0) as \"0\", \
             sum(x) filter (where n = 1) as \"1\" from l group by b",
        ),
        any(
            l.pivot(["k", "b"], "n", [2], count(lit(1))),
            "select k, b, count(*) filter (where n = 2) as \"2\" from l group by k, b",
        ),
    ]
}

fn joins(l: &DataFrame, r: &DataFrame) -> Vec<Case> {
    let l = &l.select(["k", "n", "x"]).unwrap();
    vec![
        any(l.join(r, How::Inner, ["k"]), "select l.k, l.n, x, r.n as n_right, y from l join r on l.k = r.k"),
        any(
            l.join(r, How::Left, ["k"]),
            "select l.k, l.n, x, r.n as n_right, y from l left join r on l.k = r.k",
        ),
        any(
            l.join(r, How::Right, ["k"]),
            "select r.k, l.n, x, r.n as n_right, y from l right join r on l.k = r.k",
        ),
        any(
            l.join(r, How::Full, ["k"]),
            "select coalesce(l.k, r.k) as k, l.n, x, r.n as n_right, y from l full join r on l.k = r.k",
        ),
        any(
            l.join(r, How::Semi, ["k"]),
            "select k, n, x from l where exists (select 1 from r where r.k = l.k)",
        ),
        any(
            l.join(r, How::Anti, ["k"]),
            "select k, n, x from l where not exists (select 1 from r where r.k = l.k)",
        ),
        any(l.join(r, How::Inner, ["n", "k"]), "select k, n, x, y from l join r using (k, n)"),
        any(
            l.join_on(r, How::Left, [left_col("n").lt(right_col("n")), col("x").gt(col("y"))]),
            "select l.k, l.n, x, r.k as k_right, r.n as n_right, y from l left join r on l.n < r.n and x > y",
        ),
        any(
            l.join_on(r, How::Anti, [left_col("n").eq(right_col("n") + lit(1))]),
            "select k, n, x from l where not exists (select 1 from r where l.n = r.n + 1)",
        ),
        any(l.cross_join(r), "select l.k, l.n, x, r.k as k_right, r.n as n_right, y from l cross join r"),
        any(
            l.join(l, How::Inner, ["k"]),
            "select a.k, a.n, a.x, b.n as n_right, b.x as x_right from l as a join l as b on a.k = b.k",
        ),
    ]
}

fn unions(l: &DataFrame, r: &DataFrame) -> Vec<Case> {
    vec![
        any(
            l.select(["k", "n"]).and_then(|l| l.union(&r.select(["n", "k"])?)),
            "select k, n from l union all select k, n from r",
        ),
        any(
            l.select(["k", "x"]).and_then(|l| l.union(r)),
            "select k, x, null as n, null as y from l union all select k, null, n, y from r",
        ),
        any(
            l.select([col("n").alias("v")]).and_then(|l| l.union(&r.select([col("y").alias("v")])?)),
            "select cast(n as double) as v from l union all select y from r",
        ),
    ]
}

fn windows(l: &DataFrame) -> Vec<Case> {
    let by = |keys: &[&str]| Window::by(keys.iter().copied());
    let order = || [asc("n"), asc("x"), asc("k"), asc("b"), asc("t")];
    vec![
        any(
            l.window(&by(&["k"]).sort([desc("n")]), [rank().alias("place")]),
            "select *, rank() over (partition by k order by n desc nulls last) as place from l",
        ),
        any(
            l.window(&by(&["b"]), [sum(col("n")).alias("total"), count(lit(1)).alias("rows")]),
            "select *, sum(n) over (partition by b) as total, count(*) over (partition by b) as rows from l",
        ),
        any(
            l.window(&Window::all().sort(order()).rows(Some(2), Some(1)), [sum(col("x")).alias("around")]),
            "select *, sum(x) over (order by n, x, k, b, t rows between 2 preceding and 1 following) as around from l",
        ),
        any(
            l.window(&by(&["k"]).sort(["n"]), [sum(col("n")).alias("with_ties")]),
            "select *, sum(n) over (partition by k order by n) as with_ties from l",
        ),
    ]
}

fn missing(l: &DataFrame) -> Vec<Case> {
    vec![
        any(
            l.fillna([("n", lit(0)), ("k", lit("?"))]),
            "select coalesce(k, '?') as k, coalesce(n, 0) as n, x, b, t from l",
        ),
        any(l.fillna([("n", lit(0.5))]), "select k, coalesce(cast(n as double), 0.5) as n, x, b, t from l"),
        any(l.fillna_all(lit(7)), "select k, coalesce(n, 7) as n, coalesce(x, 7) as x, b, t from l"),
        any(
            l.dropna(),
            "select * from l where k is not null and n is not null and x is not null and b is not null and t is not null",
        ),
        any(l.dropna_in(["x", "k"]), "select * from l where x is not null and k is not null"),
    ]
}

fn statistics(l: &DataFrame) -> Vec<Case> {
    vec![
        any(
            l.select(["k", "n"]).and_then(|l| l.describe()),
            "select 'count' as statistic, cast(count(n) as double) as n from l \
             union all select 'mean', avg(n) from l union all select 'std', stddev(n) from l \
             union all select 'min', min(n) from l union all select 'max', max(n) from l \
             union all select '25%', quantile(n, 0.25) from l union all select '50%', quantile(n, 0.5) from l \
             union all select '75%', quantile(n, 0.75) from l",
        ),
        ordered(
            l.quantile(["n", "x"], [0.5, 0.25], Quantile::Exact),
            "select 0.5 as quantile, percentile_cont(n, 0.5) as n, percentile_cont(x, 0.5) as x from l \
             union all select 0.25, percentile_cont(n, 0.25), percentile_cont(x, 0.25) from l order by 1 desc",
        ),
        any(l.agg([median("n")]), "select quantile(n, 0.5) as \"median(n)\" from l"),
    ]
}

/// Floats to nine digits: the two sides may add them in another order.
fn rounded(mut table: Table) -> Table {
    for value in table.rows.iter_mut().flatten().flatten() {
        if let (true, Ok(number)) = (value.contains('.'), value.parse::<f64>()) {
            *value = format!("{number:.9}");
        }
    }
    table
}

async fn compare(seed: u64, partitions: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let session = Session::new().unwrap();
    let settings = format!(
        "set datafusion.execution.target_partitions = {partitions}; set datafusion.execution.batch_size = 4"
    );
    session.run_sql(&settings).await.unwrap();
    session.register("l0", &session.from_batches(random_table(&mut random, "x")).unwrap()).unwrap();
    let right = session.from_batches(random_table(&mut random, "y")).unwrap();
    session.register("r0", &right.select(["k", "n", "y"]).unwrap()).unwrap();
    // Tables made by SQL have as many partitions as the plan that fills them.
    session.run_sql("create table l as from l0; create table r as from r0").await.unwrap();
    let (l, r) = (session.table("l").await.unwrap(), session.table("r").await.unwrap());
    for Case { frame, sql, ordered } in cases(&l, &r) {
        let about = format!("seed {seed}, {partitions} partitions: {sql}");
        let answers = answers(&session, frame, sql).await;
        assert!(answers.is_ok(), "{about}: {answers:?}");
        let (actual, wanted) = answers.unwrap();
        match ordered {
            true => assert_eq!(actual, wanted, "{about}"),
            false => assert_eq!(actual.sorted(), wanted.sorted(), "{about}"),
        }
    }
}

/// The frame's rows and the SQL's.
async fn answers(
    session: &Session,
    frame: query::Result<DataFrame>,
    sql: &str,
) -> query::Result<(Table, Table)> {
    let (actual, wanted) = (frame?, session.sql(sql).await?);
    Ok((rounded(super::table(&actual).await?), rounded(super::table(&wanted).await?)))
}

#[test]
fn frames_answer_as_sql_does() {
    let runtime = engine::runtime();
    for seed in 0..SEEDS {
        for partitions in PARTITIONS {
            runtime.block_on(compare(seed, partitions));
        }
    }
}
