//! EXPLAIN as it is read on a terminal, and what goes wrong when tables and files are looked into.

use super::Room;

/// Two partitions, whatever machine this is.
const TWO: &str = "set datafusion.execution.target_partitions = 2";
const ORDERS: &str = "create table orders as
    select value as id, value % 3 as region, value * 2 as amount from generate_series(1, 9)";

/// What the last of some statements prints as a table.
fn table(sql: &str) -> String {
    let args = ["--format", "table", "-c", TWO, "-c", ORDERS, "-c", sql];
    Room::new().query(args).run().rows()
}

#[test]
fn explain_shows_a_tree() {
    let plan = table("explain select region + 1 as r, sum(amount) from orders group by region");
    let sizes = [(r" +bytes: \d+ +", "        bytes: [n]         ")];
    insta::with_settings!({ filters => sizes }, { insta::assert_snapshot!(plan, @r"
    physical_plan
    ┌───────────────────────────┐
    │       ProjectionExec      │
    │    --------------------   │
    │             r:            │
    │   checked_add(region, 1)  │
    │                           │
    │        sum(amount):       │
    │     sum(orders.amount)    │
    └─────────────┬─────────────┘
    ┌─────────────┴─────────────┐
    │       AggregateExec       │
    │    --------------------   │
    │           aggr:           │
    │     sum(orders.amount)    │
    │                           │
    │      group_by: region     │
    │                           │
    │           mode:           │
    │      FinalPartitioned     │
    └─────────────┬─────────────┘
    ┌─────────────┴─────────────┐
    │      RepartitionExec      │
    │    --------------------   │
    │ partition_count(in->out): │
    │           2 -> 2          │
    │                           │
    │    partitioning_scheme:   │
    │    Hash([region@0], 2)    │
    └─────────────┬─────────────┘
    ┌─────────────┴─────────────┐
    │       AggregateExec       │
    │    --------------------   │
    │           aggr:           │
    │     sum(orders.amount)    │
    │                           │
    │      group_by: region     │
    │       mode: Partial       │
    └─────────────┬─────────────┘
    ┌─────────────┴─────────────┐
    │       DataSourceExec      │
    │    --------------------   │
    │        bytes: [n]         │
    │       format: memory      │
    │          rows: 1          │
    └───────────────────────────┘
    ") });
}

#[test]
fn explain_shows_indented_text() {
    insta::assert_snapshot!(table("explain format indent select region from orders where amount / 2 > 3"), @r"
    logical_plan
    Projection: orders.region
      Filter: orders.amount / Int64(2) > Int64(3)
        TableScan: orders projection=[region, amount]

    physical_plan
    FilterExec: amount@1 / 2 > 3, projection=[region@0]
      DataSourceExec: partitions=2, partition_sizes=[1, 0]
    ");
    let options = table("explain (format indent) select region from orders where amount / 2 > 3");
    assert_eq!(options, table("explain format indent select region from orders where amount / 2 > 3"));
}

#[test]
fn explain_shows_machine_readable_forms() {
    assert!(table("explain format pgjson select 1").contains("\"Node Type\": "));
    assert!(table("explain format graphviz select 1").contains("digraph {"));
}

#[test]
fn explain_analyze_counts_rows() {
    insta::assert_snapshot!(table("explain (analyze, metrics rows, level summary) select region from orders where amount > 4"), @r"
    Plan with Metrics
    FilterExec: amount@1 > 4, projection=[region@0], metrics=[output_rows=7, selectivity=77.78% (7/9)]
      DataSourceExec: partitions=2, partition_sizes=[1, 0], metrics=[]
    ");
    let timed = table("explain analyze select region from orders where amount > 4");
    assert!(timed.contains("elapsed_compute="), "{timed}");
}

#[test]
fn a_plan_is_one_value_elsewhere() {
    let args = ["--format", "csv", "-c", "explain select 1 as a"];
    insta::assert_snapshot!(Room::new().query(args).run().rows(), @r#"
    plan_type,plan
    physical_plan,"┌───────────────────────────┐
    │       ProjectionExec      │
    │    --------------------   │
    │            a: 1           │
    └─────────────┬─────────────┘
    ┌─────────────┴─────────────┐
    │     PlaceholderRowExec    │
    └───────────────────────────┘
    "
    "#);
    let args = ["--format", "ndjson", "-c", "explain format indent select 1 as a"];
    insta::assert_snapshot!(Room::new().query(args).run().rows(), @r#"
    {"plan_type":"logical_plan","plan":"Projection: Int64(1) AS a\n  EmptyRelation: rows=1"}
    {"plan_type":"physical_plan","plan":"ProjectionExec: expr=[1 as a]\n  PlaceholderRowExec\n"}
    "#);
}

#[test]
fn the_plan_of_a_write_writes_nothing() {
    let room = Room::new();
    for sql in
        ["explain copy (select 1 as a) to 'out.csv'", "explain copy (select 1 as a) to 'out/' stored as csv"]
    {
        assert!(room.sql(sql).rows().contains("DataSinkExec"), "{sql}");
    }
    let error = room.sql("explain analyze copy (select 1 as a) to 'out.csv'").error(1);
    insta::assert_snapshot!(error, @r"
    error: EXPLAIN ANALYZE runs what it explains, and takes queries only: explain the query alone
     --> <command line>:1:1
      |
    1 | explain analyze copy (select 1 as a) to 'out.csv'
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
    assert_eq!(room.names(), Vec::<String>::new());
}

#[test]
fn errors_inside_summarize_point_at_their_place() {
    let room = Room::new();
    insta::assert_snapshot!(room.sql("summarize select a, nope from (values (1)) v (a)").error(1), @r"
    error: column 'nope' does not exist
     --> <command line>:1:21
      |
    1 | summarize select a, nope from (values (1)) v (a)
      |                     ^^^^
      |
      = help: columns are a
    ");
    insta::assert_snapshot!(room.sql("select * from (summarize select 1 +) s").error(1), @r"
    error: expected an expression, found )
     --> <command line>:1:36
      |
    1 | select * from (summarize select 1 +) s
      |                                    ^
    ");
    insta::assert_snapshot!(room.sql("explain summarize select 1 form t").error(1), @r"
    error: expected end of statement, found t
     --> <command line>:1:33
      |
    1 | explain summarize select 1 form t
      |                                 ^
      |
      = help: did you mean FROM?
    ");
    insta::assert_snapshot!(room.sql("summarize").error(1), @r"
    error: expected identifier, found the end of the statement
     --> <command line>:1:10
      |
    1 | summarize
      |          ^
    ");
    insta::assert_snapshot!(room.sql("sumarize t").error(1), @r"
    error: expected an SQL statement, found sumarize
     --> <command line>:1:1
      |
    1 | sumarize t
      | ^^^^^^^^
      |
      = help: did you mean SUMMARIZE?
    ");
}

#[test]
fn a_misspelt_table_function_is_shown_with_the_nearest_one() {
    insta::assert_snapshot!(Room::new().sql("select * from parquet_metdata('a.parquet')").error(1), @r"
    error: table function 'parquet_metdata' not found
     --> <command line>:1:15
      |
    1 | select * from parquet_metdata('a.parquet')
      |               ^^^^^^^^^^^^^^^
      |
      = help: did you mean 'parquet_metadata'?
    ");
}

#[test]
fn row_groups_pages_and_blooms_are_listed() {
    let room = Room::new();
    room.sql(
        "copy (select value as id, make_array(value) as tags, named_struct('x', value) as point
               from generate_series(1, 25)) to 'rows.parquet'
         options ('format.max_row_group_size' '10', 'format.bloom_filter_on_write' 'true',
                  'format.compression' 'zstd(3)')",
    );
    let groups = "select row_group_id, row_group_num_rows, path_in_schema, stats_min, stats_max, compression,
        has_page_index, bloom_filter_offset > 0 as bloom from parquet_metadata('rows.parquet')";
    insta::assert_snapshot!(room.sql(groups).rows(), @r"
    row_group_id,row_group_num_rows,path_in_schema,stats_min,stats_max,compression,has_page_index,bloom
    0,10,id,1,10,ZSTD,true,true
    0,10,tags.list.item,1,10,ZSTD,true,true
    0,10,point.x,1,10,ZSTD,true,true
    1,10,id,11,20,ZSTD,true,true
    1,10,tags.list.item,11,20,ZSTD,true,true
    1,10,point.x,11,20,ZSTD,true,true
    2,5,id,21,25,ZSTD,true,true
    2,5,tags.list.item,21,25,ZSTD,true,true
    2,5,point.x,21,25,ZSTD,true,true
    ");
}

#[test]
fn broken_footers_are_errors_that_name_the_file() {
    let room = Room::new();
    room.sql("copy (select 1 as a, 'x' as b) to 'good.parquet'");
    let good = room.bytes("good.parquet");
    let all = "select count(*) from parquet_metadata('bad.parquet')";
    let cuts = [0, 3, 8, good.len() / 2, good.len() - 1];
    for bytes in cuts.map(|cut| good[..cut].to_vec()) {
        room.write("bad.parquet", bytes);
        let error = room.sql(all).error(1);
        assert!(error.starts_with("error: 'bad.parquet' is not a readable Parquet file: "), "{error}");
    }
    // Whatever the footer says instead of the truth, it is an answer or an error, and no panic.
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..60 {
        let mut bytes = good.clone();
        for _ in 0..3 {
            let at = rng.usize(good.len() / 3..good.len());
            bytes[at] = rng.u8(..);
        }
        room.write("bad.parquet", bytes);
        let done = room.sql("select * from parquet_metadata('bad.parquet')");
        assert!(matches!(done.code, Some(0 | 1)), "{done:?}");
        assert!(!done.stderr.contains("panicked") && !done.stderr.contains("internal error"), "{done:?}");
    }
}
