use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, Partitioning, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::UnionExec;

use super::*;
use crate::graph::{EdgeKind, EdgeSpec, GraphBuilder};

type Plan = Arc<dyn ExecutionPlan>;

/// A scan of nothing, of columns of these names.
fn scan(columns: &[&str], tasks: usize) -> Plan {
    let fields: Vec<_> = columns.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
    Arc::new(EmptyExec::new(Arc::new(Schema::new(fields))).with_partitions(tasks))
}

/// The first column of a plan under another name.
fn renamed(plan: Plan, name: &str) -> Plan {
    let first = plan.schema().field(0).name().clone();
    let expr = col(&first, &plan.schema()).unwrap();
    let column = ProjectionExpr { expr, alias: name.to_string() };
    Arc::new(ProjectionExec::try_new([column], plan).unwrap())
}

fn gather(plan: &Plan) -> EdgeSpec {
    let node = CoalescePartitionsExec::new(Arc::clone(plan));
    EdgeSpec::new(EdgeKind::Gather, Arc::clone(node.properties()))
}

/// By a hash of the first column.
fn shuffle(plan: &Plan, partitions: usize) -> EdgeSpec {
    let key = col(plan.schema().field(0).name(), &plan.schema()).unwrap();
    let node = RepartitionExec::try_new(Arc::clone(plan), Partitioning::Hash(vec![key], partitions)).unwrap();
    EdgeSpec::new(EdgeKind::Shuffle, Arc::clone(node.properties()))
}

/// ```text
///        3
///       ╱ ╲
///      1   2
///      ╲   ╱
///        0      kept for both
/// ```
fn shared() -> TaskGraph {
    let mut builder = GraphBuilder::new();
    let plan = scan(&["k", "v"], 4);
    let first = builder.stage(Arc::clone(&plan)).unwrap();
    let kept = EdgeSpec::kept(Arc::clone(plan.properties()));
    let one = renamed(builder.edge(first, kept.clone()).unwrap(), "a");
    let two = renamed(builder.edge(first, kept).unwrap(), "a");
    let order = LexOrdering::new([PhysicalSortExpr::new_default(col("a", &one.schema()).unwrap()).desc()]);
    let merged = EdgeSpec { kind: EdgeKind::Merge, ordering: order, fetch: Some(10), ..gather(&one) };
    let stages = [one, two].map(|plan| builder.stage(plan).unwrap());
    let inputs = stages.map(|stage| builder.edge(stage, merged.clone()).unwrap() as Plan);
    let root = builder.stage(UnionExec::try_new(inputs.to_vec()).unwrap()).unwrap();
    builder.finish(root).unwrap()
}

/// A graph of two stages whose names say anything.
fn named(name: &str) -> TaskGraph {
    let mut builder = GraphBuilder::new();
    let plan = renamed(scan(&["x"], 2), name);
    let first = builder.stage(Arc::clone(&plan)).unwrap();
    let leaf = builder.edge(first, shuffle(&plan, 3)).unwrap();
    let root = builder.stage(renamed(leaf, name)).unwrap();
    builder.finish(root).unwrap()
}

fn draw(graph: &TaskGraph, format: GraphFormat) -> String {
    graph.draw(format, &Notes::default())
}

/// Walks a document of XML; gives its tags and texts, or where it is none.
fn elements(xml: &str) -> Result<Vec<String>, String> {
    let (mut open, mut found, mut rest) = (Vec::new(), Vec::new(), xml);
    let legal =
        |c: char| matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if let Some(bad) = xml.chars().find(|c| !legal(*c)) {
        return Err(format!("{bad:?} is no character of XML"));
    }
    while let Some(at) = rest.find('<') {
        found.push(text(&rest[..at])?);
        let end = rest[at..].find('>').ok_or("an open tag")? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        let name = |tag: &str| tag.split_whitespace().next().unwrap_or_default().to_string();
        match (tag.strip_prefix('/'), tag.strip_suffix('/')) {
            (Some(closed), _) => match open.pop() {
                Some(last) if last == closed => {}
                last => return Err(format!("{closed} closes {last:?}")),
            },
            (None, Some(empty)) => attributes(empty)?,
            (None, None) => {
                attributes(tag)?;
                open.push(name(tag));
            }
        }
        if open.is_empty() && !rest.trim().is_empty() {
            return Err(format!("something follows the end: {rest}"));
        }
    }
    if open.is_empty() { Ok(found) } else { Err(format!("{open:?} is open at the end")) }
}

