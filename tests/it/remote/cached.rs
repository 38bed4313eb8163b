//! What is kept of a store is true of the versions that it was learnt of, and forgotten when somebody says so.

use super::{Cloud, block_on};
use crate::fixtures;

const SUM: &str = "select sum(id) from 's3://bucket/t/'";

#[test]
fn new_objects_are_seen_after_a_refresh() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("t/a.csv", "id\n1\n").await;
        assert_eq!(cloud.one(SUM).await, "1");
        cloud.put("t/b.csv", "id\n2\n").await;
        assert_eq!(cloud.one(SUM).await, "1");
        cloud.session.refresh();
        assert_eq!(cloud.one(SUM).await, "3");
    });
}

#[test]
fn another_version_is_never_taken_for_the_one_that_was_looked_into() {
    block_on(async {
        for (extension, first, second) in versions() {
            let cloud = Cloud::new();
            let sql = format!("select sum(id) from 's3://bucket/t/*.{extension}'");
            cloud.put(&format!("t/x.{extension}"), first).await;
            let before = cloud.one(&sql).await;
            cloud.put(&format!("t/x.{extension}"), second).await;
            // A listing is believed, and what was read of its objects is theirs.
            assert_eq!(cloud.one(&sql).await, before, "{extension}");
            cloud.session.refresh();
            assert_ne!(cloud.one(&sql).await, before, "{extension}");
        }
    });
}

#[test]
fn an_object_that_is_named_is_looked_up_by_each_statement() {
    block_on(async {
        for (extension, first, second) in versions() {
            let cloud = Cloud::new();
            let sql = format!("select sum(id), count(*) from 's3://bucket/x.{extension}'");
            let key = format!("x.{extension}");
            cloud.put(&key, first).await;
            let before = cloud.one(&sql).await;
            let lookup = match extension {
                "parquet" => format!("get {key} bytes=-524288"),
                _ => format!("head {key}"),
            };
            assert_eq!(cloud.store.taken()[0], lookup);
            // One request, however often it is named; what was read of it is read no more.
            let twice = format!("select * from ({sql}) a, ({sql}) b");
            for sql in [&sql, &twice] {
                assert_eq!(cloud.requests(sql).await, [format!("head {key}")], "{sql}");
            }
            cloud.put(&key, second).await;
            assert_ne!(cloud.one(&sql).await, before, "{extension}");
            assert_eq!(cloud.requests(&sql).await, [format!("head {key}")]);
            cloud.store.delete(&key).await;
            let error = cloud.error(&sql).await;
            assert!(error.contains(&format!("no such file: 's3://bucket/{key}'")), "{error}");
        }
    });
}

#[test]
fn a_listing_that_is_seen_to_be_out_of_date_is_forgotten() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("t/a.csv", "id\n1\n").await;
        cloud.put("t/b.csv", "id\n2\n").await;
        assert_eq!(cloud.one(SUM).await, "3");
        cloud.put("t/a.csv", "id\n10\n").await;
        cloud.put("t/b.csv", "id\n20\n").await;
        // The folder comes first, and is read as the object is that comes after it.
        let both = "select sum(id) from (select id from 's3://bucket/t/' union all select id from 's3://bucket/t/a.csv')";
        assert_eq!(cloud.one(both).await, "40");
        assert_eq!(cloud.one(SUM).await, "30");
    });
}

#[test]
fn a_frame_looks_an_object_up_when_it_is_made_and_each_time_it_runs_again() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("x.csv", "id\n1\n").await;
        let frame = cloud.session.read_csv("s3://bucket/x.csv").await.unwrap();
        assert_eq!(frame.count().await.unwrap(), 1);
        let heads = |requests: Vec<String>| requests.iter().filter(|text| text.starts_with("head")).count();
        assert_eq!(heads(cloud.store.taken()), 1);
        cloud.put("x.csv", "id\n1\n2\n").await;
        assert_eq!(frame.count().await.unwrap(), 2);
        let frame = cloud.session.sql("from 's3://bucket/x.csv'").await.unwrap();
        cloud.store.taken();
        assert_eq!(frame.count().await.unwrap(), 2);
        assert_eq!(heads(cloud.store.taken()), 0);
    });
}

