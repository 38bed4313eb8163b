//! The tables of TPC-H, written by COPY: the 22 queries over them give the answers that local files give.

use crate::engine::{self, Way};
use crate::remote_tables::{self as remote, Form, add_tables, let_in};
use crate::remote_tpch::{QUERIES, compare};
use crate::servers::{Hdfs, S3};

use super::{Place, Server, write};

const TABLES: [&str; 8] =
    ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"];
/// Goes to a folder, as several files; the others are one file each.
const IN_FOLDER: &str = "orders";

fn location(place: &Place, table: &str, form: Form) -> String {
    match table {
        IN_FOLDER => place.url(&format!("{form}/{table}/")),
        _ => place.url(&format!("{form}/{table}.{form}")),
    }
}

/// Writes each table in both forms, and asks about what was written in sessions that know nothing of that.
async fn written_answers_as_local(server: Server) {
    let place = Place::new(server, "tables");
    let session = async || {
        let session = Way::local(2).session().await.unwrap();
        if server == Server::S3 {
            let_in(&session, &S3::get().endpoint, &S3::get().writer);
        }
        session
    };
    for form in [Form::Parquet, Form::Csv] {
        let writer = session().await;
        add_tables(&writer, remote::tables().to_str().unwrap(), Form::Parquet, true).await;
        for table in TABLES {
            let sql = format!("COPY {table} TO '{}' STORED AS {form}", location(&place, table, form));
            assert!(write(&writer, &sql).await.unwrap() > 0, "{sql}");
        }
        let reader = session().await;
        for table in TABLES {
            let location = location(&place, table, form);
            let sql = format!("CREATE EXTERNAL TABLE {table} STORED AS {form} LOCATION '{location}'");
            engine::run(&reader, &sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        compare(&reader, form, QUERIES).await;
    }
    let names = place.names().await;
    let in_folder = |name: &&String| name.contains(&format!("/{IN_FOLDER}/"));
    assert!(names.iter().filter(in_folder).count() > 2, "{names:?}");
    assert_eq!(names.iter().filter(|name| !in_folder(name)).count(), 2 * (TABLES.len() - 1), "{names:?}");
}

#[test]
fn tables_written_to_s3_answer_as_local_ones() {
    engine::runtime().block_on(written_answers_as_local(Server::S3));
}

#[test]
fn tables_written_to_hdfs_answer_as_local_ones() {
    let _calm = Hdfs::get().calm();
    engine::runtime().block_on(written_answers_as_local(Server::Hdfs));
}
