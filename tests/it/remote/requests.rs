//! How often a store is asked, and how many questions are under way at once.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use query::datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use query::datafusion::parquet::arrow::ArrowWriter;
use query::datafusion::parquet::file::properties::{BloomFilterPosition, WriterProperties};
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::session::Outcome;

use super::{Cloud, block_on};
use crate::fixtures;

/// The look-up of an object, which brings its footer along.
const LOOKUP: &str = "get x.parquet bytes=-524288";

#[test]
fn one_small_parquet_object_takes_one_request() {
    block_on(async {
        for sql in [
            "select * from 's3://bucket/x.parquet'",
            "select * from 's3://bucket/x.parquet' limit 1",
            "select name from 's3://bucket/x.parquet' where id > 2",
            "select sum(score) from 's3://bucket/x.parquet' group by name",
        ] {
            let cloud = Cloud::new();
            cloud.put("x.parquet", fixtures::whole("parquet")).await;
            assert_eq!(cloud.requests(sql).await, [LOOKUP], "{sql}");
            // What is known of it, its version included, is not read again.
            assert_eq!(cloud.requests(sql).await, ["head x.parquet"], "{sql}");
        }
    });
}

#[test]
fn a_store_that_counts_from_the_start_is_asked_for_the_size_first() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.store.count_from_start();
        cloud.put("x.parquet", fixtures::whole("parquet")).await;
        let requests = cloud.requests("select sum(id) from 's3://bucket/x.parquet'").await;
        assert_eq!(requests[..2], [LOOKUP, "head x.parquet"]);
        assert_eq!(requests.len(), 3, "{requests:?}");
    });
}

#[test]
fn of_many_objects_that_one_statement_names_the_first_are_read_with_their_ends() {
    block_on(async {
        let cloud = Cloud::new();
        let mut names = Vec::new();
        for place in 0..40 {
            cloud.put(&format!("{place}.parquet"), fixtures::whole("parquet")).await;
            names.push(format!("select count(*) from 's3://bucket/{place}.parquet'"));
        }
        let requests = cloud.requests(&names.join(" union all ")).await;
        let ends = requests.iter().filter(|text| text.ends_with("bytes=-524288")).count();
        let heads = requests.iter().filter(|text| text.starts_with("head")).count();
        assert_eq!((ends, heads, requests.len()), (32, 8, 48), "{requests:?}");
    });
}

#[test]
fn what_is_no_parquet_object_by_its_name_is_not_read_at_its_end() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("x.csv", "id\n1\n").await;
        cloud.put("x", fixtures::whole("parquet")).await;
        for name in ["x.csv", "x"] {
            let requests = cloud.requests(&format!("select * from 's3://bucket/{name}'")).await;
            assert_eq!(requests[0], format!("head {name}"));
        }
    });
}

