//! The house rules that a compiler does not check: floors, file sizes, one version of what must be one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The floors, top to bottom; modules on one floor do not import each other.
const FLOORS: [&[&str]; 8] = [
    &["main"],
    &["cli"],
    &["session"],
    &["frontend", "output"],
    &["plan", "source", "memory", "scheduler"],
    &["graph", "store"],
    &["error", "config", "scratch", "context"],
    &["hidden"],
];
/// A file longer than this is more than one thing.
const LINES_MAX: usize = 800;

fn sources() -> Vec<PathBuf> {
    let mut files: Vec<_> = glob::glob("src/**/*.rs").unwrap().map(Result::unwrap).collect();
    files.sort();
    files
}

fn module(file: &Path) -> String {
    let first = file.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_string()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The modules that a text imports or names by `crate::`, groups included.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap().split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for name in names {
            let word: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(word);
        }
    }
    found
}

fn breaches(file: &Path, text: &str) -> Vec<String> {
    let from = module(file);
    if from == "lib" {
        return Vec::new();
    }
    let own = floor(&from);
    let mut breaches = Vec::new();
    for to in imports(text) {
        // `crate::Error` and `crate::Result` are the error floor's, re-exported.
        let to = if matches!(to.as_str(), "Error" | "Result") { "error".into() } else { to };
        match (own, floor(&to)) {
            _ if to == from => {}
            (Some(own), Some(other)) if own < other => {}
            _ => breaches.push(format!("{}: {from} must not import {to}", file.display())),
        }
    }
    breaches
}

#[test]
fn imports_go_strictly_downward() {
    let files = sources();
    assert!(files.len() > 20);
    let found: Vec<_> =
        files.iter().flat_map(|file| breaches(file, &fs::read_to_string(file).unwrap())).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_breach_of_the_floors_is_seen() {
    let seen = |file: &str, text: &str| !breaches(Path::new(file), text).is_empty();
    assert!(seen("src/output/csv.rs", "use crate::session::Session;"));
    assert!(seen("src/output/csv.rs", "use crate::frontend::sql;"));
    assert!(seen("src/source/file.rs", "use crate::{error::Error, cli};"));
    assert!(seen("src/plan/x.rs", "fn f() { crate::unheard_of::f() }"));
    assert!(!seen("src/output/csv.rs", "use crate::error::Result;"));
}

#[test]
fn no_file_is_more_than_one_thing() {
    let tests = glob::glob("tests/**/*.rs").unwrap().map(Result::unwrap);
    for file in sources().into_iter().chain(tests) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines: where is the wall?", file.display());
    }
}

/// The packages of the dependency tree, one per line.
fn cargo_tree(edges: &str, format: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--edges", edges, "--format", format])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn arrow_datafusion_and_object_store_have_one_version_each() {
    let text = cargo_tree("normal,build,dev", "{p}");
    for name in ["arrow", "arrow-schema", "parquet", "datafusion", "object_store", "sqlparser", "tokio"] {
        let mut versions: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(" v"))
            .map(|rest| rest.split(' ').next().unwrap())
            .collect();
        versions.sort_unstable();
        versions.dedup();
        assert_eq!(versions.len(), 1, "{name}: {versions:?}");
    }
}

#[test]
fn run_and_test_build_the_dependencies_alike() {
    // A feature that only the tests' crates turn on would make `cargo build` compile DataFusion once more.
    let features = |edges: &str| {
        let text = cargo_tree(edges, "{p} {f}");
        let mut lines: Vec<_> = text.lines().map(|line| line.trim_end_matches(" (*)").to_string()).collect();
        lines.sort();
        lines.dedup();
        lines
    };
    let tests = features("normal,build,dev");
    let other: Vec<_> = features("normal,build").into_iter().filter(|line| !tests.contains(line)).collect();
    assert!(other.is_empty(), "pin these features in Cargo.toml: {other:?}");
}
