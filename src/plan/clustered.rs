//! Aggregations by a column that files are clustered by.
//!
//! Rows that come about by and by lie in files by the key that counts them: orders by their number, and the items of an
//! order next to each other. The least and the greatest value that the footers of Parquet files have of each row group
//! (zone maps) tell where between two row groups such a column goes on with greater values only. Cut there, the
//! partitions of a scan have ranges of the column: all rows of a group are in one of them, which groups them once and
//! for all. Otherwise each partition groups what it reads, the groups are shuffled, and grouped again.
//!
//! ```text
//!   Aggregate                                Aggregate by orderkey
//!     Shuffle by orderkey                      lineitem: orderkey below 3,000,000 │ from there on
//!       Aggregate, partially         ──▶
//!         lineitem: first half │ second half
//! ```
//!
//! DataFusion knows scans in ranges ([`Partitioning::Range`]) and leaves out shuffles by itself where it meets one.
//!
//! The partitions of such a scan cannot take pieces from each other, so it has to be likely that they end together: they
//! have about as many rows, and whatever leaves out rows below the aggregation goes by columns whose values are spread
//! over all of them. A filter on the day is answered by one range, if the days went by with the orders.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{JoinType, Result, ScalarValue, SplitPoint};
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{
    LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr, RangePartitioning,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::footers::{Footers, can_be_cut};
use super::rules::{PhysicalRule, ours};
use crate::config::Applied;
use ranges::{RowGroup, is_key, ranges, row_groups};

mod ranges;

type Plan = Arc<dyn ExecutionPlan>;

/// Has scans below aggregations read ranges of the column that is grouped by, where footers prove that there are some.
#[derive(Debug)]
pub struct ClusteredGroups {
    footers: Footers,
}

/// The stock rules, with [`ClusteredGroups`] before the one that puts shuffles where they are needed.
pub fn with_clustered_groups(
    mut rules: Vec<PhysicalRule>,
    footers: Arc<FileMetadataCache>,
) -> Vec<PhysicalRule> {
    let stock = EnsureRequirements::new();
    let place = rules.iter().position(|rule| rule.name() == stock.name());
    rules.insert(place.unwrap_or(0), Arc::new(ClusteredGroups { footers: Footers::new(footers) }));
    rules
}

impl PhysicalOptimizerRule for ClusteredGroups {
    fn name(&self) -> &str {
        "clustered_groups"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        let Some(options) = ours(config) else { return Ok(plan) };
        let wanted = Wanted {
            partitions: config.execution.target_partitions,
            // DataFusion takes a range of one of several keys for enough from so many partitions on.
            keys_max: match config.execution.target_partitions
                >= config.optimizer.subset_repartition_threshold
            {
                true => usize::MAX,
                false => 1,
            },
            bytes_min: config.optimizer.repartition_file_min_size as u64,
            is_always: options.clustered_groups == Applied::Always,
        };
        if options.clustered_groups == Applied::Off || wanted.partitions < 2 {
            return Ok(plan);
        }
        self.visit(&plan, Vec::new(), &wanted)
    }
}

/// What ranges have to be good for.
struct Wanted {
    partitions: usize,
    keys_max: usize,
    bytes_min: u64,
    is_always: bool,
}

/// Columns of a node, by their places, on the way from an aggregation down to a scan.
struct Traced {
    key: usize,
    /// By what rows were left out further up.
    asked: Vec<usize>,
}

impl ClusteredGroups {
    /// A plan, of which rows are left out by these columns: joins that have read their build sides tell the scans of
    /// their probe sides which keys they look for.
    fn visit(&self, node: &Plan, asked: Vec<usize>, wanted: &Wanted) -> Result<Plan> {
        let children = node.children().into_iter().zip(asked_below(node, &asked));
        let children =
            children.map(|(child, asked)| self.visit(child, asked, wanted)).collect::<Result<_>>()?;
        let node = replace_children_if_necessary(Arc::clone(node), children)?;
        let ranged = match node.downcast_ref::<AggregateExec>() {
            Some(aggregate) => self.grouped_once(&node, aggregate, &asked, wanted)?,
            None => None,
        };
        Ok(ranged.unwrap_or(node))
    }

    /// A partial aggregation above a scan in ranges of one of its keys; `None` for all else.
    fn grouped_once(
        &self,
        node: &Plan,
        aggregate: &AggregateExec,
        asked: &[usize],
        wanted: &Wanted,
    ) -> Result<Option<Plan>> {
        let groups = aggregate.group_expr();
        let keys = groups.num_group_exprs();
        if *aggregate.mode() != AggregateMode::Partial || !groups.is_single() || keys > wanted.keys_max {
            return Ok(None);
        }
        for (expr, _) in groups.expr() {
            let Some(key) = column(expr) else { continue };
            let traced = Traced { key, asked: of_groups(aggregate, asked) };
            if let Some(input) = self.in_ranges(aggregate.input(), traced, wanted)? {
                return replace_children_if_necessary(Arc::clone(node), vec![input]).map(Some);
            }
        }
        Ok(None)
    }

    /// A node whose scan reads ranges, if its rows have the partition that they are read in.
    fn in_ranges(&self, node: &Plan, traced: Traced, wanted: &Wanted) -> Result<Option<Plan>> {
        if let Some(scan) = node.downcast_ref::<DataSourceExec>() {
            return Ok(self.scan(scan, &traced, wanted));
        }
        let Some((at, traced)) = below(node, traced) else { return Ok(None) };
        let mut children: Vec<Plan> = node.children().into_iter().cloned().collect();
        let Some(child) = children.get_mut(at) else { return Ok(None) };
        let Some(input) = self.in_ranges(child, traced, wanted)? else { return Ok(None) };
        *child = input;
        replace_children_if_necessary(Arc::clone(node), children).map(Some)
    }

    fn scan(&self, scan: &DataSourceExec, traced: &Traced, wanted: &Wanted) -> Option<Plan> {
        let config = scan.data_source().downcast_ref::<FileScanConfig>()?;
        if !can_be_cut(config) {
            return None;
        }
        let schema = config.file_source().table_schema().table_schema();
        let of_table = |at: usize| match config.file_source().projection() {
            Some(projection) => column(&projection.as_ref().get(at)?.expr),
            None => Some(at),
        };
        let key = of_table(traced.key)?;
        let field = schema.fields().get(key)?;
        if !is_key(field.data_type()) {
            return None;
        }
        let name = |at: usize| Some(schema.fields().get(at)?.name().as_str());
        let mut asked =
            traced.asked.iter().map(|at| of_table(*at).and_then(name)).collect::<Option<Vec<_>>>()?;
        let pruned = config.file_source().filter();
        let pruned = pruned.iter().flat_map(collect_columns).map(|column| name(column.index()));
        asked.extend(pruned.collect::<Option<Vec<_>>>()?);
        asked.sort_unstable();
        asked.dedup();
        let files: Vec<&PartitionedFile> = config.file_groups.iter().flat_map(FileGroup::iter).collect();
        let bytes: u64 = files.iter().map(|file| file.object_meta.size).sum();
        // Files are shared out by bytes only later.
        if files.iter().any(|file| file.range.is_some()) || (bytes < wanted.bytes_min && !wanted.is_always) {
            return None;
        }
        let mut found = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let columns = if wanted.is_always { &[][..] } else { &asked };
            found.extend(row_groups(at, file, self.footers.of(file)?.as_ref(), field, columns)?);
        }
        let shares = ranges(found, wanted.partitions, wanted.is_always)?;
        let splits = shares.iter().skip(1).map(|share| split(share, field.data_type()));
        let order = PhysicalSortExpr::new_default(Arc::new(Column::new(field.name(), key)));
        let ranges =
            RangePartitioning::try_new(LexOrdering::new([order])?, splits.collect::<Option<_>>()?).ok()?;
        let groups = shares.iter().map(|share| FileGroup::new(pieces(share, &files))).collect();
        let cut = FileScanConfigBuilder::from(config.clone())
            .with_file_groups(groups)
            .with_output_partitioning(Some(Partitioning::Range(ranges)))
            .build();
        Some(Arc::new(scan.clone().with_data_source(Arc::new(cut))))
    }
}