/// A Parquet file of numbers in row groups of 50,000; four of these are too large to be kept whole.
pub(super) fn numbers(numbers: std::ops::Range<i64>) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(50_000))
        .set_dictionary_enabled(false)
        .build();
    let column = Int64Array::from_iter_values(numbers);
    let rows = RecordBatch::try_from_iter([("n", Arc::new(column) as ArrayRef)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

/// The number of rows that come first, if the store gives no more than so many answers.
async fn first_rows(cloud: &Cloud, sql: &str, answers: usize) -> usize {
    cloud.store.answer_only(answers);
    let statement = split(&Script::new("test", sql)).statements.remove(0);
    let statement = statement.parse(&cloud.session.functions()).unwrap();
    let first = async {
        let Outcome::Rows(mut rows) = cloud.session.run(&statement, &Params::default()).await.unwrap() else {
            panic!("{sql} is no query")
        };
        rows.next().await.unwrap().unwrap().num_rows()
    };
    // Without the answer that it would wait for, it waits forever.
    let first = tokio::time::timeout(Duration::from_secs(100), first).await;
    first.unwrap_or_else(|_| panic!("{sql} wants more than {answers} answers: {:?}", cloud.store.taken()))
}

#[test]
fn the_first_rows_of_a_large_parquet_object_come_with_the_second_answer() {
    block_on(async {
        for (sql, rows) in [
            ("select * from 's3://bucket/x.parquet' limit 10", 10),
            ("select * from 's3://bucket/x.parquet'", 8192),
            // Of a row group 2,500 rows pass: fewer than make a batch. Of the first rows that are looked at, 410.
            ("select n from 's3://bucket/x.parquet' where n % 20 = 0", 410),
            ("select n + 1 from 's3://bucket/x.parquet' where n % 20 = 0 and n > 7", 409),
            ("select n from 's3://bucket/x.parquet' where n % 20 = 0 limit 3", 3),
            ("select n from 's3://bucket/x.parquet' where n % 40000 = 39999", 1),
        ] {
            let cloud = Cloud::new();
            cloud.put("x.parquet", numbers(0..200_000)).await;
            // Others read beside the first, and one's second answer may come before another's first.
            cloud.rows("set datafusion.execution.target_partitions = 1").await;
            assert_eq!(first_rows(&cloud, sql, 2).await, rows, "{sql}");
            assert_eq!(cloud.store.taken()[0], LOOKUP);
        }
    });
}

/// Numbers in no order in eight row groups with Bloom filters, each number in one of them.
fn scattered(position: BloomFilterPosition) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(20_000))
        .set_dictionary_enabled(false)
        .set_bloom_filter_enabled(true)
        .set_bloom_filter_position(position)
        .build();
    let column = Int64Array::from_iter_values((0..160_000).map(|n| n * 7919 % 160_001));
    let rows = RecordBatch::try_from_iter([("n", Arc::new(column) as ArrayRef)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn bloom_filters_are_asked_for_together() {
    block_on(async {
        for position in [BloomFilterPosition::AfterRowGroup, BloomFilterPosition::End] {
            let cloud = Cloud::new();
            let bytes = scattered(position);
            assert!(bytes.len() > 1_280_000);
            cloud.put("x.parquet", bytes).await;
            cloud.rows("set datafusion.execution.target_partitions = 1").await;
            let sql = "select count(*) from 's3://bucket/x.parquet' where n = 7919";
            assert_eq!(cloud.one(sql).await, "1");
            let requests = cloud.store.taken();
            // The filters of eight row groups, of which the last are kept, and then the one that has the number.
            match position {
                BloomFilterPosition::AfterRowGroup => {
                    assert!((4..=8).contains(&requests.len()), "{requests:?}");
                    // All of them before the first answer.
                    assert!(cloud.store.together() >= 4, "{}: {requests:?}", cloud.store.together());
                }
                BloomFilterPosition::End => assert_eq!(requests.len(), 2, "{requests:?}"),
            }
        }
    });
}

#[test]
fn rows_that_pass_come_whole_and_in_order_after_the_first() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("x.parquet", numbers(0..200_000)).await;
        for partitions in [1, 3] {
            cloud.rows(&format!("set datafusion.execution.target_partitions = {partitions}")).await;
            for (filter, limit, rows) in [
                ("n % 20 = 0", usize::MAX, 10_000),
                ("n % 3 = 0", usize::MAX, 66_667),
                ("n < 0", usize::MAX, 0),
                ("n % 20 = 0", 5000, 5000),
                ("n % 20 = 0", 1, 1),
            ] {
                let limited = if limit == usize::MAX { String::new() } else { format!(" limit {limit}") };
                let all = format!("select n from 's3://bucket/x.parquet' where {filter}{limited}");
                let found = cloud.rows(&all).await;
                assert_eq!(found.len(), rows, "{all}");
                let distinct: std::collections::HashSet<_> = found.iter().collect();
                assert_eq!(distinct.len(), rows, "{all}");
                let wrong = format!("select count(*) from ({all}) where not ({filter})");
                assert_eq!(cloud.one(&wrong).await, "0", "{all}");
            }
        }
    });
}

#[test]
fn a_few_rows_of_a_large_parquet_object_take_two_requests() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("x.parquet", numbers(0..200_000)).await;
        // Cut into parts wherever the engine may.
        cloud.rows("set datafusion.optimizer.repartition_file_min_size = 0").await;
        cloud.rows("set datafusion.execution.target_partitions = 4").await;
        let requests = cloud.requests("select * from 's3://bucket/x.parquet' limit 10").await;
        assert_eq!(requests.len(), 2, "{requests:?}");
        let requests = cloud.requests("select count(n) from 's3://bucket/x.parquet' where n % 2 = 0").await;
        assert_eq!(requests.len(), 4, "its version, and more rows in parts; its end is here: {requests:?}");
        // The limit is of the rows that pass, and they may be in any part.
        assert_eq!(
            cloud.rows("select n from 's3://bucket/x.parquet' where n > 199990 limit 10").await.len(),
            9
        );
        // More than the first object has.
        cloud.put("y/1.parquet", numbers(0..5)).await;
        cloud.put("y/2.parquet", numbers(0..200_000)).await;
        assert_eq!(cloud.rows("select n from 's3://bucket/y/' limit 20").await.len(), 20);
    });
}

