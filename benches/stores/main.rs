//! What a store of the network costs that is 20 ms away: opening 1,000 Parquet objects, the first row of one, and
//! queries and writes while a third of all answers is in trouble. In this process, against a server of its own (`server.rs`).
//!
//! usage: cargo bench --bench stores -- FOLDER [open] [first] [faults] [hdfs]
//!
//! FOLDER is what `benches/setup.sh` makes: `tpch1/lineitem.parquet`, and DuckDB and polars to set beside. Prints
//! seconds, requests and ratios, and exits with 1 if a bound is missed; without FOLDER it says what it wants. Quote the
//! ratios: server and client share the machine's cores.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark fails by panicking, and prints figures"
)]

mod data;
mod faults;
mod first;
mod hdfs;
mod open;
mod ours;
mod peers;
mod server;
mod writes;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use server::Server;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How late each answer is.
const LATENCY: Duration = Duration::from_millis(20);

/// What a part of the benchmark works with.
struct Bench {
    server: Server,
    runtime: tokio::runtime::Runtime,
    folder: PathBuf,
    missed: Vec<String>,
}

impl Bench {
    /// Notes it if a figure is above its bound.
    fn bound(&mut self, name: &str, figure: f64, most: f64) {
        if figure > most {
            println!("  MISSED: {name} is {figure:.3}, the bound {most:.3}");
            self.missed.push(name.to_string());
        }
    }
}

/// The middle one of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() -> ExitCode {
    // `cargo test --benches` and the like ask for nothing to be measured.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        eprintln!(
            "usage: cargo bench --bench stores -- FOLDER [open] [first] [faults] [hdfs]; see benches/setup.sh"
        );
        return ExitCode::from(2);
    };
    let chosen: Vec<_> = arguments.collect();
    // As deep as the command line's.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(64 << 20).build();
    let server = Server::start(data::objects(&folder.join("tpch1/lineitem.parquet")), LATENCY);
    let mut bench = Bench { server, runtime: runtime.unwrap(), folder, missed: Vec::new() };
    type Part = fn(&mut Bench);
    let parts: [(&str, Part); 4] = [
        ("open", open::measure),
        ("first", first::measure),
        ("faults", faults::measure),
        ("hdfs", hdfs::measure),
    ];
    for (name, measure) in parts {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            measure(&mut bench);
            println!();
        }
    }
    if bench.missed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("missed: {}", bench.missed.join(", "));
    ExitCode::FAILURE
}