fn column(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expr.downcast_ref::<Column>().map(Column::index)
}

/// The columns that keys of groups are made of.
fn of_groups(aggregate: &AggregateExec, asked: &[usize]) -> Vec<usize> {
    let keys = asked.iter().filter_map(|at| aggregate.group_expr().expr().get(*at));
    keys.flat_map(|(expr, _)| columns(expr)).collect()
}

/// By which columns rows of each child are left out. What is not known here only costs time.
fn asked_below(node: &Plan, asked: &[usize]) -> Vec<Vec<usize>> {
    let children = node.children();
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        return vec![of_groups(aggregate, asked)];
    }
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        let exprs = asked.iter().filter_map(|at| projection.expr().get(*at));
        return vec![exprs.flat_map(|expr| columns(&expr.expr)).collect()];
    }
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        return vec![places(asked.to_vec(), filter.projection().as_deref()).unwrap_or_default()];
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let asked = places(asked.to_vec(), join.projection.as_deref()).unwrap_or_default();
        let build = build_columns(join);
        let (of_build, of_probe): (Vec<_>, Vec<_>) = asked.into_iter().partition(|at| *at < build);
        let looked_up = join.on().iter().flat_map(|(_, right)| columns(right));
        return vec![of_build, of_probe.into_iter().map(|at| at - build).chain(looked_up).collect()];
    }
    let is_same = |child: &&Plan| child.schema().fields().len() == node.schema().fields().len();
    children.iter().map(|child| if is_same(child) { asked.to_vec() } else { Vec::new() }).collect()
}

