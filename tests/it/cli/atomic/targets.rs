//! Places that are no plain new file: links, folders, devices, files with permissions.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::{By, FAILS_LATE, OLD};
use crate::cli::{Room, names};

#[test]
fn a_missing_folder_is_not_made() {
    for by in By::ALL {
        let room = Room::new();
        let error = by.write(&room, "select 1 as a", "nowhere/out.csv").error(1);
        assert!(error.contains("'nowhere/out.csv': No such file or directory"), "{error}");
        assert!(room.names().is_empty());
    }
}

#[test]
fn a_file_is_no_folder() {
    for by in By::ALL {
        let room = Room::new();
        room.write("file", OLD);
        let error = by.write(&room, "select 1 as a", "file/out.csv").error(1);
        assert!(error.contains("'file/out.csv': Not a directory"), "{error}");
        assert_eq!((room.read("file").as_str(), room.names()), (OLD, vec!["file".to_string()]));
    }
}

#[test]
fn an_output_does_not_replace_a_folder() {
    let room = Room::new();
    fs::create_dir(room.path("out.csv")).unwrap();
    fs::write(room.path("out.csv/kept"), OLD).unwrap();
    let error = By::Output.write(&room, "select 1 as a", "out.csv").error(1);
    assert_eq!(error, "error: could not write 'out.csv': is a directory\n");
    assert_eq!(names(&room.path("out.csv")), ["kept"]);
    assert_eq!(room.names(), ["out.csv"]);
}

#[test]
fn a_link_stays_a_link_and_its_file_is_replaced() {
    for by in By::ALL {
        let room = Room::new();
        fs::create_dir(room.path("far")).unwrap();
        room.write("far/real.csv", OLD);
        symlink("far/real.csv", room.path("link.csv")).unwrap();
        by.write(&room, FAILS_LATE, "link.csv").error(1);
        assert_eq!(room.read("far/real.csv"), OLD, "{by:?}");
        assert_eq!(by.write(&room, "select 1 as a", "link.csv").rows(), "");
        assert!(fs::symlink_metadata(room.path("link.csv")).unwrap().is_symlink());
        assert_eq!(room.read("far/real.csv"), "a\n1\n", "{by:?}");
        assert_eq!(names(&room.path("far")), ["real.csv"]);
        assert_eq!(room.names(), ["far", "link.csv"]);
    }
}

#[test]
fn a_link_to_nowhere_is_an_error() {
    for by in By::ALL {
        let room = Room::new();
        symlink("gone.csv", room.path("link.csv")).unwrap();
        let error = by.write(&room, "select 1 as a", "link.csv").error(1);
        assert!(error.contains("'link.csv'"), "{error}");
        assert_eq!(room.names(), ["link.csv"]);
    }
}

