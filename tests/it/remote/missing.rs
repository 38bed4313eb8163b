//! What is not there, and what cannot be.

use super::{Cloud, block_on};

#[test]
fn errors_name_the_place_and_what_to_do() {
    let cases = [
        ("from 's3://bucket/none.csv'", "no such file: 's3://bucket/none.csv'"),
        ("from 's3://bucket/none/'", "folder 's3://bucket/none/' has no data files"),
        ("from 's3://bucket/none/*.csv'", "no file matches 's3://bucket/none/*.csv'"),
        ("from 's3://bucket/[.csv'", "is not a pattern"),
        ("from 'ftp://host/x.csv'", "there are no ftp:// locations"),
        ("from 'https://host/*.csv'", "web servers do not list their files"),
        ("from 's3://bucket/empty.csv'", "it is empty"),
        ("from 's3://bucket/broken.parquet'", "'s3://bucket/broken.parquet'"),
        ("from 's3://bucket/zipped.parquet'", "cannot be read through another compression"),
        ("from 's3://bucket/mixed/'", "several formats"),
        ("from file_list('s3://bucket/none/')", "has no data files"),
        ("create external table t stored as csv location 's3://bucket/none/'", "has no data files"),
    ];
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("empty.csv", "").await;
        cloud.put("broken.parquet", "PAR1 and nothing more").await;
        cloud.put("zipped.parquet", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 4]).await;
        cloud.put("mixed/a.csv", "id\n1\n").await;
        cloud.put("mixed/b.json", "{\"id\":1}\n").await;
        for (sql, part) in cases {
            let error = cloud.error(sql).await;
            assert!(error.contains(part), "{sql}: {error}");
        }
    });
}

#[test]
fn marks_of_folders_are_no_files() {
    block_on(async {
        let cloud = Cloud::new();
        cloud.put("t", "").await;
        cloud.put("t/year=2026", "").await;
        cloud.put("t/year=2026/data", "{\"id\":1}\n").await;
        assert_eq!(cloud.one("select count(*) from 's3://bucket/t/'").await, "1");
        assert_eq!(cloud.one("select count(*) from 's3://bucket/t/**'").await, "1");
    });
}

#[test]
fn the_files_of_a_table_are_in_one_store() {
    use std::sync::Arc;

    use query::datafusion::execution::object_store::ObjectStoreRegistry;

    use super::watched::Watched;
    block_on(async {
        let cloud = Cloud::new();
        let other = Arc::new(Watched::default());
        let url = url::Url::parse("s3://other").unwrap();
        cloud.session.stores().register_store(&url, Arc::clone(&other) as _);
        cloud.put("a.csv", "id\n1\n").await;
        other.put("b.csv", b"id\n2\n".to_vec()).await;
        let sql = "select * from 's3://bucket/a.csv' union all select * from 's3://other/b.csv'";
        assert_eq!(cloud.rows(sql).await.len(), 2);
    });
}
