//! The queries of TPC-H, and in the long run those of TPC-DS, give the same rows on all engines, whatever is shared.

use std::fs;
use std::path::{Path, PathBuf};

use query::config::Applied;
use query::memory::Limits;
use query::session::SessionOptions;

use crate::engine::{self, Answer, Way};
use crate::tpch;

/// Digits of a float that do not depend on the order in which it was summed.
const DIGITS: usize = 9;
/// So little that most joins and aggregations go to disk.
const TINY: &str = "48MB";

/// The rows of a query, in an order of their own.
fn rows(answer: query::Result<Answer>) -> Result<Vec<String>, String> {
    let batches = match answer {
        Ok(Answer::Rows(_, batches)) => batches,
        Ok(Answer::Count(_)) => return Err("no rows".into()),
        Err(error) => return Err(error.to_string()),
    };
    let value = |text: Option<String>| match text {
        Some(text) if text.contains('.') => match text.parse::<f64>() {
            Ok(number) => format!("{number:.DIGITS$e}"),
            Err(_) => text,
        },
        Some(text) => text,
        None => "NULL".into(),
    };
    let texts = engine::texts(&batches).into_iter();
    let mut rows: Vec<_> =
        texts.map(|row| row.into_iter().map(value).collect::<Vec<_>>().join("|")).collect();
    rows.sort_unstable();
    Ok(rows)
}

/// The folder of each corpus' tables, and its queries.
fn corpora(room: &Path) -> Vec<(PathBuf, Vec<PathBuf>)> {
    let queries = |pattern: &str| {
        let mut paths: Vec<_> = glob::glob(pattern).unwrap().map(Result::unwrap).collect();
        paths.sort();
        paths
    };
    tpch::generate_in_groups(room, 0.01, 5_000);
    let mut corpora = vec![(room.to_path_buf(), queries("queries/tpch/q*.sql"))];
    assert_eq!(corpora[0].1.len(), 22);
    if let Ok(folder) = std::env::var("QUERY_SOAK_TPCDS") {
        corpora.push((PathBuf::from(&folder), queries(&format!("{folder}/q*.sql"))));
        assert_eq!(corpora[1].1.len(), 99, "{folder}");
    }
    corpora
}

#[test]
fn queries_give_the_same_rows_whatever_rules_apply_and_in_little_memory() {
    let room = tempfile::tempdir().unwrap();
    let runtime = engine::runtime();
    let plenty = SessionOptions::default;
    let tiny = || {
        let limits = Limits { memory: Some(TINY.parse().unwrap()), ..Limits::default() };
        SessionOptions { limits, ..SessionOptions::default() }
    };
    let ways = [
        (Way::local(2), tiny()),
        (Way::local(1), plenty()),
        (Way::local(2), plenty()),
        (Way::local(7), plenty()),
        (Way::local(16), plenty()),
        (Way::local(2).sharing(Applied::Off), plenty()),
        (Way::local(3).broadcasting(Applied::Off), plenty()),
        (Way::local(3).broadcasting(Applied::Always), plenty()),
        (Way::local(2).broadcasting(Applied::Always), tiny()),
        (Way::local(2).filtering(Applied::Off), plenty()),
        (Way::local(2).filtering(Applied::Always), plenty()),
        (Way::local(3).broadcasting(Applied::Off).filtering(Applied::Always), plenty()),
        (Way::local(2).clustering(Applied::Off), plenty()),
        (Way::local(2).clustering(Applied::Always), plenty()),
        (Way::local(4).clustering(Applied::Always).filtering(Applied::Always), plenty()),
        (Way::local(2).clustering(Applied::Always), tiny()),
    ];
    let mut wrong = Vec::new();
    for (folder, queries) in corpora(room.path()) {
        let stock = runtime.block_on(tpch::session(Way::stock(2), &folder));
        let texts: Vec<_> = queries.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let expected: Vec<_> =
            texts.iter().map(|sql| rows(runtime.block_on(engine::run(&stock, sql)))).collect();
        for (way, options) in &ways {
            let session = runtime.block_on(async {
                let session = way.session_with(options.clone()).await.unwrap();
                tpch::add_tables(&session, &folder).await;
                session
            });
            for ((path, sql), expected) in queries.iter().zip(&texts).zip(&expected) {
                let actual = rows(runtime.block_on(engine::run(&session, sql)));
                if actual != *expected {
                    let first = |rows: &Result<Vec<String>, String>| match rows {
                        Ok(rows) => format!("{} rows", rows.len()),
                        Err(error) => error.clone(),
                    };
                    wrong.push(format!(
                        "{}, {way}, limit {:?}: {} instead of {}",
                        path.display(),
                        options.limits.memory,
                        first(&actual),
                        first(expected)
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
