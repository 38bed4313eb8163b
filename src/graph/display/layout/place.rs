//! Where nodes stand in their layer: straight above what they belong to, as far as neighbours leave room.

use super::{GAP, Kind, Net};

/// Times that all layers are placed anew, downwards and upwards.
const SWEEPS: usize = 12;

/// Places all nodes, from layer to layer and back: each as near as can be to where its lines would be upright.
pub(super) fn straight(net: &mut Net) {
    for layer in 0..net.layers.len() {
        settle(net, layer, |_, _| 0.0);
    }
    let count = net.layers.len();
    let upwards = |net: &mut Net, above: f64| {
        (0..count).rev().for_each(|layer| settle(net, layer, |net, id| wish(net, id, above)));
    };
    // First what is below gives the width, then both sides pull, and in the end chains stand upright.
    upwards(net, 0.0);
    for _ in 0..SWEEPS {
        (0..count).for_each(|layer| settle(net, layer, |net, id| wish(net, id, 1.0)));
        upwards(net, 1.0);
    }
    upwards(net, 0.0);
}

/// Where a node's lines would be upright in the mean. Lines to labels and bends count more: those have but one
/// line on each side, so it can be upright.
fn wish(net: &Net, id: usize, above: f64) -> f64 {
    let node = &net.nodes[id];
    let up = node.above.iter().map(|upper| {
        let line = net.nodes[*upper].x + net.port_below(*upper, id) - net.port_above(id, *upper);
        (line, above * pull(net, id, *upper))
    });
    let down = node.below.iter().map(|lower| {
        let line = net.nodes[*lower].x + net.port_above(*lower, id) - net.port_below(id, *lower);
        (line, pull(net, id, *lower))
    });
    let (sum, weight) =
        up.chain(down).fold((0.0, 0.0), |(sum, weight), (x, pull)| (sum + x * pull, weight + pull));
    if weight > 0.0 { sum / weight } else { node.x }
}

/// How much it matters that a line between two nodes is upright.
fn pull(net: &Net, one: usize, other: usize) -> f64 {
    match (net.nodes[one].kind, net.nodes[other].kind) {
        (Kind::Bend, Kind::Bend) => 8.0,
        (Kind::Bend, _) | (_, Kind::Bend) => 2.0,
        (Kind::Box(_) | Kind::Label(_), Kind::Box(_) | Kind::Label(_)) => 1.0,
    }
}

/// Moves a layer's nodes as near to their wishes as their order and the gaps between them allow: least squares, by
/// pooling neighbours that would lie upon each other.
fn settle(net: &mut Net, layer: usize, wish: impl Fn(&Net, usize) -> f64) {
    let ids = net.layers[layer].clone();
    // With the widths to its left taken off, a node's place only must not be left of its left neighbour's.
    let mut offset = 0.0;
    let mut pools: Vec<Pool> = Vec::new();
    let mut offsets = Vec::with_capacity(ids.len());
    let mut before: Option<usize> = None;
    for id in &ids {
        if let Some(before) = before {
            offset += (net.nodes[before].size.width + net.nodes[*id].size.width) / 2.0 + GAP;
        }
        before = Some(*id);
        offsets.push(offset);
        let weight = if net.nodes[*id].kind == Kind::Bend { 4.0 } else { 1.0 };
        let mut pool = Pool { sum: (wish(net, *id) - offset) * weight, weight, count: 1 };
        while let Some(last) = pools.pop_if(|last| last.mean() > pool.mean()) {
            pool = Pool {
                sum: pool.sum + last.sum,
                weight: pool.weight + last.weight,
                count: pool.count + last.count,
            };
        }
        pools.push(pool);
    }
    let places = pools.iter().flat_map(|pool| std::iter::repeat_n(pool.mean(), pool.count));
    for ((id, place), offset) in ids.iter().zip(places).zip(offsets) {
        net.nodes[*id].x = place + offset;
    }
}

/// Neighbours that touch, and move as one.
struct Pool {
    sum: f64,
    weight: f64,
    count: usize,
}

impl Pool {
    fn mean(&self) -> f64 {
        self.sum / self.weight
    }
}
