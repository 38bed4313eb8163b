//! Where boxes, labels and lines of a graph go: in layers, after Sugiyama.
//!
//! ```text
//! layer 0        [ root ]            stages in even layers: each below all that read it
//!                 ╱    ╲
//! layer 1     (label) (label)        labels of edges in odd layers, right below the reader
//!                │      │
//! layer 2     [stage]   │            an edge that passes a layer has a place of its own there
//!                │      │
//! ```
//!
//! Labels are nodes like the boxes, so nothing that is drawn can lie upon something else. Within a layer nodes are
//! ordered so that few lines cross ([`order`]), then moved to stand straight above what they belong to
//! ([`place`]).

mod order;
mod place;

/// Room between neighbours in a layer.
const GAP: f64 = 22.0;
/// Room between layers.
const LAYER_GAP: f64 = 16.0;
/// How much farther apart layers are for each unit that a line between them goes sideways, and at most.
const SLOPE: f64 = 0.1;
const SLOPE_GAP_MAX: f64 = 56.0;
/// The width of a line's own place in a layer that it passes.
const LANE: f64 = 10.0;

/// Width and height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A rectangle by its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A point on a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// What is to be laid out: boxes by index, and edges between them. Edges go from later readers' inputs upwards: each
/// box that an edge comes from has a smaller index than the one it goes to.
#[derive(Debug)]
pub(super) struct Sketch {
    pub(super) boxes: Vec<Size>,
    /// From, to, and the size of the label; the inputs of a box in the order of its plan.
    pub(super) edges: Vec<(usize, usize, Size)>,
}

/// Where everything goes. All coordinates are positive.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) size: Size,
    /// By box.
    pub(super) boxes: Vec<Rect>,
    /// By edge.
    pub(super) labels: Vec<Rect>,
    /// By edge: from the top of the producer's box to the bottom of the reader's. Between points 0 and 1, 2 and 3 …
    /// a line may swing sideways; between 1 and 2, 3 and 4 … it is upright.
    pub(super) lines: Vec<Vec<Point>>,
}

/// What has a place in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Box(usize),
    Label(usize),
    /// An edge on its way through a layer.
    Bend,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    size: Size,
    layer: usize,
    /// Nodes in the layer above that a line goes to, and below that one comes from.
    above: Vec<usize>,
    below: Vec<usize>,
    /// The middle.
    x: f64,
}

/// The nodes and the layers that they are in, from left to right.
#[derive(Debug, Default)]
struct Net {
    nodes: Vec<Node>,
    layers: Vec<Vec<usize>>,
    /// By edge: from the producer's box to the reader's.
    chains: Vec<Vec<usize>>,
}

/// Lays out a sketch.
pub(super) fn layout(sketch: &Sketch) -> Layout {
    let mut net = Net::of(sketch);
    order::few_crossings(&mut net);
    place::straight(&mut net);
    drawn(&net, sketch)
}

impl Net {
    fn of(sketch: &Sketch) -> Self {
        let layers = layers_of(sketch);
        let mut net = Self::default();
        for (at, (size, layer)) in sketch.boxes.iter().zip(&layers).enumerate() {
            net.add(Kind::Box(at), *size, *layer);
        }
        for (at, (from, to, label)) in sketch.edges.iter().enumerate() {
            let mut chain = vec![*to];
            for layer in layers[*to] + 1..layers[*from] {
                let (kind, size) = match layer == layers[*to] + 1 {
                    true => (Kind::Label(at), *label),
                    false => (Kind::Bend, Size { width: LANE, height: 0.0 }),
                };
                chain.push(net.add(kind, size, layer));
            }
            chain.push(*from);
            for pair in chain.windows(2) {
                net.nodes[pair[0]].below.push(pair[1]);
                net.nodes[pair[1]].above.push(pair[0]);
            }
            chain.reverse();
            net.chains.push(chain);
        }
        net
    }

    fn add(&mut self, kind: Kind, size: Size, layer: usize) -> usize {
        let id = self.nodes.len();
        self.nodes.push(Node { kind, size, layer, above: Vec::new(), below: Vec::new(), x: 0.0 });
        if self.layers.len() <= layer {
            self.layers.resize_with(layer + 1, Vec::new);
        }
        self.layers[layer].push(id);
        id
    }

    /// Where a line between two nodes leaves the upper one, from its middle: lines are spread over a box's side in
    /// the order of what they lead to.
    fn port_below(&self, node: usize, towards: usize) -> f64 {
        port(&self.nodes[node], &self.nodes[node].below, towards)
    }

