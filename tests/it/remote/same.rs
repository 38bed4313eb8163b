//! The same queries over local files and over the same files in a store.

use std::path::Path;

use super::{BUCKET, Cloud, block_on, rows};
use crate::{fixtures, narrowed};

/// How many generated queries a test run tries.
const CASES: u64 = 150;

/// Queries over a place, which stands for `@`. `#` stands for the folder of all.
async fn compare(room: &Path, cloud: &Cloud, queries: &[String]) {
    let local = query::Session::new().unwrap();
    let folder = room.display().to_string();
    for sql in queries {
        let here = rows(&local, &sql.replace('#', &folder)).await;
        let there = rows(&cloud.session, &sql.replace('#', BUCKET)).await;
        let named = |text: String| text.replace(&folder, BUCKET);
        let here = here
            .map(|rows| {
                let value = |value: Option<String>| value.map(named);
                let mut rows: Vec<Vec<_>> =
                    rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect();
                rows.sort();
                rows
            })
            .map_err(named);
        assert_eq!(there, here, "{sql}");
    }
}

#[test]
fn every_format_and_compression_reads_alike() {
    let room = tempfile::tempdir().unwrap();
    fixtures::write_all(room.path());
    let mut queries = Vec::new();
    for (format, extension) in fixtures::FORMATS {
        for (compression, ending, _) in fixtures::COMPRESSIONS {
            let place = format!("#/{format}/{compression}");
            if !room.path().join(format).join(compression).exists() {
                continue;
            }
            for path in ["flat/", "flat", "flat/*", "flat/1*", "hive", "hive/*/*", "**/x*"] {
                queries.push(format!("select * from '{place}/{path}'"));
            }
            queries.push(format!("select * from '{place}/flat/2.{extension}{ending}'"));
            queries.push(format!("select name, k from '{place}/hive/' where k = 2"));
            queries.push(format!("select count(*), sum(score) from '{place}/hive/' where id > 1"));
            queries.push(format!("describe '{place}/hive'"));
            queries.push(format!("select filename, count(*) from '{place}/flat/*' group by 1"));
        }
    }
    block_on(async {
        let cloud = Cloud::new();
        cloud.put_folder(room.path()).await;
        compare(room.path(), &cloud, &queries).await;
    });
}

/// Files that differ in their columns, hidden ones, keys that are NULL or not there, names with odd letters.
const ODD: [(&str, &str); 14] = [
    ("t/year=2026/month=1/a.csv", "id,v\n1,1\n2,2\n"),
    ("t/year=2026/month=2/a.csv", "v,id\n1.5,3\n"),
    ("t/year=2025/month=1/a.csv", "id,v,note\n4,7,x\n"),
    ("t/year=2025/month=__HIVE_DEFAULT_PARTITION__/a.csv", "id\n5\n"),
    ("t/loose.csv", "id,v\n6,6\n"),
    ("t/_hidden/a.csv", "id\n99\n"),
    ("t/.hidden.csv", "id\n98\n"),
    ("a-b/x.csv", "id,first\n1,1\n"),
    ("a/x.csv", "id,second\n2,2\n"),
    ("odd/b[1].csv", "id\n1\n"),
    ("odd/b1.csv", "id\n2\n"),
    ("odd/a b & c%20.csv", "id\n3\n"),
    ("odd/é.csv", "id\n4\n"),
    ("odd/readme.md", "nothing\n"),
];

