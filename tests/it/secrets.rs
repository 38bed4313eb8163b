//! What the library gives to programs that use it: its errors, graphs and plans have no values of secrets, also where no
//! command stands between.

use query::Session;
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::graph::{GraphFormat, Notes};

use crate::engine;

/// A part of the value that nothing else has.
const MARK: &str = "LIBPLANT";

/// A session that knows of a secret, and its value.
async fn session() -> (Session, String) {
    let value = format!("{MARK}1/{MARK}2+x");
    let session = Session::new().unwrap();
    let sql = format!("create secret s (type http, bearer_token '{value}', scope 'http://nowhere')");
    session.run_sql(&sql).await.unwrap();
    (session, value)
}

#[track_caller]
fn assert_hidden(text: &str) {
    assert!(text.contains("***") && !text.to_uppercase().contains(MARK), "{text}");
}

#[test]
fn errors_have_no_values_of_secrets() {
    engine::runtime().block_on(async {
        let (session, value) = session().await;
        for sql in [
            format!("select cast('{value}' as int)"),
            format!("select \"{value}\" from (select 1 as a)"),
            // Named as the nearest column that there is.
            format!("select \"{value}y\" from (select 1 as \"{value}\")"),
            format!("from '{value}.csv'"),
            format!("copy (select 1 as a) to 'https://u:{value}@127.0.0.1:1/x.csv'"),
            format!("copy (select 1 as a) to 's3://u:{value}@bucket/x.csv'"),
            format!("create table t (a int); insert into t values ('{value}')"),
        ] {
            let error = session.run_sql(&sql).await.unwrap_err();
            assert_hidden(&error.to_string());
            assert_hidden(&format!("{error:?}"));
        }
    });
}

#[test]
fn graphs_have_no_values_of_secrets() {
    engine::runtime().block_on(async {
        let (session, value) = session().await;
        let sql = format!(
            "select g || '{value}' as x, max(g) from (select cast(value as varchar) as g from generate_series(1, 9)) t \
             where g <> '{value}' group by 1 order by 1"
        );
        let split = split(&Script::new("test", sql));
        let statement = split.statements[0].parse(&session.functions()).unwrap();
        let graph = session.graph(&statement, &Params::default()).await.unwrap();
        for format in [GraphFormat::Text, GraphFormat::Dot, GraphFormat::Svg] {
            assert_hidden(&graph.draw(format, &Notes::default()));
        }
    });
}

#[test]
fn plans_of_frames_have_no_values_of_secrets() {
    engine::runtime().block_on(async {
        let (session, value) = session().await;
        let sql = format!(
            "select '{value}' || g as x from (select cast(value as varchar) as g from generate_series(1, 9))"
        );
        let frame = session.sql(&sql).await.unwrap();
        for explained in [frame.explain().unwrap(), frame.explain_analyze().unwrap()] {
            let rows = engine::texts(&explained.collect().await.unwrap());
            assert_hidden(&rows.concat().into_iter().flatten().collect::<String>());
            assert_hidden(&explained.to_text().await.unwrap());
        }
        // What a plan computes is data.
        let rows = engine::texts(&frame.collect().await.unwrap()).concat();
        assert!(rows.iter().flatten().all(|text| text.starts_with(&value)), "{rows:?}");
    });
}