    fn port_above(&self, node: usize, towards: usize) -> f64 {
        port(&self.nodes[node], &self.nodes[node].above, towards)
    }
}

fn port(node: &Node, others: &[usize], towards: usize) -> f64 {
    match (node.kind, others.iter().position(|other| *other == towards)) {
        (Kind::Box(_), Some(at)) => {
            let share = (at + 1) as f64 / (others.len() + 1) as f64;
            node.size.width * (share - 0.5)
        }
        (Kind::Box(_), None) | (Kind::Label(_) | Kind::Bend, _) => 0.0,
    }
}

/// The layer of each box: two below the lowest of those that read it.
fn layers_of(sketch: &Sketch) -> Vec<usize> {
    let mut readers = vec![Vec::new(); sketch.boxes.len()];
    for (from, to, _) in &sketch.edges {
        readers[*from].push(*to);
    }
    let mut layers = vec![0; sketch.boxes.len()];
    for at in (0..sketch.boxes.len()).rev() {
        layers[at] = readers[at].iter().map(|to| layers[*to] + 2).max().unwrap_or(0);
    }
    layers
}

/// Top and bottom of each layer, and all lines' points.
fn drawn(net: &Net, sketch: &Sketch) -> Layout {
    let left = |node: &Node| node.x - node.size.width / 2.0;
    let start = net.nodes.iter().map(left).fold(f64::INFINITY, f64::min);
    let start = if start.is_finite() { start } else { 0.0 };
    let bands = bands(net);
    let rect = |node: &Node| {
        let (top, bottom) = bands[node.layer];
        let y = match node.kind {
            Kind::Box(_) => top,
            Kind::Label(_) | Kind::Bend => top + (bottom - top - node.size.height) / 2.0,
        };
        Rect { x: left(node) - start, y, width: node.size.width, height: node.size.height }
    };
    let empty = Rect { x: 0.0, y: 0.0, width: 0.0, height: 0.0 };
    let mut layout = Layout {
        size: Size { width: 0.0, height: bands.last().map_or(0.0, |(_, bottom)| *bottom) },
        boxes: vec![empty; sketch.boxes.len()],
        labels: vec![empty; sketch.edges.len()],
        lines: net.chains.iter().map(|chain| line(net, &bands, chain, start)).collect(),
    };
    for node in &net.nodes {
        let rect = rect(node);
        layout.size.width = layout.size.width.max(rect.x + rect.width);
        match node.kind {
            Kind::Box(at) => layout.boxes[at] = rect,
            Kind::Label(at) => layout.labels[at] = rect,
            Kind::Bend => {}
        }
    }
    layout
}

fn line(net: &Net, bands: &[(f64, f64)], chain: &[usize], start: f64) -> Vec<Point> {
    let mut points = Vec::with_capacity(2 * chain.len());
    for pair in chain.windows(2) {
        let (lower, upper) = (&net.nodes[pair[0]], &net.nodes[pair[1]]);
        let leaves = lower.x + net.port_above(pair[0], pair[1]) - start;
        let enters = upper.x + net.port_below(pair[1], pair[0]) - start;
        points.push(Point { x: leaves, y: bands[lower.layer].0 });
        points.push(Point { x: enters, y: bands[upper.layer].1 });
    }
    // The last layer may be higher than the box that the line leads to.
    if let (Some(reader), Some(end)) = (chain.last().map(|id| &net.nodes[*id]), points.last().copied()) {
        points.push(Point { x: end.x, y: bands[reader.layer].0 + reader.size.height });
    }
    points
}

/// From where to where each layer goes.
fn bands(net: &Net) -> Vec<(f64, f64)> {
    let mut bands = Vec::with_capacity(net.layers.len());
    let mut y = 0.0;
    for layer in &net.layers {
        let height = layer.iter().map(|id| net.nodes[*id].size.height).fold(0.0, f64::max);
        bands.push((y, y + height));
        let sideways = layer.iter().flat_map(|upper| {
            net.nodes[*upper].below.iter().map(move |lower| {
                let from = net.nodes[*lower].x + net.port_above(*lower, *upper);
                let to = net.nodes[*upper].x + net.port_below(*upper, *lower);
                (from - to).abs()
            })
        });
        y += height + LAYER_GAP + (sideways.fold(0.0, f64::max) * SLOPE).min(SLOPE_GAP_MAX);
    }
    bands
}

#[cfg(test)]
mod tests;
