use super::*;

fn size(width: f64, height: f64) -> Size {
    Size { width, height }
}

/// A sketch of boxes of one size, by its edges.
fn sketch(boxes: usize, edges: &[(usize, usize)]) -> Sketch {
    let edges = edges.iter().map(|(from, to)| (*from, *to, size(80.0, 30.0)));
    Sketch { boxes: vec![size(200.0, 60.0); boxes], edges: edges.collect() }
}

/// A graph of random sizes in which every box but the last has one reader or more.
fn random(rng: &mut fastrand::Rng) -> Sketch {
    let count = rng.usize(1..40);
    let boxes = (0..count).map(|_| size(rng.f64() * 300.0 + 60.0, rng.f64() * 200.0 + 20.0)).collect();
    let mut edges = Vec::new();
    for from in 0..count - 1 {
        let readers = if rng.u8(..) < 40 { rng.usize(2..5) } else { 1 };
        for _ in 0..readers {
            let to = rng.usize(from + 1..count.min(from + 9));
            edges.push((from, to, size(rng.f64() * 150.0 + 20.0, rng.f64() * 60.0 + 15.0)));
        }
    }
    Sketch { boxes, edges }
}

fn overlap(one: &Rect, other: &Rect) -> bool {
    one.x < other.x + other.width
        && other.x < one.x + one.width
        && one.y < other.y + other.height
        && other.y < one.y + one.height
}

/// Nothing lies upon anything else, and everything is inside.
fn check(sketch: &Sketch, layout: &Layout) {
    let boxes = layout.boxes.iter().chain(&layout.labels);
    let all: Vec<_> = boxes.copied().collect();
    for (at, one) in all.iter().enumerate() {
        assert!(one.x >= -1e-6 && one.x + one.width <= layout.size.width + 1e-6, "{one:?}");
        assert!(one.y >= 0.0 && one.y + one.height <= layout.size.height + 1e-6, "{one:?}");
        for other in &all[at + 1..] {
            assert!(!overlap(one, other), "{one:?} {other:?}\n{sketch:?}");
        }
    }
    for (edge, ((from, to, _), line)) in sketch.edges.iter().zip(&layout.lines).enumerate() {
        let own = [*from, *to, layout.boxes.len() + edge];
        check_line(line, &all, &own);
        let (start, end) = (line[0], line[line.len() - 1]);
        let (producer, reader) = (layout.boxes[*from], layout.boxes[*to]);
        assert!((start.y - producer.y).abs() < 1e-6 && (end.y - reader.y - reader.height).abs() < 1e-6);
        assert!(start.x > producer.x && start.x < producer.x + producer.width);
        assert!(end.x > reader.x && end.x < reader.x + reader.width);
    }
}

/// A line only goes upwards, and passes nothing but what is its own.
fn check_line(line: &[Point], all: &[Rect], own: &[usize]) {
    assert!(line.windows(2).all(|pair| pair[1].y <= pair[0].y + 1e-6), "{line:?}");
    for pair in line.windows(2) {
        // Between layers a line may swing, but stays between its ends.
        let (left, right) = (pair[0].x.min(pair[1].x), pair[0].x.max(pair[1].x));
        let swept =
            Rect { x: left, y: pair[1].y + 1e-6, width: right - left, height: pair[0].y - pair[1].y - 2e-6 };
        for (at, rect) in all.iter().enumerate() {
            let is_level = swept.height <= 0.0;
            assert!(is_level || own.contains(&at) || !overlap(&swept, rect), "{pair:?} {rect:?}");
        }
    }
}

fn crossings_of(sketch: &Sketch) -> usize {
    let mut net = Net::of(sketch);
    order::few_crossings(&mut net);
    order::crossings(&net)
}

#[test]
fn a_lone_box_fills_the_picture() {
    let layout = layout(&sketch(1, &[]));
    assert_eq!(layout.size, size(200.0, 60.0));
    assert_eq!(layout.boxes, [Rect { x: 0.0, y: 0.0, width: 200.0, height: 60.0 }]);
}

#[test]
fn nothing_at_all_is_laid_out() {
    assert_eq!(layout(&sketch(0, &[])).size, size(0.0, 0.0));
}

#[test]
fn a_chain_is_upright() {
    let sketch = sketch(4, &[(0, 1), (1, 2), (2, 3)]);
    let layout = layout(&sketch);
    check(&sketch, &layout);
    assert!(layout.boxes.iter().all(|place| place.x.abs() < 0.5), "{:?}", layout.boxes);
    assert!(layout.lines.iter().flatten().all(|point| (point.x - 100.0).abs() < 0.5));
}

/// ```text
///      2
///    ╱   ╲
///   0     1
/// ```
#[test]
fn a_reader_stands_above_the_middle_of_its_inputs() {
    let sketch = sketch(3, &[(0, 2), (1, 2)]);
    let layout = layout(&sketch);
    check(&sketch, &layout);
    let middle = |at: usize| layout.boxes[at].x + 100.0;
    assert!(middle(0) < middle(1));
    assert!((middle(2) - (middle(0) + middle(1)) / 2.0).abs() < 1.0, "{:?}", layout.boxes);
}

/// ```text
///      3
///    ╱   ╲
///   2     │
///    ╲   ╱
///      1
///      │
///      0
/// ```
#[test]
fn an_edge_past_a_layer_goes_around_the_box_in_it() {
    let sketch = sketch(4, &[(0, 1), (1, 2), (1, 3), (2, 3)]);
    let layout = layout(&sketch);
    check(&sketch, &layout);
    assert!(layout.boxes[3].y < layout.boxes[2].y && layout.boxes[2].y < layout.boxes[1].y);
}

#[test]
fn lines_of_a_tree_do_not_cross() {
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..100 {
        let count = rng.usize(2..60);
        let edges: Vec<_> = (0..count - 1).map(|from| (from, rng.usize(from + 1..count))).collect();
        assert_eq!(crossings_of(&sketch(count, &edges)), 0);
    }
}

/// The inputs of the two readers come crosswise by their indices.
#[test]
fn sweeps_take_crossings_out() {
    let sketch = sketch(7, &[(0, 5), (1, 4), (2, 5), (3, 4), (4, 6), (5, 6)]);
    assert_eq!(crossings_of(&sketch), 0);
}

#[test]
fn nothing_lies_upon_anything_in_random_graphs() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let sketch = random(&mut rng);
        check(&sketch, &layout(&sketch));
    }
}

#[test]
fn hundreds_of_stages_are_laid_out_in_any_shape() {
    let wide: Vec<_> = (0..299).map(|from| (from, 299)).collect();
    let deep: Vec<_> = (0..299).map(|from| (from, from + 1)).collect();
    let both: Vec<_> = (0..299).flat_map(|from| [(from, from + 1), (from, 299)]).collect();
    for edges in [wide, deep, both] {
        let sketch = sketch(300, &edges);
        let layout = layout(&sketch);
        assert!(layout.boxes.iter().all(|place| place.x.is_finite() && place.y.is_finite()));
        assert_eq!(layout.lines.len(), edges.len());
    }
}
