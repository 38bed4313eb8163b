//! Every `tests/slt/**/*.slt`, each file in a session of its own.

use std::path::PathBuf;

use datafusion::arrow::datatypes::Schema;
use query::Session;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::engine::{self, Answer};
use crate::fixtures;

struct Engine(Session);

#[async_trait::async_trait]
impl AsyncDB for Engine {
    type Error = query::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, query::Error> {
        Ok(match engine::run(&self.0, sql).await? {
            Answer::Rows(schema, batches) => DBOutput::Rows {
                types: vec![DefaultColumnType::Any; schema.fields().len()],
                rows: engine::texts(&batches).into_iter().map(|row| shown(row, &schema)).collect(),
            },
            Answer::Count(rows) => DBOutput::StatementComplete(rows),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "query"
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

#[test]
fn every_slt_file_passes() {
    let runtime = engine::runtime();
    let files = files();
    assert!(files.len() >= 15, "only {} .slt files were found", files.len());
    let folder = tempfile::tempdir().unwrap();
    fixtures::write_all(folder.path());
    let mut failures = Vec::new();
    for file in &files {
        let mut runner = Runner::new(|| async { Session::new().map(Engine) });
        runner.set_var("FILES".into(), folder.path().to_str().unwrap().into());
        if let Err(error) = runtime.block_on(runner.run_file_async(file)) {
            failures.push(error.display(false).to_string());
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} files fail:\n{}",
        failures.len(),
        files.len(),
        failures.join("\n\n")
    );
}
