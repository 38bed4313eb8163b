//! The look of the picture: classes with plain colours, which viewers without variables know as well.

/// Sizes of type must fit the widths that the layout counts with.
pub(super) const CSS: &str = "\
text { font-family: ui-sans-serif, system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif; fill: #1f2937 }
.row, .keys, .note { font-family: 'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace; white-space: pre }
.title { font-size: 17px; font-weight: 600 }
.op { font-size: 14px; font-weight: 700; fill: #ffffff }
.of { font-size: 12px; fill: #ffffff }
.tasks { font-size: 12px; font-weight: 600; fill: #ffffff; text-anchor: end }
.row, .note { font-size: 12px }
.row { fill: #4b5563 }
.name { font-weight: 700; fill: #111827 }
.input { fill: #64748b; font-style: italic }
.note { fill: #7c2d12 }
.kind { font-size: 12px; font-weight: 600; text-anchor: middle }
.keys { font-size: 11px; text-anchor: middle; fill: #4b5563 }
.page { fill: #f8fafc }
.card { fill: #ffffff; stroke-width: 1.4 }
.rail, .rule { fill: none; stroke: #94a3b8; stroke-width: 1 }
.pill { fill: #ffffff; stroke: #94a3b8; stroke-width: 1 }
.edge { fill: none; stroke: #64748b; stroke-width: 1.8 }
.tip { fill: #64748b }
.edge.ordered, .ordered .pill { stroke: #b45309 }
.tip.ordered { fill: #b45309 }
.edge.kept { stroke: #6d28d9; stroke-width: 3; stroke-dasharray: 8 4 }
.kept .pill { stroke: #6d28d9 }
.tip.kept { fill: #6d28d9 }
.map .band { fill: #475569 } .map .card { stroke: #475569 }
.scan .band { fill: #0f766e } .scan .card { stroke: #0f766e }
.sort .band { fill: #b45309 } .sort .card { stroke: #b45309 }
.window .band { fill: #6d28d9 } .window .card { stroke: #6d28d9 }
.reduce .band { fill: #be123c } .reduce .card { stroke: #be123c }
.groupby .band { fill: #a21caf } .groupby .card { stroke: #a21caf }
.join .band { fill: #1d4ed8 } .join .card { stroke: #1d4ed8 }
.write .band { fill: #15803d } .write .card { stroke: #15803d }
@media (prefers-color-scheme: dark) {
text, .kind { fill: #e5e7eb }
.op, .of, .tasks { fill: #ffffff }
.row, .keys { fill: #b6c0cd }
.name { fill: #f3f4f6 }
.input { fill: #94a3b8 }
.note { fill: #fdba74 }
.page { fill: #0d1117 }
.card, .pill { fill: #161b22 }
.edge { stroke: #8b98a9 } .tip { fill: #8b98a9 }
.rail, .rule, .pill { stroke: #64748b }
.edge.ordered, .ordered .pill { stroke: #f59e0b } .tip.ordered { fill: #f59e0b }
.edge.kept, .kept .pill { stroke: #a78bfa } .tip.kept { fill: #a78bfa }
}
";
