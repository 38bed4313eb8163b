//! The page as text; a browser looks at it in `tests/it/page`.

use std::time::SystemTime;

use super::super::why::tests::{job, operator, ran, stage};
use super::*;
use crate::graph::Op;

fn page(statements: &[Ran]) -> String {
    html(statements, &[], SystemTime::UNIX_EPOCH)
}

const NASTY: &str = "</script><img src=x onerror=alert(1)>";

#[test]
fn whatever_texts_hold_stays_text() {
    let mut run = job(
        vec![stage(Op::Scan, &[900, 900], vec![operator(NASTY, &[("elapsed_compute_ns", 1)])])],
        Vec::new(),
    );
    run.stages[0].operators[0].words = format!("Scan {NASTY}.parquet");
    let nasty = Ran {
        sql: Some(format!("select '{NASTY}'")),
        script: NASTY.into(),
        end: End::Failed(NASTY.into()),
        ..ran(vec![run])
    };
    let text = html(&[nasty.clone(), nasty], &[NASTY.into()], SystemTime::UNIX_EPOCH);
    assert!(text.matches("&lt;img src=x onerror=alert(1)&gt;").count() >= 10, "{text}");
    assert!(!text.contains("<img"), "{text}");
    assert_eq!(text.matches("</script>").count(), 1);
}

#[test]
fn a_page_loads_nothing_and_says_so() {
    let text = page(&[ran(vec![job(vec![stage(Op::Map, &[900, 900], Vec::new())], Vec::new())])]);
    assert!(text.contains("content=\"default-src 'none'; "), "{text}");
    for loads in ["src=", "url(", "@import", "<link", "<base", "http-equiv=\"refresh\""] {
        assert!(!text.contains(loads), "{loads}");
    }
    let addresses = text.matches("http://").count() + text.matches("https://").count();
    assert_eq!(addresses, text.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
}

#[test]
fn there_is_no_curve_without_samples() {
    let text = page(&[ran(vec![job(vec![stage(Op::Map, &[900, 900], Vec::new())], Vec::new())])]);
    assert!(text.contains("There is no curve") && text.contains("The most memory held was 7.0 MB"), "{text}");
    assert!(!text.contains("<figure"), "{text}");
}

#[test]
fn bars_of_large_graphs_are_limited_and_the_rest_is_told() {
    let stages = (0..100).map(|_| stage(Op::Map, &[20; 20], Vec::new())).collect();
    let text = page(&[ran(vec![job(stages, Vec::new())])]);
    assert_eq!(text.matches("<span class=\"bar ").count(), 400);
    assert!(text.contains("Of stages with more than 4 tasks the 4 busiest are drawn."), "{text}");
    let stages = (0..1_000).map(|_| stage(Op::Map, &[20], Vec::new())).collect();
    let text = page(&[ran(vec![job(stages, Vec::new())])]);
    assert_eq!(text.matches("<span class=\"bar ").count(), 400);
    assert!(text.contains("600 stages with the least work are left out."), "{text}");
    assert!(text.contains("1,000 stages are too many for a picture"), "{text}");
}

#[test]
fn a_statement_that_is_withheld_says_so_and_no_statement_at_all_too() {
    let secret = Ran { sql: None, ..ran(Vec::new()) };
    assert!(page(&[secret]).contains("The statement is withheld"));
    assert!(page(&[]).contains("No statement was run."));
}

#[test]
fn the_time_is_that_of_the_calendar() {
    assert_eq!(
        timestamp(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)),
        "2001-09-09 01:46:40 UTC"
    );
}
