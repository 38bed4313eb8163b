//! The 22 TPC-H queries over tables in S3, in HDFS and on web servers: the answers that local files give.

use std::fs;

use query::Session;

use crate::engine::{self, Way};
use crate::remote_tables::{self as remote, Form, add_tables, let_in, rows};
use crate::servers::{Hdfs, Http, Ranges, S3};
use crate::tpch;

pub(crate) const QUERIES: std::ops::RangeInclusive<usize> = 1..=22;
/// Relative difference of floats that comes from summing in another order.
const FLOAT_TOLERANCE: f64 = 1e-9;

fn sql(query: usize) -> String {
    fs::read_to_string(format!("queries/tpch/q{query}.sql")).unwrap()
}

/// Parquet is compared with the answers of another engine; CSV, whose types are guessed, with local CSV files.
pub(crate) async fn compare(session: &Session, form: Form, queries: impl IntoIterator<Item = usize>) {
    let local = Way::local(2).session().await.unwrap();
    add_tables(&local, tables_path(), form, true).await;
    let mut wrong = Vec::new();
    for query in queries {
        let difference = match form {
            Form::Parquet => tpch::compare(query, engine::run(session, &sql(query)).await),
            Form::Csv => {
                let (there, here) = (rows(session, &sql(query)).await, rows(&local, &sql(query)).await);
                match there {
                    Ok(there) => differs(&there, &here.unwrap()),
                    Err(error) => Some(format!("{error:?}")),
                }
            }
        };
        wrong.extend(difference.map(|difference| format!("Q{query}: {difference}")));
    }
    assert!(wrong.is_empty(), "{form}: {}", wrong.join("\n"));
}

fn tables_path() -> &'static str {
    remote::tables().to_str().unwrap()
}

fn differs(there: &[Vec<Option<String>>], here: &[Vec<Option<String>>]) -> Option<String> {
    if there.len() != here.len() || here.is_empty() {
        return Some(format!("{} rows instead of {}", there.len(), here.len()));
    }
    let same = |(there, here): (&Option<String>, &Option<String>)| match (there, here) {
        (Some(there), Some(here)) if there != here => match (there.parse::<f64>(), here.parse::<f64>()) {
            (Ok(there), Ok(here)) => (there - here).abs() <= FLOAT_TOLERANCE * here.abs(),
            _ => false,
        },
        (there, here) => there == here,
    };
    let mut pairs = there.iter().zip(here);
    let wrong = pairs.find(|(there, here)| !there.iter().zip(*here).all(same));
    wrong.map(|(there, here)| format!("{there:?} instead of {here:?}"))
}

#[test]
fn tables_in_s3_answer_as_local_ones() {
    engine::runtime().block_on(async {
        let location = remote::tables_in_s3().await;
        for form in [Form::Parquet, Form::Csv] {
            let session = Way::local(2).session().await.unwrap();
            let_in(&session, &S3::get().endpoint, &S3::get().reader);
            add_tables(&session, location, form, true).await;
            compare(&session, form, QUERIES).await;
        }
    });
}

#[test]
fn tables_in_hdfs_answer_as_local_ones() {
    let _calm = Hdfs::get().calm();
    engine::runtime().block_on(async {
        let location = remote::tables_in_hdfs().await;
        for form in [Form::Parquet, Form::Csv] {
            let session = Way::local(2).session().await.unwrap();
            add_tables(&session, &location, form, true).await;
            compare(&session, form, QUERIES).await;
        }
    });
}

#[test]
fn tables_on_a_web_server_answer_as_local_ones() {
    engine::runtime().block_on(async {
        let server = Http::start(remote::tables(), Ranges::Served);
        for form in [Form::Parquet, Form::Csv] {
            let session = Way::local(2).session().await.unwrap();
            add_tables(&session, server.url("").trim_end_matches('/'), form, false).await;
            compare(&session, form, QUERIES).await;
        }
    });
}

#[test]
fn a_web_server_without_ranges_will_do() {
    engine::runtime().block_on(async {
        let server = Http::start(remote::tables(), Ranges::Ignored);
        for form in [Form::Parquet, Form::Csv] {
            let session = Way::local(2).session().await.unwrap();
            add_tables(&session, server.url("").trim_end_matches('/'), form, false).await;
            compare(&session, form, [1, 3, 6, 14]).await;
        }
    });
}

/// All are listed and a tenth of them is read; all of them by the long runs.
#[test]
fn a_prefix_of_ten_thousand_objects_is_listed_and_read() {
    engine::runtime().block_on(async {
        let s3 = S3::get();
        s3.bucket("ten-thousand");
        s3.fill("ten-thousand", "many/", 10_000);
        let session = Way::local(2).session().await.unwrap();
        let_in(&session, &s3.endpoint, &s3.reader);
        let listed = "SELECT count(*) FROM file_list('s3://ten-thousand/many/*.csv')";
        assert_eq!(rows(&session, listed).await.unwrap(), [[Some("10000".to_string())]]);
        let (pattern, count, sum) = match std::env::var_os("QUERY_SOAK_OBJECTS") {
            Some(_) => ("*", "10000", "49995000"),
            None => ("*7", "1000", "5002000"),
        };
        let sql = format!("SELECT count(*), sum(n) FROM 's3://ten-thousand/many/{pattern}.csv'");
        let wanted = [count, sum].map(|text| Some(text.to_string()));
        assert_eq!(rows(&session, &sql).await.unwrap(), [wanted]);
    });
}

#[test]
fn the_comparison_sees_a_difference() {
    let row = |texts: &[&str]| vec![texts.iter().map(|text| Some((*text).to_string())).collect::<Vec<_>>()];
    assert_eq!(differs(&row(&["a", "1.00000000001"]), &row(&["a", "1.0"])), None);
    assert!(differs(&row(&["a", "1.001"]), &row(&["a", "1.0"])).is_some());
    assert!(differs(&row(&["b"]), &row(&["a"])).is_some());
    assert!(differs(&[], &row(&["a"])).is_some());
}