/// By the ending of its name, an object and another of the same length, from the same second: only the tag tells.
fn versions() -> [(&'static str, Vec<u8>, Vec<u8>); 2] {
    [
        ("csv", b"id\n1\n".to_vec(), b"id\n7\n".to_vec()),
        ("parquet", fixtures::whole("parquet"), other_parquet()),
    ]
}

/// As the five rows, but for one value; as long as these.
fn other_parquet() -> Vec<u8> {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use datafusion::parquet::arrow::ArrowWriter;
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![10, 20]));
    let rows = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn an_object_that_changes_after_it_was_listed_is_an_error_once() {
    block_on(async {
        let cloud = Cloud::new();
        let long = |id: u32| {
            let mut text = String::from("id\n");
            (0..200_000).for_each(|_| text.push_str(&format!("{id}\n")));
            text
        };
        // A small one, which is kept, beside one that is read each time.
        cloud.put("t/a.csv", "id\n0\n").await;
        cloud.put("t/x.csv", long(1)).await;
        assert_eq!(cloud.one(SUM).await, "200000");
        cloud.put("t/a.csv", "id\n7\n").await;
        cloud.put("t/x.csv", long(2)).await;
        let Err(error) = crate::engine::run(&cloud.session, SUM).await else { panic!("no error") };
        let error = format!("{error:?}");
        assert!(error.contains("s3://bucket/t/x.csv") && error.contains("has changed"), "{error}");
        assert!(error.contains("forgotten, as by .refresh: run the query again"), "{error}");
        assert_eq!(cloud.one(SUM).await, "400007");
    });
}

#[test]
fn an_object_that_changes_between_its_footer_and_its_rows_is_an_error_once() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("x.parquet", super::requests::numbers(0..200_000)).await;
        let frame =
            cloud.session.sql("select sum(n) from 's3://bucket/x.parquet' where n >= 0").await.unwrap();
        assert_eq!(cloud.store.taken(), ["get x.parquet bytes=-524288"]);
        // As long, and its footer says the same but for the numbers.
        cloud.put("x.parquet", super::requests::numbers(1..200_001)).await;
        let error = format!("{:?}", frame.collect().await.unwrap_err());
        assert!(error.contains("s3://bucket/x.parquet") && error.contains("has changed"), "{error}");
        let sum = "select sum(n) from 's3://bucket/x.parquet' where n >= 0";
        assert_eq!(cloud.one(sum).await, (200_000_u64 * 200_001 / 2).to_string());
    });
}

#[test]
fn an_object_that_is_gone_is_an_error_that_names_it() {
    block_on(async {
        let cloud = Cloud::new();
        // Small ones are kept whole.
        cloud.put("t/a.csv", "id\n1\n").await;
        cloud.put("t/b.csv", format!("id\n{}", "1\n".repeat(200_000))).await;
        cloud.rows("describe 's3://bucket/t/'").await;
        cloud.store.delete("t/b.csv").await;
        let error = cloud.error(SUM).await;
        assert!(error.contains("s3://bucket/t/b.csv"), "{error}");
        assert_eq!(cloud.one(SUM).await, "1");
    });
}

#[test]
fn two_stores_with_keys_of_one_name_are_told_apart() {
    use std::sync::Arc;

    use query::datafusion::execution::object_store::ObjectStoreRegistry;

    use super::watched::Watched;
    block_on(async {
        let cloud = Cloud::new();
        let other = Arc::new(Watched::default());
        let url = url::Url::parse("s3://other").unwrap();
        cloud.session.stores().register_store(&url, Arc::clone(&other) as _);
        cloud.put("x.parquet", fixtures::whole("parquet")).await;
        other.put("x.parquet", other_parquet()).await;
        assert_eq!(cloud.one("select sum(id) from 's3://bucket/x.parquet'").await, "15");
        assert_eq!(cloud.one("select sum(id) from 's3://other/x.parquet'").await, "30");
        let join = "select count(*) from 's3://bucket/x.parquet' a, 's3://other/x.parquet' b";
        assert_eq!(cloud.one(join).await, "10");
    });
}
