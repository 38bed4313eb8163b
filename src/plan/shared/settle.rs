//! Plans the shared subplans of a query, before the query itself is planned.
//!
//! ```text
//!  the query, optimised                   what its readers want ─▶ the subplan, optimised and planned
//!    TableScan: c, k = 2, [k, s]  ──┐            │                        │
//!    TableScan: c, k = 3, [k, s]  ──┴────────────┘                        │
//!                                                                         ▼
//!    TableScan: c  ◀────────────────────────────────────────────── the same leaf for each
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Explain, LogicalPlan, TableScan};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use super::ShareId;
use super::decide::{goes_back, is_too_large, multiplies};
use super::exec::SharedExec;
use super::needs::{Needs, Reader};
use super::table::{PlannedTable, Share, inlined, replaced, scans};

/// A plan that can be planned physically: the shared subplans in it are, those that are not worth it are back in their
/// readers. `None` if there are none.
///
/// # Errors
/// What the optimiser and the planner refuse.
pub async fn settled(plan: &LogicalPlan, session: &dyn Session) -> Result<Option<LogicalPlan>> {
    if let LogicalPlan::Explain(explain) = plan {
        let inner = Box::pin(settled(&explain.plan, session)).await?;
        return Ok(
            inner.map(|inner| LogicalPlan::Explain(Explain { plan: Arc::new(inner), ..explain.clone() }))
        );
    }
    if scans(plan)?.is_empty() {
        return Ok(None);
    }
    let Some(state) = session.as_any().downcast_ref::<SessionState>() else {
        return internal_err!("shared subplans are planned in a session of DataFusion's");
    };
    let mut query = Query::new(plan.clone(), state)?;
    loop {
        let settling = query.settle()?;
        let back = match settling.back.is_empty() {
            true => match query.bound(settling).await? {
                Bound::Plan(plan) => return Ok(Some(plan)),
                Bound::Back(back) => back,
            },
            false => settling.back,
        };
        query.put_back(&back)?;
    }
}

/// The plan with all shared subplans in their readers, as if none had been found.
///
/// # Errors
/// What the optimiser refuses.
pub fn unshared(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    if scans(&plan)?.is_empty() {
        return Ok(plan);
    }
    let mut query = Query::new(plan, state)?;
    let all: Vec<_> = query.shares.iter().map(|share| share.id).collect();
    query.put_back(&all)?;
    Ok(query.plan)
}

/// The plans that read tables for a plan that is optimised: itself without the shared subplans, and these with what
/// their readers want. As their size may still put them back, also itself with all of them.
///
/// # Errors
/// What the optimiser refuses.
pub fn parts(plan: LogicalPlan, state: &SessionState) -> Result<Vec<LogicalPlan>> {
    if scans(&plan)?.is_empty() {
        return Ok(vec![plan]);
    }
    let mut query = Query::new(plan.clone(), state)?;
    let settling = loop {
        let settling = query.settle()?;
        match settling.back.is_empty() {
            true => break settling,
            false => query.put_back(&settling.back)?,
        }
    };
    let mut parts: Vec<_> = settling.wanted.into_iter().map(|wanted| wanted.plan).collect();
    parts.extend([query.plan, unshared(plan, state)?]);
    Ok(parts)
}

/// A query, and the subplans that are taken out of it.
struct Query<'a> {
    state: &'a SessionState,
    /// Optimised.
    plan: LogicalPlan,
    /// Each before those that it reads.
    shares: Vec<Arc<Share>>,
    /// Their plans, analysed.
    plans: HashMap<ShareId, LogicalPlan>,
}

/// The subplans with what their readers want, in the same order.
#[derive(Default)]
struct Settling {
    wanted: Vec<Wanted>,
    /// Those that go back.
    back: Vec<ShareId>,
}

struct Wanted {
    share: Arc<Share>,
    /// Optimised.
    plan: LogicalPlan,
    columns: Vec<usize>,
    readers: usize,
    /// Whether the readers have different conditions.
    differ: bool,
}

enum Bound {
    Plan(LogicalPlan),
    Back(Vec<ShareId>),
}

impl<'a> Query<'a> {
    fn new(plan: LogicalPlan, state: &'a SessionState) -> Result<Self> {
        let mut plans = HashMap::new();
        let mut shares: Vec<Arc<Share>> = Vec::new();
        let mut ahead = vec![plan.clone()];
        while let Some(reader) = ahead.pop() {
            for share in shares_in(&reader)? {
                let Some(inner) = share.plan.get() else {
                    return internal_err!("the shared subplan {} has no plan", share.name);
                };
                ahead.push(inner.clone());
                plans.insert(share.id, inner.clone());
                // After all that read it: another reader moves it back.
                shares.retain(|known| known.id != share.id);
                shares.push(share);
            }
        }
        Ok(Self { state, plan, shares, plans })
    }

    fn optimised(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        self.state.optimizer().optimize(plan, self.state, |_, _| {})
    }