#[test]
fn permissions_of_the_old_file_are_kept() {
    for by in By::ALL {
        for mode in [0o600, 0o640, 0o664, 0o755] {
            let room = Room::new();
            room.write("out.csv", OLD);
            fs::set_permissions(room.path("out.csv"), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(by.write(&room, "select 1 as a", "out.csv").rows(), "");
            assert_eq!(room.read("out.csv"), "a\n1\n");
            let found = fs::metadata(room.path("out.csv")).unwrap().mode() & 0o777;
            assert_eq!(found, mode, "{by:?}: {found:o}");
        }
    }
}

#[test]
fn a_new_file_has_the_permissions_of_any_new_file() {
    for by in By::ALL {
        let room = Room::new();
        room.write("plain", "");
        assert_eq!(by.write(&room, "select 1 as a", "out.csv").rows(), "");
        let mode = |name: &str| fs::metadata(room.path(name)).unwrap().mode() & 0o777;
        assert_eq!(mode("out.csv"), mode("plain"), "{by:?}");
    }
}

#[test]
fn devices_and_pipes_are_written_as_they_are() {
    let room = Room::new();
    for format in ["csv", "parquet", "table"] {
        let args = ["-c", "select 1 as a", "-o", "/dev/null", "--format", format];
        assert_eq!(room.query(args).run().rows(), "", "{format}");
        let args = ["-c", "select 1 as a", "-o", "/dev/full", "--format", format];
        let error = room.query(args).run().error(1);
        assert!(error.starts_with("error: could not write '/dev/full': No space left on device"), "{error}");
    }
    let args = ["-c", "select 1 as a", "-o", "/dev/stdout", "--format", "csv"];
    assert_eq!(room.query(args).run().rows(), "a\n1\n");
    assert!(room.names().is_empty());
}

#[test]
fn copy_refuses_devices() {
    let room = Room::new();
    let error = room.sql("copy (select 1 as a) to '/dev/null' stored as csv").error(1);
    assert!(error.starts_with("error: COPY writes files and folders, '/dev/null' is neither\n"), "{error}");
}

#[test]
fn names_with_blanks_and_marks_are_names() {
    for by in By::ALL {
        let room = Room::new();
        for file in
            ["a b.csv", "é日本.csv", "100%20#?&.csv", "-dash.csv", "..dots.csv", ".hidden.csv", "[1]*.csv"]
        {
            let path = format!("./{file}");
            assert_eq!(by.write(&room, "select 1 as a", &path).rows(), "", "{by:?} {file}");
            assert_eq!(room.names(), [file], "{by:?}");
            assert_eq!(room.read(file), "a\n1\n");
            fs::remove_file(room.path(file)).unwrap();
        }
    }
}

#[test]
fn a_copy_to_a_folder_makes_it_or_adds_to_it() {
    let room = Room::new();
    let sql = "select value as a from generate_series(1, 9)";
    for rows in [9, 18] {
        let (_, remarks) = room.sql(&format!("copy ({sql}) to 'folder/' stored as parquet")).both(0);
        assert_eq!(remarks, "9 rows written\n");
        assert_eq!(room.sql("select count(*) as n from 'folder'").rows(), format!("n\n{rows}\n"));
    }
    assert_eq!(room.names(), ["folder"]);
}

#[test]
fn a_partitioned_copy_has_a_folder_per_value_and_reads_back() {
    let room = Room::new();
    let sql = "select value as a, case when value % 3 > 0 then value % 3 end as k from generate_series(1, 9)";
    let (_, remarks) = room.sql(&format!("copy ({sql}) to 'parts' stored as csv partitioned by (k)")).both(0);
    assert_eq!(remarks, "9 rows written\n");
    assert_eq!(names(&room.path("parts")), ["k=1", "k=2", "k=__HIVE_DEFAULT_PARTITION__"]);
    let rows = room.sql("select k, count(*) as n, sum(a) as s from 'parts' group by k order by k").rows();
    assert_eq!(rows, "k,n,s\n1,3,12\n2,3,15\n,3,18\n");
    assert_eq!(room.names(), ["parts"]);
}

#[test]
fn a_failing_copy_adds_nothing_to_a_folder() {
    let room = Room::new();
    let sql = "select 1 / (value - 400000) as x, value % 3 as k from generate_series(1, 500000)";
    for target in ["'new/' stored as csv", "'new' stored as csv partitioned by (k)"] {
        let error = room.sql(&format!("copy ({sql}) to {target}")).error(1);
        assert!(error.starts_with("error: division by zero\n"), "{error}");
        assert!(room.names().is_empty(), "{target}");
    }
    fs::create_dir_all(room.path("old/k=1")).unwrap();
    room.write("old/k=1/kept.csv", OLD);
    for target in ["'old/' stored as csv", "'old' stored as csv partitioned by (k)"] {
        room.sql(&format!("copy ({sql}) to {target}")).error(1);
        assert_eq!(names(&room.path("old")), ["k=1"], "{target}");
        assert_eq!(names(&room.path("old/k=1")), ["kept.csv"], "{target}");
        assert_eq!(room.read("old/k=1/kept.csv"), OLD);
        assert_eq!(room.names(), ["old"], "{target}");
    }
}

#[test]
fn a_copy_without_a_known_format_writes_nothing() {
    let room = Room::new();
    for target in ["'out.xyz'", "'out'", "'out/'"] {
        room.sql(&format!("copy (select 1 as a) to {target}")).error(1);
        assert!(room.names().is_empty(), "{target}");
    }
    assert_eq!(room.query(["-q", "-c", "copy (select 1 as a) to 'out.xyz' stored as csv"]).run().rows(), "");
    assert_eq!(room.read("out.xyz"), "a\n1\n");
}
