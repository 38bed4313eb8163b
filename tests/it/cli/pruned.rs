//! Files that the keys in their paths rule out are not opened, not even to know their columns.

mod shapes;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::PermissionsExt;

use super::Room;

/// The kernel's list of who was opened, from now on.
struct Watch {
    events: File,
    names: Vec<String>,
}

impl Watch {
    #[expect(unsafe_code, reason = "std does not watch files")]
    fn new(room: &Room, names: &[String]) -> Self {
        // SAFETY: the call makes a descriptor that belongs to nobody else.
        let events = unsafe {
            let made = libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC);
            assert!(made >= 0, "{}", std::io::Error::last_os_error());
            File::from_raw_fd(made)
        };
        for (place, name) in names.iter().enumerate() {
            let path = CString::new(room.path(name).into_os_string().into_encoded_bytes()).unwrap();
            // SAFETY: the path ends in NUL and lives as long as the call.
            let watch = unsafe { libc::inotify_add_watch(events.as_raw_fd(), path.as_ptr(), libc::IN_OPEN) };
            assert_eq!(usize::try_from(watch).unwrap(), place + 1, "{}", std::io::Error::last_os_error());
        }
        Self { events, names: names.to_vec() }
    }

    /// The files that were opened since, in order. One that is opened several times in a row may come once.
    fn opened(mut self) -> Vec<String> {
        const EVENT_BYTES: usize = size_of::<libc::inotify_event>();
        let mut bytes = Vec::new();
        let ended = self.events.read_to_end(&mut bytes);
        assert!(ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
        let watches =
            bytes.chunks_exact(EVENT_BYTES).map(|event| i32::from_ne_bytes(event[..4].try_into().unwrap()));
        watches.map(|watch| self.names[usize::try_from(watch).unwrap() - 1].clone()).collect()
    }
}

/// Two years with two months each; 2025 has columns of other types, and one more.
fn sales(format: &str) -> (Room, Vec<String>) {
    let room = Room::new();
    let write = |year: u32, month: u32, columns: &str| {
        let folder = format!("sales/year={year}/month={month}");
        fs::create_dir_all(room.path(&folder)).unwrap();
        let file = format!("{folder}/x.{format}");
        assert_eq!(room.sql(&format!("copy (select {columns}) to '{file}'")).code, Some(0));
        file
    };
    let names = vec![
        write(2025, 1, "'one' as id, 1.5 as amount, 'x' as note"),
        write(2025, 2, "'two' as id, 2.5 as amount, 'y' as note"),
        write(2026, 1, "3 as id, 3 as amount"),
        write(2026, 2, "4 as id, 4 as amount"),
    ];
    (room, names)
}

/// Runs a query; gives its rows and the files that it opened, as `year-month`.
#[track_caller]
fn run(format: &str, args: &[&str]) -> (String, Vec<String>) {
    let (room, names) = sales(format);
    let watch = Watch::new(&room, &names);
    let rows = room.query(args).run().rows();
    let short = |name: &String| {
        name.replace("sales/year=", "").replace("/month=", "-").replace(&format!("/x.{format}"), "")
    };
    let opened: BTreeSet<_> = watch.opened().iter().map(short).collect();
    (rows, opened.into_iter().collect())
}

#[test]
fn a_filter_on_keys_leaves_files_closed_in_every_format() {
    for format in ["csv", "tsv", "json", "parquet", "arrow", "csv.gz"] {
        let (rows, opened) = run(format, &["-c", "from 'sales/' where year = 2026 and month < 2"]);
        let (head, values) = rows.split_once('\n').unwrap();
        // The keys of JSON objects have no order.
        assert!(["id,amount,year,month", "amount,id,year,month"].contains(&head), "{format}: {head}");
        assert_eq!(values, "3,3,2026,1\n", "{format}");
        assert_eq!(opened, ["2026-1"], "{format}");
    }
}

#[test]
fn whatever_form_the_filter_has() {
    let first = &["2026-1"][..];
    let year = &["2026-1", "2026-2"][..];
    for (sql, expected) in [
        ("select id from 'sales/' where year > 2025 and month in (1, 3)", first),
        ("select id from 'sales/' where month between 0 and 1 and not (year < 2026)", first),
        ("select id from 'sales/**/*.csv' as s where s.year = 2026 and s.month = 1 and amount > 2", first),
        ("select id from 'sales/' where (year = 2026 and month = 1) or (year = 2027 and month = 2)", first),
        ("select id from 'sales/' where cast(year as varchar) || '-' || month = '2026-1'", first),
        ("select id from 'sales/' where coalesce(year, 0) <> 2025 and month is not null", year),
        ("from 'sales/' |> where year = 2026 |> where month = 1 |> select id", first),
        ("with s as (select * from 'sales/' where year = 2026) select id from s where month = 1", first),
        (
            "select id from (from 'sales/' where year = 2026) where id in (select month + 2 from 'sales/' where year = 2026 and month = 1)",
            year,
        ),
        ("select a.id from 'sales/' a join (values (3), (4)) v (n) on a.id = v.n where a.year = 2026", year),
        ("select a.id from (values (3), (4)) v (n), 'sales/' a where a.id = v.n and year = 2026", year),
        ("select a.id from 'sales/' a left join (values (3)) v (n) on a.id = v.n where a.year = 2026", year),
        (
            "select id from 'sales/' where year = 2026 and month = 1 union all select id from 'sales/' where year = 2026 and month = 2 order by id",
            year,
        ),
        ("create table t as select id from 'sales/' where year = 2026; select id from t", year),
        ("create view v as select * from 'sales/' where year = 2026; select id from v where month = 1", year),
    ] {
        let (rows, opened) = run("csv", &["-c", sql]);
        let mut rows: Vec<_> = rows.lines().collect();
        rows.sort_unstable();
        assert!(rows == ["3", "id"] || rows == ["3", "4", "id"], "{sql}: {rows:?}");
        assert_eq!(opened, expected, "{sql}");
    }
}