/// Attributes are quoted, and there are two quotes to each.
fn attributes(tag: &str) -> Result<(), String> {
    let parts: Vec<_> = tag.split('"').collect();
    let is_paired =
        parts.len() % 2 == 1 && parts.iter().step_by(2).take(parts.len() / 2).all(|p| p.ends_with('='));
    for value in parts.iter().skip(1).step_by(2) {
        text(value)?;
    }
    if is_paired && !tag.contains('<') { Ok(()) } else { Err(format!("attributes of {tag}")) }
}

/// A text without its escapes.
fn text(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    for (at, part) in text.split('&').enumerate() {
        let (mark, rest) = if at == 0 { ("", part) } else { part.split_once(';').ok_or("a lone &")? };
        plain.push_str(match mark {
            "" => "",
            "amp" => "&",
            "lt" => "<",
            "gt" => ">",
            "quot" => "\"",
            other => return Err(format!("&{other};")),
        });
        plain.push_str(rest);
    }
    Ok(plain)
}

#[test]
fn a_shared_stage_is_drawn_once_and_read_twice() {
    insta::assert_snapshot!(draw(&shared(), GraphFormat::Text));
    insta::assert_snapshot!(draw(&shared(), GraphFormat::Dot));
}

#[test]
fn edges_that_keep_order_or_are_kept_look_different() {
    let svg = draw(&shared(), GraphFormat::Svg);
    assert_eq!(svg.matches("class=\"edge kept\"").count(), 2);
    assert_eq!(svg.matches("class=\"edge ordered\"").count(), 2);
    assert_eq!(svg.matches("class=\"edge plain\"").count(), 0);
    let svg = draw(&named("x"), GraphFormat::Svg);
    assert_eq!(svg.matches("class=\"edge plain\"").count(), 1);
}

