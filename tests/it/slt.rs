//! Every `tests/slt/**/*.slt`, each file in a session of its own.

use std::path::PathBuf;

use query::Session;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::engine::{self, Answer};

struct Engine(Session);

#[async_trait::async_trait]
impl AsyncDB for Engine {
    type Error = query::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, query::Error> {
        Ok(match engine::run(&self.0, sql).await? {
            Answer::Rows(schema, batches) => DBOutput::Rows {
                types: vec![DefaultColumnType::Any; schema.fields().len()],
                rows: engine::texts(&batches)
                    .into_iter()
                    .map(|row| row.into_iter().map(shown).collect())
                    .collect(),
            },
            Answer::Count(rows) => DBOutput::StatementComplete(rows),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "query"
    }
}

fn shown(value: Option<String>) -> String {
    match value {
        None => "NULL".into(),
        Some(text) if text.is_empty() => "(empty)".into(),
        Some(text) => text,
    }
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
    let mut failures = Vec::new();
    for file in &files {
        let mut runner = Runner::new(|| async { Session::new().map(Engine) });
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