    /// Finds out what the readers of each subplan want, and which go back.
    fn settle(&self) -> Result<Settling> {
        let mut settling = Settling::default();
        let mut readers: HashMap<ShareId, Vec<Reader>> = HashMap::new();
        // Those whose readers are not all known yet, because one of them goes back.
        let mut unsettled = HashSet::new();
        note_readers(&mut readers, &self.plan)?;
        for share in &self.shares {
            let Some(plan) = self.plans.get(&share.id) else { continue };
            if unsettled.contains(&share.id) {
                unsettled.extend(shares_in(plan)?.iter().map(|inner| inner.id));
                continue;
            }
            // The optimiser may have left out all of them.
            let Some(readers_here) = readers.remove(&share.id) else { continue };
            let Some((needs, plan)) = self.shared(share, plan, &readers_here)? else {
                settling.back.push(share.id);
                unsettled.extend(shares_in(plan)?.iter().map(|inner| inner.id));
                continue;
            };
            note_readers(&mut readers, &plan)?;
            settling.wanted.push(Wanted {
                share: Arc::clone(share),
                plan,
                columns: needs.columns,
                readers: readers_here.len(),
                differ: needs.differ,
            });
        }
        Ok(settling)
    }

    /// What the readers of a subplan want of it, and the subplan with that; `None` if it goes back.
    fn shared(
        &self,
        share: &Share,
        plan: &LogicalPlan,
        readers: &[Reader],
    ) -> Result<Option<(Needs, LogicalPlan)>> {
        if goes_back(share, plan, readers)? {
            return Ok(None);
        }
        let needs = Needs::of(share, plan, readers)?;
        let optimised = self.optimised(needs.applied(share, plan)?)?;
        let for_one = || {
            let needs = Needs::of(share, plan, &readers[..1])?;
            self.optimised(needs.applied(share, plan)?)
        };
        let is_lost = needs.differ && multiplies(share, &optimised, for_one)?;
        Ok((!is_lost).then_some((needs, optimised)))
    }

    /// Plans the subplans, those first that others read, and has the query read them.
    async fn bound(&self, settling: Settling) -> Result<Bound> {
        let mut tables: HashMap<ShareId, Arc<PlannedTable>> = HashMap::new();
        let mut back = Vec::new();
        for wanted in settling.wanted.into_iter().rev() {
            let Wanted { share, plan, columns, readers, differ } = wanted;
            let bound = reading(plan, &tables)?;
            let planned = DefaultPhysicalPlanner::default().create_physical_plan(&bound, self.state).await?;
            if is_too_large(&share, differ, &bound, &planned, self.state)? {
                back.push(share.id);
            }
            let schema = Arc::new(share.schema.project(&columns)?);
            let plan = SharedExec::try_new(share.id, share.name.table(), readers, planned, schema)?;
            let table = PlannedTable { schema: Arc::clone(&share.schema), columns, plan: Arc::new(plan) };
            tables.insert(share.id, Arc::new(table));
        }
        match back.is_empty() {
            true => Ok(Bound::Plan(reading(self.plan.clone(), &tables)?)),
            false => Ok(Bound::Back(back)),
        }
    }

    /// Has the readers of some subplans compute them themselves.
    fn put_back(&mut self, back: &[ShareId]) -> Result<()> {
        for id in back {
            let Some(inner) = self.plans.remove(id) else { continue };
            let put = |plan: LogicalPlan| {
                replaced(plan, |share, scan| match share.id == *id {
                    true => inlined(share, scan, &inner).map(Some),
                    false => Ok(None),
                })
            };
            self.plan = put(std::mem::take(&mut self.plan))?;
            for plan in self.plans.values_mut() {
                *plan = put(std::mem::take(plan))?;
            }
        }
        let plan = std::mem::take(&mut self.plan);
        self.plan = self.optimised(plan)?;
        Ok(())
    }
}

/// The shared subplans that a plan reads itself, each once.
fn shares_in(plan: &LogicalPlan) -> Result<Vec<Arc<Share>>> {
    let mut shares: Vec<Arc<Share>> = Vec::new();
    for (share, _) in scans(plan)? {
        if !shares.iter().any(|known| known.id == share.id) {
            shares.push(share);
        }
    }
    Ok(shares)
}

fn note_readers(readers: &mut HashMap<ShareId, Vec<Reader>>, plan: &LogicalPlan) -> Result<()> {
    for (share, scan) in scans(plan)? {
        readers.entry(share.id).or_default().push(Reader::of(&share, &scan));
    }
    Ok(())
}

/// A plan that reads these tables.
fn reading(plan: LogicalPlan, tables: &HashMap<ShareId, Arc<PlannedTable>>) -> Result<LogicalPlan> {
    replaced(plan, |share, scan| {
        let Some(table) = tables.get(&share.id) else {
            return internal_err!("the shared subplan {} is not planned", share.name);
        };
        let source = provider_as_source(Arc::clone(table) as _);
        // Its own conditions are above it.
        Ok(Some(LogicalPlan::TableScan(TableScan {
            source,
            filters: Vec::new(),
            fetch: None,
            ..scan.clone()
        })))
    })
}