#[test]
fn odd_names_keys_and_columns_read_alike() {
    let room = tempfile::tempdir().unwrap();
    for (name, text) in ODD {
        let path = room.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let queries = [
        "select * from '#/t/'",
        "select * from '#/t' where year = 2026",
        "select * from '#/t' where year = 2026 and month = 2",
        "select * from '#/t' where month = 1",
        "select * from '#/t' where month is null",
        // Not `*`: that there is a key `month` is not known without a look into folders that are not wanted.
        "select id, v, year from '#/t' where year is null",
        "select * from '#/t' where year = 2026 or id = 4",
        "select * from '#/t' where year = 1999",
        "select id, note from '#/t' where year = 2026",
        "select * from '#/t/year=2026/'",
        "select * from '#/t/year=2026/*/*.csv' where month > 1",
        "select * from '#/t/**/*.csv' where year < 2026",
        "select * from '#/t/year=*/month=1/a.csv'",
        "select * from '#/t/_hidden/*'",
        "select * from '#/t/.h*'",
        "select filename, id from '#/t/' where filename like '%month=2%'",
        "select * from '#/{a,a-b}/x.csv'",
        "select * from '#/{a/x,a-b/x}.csv'",
        "select * from '#/odd/b[1].csv'",
        "select * from '#/odd/b[0-9].csv'",
        "select * from '#/odd/a b & c%20.csv'",
        "select * from '#/odd/?.csv'",
        "select * from '#/odd/'",
        "select path, format, compression, size_bytes from file_list('#/odd/')",
        "select path, size_bytes from file_list('#/t/**/a.csv')",
        "describe '#/t'",
        // The last digit of a deviation depends on the order of the rows.
        "select * exclude (std) from (summarize '#/t/')",
        "select * from '#/t/year=2026/nothing.csv'",
        "select * from '#/t/*.parquet'",
        "select * from '#/odd/*'",
        "create external table e stored as csv location '#/t/' ; select * from e where year = 2025",
        "create external table f (id int, year int) stored as csv partitioned by (year) location '#/t/'; \
         select * from f where year = 2026",
        "create view w as select * from '#/t/'; select * from w where year = 2026 and month = 1",
        "with c as (select *, year as y from '#/t') select a.id, b.id from c a join c b on a.y = b.y where a.y = 2025",
    ];
    block_on(async {
        let cloud = Cloud::new();
        cloud.put_folder(room.path()).await;
        compare(room.path(), &cloud, &queries.map(String::from)).await;
    });
}

#[test]
fn footers_tell_the_same() {
    let room = tempfile::tempdir().unwrap();
    fixtures::write_all(room.path());
    let queries = [
        "select * from parquet_metadata('#/parquet/plain/flat/')",
        "select row_group_num_rows from parquet_metadata('#/parquet/plain/hive/*/x.parquet')",
        "select count(*), min(id), max(score) from '#/parquet/plain/hive' where k = 1",
        "from '#/parquet/plain/flat/*' |> where id >= 3 |> select name",
    ];
    block_on(async {
        let cloud = Cloud::new();
        cloud.put_folder(room.path()).await;
        compare(room.path(), &cloud, &queries.map(String::from)).await;
        let error = cloud.error("from parquet_metadata('s3://bucket/csv/plain/flat/1.csv')").await;
        assert!(error.contains("is not a readable Parquet file"), "{error}");
    });
}

#[test]
fn frames_read_alike() {
    use query::prelude::*;
    let room = tempfile::tempdir().unwrap();
    fixtures::write_all(room.path());
    block_on(async {
        let cloud = Cloud::new();
        cloud.put_folder(room.path()).await;
        let session = &cloud.session;
        let all = session.read_parquet("s3://bucket/parquet/plain/flat/*.parquet").await.unwrap();
        assert_eq!(all.count().await.unwrap(), 5);
        let options = ReadOptions::new().filters(col("k").eq(lit(2)));
        let some = session.read_csv_with("s3://bucket/csv/gzip/hive/", &options).await.unwrap();
        assert_eq!(some.count().await.unwrap(), 2);
        let lines = session.read_json("s3://bucket/lines/zstd/flat").await.unwrap();
        assert_eq!(lines.columns(), ["id", "name", "score"]);
        assert_eq!(lines.count().await.unwrap(), 5);
    });
}

#[test]
fn generated_queries_over_keys_read_alike() {
    let room = tempfile::tempdir().unwrap();
    narrowed::folders(room.path());
    block_on(async {
        let local = query::Session::new().unwrap();
        let cloud = Cloud::new();
        cloud.put_folder(room.path()).await;
        let folder = room.path().display().to_string();
        let mut filled = 0;
        for case in 0..CASES {
            let sql = narrowed::generated(case).replace("@t", "'#/t'").replace("@u", "'#/u'");
            let here = rows(&local, &sql.replace('#', &folder)).await;
            // Each finds nothing in what others have listed.
            cloud.session.refresh();
            let there = rows(&cloud.session, &sql.replace('#', BUCKET)).await;
            match (here, there) {
                (Ok(here), Ok(there)) => {
                    assert_eq!(there, here, "case {case}: {sql}");
                    filled += u64::from(!here.is_empty());
                }
                (Err(_), Err(_)) => {}
                (here, there) => panic!("case {case}: {sql}\nlocal: {here:?}\nstore: {there:?}"),
            }
        }
        assert!(filled * 3 > CASES, "{filled} have rows");
    });
}
