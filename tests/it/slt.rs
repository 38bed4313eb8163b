//! Every `tests/slt/**/*.slt`, each file in a session of its own, on every engine.

use std::path::PathBuf;

use datafusion::arrow::datatypes::Schema;
use query::Session;
use query::config::{Applied, EngineKind};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::engine::{self, Answer, Way};
use crate::fixtures;

struct Engine {
    session: Session,
    kind: EngineKind,
}

#[async_trait::async_trait]
impl AsyncDB for Engine {
    type Error = query::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, query::Error> {
        Ok(match engine::run(&self.session, sql).await? {
            Answer::Rows(schema, batches) => DBOutput::Rows {
                types: vec![DefaultColumnType::Any; schema.fields().len()],
                rows: engine::texts(&batches).into_iter().map(|row| shown(row, &schema)).collect(),
            },
            Answer::Count(rows) => DBOutput::StatementComplete(rows),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        self.kind.name()
    }
}

/// NULL as `NULL`, no text as `(empty)`, floats in the shortest form without an exponent.
fn shown(row: Vec<Option<String>>, schema: &Schema) -> Vec<String> {
    let values = row.into_iter().zip(schema.fields()).map(|(value, field)| match value {
        None => "NULL".into(),
        Some(text) if text.is_empty() => "(empty)".into(),
        Some(text) if field.data_type().is_floating() => match text.parse::<f64>() {
            Ok(number) if number.abs() >= 1e21 => format!("{number:e}"),
            Ok(number) => number.to_string(),
            Err(_) => text,
        },
        Some(text) => text,
    });
    values.collect()
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<_> = glob::glob("tests/slt/**/*.slt").unwrap().map(Result::unwrap).collect();
    files.sort();
    files
}

/// Runs all files in these ways; each record states what is true in all of them.
fn passes(ways: impl IntoIterator<Item = Way>) {
    let files = files();
    assert!(files.len() >= 15, "only {} .slt files were found", files.len());
    pass(&files, ways);
}

fn pass(files: &[PathBuf], ways: impl IntoIterator<Item = Way>) {
    let runtime = engine::runtime();
    let folder = tempfile::tempdir().unwrap();
    fixtures::write_all(folder.path());
    let mut failures = Vec::new();
    let mut runs = 0;
    for way in ways {
        for file in files {
            let mut runner =
                Runner::new(|| async move { Ok(Engine { session: way.session().await?, kind: way.engine }) });
            runner.set_var("FILES".into(), folder.path().to_str().unwrap().into());
            runs += 1;
            if let Err(error) = runtime.block_on(runner.run_file_async(file)) {
                failures.push(format!("{way}: {}", error.display(false)));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {runs} runs fail:\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn every_slt_file_passes_on_stock() {
    passes([Way::stock(2)]);
}

#[test]
fn every_slt_file_passes_on_local_in_1_partition() {
    passes([Way::local(1)]);
}

#[test]
fn every_slt_file_passes_on_local_in_2_partitions() {
    passes([Way::local(2)]);
}

#[test]
fn every_slt_file_passes_on_local_in_3_partitions() {
    passes([Way::local(3)]);
}

#[test]
fn every_slt_file_passes_on_local_in_8_partitions() {
    passes([Way::local(8)]);
}

#[test]
fn every_slt_file_passes_on_local_in_16_partitions() {
    passes([Way::local(16)]);
}

#[test]
fn every_slt_file_passes_without_shared_stages() {
    passes([Way::local(2).sharing(Applied::Off)]);
}

#[test]
fn every_slt_file_passes_with_all_that_repeats_shared() {
    passes([Way::local(3).sharing(Applied::Always)]);
}

#[test]
fn every_slt_file_passes_whatever_rows_are_read_at_once() {
    passes([Applied::Off, Applied::Always].map(|pieces| Way::local(3).cutting(pieces)));
}

#[test]
fn every_slt_file_passes_whatever_is_broadcast() {
    passes([Applied::Off, Applied::Always].map(|broadcast| Way::local(3).broadcasting(broadcast)));
}

/// Files whose queries have much that repeats.
#[test]
fn repeats_are_shared_in_any_number_of_partitions() {
    let folders =
        ["shared/", "joins/", "friendly/subqueries", "friendly/set_operations", "friendly/recursive"];
    let is_chosen = |file: &PathBuf| folders.iter().any(|folder| file.to_str().unwrap().contains(folder));
    let files: Vec<_> = files().into_iter().filter(is_chosen).collect();
    assert!(files.len() >= folders.len() + 5, "{files:?}");
    let always = |way: Way| way.sharing(Applied::Always);
    let seeds = (0..seeds()).map(Way::inline);
    pass(&files, [1, 2, 7, 16].map(Way::local).into_iter().chain(seeds).map(always));
}

/// Orders of tasks that every file is run in on `inline`: `QUERY_SOAK_SEEDS`, or a few.
fn seeds() -> u64 {
    std::env::var("QUERY_SOAK_SEEDS").map_or(3, |seeds| seeds.parse().unwrap())
}

// Two tests, for two cores.
#[test]
fn every_slt_file_passes_on_inline_with_even_seeds() {
    passes((0..seeds()).step_by(2).map(Way::inline));
}

#[test]
fn every_slt_file_passes_on_inline_with_odd_seeds() {
    passes((1..seeds()).step_by(2).map(Way::inline));
}