/// How many of a join's columns, before it projects them, are of its build side. They come first.
fn build_columns(join: &HashJoinExec) -> usize {
    match join.join_type() {
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => 0,
        JoinType::Inner
        | JoinType::Left
        | JoinType::Right
        | JoinType::Full
        | JoinType::LeftSemi
        | JoinType::LeftAnti
        | JoinType::LeftMark => join.left().schema().fields().len(),
    }
}

/// The child that a node has its partitions from, and where the traced columns are in it; `None` where rows change
/// partitions, or a column is computed.
fn below(node: &Plan, traced: Traced) -> Option<(usize, Traced)> {
    let Traced { key, asked } = traced;
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        let exprs = projection.expr();
        let key = column(&exprs.get(key)?.expr)?;
        let asked: Option<Vec<_>> = asked.iter().map(|at| Some(columns(&exprs.get(*at)?.expr))).collect();
        return Some((0, Traced { key, asked: asked?.into_iter().flatten().collect() }));
    }
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        let projection = filter.projection().as_deref();
        let mut asked = places(asked, projection)?;
        asked.extend(columns(filter.predicate()));
        return Some((0, Traced { key: place(key, projection)?, asked }));
    }
    let join = node.downcast_ref::<HashJoinExec>()?;
    if *join.partition_mode() != PartitionMode::CollectLeft || join.filter().is_some() {
        return None;
    }
    let gives_probe_rows = matches!(
        join.join_type(),
        JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti
    );
    if !gives_probe_rows {
        return None;
    }
    let build = build_columns(join);
    let projection = join.projection.as_deref();
    let key = place(key, projection)?;
    let key = match key.checked_sub(build) {
        Some(key) => key,
        // One that both sides have.
        None => join
            .on()
            .iter()
            .find(|(left, _)| column(left) == Some(key))
            .and_then(|(_, right)| column(right))?,
    };
    // What the build side has comes with its keys.
    let asked = places(asked, projection)?.into_iter().filter_map(|at| at.checked_sub(build));
    let asked = asked.chain(join.on().iter().flat_map(|(_, right)| columns(right))).collect();
    Some((1, Traced { key, asked }))
}

fn columns(expr: &Arc<dyn PhysicalExpr>) -> Vec<usize> {
    collect_columns(expr).iter().map(Column::index).collect()
}

fn place(at: usize, projection: Option<&[usize]>) -> Option<usize> {
    projection.map_or(Some(at), |projection| projection.get(at).copied())
}

fn places(at: Vec<usize>, projection: Option<&[usize]>) -> Option<Vec<usize>> {
    at.into_iter().map(|at| place(at, projection)).collect()
}

/// The value that a range begins with.
fn split(share: &[RowGroup], kind: &DataType) -> Option<SplitPoint> {
    let least = share.iter().map(|group| group.least).min()?;
    Some(SplitPoint::new(vec![ScalarValue::Int64(Some(least)).cast_to(kind).ok()?]))
}

/// The row groups of a range as pieces of files, those next to each other as one. They keep the order that the scan had
/// them in, which it may have promised.
fn pieces(share: &[RowGroup], files: &[&PartitionedFile]) -> Vec<PartitionedFile> {
    let mut share: Vec<&RowGroup> = share.iter().collect();
    share.sort_unstable_by_key(|group| (group.file, group.begin));
    let runs = share.chunk_by(|one, next| one.file == next.file && one.end == next.begin);
    runs.filter_map(|run| {
        let (first, last) = (run.first()?, run.last()?);
        let file = files.get(first.file)?;
        let range = FileRange { start: first.begin, end: last.end };
        Some(PartitionedFile { range: Some(range), ..(*file).clone() })
    })
    .collect()
}
