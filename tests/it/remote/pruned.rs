//! Folders whose keys have no wanted rows are never listed.

use super::{Cloud, block_on};

async fn years(cloud: &Cloud) {
    for year in 2020..=2026 {
        for month in 1..=12 {
            for part in ["a", "b"] {
                let key = format!("t/year={year}/month={month}/{part}.csv");
                cloud.put(&key, format!("id\n{year}{month:02}\n")).await;
            }
        }
    }
}

/// The folders that were listed, each with what is below it or alone.
fn listed(requests: &[String]) -> Vec<&str> {
    let mut folders: Vec<_> = requests
        .iter()
        .filter_map(|text| text.strip_prefix("level ").or(text.strip_prefix("list ")))
        .collect();
    folders.sort_unstable();
    folders
}

#[test]
fn only_wanted_folders_are_listed() {
    let cases = [
        (
            "select count(*) from 's3://bucket/t/' where year = 2024 and month = 11",
            vec!["t", "t/year=2024", "t/year=2024/month=11"],
        ),
        (
            "select count(*) from 's3://bucket/t/**/*.csv' where year = 2024 and month in (1, 2)",
            vec!["t", "t/year=2024", "t/year=2024/month=1", "t/year=2024/month=2"],
        ),
        (
            "select count(*) from 's3://bucket/t/' where year > 2025",
            vec!["t", "t/year=2026", "t/year=2026/month=1"],
        ),
        (
            "select count(*) from (select year as y, id from 's3://bucket/t/') where y = 2020 and id > 0",
            vec!["t", "t/year=2020", "t/year=2020/month=1"],
        ),
    ];
    for (sql, folders) in cases {
        block_on(async {
            let cloud = Cloud::new();
            years(&cloud).await;
            let requests = cloud.requests(sql).await;
            let mut found = listed(&requests);
            found.dedup();
            assert_eq!(found, folders, "{sql}: {requests:?}");
        });
    }
}

#[test]
fn a_key_below_others_is_found() {
    block_on(async {
        let cloud = Cloud::new();
        years(&cloud).await;
        assert_eq!(cloud.one("select count(*) from 's3://bucket/t/' where month = 5").await, "14");
        let gets = cloud.store.taken().iter().filter(|text| text.starts_with("get")).count();
        assert_eq!(gets, 14, "only these files are opened");
    });
}

#[test]
fn without_conditions_one_listing_shows_all() {
    block_on(async {
        let cloud = Cloud::new();
        years(&cloud).await;
        let requests = cloud.requests("select count(*) from 's3://bucket/t/'").await;
        assert_eq!(listed(&requests), ["t"], "{requests:?}");
    });
}

#[test]
fn a_listing_of_all_answers_for_its_folders() {
    block_on(async {
        let cloud = Cloud::new();
        years(&cloud).await;
        cloud.rows("select count(*) from 's3://bucket/t/'").await;
        let requests = cloud.requests("select count(*) from 's3://bucket/t/' where year = 2021").await;
        assert!(listed(&requests).is_empty(), "{requests:?}");
    });
}

#[test]
fn a_table_with_a_name_lists_what_its_reader_wants() {
    block_on(async {
        let cloud = Cloud::new();
        years(&cloud).await;
        let table = "create external table t (id int, year int, month int) stored as csv \
                     partitioned by (year, month) location 's3://bucket/t/'";
        cloud.rows(table).await;
        cloud.session.refresh();
        let requests = cloud.requests("select count(*) from t where year = 2022 and month = 3").await;
        let folders = listed(&requests);
        assert_eq!(folders, ["t", "t/year=2022", "t/year=2022/month=3"], "{requests:?}");
    });
}
