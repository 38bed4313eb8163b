//! The order of the nodes in each layer: few lines cross.

use super::Net;

/// Times that all layers are ordered anew; more change next to nothing.
const SWEEPS: usize = 8;

/// Orders all layers: first as a walk from the root meets the nodes, by which no lines of a tree cross; then, while
/// some do, each node by the mean place of its neighbours in the layer above or below.
pub(super) fn few_crossings(net: &mut Net) {
    as_met(net);
    align_ports(net);
    let mut best = (crossings(net), net.layers.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let count = net.layers.len();
        if sweep.is_multiple_of(2) {
            (1..count).for_each(|layer| by_neighbours(net, layer, true));
        } else {
            (0..count.saturating_sub(1)).rev().for_each(|layer| by_neighbours(net, layer, false));
        }
        let crossed = crossings(net);
        if crossed < best.0 {
            best = (crossed, net.layers.clone());
        }
    }
    net.layers = best.1;
    align_ports(net);
}

fn as_met(net: &mut Net) {
    let mut met = vec![false; net.nodes.len()];
    let mut layers = vec![Vec::new(); net.layers.len()];
    let mut stack: Vec<usize> = net.layers.first().into_iter().flatten().copied().collect();
    while let Some(id) = stack.pop() {
        if !std::mem::replace(&mut met[id], true) {
            layers[net.nodes[id].layer].push(id);
            stack.extend(net.nodes[id].below.iter().rev());
        }
    }
    net.layers = layers;
}

/// Sorts a layer by the mean place of what its nodes are connected to in a neighbouring one.
fn by_neighbours(net: &mut Net, layer: usize, look_above: bool) {
    let places = places(net);
    let mut keyed: Vec<(f64, usize)> = net.layers[layer]
        .iter()
        .map(|id| {
            let node = &net.nodes[*id];
            let others = if look_above { &node.above } else { &node.below };
            let sum: usize = others.iter().map(|other| places[*other]).sum();
            let mean = if others.is_empty() { places[*id] as f64 } else { sum as f64 / others.len() as f64 };
            (mean, *id)
        })
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    net.layers[layer] = keyed.into_iter().map(|(_, id)| id).collect();
}

/// By node: its place in its layer.
fn places(net: &Net) -> Vec<usize> {
    let mut places = vec![0; net.nodes.len()];
    for layer in &net.layers {
        for (place, id) in layer.iter().enumerate() {
            places[*id] = place;
        }
    }
    places
}

/// Puts each node's neighbours in the order of their places, in which lines leave it.
fn align_ports(net: &mut Net) {
    let places = places(net);
    for node in &mut net.nodes {
        node.above.sort_by_key(|other| places[*other]);
        node.below.sort_by_key(|other| places[*other]);
    }
}

/// How many pairs of lines cross.
pub(super) fn crossings(net: &Net) -> usize {
    let places = places(net);
    let mut count = 0;
    for layer in &net.layers {
        // From left to right by their upper ends, lines whose lower ends go back cross: count the inversions.
        let mut ends = Vec::new();
        for id in layer {
            let mut below: Vec<_> = net.nodes[*id].below.iter().map(|other| places[*other]).collect();
            below.sort_unstable();
            ends.extend(below);
        }
        count += inversions(&mut ends);
    }
    count
}

fn inversions(values: &mut [usize]) -> usize {
    if values.len() < 2 {
        return 0;
    }
    let middle = values.len() / 2;
    let (left, right) = values.split_at_mut(middle);
    let mut count = inversions(left) + inversions(right);
    let (mut at_left, mut merged) = (0, Vec::with_capacity(left.len() + right.len()));
    for value in right.iter() {
        while at_left < left.len() && left[at_left] <= *value {
            merged.push(left[at_left]);
            at_left += 1;
        }
        count += left.len() - at_left;
        merged.push(*value);
    }
    merged.extend_from_slice(&left[at_left..]);
    values.copy_from_slice(&merged);
    count
}

#[cfg(test)]
mod tests {
    use super::inversions;

    #[test]
    fn inversions_are_counted() {
        assert_eq!(inversions(&mut [1, 2, 2, 3]), 0);
        assert_eq!(inversions(&mut [3, 2, 1]), 3);
        assert_eq!(inversions(&mut [2, 4, 1, 3, 5]), 3);
    }
}
