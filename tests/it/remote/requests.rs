//! How often a store is asked, and how many questions are under way at once.

use std::sync::Arc;

use query::datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use query::datafusion::parquet::arrow::ArrowWriter;
use query::datafusion::parquet::file::properties::WriterProperties;

use super::{Cloud, block_on};
use crate::fixtures;

#[test]
fn one_parquet_object_takes_three_requests() {
    block_on(async {
        for sql in [
            "select * from 's3://bucket/x.parquet'",
            "select * from 's3://bucket/x.parquet' limit 1",
            "select name from 's3://bucket/x.parquet' where id > 2",
            "select sum(score) from 's3://bucket/x.parquet' group by name",
        ] {
            let cloud = Cloud::new();
            cloud.put("x.parquet", fixtures::whole("parquet")).await;
            let requests = cloud.requests(sql).await;
            assert!(requests.len() <= 3, "{sql}: {requests:?}");
            assert_eq!(requests[0], "head x.parquet", "{sql}");
            assert_eq!(requests.iter().filter(|text| text.starts_with("head")).count(), 1, "{requests:?}");
        }
    });
}

/// A Parquet file of numbers from 0 in row groups of 50,000; four of these are too large to be kept whole.
fn numbers(count: i64) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(50_000))
        .set_dictionary_enabled(false)
        .build();
    let column = Int64Array::from_iter_values(0..count);
    let rows = RecordBatch::try_from_iter([("n", Arc::new(column) as ArrayRef)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_few_rows_of_a_large_parquet_object_take_three_requests() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("x.parquet", numbers(200_000)).await;
        // Cut into parts wherever the engine may.
        cloud.rows("set datafusion.optimizer.repartition_file_min_size = 0").await;
        cloud.rows("set datafusion.execution.target_partitions = 4").await;
        let requests = cloud.requests("select * from 's3://bucket/x.parquet' limit 10").await;
        assert_eq!(requests.len(), 3, "{requests:?}");
        let requests = cloud.requests("select count(n) from 's3://bucket/x.parquet' where n % 2 = 0").await;
        assert_eq!(requests.len(), 5, "its version, and more rows in parts: {requests:?}");
        // The limit is of the rows that pass, and they may be in any part.
        assert_eq!(
            cloud.rows("select n from 's3://bucket/x.parquet' where n > 199990 limit 10").await.len(),
            9
        );
        // More than the first object has.
        cloud.put("y/1.parquet", numbers(5)).await;
        cloud.put("y/2.parquet", numbers(200_000)).await;
        assert_eq!(cloud.rows("select n from 's3://bucket/y/' limit 20").await.len(), 20);
    });
}

#[test]
fn what_a_footer_says_takes_two() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("x.parquet", fixtures::whole("parquet")).await;
        let requests = cloud.requests("select count(*), max(id) from 's3://bucket/x.parquet'").await;
        assert_eq!(requests.len(), 2, "{requests:?}");
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
            cloud.put(&format!("t/{place}.parquet"), numbers(100_000)).await;
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