#[test]
fn notes_stand_with_their_stage_and_edge() {
    let graph = shared();
    let mut notes = Notes::default();
    notes.add_to_stage(graph.root(), "1,234 rows <in> 0.5 s");
    notes.add_to_stage(graph.root(), "skew 1.2");
    notes.add_to_edge(EdgeId::new(0), "5 rows\u{1b}");
    let text = graph.draw(GraphFormat::Text, &notes);
    let lines: Vec<_> = text.lines().filter(|line| line.contains("rows") || line.contains("skew")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    = 1,234 rows <in> 0.5 s
    = skew 1.2
    ← Forward from stage 0, 4 → 4, materialized, 5 rows\u{1b}
    ");
    let dot = graph.draw(GraphFormat::Dot, &notes);
    assert!(
        dot.contains("1,234 rows <in> 0.5 s\\lskew 1.2\\l\"") && dot.contains("\\n5 rows\\\\u{1b}\\n\""),
        "{dot}"
    );
    let found = elements(&graph.draw(GraphFormat::Svg, &notes)).unwrap();
    for note in ["1,234 rows <in> 0.5 s", "skew 1.2", "5 rows\\u{1b}"] {
        assert!(found.iter().any(|text| text == note), "{found:?}");
    }
}

#[test]
fn names_are_escaped_in_every_form() {
    for name in [
        "<b>&amp;\"quoted\"'",
        "back\\slash\\",
        "two\nlines\r\u{2028}",
        "\u{0}\u{1b}[31m\u{7f}\u{fffe}",
        "]]> --> /* ",
        "\u{202e}turned",
        "日本語 é 🦀",
        "",
    ] {
        let graph = named(name);
        let text = draw(&graph, GraphFormat::Text);
        assert_eq!(text.lines().count(), draw(&named("y"), GraphFormat::Text).lines().count(), "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        let dot = draw(&graph, GraphFormat::Dot);
        assert_eq!(dot.lines().count(), draw(&named("y"), GraphFormat::Dot).lines().count(), "{dot}");
        // Without what is escaped, each line has its quotes in pairs.
        let plain = dot.replace("\\\\", "").replace("\\\"", "");
        assert!(plain.lines().all(|line| line.matches('"').count() % 2 == 0), "{dot}");
        let svg = draw(&graph, GraphFormat::Svg);
        let found = elements(&svg);
        assert!(found.is_ok(), "{found:?}\n{svg}");
        let name = words::one_line(name);
        assert!(text.contains(&name), "{text}");
        assert!(found.unwrap().iter().any(|text| text.contains(&name)), "{svg}");
    }
}

#[test]
fn long_names_are_cut() {
    let graph = named(&"very long ".repeat(1_000));
    for format in GraphFormat::ALL {
        let drawn = draw(&graph, format);
        assert!(drawn.contains('…'), "{drawn}");
        assert!(drawn.len() < 20_000, "{} bytes of {}", drawn.len(), format.name());
    }
}

#[test]
fn of_hundreds_of_columns_the_first_are_shown() {
    let names: Vec<_> = (0..500).map(|n| format!("c{n}")).collect();
    let plan = scan(&names.iter().map(String::as_str).collect::<Vec<_>>(), 2);
    let columns = names.iter().map(|name| {
        let expr = col(name, &plan.schema()).unwrap();
        ProjectionExpr { expr, alias: name.clone() }
    });
    let mut builder = GraphBuilder::new();
    let root = builder.stage(Arc::new(ProjectionExec::try_new(columns, Arc::clone(&plan)).unwrap())).unwrap();
    let text = draw(&builder.finish(root).unwrap(), GraphFormat::Text);
    insta::assert_snapshot!(text, @r"
    1 stage, 2 tasks

    Stage 0  Scan  2 tasks
      Projection  c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, … 488 more
      Empty
    ");
}

#[test]
fn hundreds_of_stages_are_drawn() {
    let mut builder = GraphBuilder::new();
    let plan = scan(&["a"], 2);
    let inputs = (0..300).map(|_| {
        let stage = builder.stage(Arc::clone(&plan)).unwrap();
        builder.edge(stage, shuffle(&plan, 4)).unwrap() as Plan
    });
    let inputs: Vec<_> = inputs.collect();
    let root = builder.stage(UnionExec::try_new(inputs).unwrap()).unwrap();
    let graph = builder.finish(root).unwrap();
    assert_eq!(draw(&graph, GraphFormat::Text).matches("← Shuffle from stage").count(), 300);
    assert_eq!(draw(&graph, GraphFormat::Dot).matches(" -> ").count(), 300);
    let svg = draw(&graph, GraphFormat::Svg);
    assert_eq!(svg.matches("class=\"card\"").count(), 301);
    assert!(svg.contains("… 281 more operators"), "the box of the root is cut");
    assert!(elements(&svg).is_ok());
}

#[test]
fn a_picture_needs_nothing_from_elsewhere() {
    let svg = draw(&shared(), GraphFormat::Svg);
    let without_namespace = svg.replacen("http://www.w3.org/2000/svg", "", 1);
    for word in ["http", "url(", "@import", "<script", "<image", "href", "<foreignObject"] {
        assert!(!without_namespace.contains(word), "{word}");
    }
}

#[test]
fn formats_are_told_by_name() {
    for format in GraphFormat::ALL {
        assert_eq!(format.name().parse::<GraphFormat>().unwrap(), format);
    }
    assert_eq!(GraphFormat::of_path("a/b.SVG".as_ref()), Some(GraphFormat::Svg));
    assert_eq!(GraphFormat::of_path("b.gv".as_ref()), Some(GraphFormat::Dot));
    assert_eq!(GraphFormat::of_path("b.png".as_ref()), None);
    assert!("png".parse::<GraphFormat>().is_err());
}

/// What the helper that reads XML is worth.
#[test]
fn broken_xml_is_seen() {
    assert!(elements("<a b=\"1\"><c/>x &lt; y</a>\n").is_ok());
    for broken in
        ["<a>", "<a></b>", "<a b=\"1></a>", "<a>&</a>", "<a>\u{1}</a>", "<a></a><b></b>", "<a b=\"<\"></a>"]
    {
        assert!(elements(broken).is_err(), "{broken}");
    }
}
