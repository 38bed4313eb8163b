//! Writes that are stopped half way: politely, or with SIGKILL, at many moments.

use std::env;
use std::io::Read;
use std::time::{Duration, Instant};

use super::{By, OLD};
use crate::cli::{Room, Running};

/// Takes seconds to write; every kill below comes sooner.
const LONG: &str = "select value as a, value * 2 as b from generate_series(1, 50000000)";

/// How often to kill: `QUERY_SOAK_KILLS`, for the long run, else often enough for every day.
fn kills() -> u32 {
    env::var("QUERY_SOAK_KILLS").map_or(20, |kills| kills.parse().unwrap())
}

/// The hidden folders that writes in progress, or killed ones, have in a room.
fn staged(room: &Room) -> Vec<String> {
    room.names().into_iter().filter(|name| name.starts_with('.')).collect()
}

/// Starts a long write over an old file and waits until it has begun to write.
fn begin(by: By, room: &Room, file: &str) -> Running {
    let before = staged(room);
    let mut running = by.query(room, LONG, file).start();
    running.until("its first byte", || staged(room).iter().any(|name| !before.contains(name)));
    running
}

/// Kills `kills` writes, each a little later in its course than the one before.
fn kill_again_and_again(by: By, files: &[&str]) {
    let room = Room::new();
    for file in files {
        room.write(file, OLD);
    }
    let kills = kills();
    for (kill, file) in (0..kills).zip(files.iter().cycle()) {
        let running = begin(by, &room, file);
        std::thread::sleep(Duration::from_millis(500) * kill / kills);
        let done = running.kill();
        assert_eq!(done.signal, Some(libc::SIGKILL), "kill {kill} of {file} came too late: {}", done.stderr);
        for file in files {
            assert_eq!(room.read(file), OLD, "{by:?}: kill {kill}");
        }
    }
    assert!(!staged(&room).is_empty(), "no kill left anything, so none came in the middle of a write");
    assert_eq!(by.write(&room, "select 1 as a", "new.csv").rows(), "");
    let mut expected: Vec<_> = files.iter().chain(&["new.csv"]).map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(room.names(), expected, "what killed writes left is swept by the next one");
}

#[test]
fn a_killed_output_leaves_the_old_file() {
    kill_again_and_again(By::Output, &["out.csv", "out.parquet", "out.json"]);
}

#[test]
fn a_killed_copy_leaves_the_old_file() {
    kill_again_and_again(By::Copy, &["out.csv", "out.parquet", "out.json"]);
}

#[test]
fn a_kill_around_the_end_gives_the_old_file_or_the_new_one() {
    // Small enough that many kills come while the file is put in its place, or after.
    let sql = "select value as a from generate_series(1, 20000)";
    for by in By::ALL {
        let room = Room::new();
        let started = Instant::now();
        assert_eq!(by.write(&room, sql, "out.csv").rows(), "");
        let whole = started.elapsed();
        let new = room.bytes("out.csv");
        for kill in 0..kills() {
            room.write("out.csv", OLD);
            let running = by.query(&room, sql, "out.csv").start();
            std::thread::sleep(whole * (kill + 1) / kills());
            let done = running.kill();
            let found = room.bytes("out.csv");
            let is_old = found == OLD.as_bytes();
            assert!(is_old || found == new, "{by:?}: {} bytes", found.len());
            assert!(!(is_old && done.code == Some(0)), "{by:?}: it said that it was done");
        }
        assert_eq!(by.write(&room, sql, "out.csv").rows(), "");
        assert_eq!(room.names(), ["out.csv"]);
    }
}

#[test]
fn a_polite_signal_cleans_up_and_exits_with_its_number() {
    for by in By::ALL {
        for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
            for file in ["out.csv", "out.parquet"] {
                let room = Room::new();
                room.write(file, OLD);
                let running = begin(by, &room, file).read_all();
                running.signal(signal);
                let error = running.wait().error(code);
                assert_eq!(error, "error: interrupted\n");
                assert_eq!(room.read(file), OLD, "{by:?} {file}");
                assert_eq!(room.names(), [file], "{by:?}");
            }
        }
    }
}

#[test]
fn a_signal_stops_a_query_that_prints() {
    let room = Room::new();
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        for keep_going in [&[][..], &["--keep-going"]] {
            let args = ["-c", LONG, "-c", "copy (select 1 as a) to 'ran.csv'"];
            let mut running = room.query(keep_going.iter().chain(&args)).start();
            let mut rows = running.child.stdout.take().unwrap();
            rows.read_exact(&mut [0; 4096]).unwrap();
            // The rest is read too, so that it is the signal that ends the writer, not a full pipe.
            let reader = std::thread::spawn(move || std::io::copy(&mut rows, &mut std::io::sink()).unwrap());
            running.signal(signal);
            let done = running.wait();
            assert_eq!((done.code, done.stderr.as_str()), (Some(code), "error: interrupted\n"));
            reader.join().unwrap();
            assert!(room.names().is_empty());
        }
    }
}

#[test]
fn two_writers_in_one_folder_do_not_sweep_each_other() {
    let room = Room::new();
    let slow = begin(By::Output, &room, "slow.csv");
    assert_eq!(staged(&room).len(), 1);
    assert_eq!(By::Output.write(&room, "select 1 as a", "quick.csv").rows(), "");
    assert_eq!(staged(&room).len(), 1, "the slow writer's folder is still its own");
    slow.signal(libc::SIGTERM);
    slow.read_all().wait().error(143);
    assert_eq!(By::Output.write(&room, "select 2 as a", "quick.csv").rows(), "");
    assert_eq!(room.names(), ["quick.csv"]);
    assert_eq!(room.read("quick.csv"), "a\n2\n");
}

#[test]
fn of_two_writers_of_one_file_one_wins_whole() {
    let room = Room::new();
    let sql = |n: u32| format!("select {n} as a, value as b from generate_series(1, 200000)");
    let writers: Vec<_> = (0..4).map(|n| By::Output.query(&room, &sql(n), "out.csv").start()).collect();
    for writer in writers {
        assert_eq!(writer.read_all().wait().rows(), "");
    }
    let text = room.read("out.csv");
    let first = text.lines().nth(1).unwrap().split(',').next().unwrap();
    assert_eq!(text.lines().count(), 200_001);
    assert!(text.lines().skip(1).all(|line| line.split(',').next() == Some(first)));
    assert_eq!(room.names(), ["out.csv"]);
}