#[test]
fn what_a_footer_says_takes_one() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("x.parquet", numbers(0..200_000)).await;
        let requests = cloud.requests("select count(*), max(n) from 's3://bucket/x.parquet'").await;
        assert_eq!(requests, [LOOKUP]);
    });
}

#[test]
fn a_small_object_of_text_is_read_once() {
    block_on(async {
        for format in ["csv", "lines", "avro", "stream"] {
            let cloud = Cloud::new();
            let (_, extension) = fixtures::FORMATS.into_iter().find(|(name, _)| *name == format).unwrap();
            cloud.put(&format!("x.{extension}"), fixtures::whole(format)).await;
            let requests = cloud.requests(&format!("select * from 's3://bucket/x.{extension}'")).await;
            assert_eq!(requests.len(), 2, "{format}: {requests:?}");
        }
    });
}

#[test]
fn a_large_object_of_text_is_not_read_twice() {
    block_on(async {
        let cloud = Cloud::new();
        let mut text = String::from("id,word\n");
        for id in 0..200_000 {
            text.push_str(&format!("{id},\"word {id}\"\n"));
        }
        let size = text.len();
        cloud.put("x.csv", text).await;
        assert_eq!(cloud.one("select count(word) from 's3://bucket/x.csv'").await, "200000");
        let requests = cloud.store.taken();
        assert_eq!(
            requests,
            ["head x.csv".to_string(), "get x.csv bytes=0-262143".into(), "get x.csv all".into()],
            "of {size} bytes"
        );
    });
}

#[test]
fn many_objects_are_looked_into_at_once() {
    block_on(async {
        let cloud = Cloud::new();
        for place in 0..300 {
            cloud.put(&format!("t/{place}.parquet"), fixtures::whole("parquet")).await;
        }
        let requests = cloud.requests("select count(*) from 's3://bucket/t/*.parquet'").await;
        assert_eq!(requests.len(), 301, "a listing and a footer each");
        let together = cloud.store.together();
        assert!((16..=64).contains(&together), "{together} at once");
    });
}

#[test]
fn what_was_learnt_is_not_asked_for_again() {
    block_on(async {
        let cloud = Cloud::new();
        for place in 0..20 {
            cloud.put(&format!("t/k={place}/x.parquet"), fixtures::whole("parquet")).await;
            cloud.put(&format!("u/{place}.csv"), fixtures::whole("csv")).await;
        }
        for sql in [
            "select count(*), min(k) from 's3://bucket/t/'",
            "describe 's3://bucket/t/'",
            "select sum(id) from 's3://bucket/u/'",
        ] {
            cloud.rows(sql).await;
            let again = cloud.requests(sql).await;
            assert!(again.is_empty(), "{sql}: {again:?}");
        }
    });
}

#[test]
fn many_objects_are_read_at_once_on_few_threads() {
    block_on(async {
        let cloud = Cloud::new();
        for place in 0..30 {
            cloud.put(&format!("t/{place}.parquet"), numbers(0..100_000)).await;
        }
        // Cut into parts wherever the engine may.
        cloud.rows("set datafusion.optimizer.repartition_file_min_size = 0").await;
        cloud.rows("set datafusion.execution.target_partitions = 2").await;
        let sql = "select sum(n) from 's3://bucket/t/*.parquet' where n % 2 = 0";
        assert_eq!(cloud.one(sql).await, (30 * 50_000_u64 * 49_999).to_string());
        // The second time, there is nothing to do but to read.
        cloud.store.count_anew();
        let requests = cloud.requests(sql).await;
        assert!(requests.len() >= 30, "{requests:?}");
        assert!(cloud.store.together() >= 8, "{} at once", cloud.store.together());
    });
}