/// Runs queries whose rows are the ids of 2026, or that of its first month, over several formats.
#[track_caller]
fn check(cases: &[(&str, &[&str])]) {
    for format in ["csv", "parquet", "json"] {
        for (sql, expected) in cases {
            let (rows, opened) = run(format, &["-c", sql]);
            let mut rows: Vec<_> = rows.lines().collect();
            rows.sort_unstable();
            assert!(rows == ["3", "id"] || rows == ["3", "4", "id"], "{format}: {sql}: {rows:?}");
            assert_eq!(opened, *expected, "{format}: {sql}");
        }
    }
}

#[test]
fn parameters_filter_too() {
    let args = ["--param", "y=2026", "-c", "select id from 'sales/' where year = $y and month + 1 = 2"];
    assert_eq!(run("parquet", &args), ("id\n3\n".into(), vec!["2026-1".into()]));
}

#[test]
fn tables_and_views_of_all_files_open_those_that_their_reader_wants() {
    for make in [
        "create external table t stored as csv location 'sales/'",
        "create external table t (id int) stored as csv location 'sales/'",
        "create view t as select * from 'sales/'",
    ] {
        let (room, names) = sales("csv");
        for (name, id) in names.iter().zip(1..) {
            room.write(name, format!("id\n{id}\n"));
        }
        room.write("mark.csv", "m\n");
        let names = [names, vec!["mark.csv".to_string()]].concat();
        let watch = Watch::new(&room, &names);
        let read = "select id from t where year = 2026 and month = 1";
        let rows = room.query(["-q", "-c", make, "-c", "from 'mark.csv'", "-c", read]).run().rows();
        assert!(rows.ends_with("id\n3\n"), "{rows}");
        let opened = watch.opened();
        let mut after: Vec<_> = opened.rsplit(|name| name == "mark.csv").next().unwrap().to_vec();
        after.dedup();
        assert_eq!(after, names[2..3], "{make}");
    }
}

#[test]
fn a_pruned_file_may_be_anything() {
    let (room, names) = sales("csv");
    for name in &names[..2] {
        room.write(name, [0xff, 0, 0xfe]);
        fs::set_permissions(room.path(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    assert_eq!(room.sql("select sum(id) as s from 'sales/' where year >= 2026").rows(), "s\n7\n");
}

#[test]
fn without_a_filter_that_is_sure_all_files_count() {
    let all = 4;
    for (sql, expected) in [
        ("select count(note) as n from 'sales/'", "n\n2\n"),
        ("select count(*) as n from 'sales/' where amount > 2", "n\n3\n"),
        ("select count(*) as n from 'sales/' where year = 2026 or amount < 2", "n\n3\n"),
        ("select max(note) as n from 'sales/' where year = 2026", "n\n\"\"\n"),
        ("select count(*) as n from 'sales/' where year = (select 2026)", "n\n2\n"),
        ("select count(*) as n from 'sales/' where year = 2026 and month = 2 or true", "n\n4\n"),
        (
            "select count(*) as n from 'sales/' a where year = 2026 union all select count(*) from 'sales/'",
            "n\n2\n4\n",
        ),
        (
            "select count(*) as n from (from 'sales/' order by year, month limit 3) where year = 2026",
            "n\n1\n",
        ),
        (
            "select max(n) as n from (select year, row_number() over (order by year, month) as n from 'sales/') where year = 2026",
            "n\n4\n",
        ),
        ("select count(*) as n from 'sales/' s left join (values (1)) v (n) on s.year = 2026", "n\n4\n"),
        ("select count(*) as n from 'sales/' s full join (values (1)) v (n) on s.year = 2026", "n\n4\n"),
        (
            "with c as (from 'sales/') select count(*) as n from c where year = 2026 union all select count(*) from c",
            "n\n2\n4\n",
        ),
        (
            "select count(*) as n from 'sales/' anti join (values (2026)) v (n) on year = n and year = 2026",
            "n\n2\n",
        ),
        (
            "select count(*) as n from (values (2026)) v (n) left join 'sales/' s on s.year = v.n where s.month is null",
            "n\n0\n",
        ),
        (
            "select count(*) as n from 'sales/' s right join (values (2027)) v (n) on s.year = v.n where s.year is null",
            "n\n1\n",
        ),
    ] {
        let (room, names) = sales("csv");
        // Types that fit together, so that all files make one table.
        room.write(&names[0], "id,amount,note\n1,1.5,x\n");
        room.write(&names[1], "id,amount,note\n2,2.5,y\n");
        let watch = Watch::new(&room, &names);
        let rows = room.sql(sql).rows();
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_string).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&rows), sorted(expected), "{sql}");
        assert_eq!(watch.opened().into_iter().collect::<BTreeSet<_>>().len(), all, "{sql}");
    }
}

#[test]
fn a_filter_that_rules_out_every_file_gives_no_rows_of_all_columns() {
    let (room, names) = sales("csv");
    room.write(&names[0], "id,amount,note\n1,1.5,x\n");
    room.write(&names[1], "id,amount,note\n2,2.5,y\n");
    assert_eq!(room.sql("from 'sales/' where year = 2030").rows(), "id,amount,note,year,month\n");
    assert_eq!(
        room.sql("from 'sales/' where year = 2030 and note = 'x'").rows(),
        "id,amount,note,year,month\n"
    );
    assert_eq!(
        room.sql("select count(*) as n, sum(amount) as s from 'sales/' where 1 = 0").rows(),
        "n,s\n0,\n"
    );
}
