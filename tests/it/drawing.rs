//! Task graphs of the TPC-H queries, drawn: every form shows every stage and edge.

use std::fs;

use query::Session;
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::graph::{GraphFormat, Notes, TaskGraph};

use crate::{engine, tpch};

/// The graph of a text's last statement; those before it run.
async fn graph(session: &Session, sql: &str) -> TaskGraph {
    let mut statements = split(&Script::new("test", sql)).statements;
    let last = statements.pop().unwrap();
    for raw in statements {
        let statement = raw.parse(&session.functions()).unwrap();
        session.run(&statement, &Params::default()).await.unwrap();
    }
    let statement = last.parse(&session.functions()).unwrap();
    session.graph(&statement, &Params::default()).await.unwrap()
}

fn draw(graph: &TaskGraph, format: GraphFormat) -> String {
    graph.draw(format, &Notes::default())
}

#[test]
fn every_stage_and_edge_of_tpch_is_drawn() {
    let room = tempfile::tempdir().unwrap();
    tpch::generate(room.path(), 0.01);
    let runtime = engine::runtime();
    for query in 1..=22 {
        let session = Session::new().unwrap();
        let mut sql = String::from("set datafusion.execution.target_partitions = 4;\n");
        for file in fs::read_dir(room.path()).unwrap() {
            let path = file.unwrap().path();
            let (name, path) = (path.file_stem().unwrap().to_str().unwrap(), path.display());
            sql.push_str(&format!("create external table {name} stored as parquet location '{path}';\n"));
        }
        sql.push_str(&fs::read_to_string(format!("queries/tpch/q{query}.sql")).unwrap());
        let graph = runtime.block_on(graph(&session, &sql));
        let (stages, edges) = (graph.stages().len(), graph.edges().len());
        assert!(stages > 1, "Q{query} has one stage");

        let text = draw(&graph, GraphFormat::Text);
        assert_eq!(
            text.lines().filter(|line| line.starts_with("Stage ")).count(),
            stages,
            "Q{query}\n{text}"
        );
        assert_eq!(text.matches("← ").count(), edges, "Q{query}\n{text}");
        assert!(!text.contains("Repartition") && !text.contains("Coalesce"), "Q{query}\n{text}");
        let dot = draw(&graph, GraphFormat::Dot);
        assert_eq!(dot.matches(" -> stage_").count(), edges, "Q{query}\n{dot}");
        let svg = draw(&graph, GraphFormat::Svg);
        assert_eq!(svg.matches("class=\"card\"").count(), stages, "Q{query}");
        assert_eq!(svg.matches("class=\"edge ").count(), edges, "Q{query}");
        assert_eq!(svg.matches("class=\"pill\"").count(), edges, "Q{query}");
    }
}
