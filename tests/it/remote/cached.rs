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
        for (extension, first, second) in [
            // As long as the first, and in the same second: only the tag tells.
            ("csv", b"id\n1\n".to_vec(), b"id\n7\n".to_vec()),
            ("parquet", fixtures::whole("parquet"), other_parquet()),
        ] {
            let cloud = Cloud::new();
            let sql = format!("select sum(id) from 's3://bucket/x.{extension}'");
            cloud.put(&format!("x.{extension}"), first).await;
            let before = cloud.one(&sql).await;
            cloud.put(&format!("x.{extension}"), second).await;
            cloud.session.refresh();
            assert_ne!(cloud.one(&sql).await, before, "{extension}");
        }
    });
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
        cloud.put("x.csv", long(1)).await;
        let sql = "select sum(id) from 's3://bucket/x.csv'";
        assert_eq!(cloud.one(sql).await, "200000");
        cloud.put("x.csv", long(2)).await;
        let error = cloud.error(sql).await;
        assert!(error.contains("s3://bucket/x.csv") && error.contains("has changed"), "{error}");
        assert_eq!(cloud.one(sql).await, "400000");
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
