//! The one account of memory: who holds how much, and who is refused more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

use super::copies::{BEYOND_LIMIT_BYTES, Copies};
use super::limits::shown;
use crate::error::OUT_OF_MEMORY;

/// Consumers that a refusal names.
const NAMED_MAX: usize = 3;
const EXCHANGE: &str = "exchange";

/// Divides a limit among operators.
///
/// An operator that can spill may hold its share: what the others have left, divided by the operators that
/// hold something. (DataFusion's fair pool counts idle ones as well, of which a plan has dozens, and its
/// greedy one lets the first take all.) An operator that cannot spill may take whatever is there, and a
/// part of the limit is kept for it: when spilling operators have filled the pool, nobody else could take
/// it back from them.
///
/// A join that copies its build side when it has it may hold what leaves room for the copy.
#[derive(Debug)]
pub struct Pool {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Bytes held by operators that can spill, and how many of them hold any.
    spillable: usize,
    spillers: usize,
    unspillable: usize,
    consumers: HashMap<usize, Consumer>,
    copies: Copies,
}

#[derive(Debug)]
struct Consumer {
    name: String,
    can_spill: bool,
    held: usize,
}

impl Pool {
    /// A pool of so many bytes.
    pub fn new(limit: usize) -> Self {
        let (consumers, copies) = (HashMap::new(), Copies::default());
        let state = State { limit, spillable: 0, spillers: 0, unspillable: 0, consumers, copies };
        Self { state: Mutex::new(state) }
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.state().limit
    }

    /// Changes the limit. What is held stays held; only growth is refused.
    pub fn set_limit(&self, limit: usize) {
        self.state().limit = limit;
    }

    /// No call below panics half way, so a poisoned lock still guards a sound state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn held(&self) -> usize {
        self.spillable.saturating_add(self.unspillable)
    }

    /// Kept free of what can spill: a sort, say, has to merge what it holds before it can spill it, and the
    /// merge copies the keys, which may be all there is.
    fn headroom(&self) -> usize {
        self.limit / 3
    }

    /// Whether a consumer may hold so much more.
    fn allows(&self, id: usize, additional: usize) -> bool {
        let wanted = self.held().saturating_add(additional);
        let Some(consumer) = self.consumers.get(&id).filter(|consumer| consumer.can_spill) else {
            return wanted <= self.limit && self.has_room_for_copies(id, additional, wanted);
        };
        let sharers = self.spillers + usize::from(consumer.held == 0);
        let room = self.limit.saturating_sub(self.unspillable.max(self.headroom()));
        let share = room / sharers.max(1);
        let holds = consumer.held.saturating_add(additional);
        // One that comes when the others have filled the room gets a little all the same: without its
        // first batches it could not even begin to spill. Where there are many, a little of each is much.
        let little = share.clamp(self.limit / 64, self.limit / 16);
        holds <= share && self.spillable.saturating_add(additional) <= room
            || holds <= little && wanted <= self.limit
            || operator(&consumer.name) == EXCHANGE && self.overdraws(holds, wanted)
    }

    /// Whether the copies that joins may be making at once fit as well, one that is about to grow included.
    fn has_room_for_copies(&self, id: usize, additional: usize, wanted: usize) -> bool {
        let Some(bytes) = self.copied(id, additional) else { return true };
        let copies = self.copies.of_others(id).saturating_add(bytes);
        wanted.saturating_add(copies) <= self.limit.saturating_add(BEYOND_LIMIT_BYTES)
    }

    /// What a consumer may copy once it has grown; `None` if it does not copy.
    fn copied(&self, id: usize, additional: usize) -> Option<usize> {
        let consumer = self.consumers.get(&id)?;
        Copies::bytes(&consumer.name, consumer.held, additional)
    }

    /// Whether an exchange may go beyond the limit: by the few batches that keep rows flowing while builds
    /// of joins, which wait for these rows and cannot spill, hold most of it. Its way over the disk can
    /// stall there.
    fn overdraws(&self, holds: usize, wanted: usize) -> bool {
        let is_full = self.unspillable >= self.limit / 4 * 3;
        is_full && holds <= self.limit / 64 && wanted <= self.limit.saturating_add(self.limit / 16)
    }

    fn grow(&mut self, id: usize, additional: usize) {
        let Some(consumer) = self.consumers.get_mut(&id) else { return };
        if consumer.can_spill {
            self.spillers += usize::from(consumer.held == 0 && additional > 0);
            self.spillable = self.spillable.saturating_add(additional);
        } else {
            self.unspillable = self.unspillable.saturating_add(additional);
        }
        consumer.held = consumer.held.saturating_add(additional);
    }

    fn shrink(&mut self, id: usize, bytes: usize) {
        let Some(consumer) = self.consumers.get_mut(&id) else { return };
        let bytes = bytes.min(consumer.held);
        consumer.held -= bytes;
        if consumer.can_spill {
            self.spillers -= usize::from(consumer.held == 0 && bytes > 0);
            self.spillable -= bytes;
        } else {
            self.unspillable -= bytes;
        }
    }

    /// Who holds most, the parts of one operator taken together.
    fn largest(&self) -> Vec<(String, usize)> {
        let mut sums: HashMap<&str, usize> = HashMap::new();
        for consumer in self.consumers.values().filter(|consumer| consumer.held > 0) {
            *sums.entry(operator(&consumer.name)).or_default() += consumer.held;
        }
        let mut sums: Vec<_> = sums.into_iter().map(|(name, held)| (name.to_string(), held)).collect();
        sums.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        sums.truncate(NAMED_MAX);
        sums
    }

    fn refusal(&self, name: &str, additional: usize) -> String {
        let bytes = |bytes: usize| shown(u64::try_from(bytes).unwrap_or(u64::MAX));
        let limit = bytes(self.limit);
        let mut text = format!("{OUT_OF_MEMORY}the limit of {limit} (--memory-limit) is reached; ");
        let largest = self.largest();
        if !largest.is_empty() {
            let named: Vec<_> =
                largest.iter().map(|(name, held)| format!("{name} ({})", bytes(*held))).collect();
            text += &format!("the largest consumers are {}; ", named.join(", "));
        }
        text + &format!("{} asked for {} more", operator(name), bytes(additional))
    }
}

/// The operator behind a consumer's name, `HashJoinInput[3]`, in words.
fn operator(name: &str) -> &str {
    let name = name.split('[').next().unwrap_or(name);
    match name {
        "HashJoinInput" => "hash join",
        "CrossJoinExec" => "cross join",
        "NestedLoopJoinLoad" | "NestedLoopJoinGlobalRightBitmaps" => "nested-loop join",
        "SMJStream" => "sort-merge join",
        "PiecewiseMergeJoinInput" => "range join",
        "ExternalSorter" => "sort",
        "ExternalSorterMerge" | "SortPreservingMergeExec" | "ExchangeMerge" => "merge of sorted runs",
        "TopK" | "PartitionedTopK" | "PartitionedTopKRank" => "top rows",
        "RepartitionExec" | "Exchange" | "Results" => EXCHANGE,
        "Shared" => "shared rows",
        "RecursiveQuery" | "RecursiveQueryHashTable" => "recursive query",
        _ if name.contains("Aggregate") => "aggregation",
        _ => name,
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        let (name, can_spill) = (consumer.name().to_string(), consumer.can_spill());
        self.state().consumers.insert(consumer.id(), Consumer { name, can_spill, held: 0 });
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut state = self.state();
        state.shrink(consumer.id(), usize::MAX);
        state.consumers.remove(&consumer.id());
        state.copies.forget(consumer.id());
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut state = self.state();
        state.copies.done(thread::current().id());
        state.grow(reservation.consumer().id(), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, bytes: usize) {
        let mut state = self.state();
        state.copies.done(thread::current().id());
        state.shrink(reservation.consumer().id(), bytes);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let (consumer, thread) = (reservation.consumer(), thread::current().id());
        let mut state = self.state();
        state.copies.done(thread);
        if !state.allows(consumer.id(), additional) {
            // This variant, because operators take it as the call to spill.
            return Err(DataFusionError::ResourcesExhausted(state.refusal(consumer.name(), additional)));
        }
        if let Some(bytes) = state.copied(consumer.id(), additional) {
            state.copies.start(consumer.id(), thread, bytes);
        }
        state.grow(consumer.id(), additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.state().held()
    }

    fn memory_limit(&self) -> MemoryLimit {
        match self.state().limit {
            usize::MAX => MemoryLimit::Infinite,
            limit => MemoryLimit::Finite(limit),
        }
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "{} of {} bytes held", state.held(), state.limit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pool(limit: usize) -> (Arc<Pool>, Arc<dyn MemoryPool>) {
        let pool = Arc::new(Pool::new(limit));
        (Arc::clone(&pool), pool)
    }

    fn spiller(name: &str, pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(true).register(pool)
    }

    fn holder(name: &str, pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new(name).register(pool)
    }

    #[test]
    fn spillers_that_hold_something_share_and_idle_ones_do_not_count() {
        let (_, pool) = pool(900);
        let one = spiller("ExternalSorter[0]", &pool);
        let two = spiller("ExternalSorter[1]", &pool);
        one.try_grow(500).unwrap();
        // The newcomer may take what is left; the other is above its half now and has to spill.
        two.try_grow(100).unwrap();
        one.try_grow(1).unwrap_err();
        one.free();
        two.try_grow(500).unwrap();
        assert_eq!(pool.reserved(), 600);
    }

    #[test]
    fn an_exchange_gets_a_few_batches_beyond_what_others_hold() {
        let (_, pool) = pool(6400);
        let join = holder("HashJoinInput[0]", &pool);
        join.try_grow(6400).unwrap();
        let exchange = spiller("RepartitionExec[1]", &pool);
        exchange.try_grow(100).unwrap();
        exchange.try_grow(1).unwrap_err();
        let others: Vec<_> = (0..3).map(|_| spiller("RepartitionExec[2]", &pool)).collect();
        others.iter().for_each(|other| other.try_grow(100).unwrap());
        spiller("RepartitionExec[3]", &pool).try_grow(1).unwrap_err();
        spiller("ExternalSorter[0]", &pool).try_grow(1).unwrap_err();
    }

    #[test]
    fn what_cannot_spill_finds_room_that_what_can_leaves_free() {
        let (_, pool) = pool(900);
        let sort = spiller("ExternalSorter[0]", &pool);
        sort.try_grow(601).unwrap_err();
        sort.try_grow(600).unwrap();
        let join = holder("HashJoinInput", &pool);
        join.try_grow(300).unwrap();
        join.try_grow(1).unwrap_err();
        sort.shrink(200);
        join.try_grow(200).unwrap();
        sort.try_grow(1).unwrap_err();
    }

    #[test]
    fn a_join_leaves_room_for_the_copy_of_its_build_side() {
        let (own, pool) = pool(1_000_000_000);
        let join = holder("HashJoinInput", &pool);
        join.try_grow(600_000_000).unwrap();
        // 600 MB held, as much copied, 40 MB for the table: 1240 MB.
        join.try_grow(40_000_001).unwrap_err();
        join.try_grow(40_000_000).unwrap();
        // The copy is over when the thread asks again, and others have all that is not reserved.
        let rows = holder("TopK", &pool);
        rows.try_grow(360_000_000).unwrap();
        assert_eq!(pool.reserved(), 1_000_000_000);
        drop((join, rows));
        assert_eq!((pool.reserved(), own.state().copies.of_others(usize::MAX)), (0, 0));
    }

    #[test]
    fn joins_on_other_threads_may_copy_at_the_same_time() {
        let (own, pool) = pool(1_000_000_000);
        let builds: Vec<_> = (0..2).map(|n| holder(&format!("HashJoinInput[{n}]"), &pool)).collect();
        builds.iter().for_each(|build| build.try_grow(310_000_000).unwrap());
        let [one, two] = <[_; 2]>::try_from(builds).unwrap();
        // Asked for on one thread and then on another, it is copied on the other only.
        one.try_grow(1).unwrap();
        let one = std::thread::spawn(move || one.try_grow(9).map(|()| one)).join().unwrap().unwrap();
        assert_eq!(own.state().copies.of_others(usize::MAX), 310_000_001);
        // 620 MB held, twice 310 MB copied.
        two.try_grow(10).unwrap_err();
        drop(one);
        two.try_grow(10).unwrap();
    }

    #[test]
    fn below_what_a_process_may_take_beside_the_limit_copies_do_not_count() {
        let (_, pool) = pool(BEYOND_LIMIT_BYTES);
        let join = holder("HashJoinInput", &pool);
        (0..16).for_each(|_| join.try_grow(BEYOND_LIMIT_BYTES / 16).unwrap());
        join.try_grow(1).unwrap_err();
    }

    #[test]
    fn a_latecomer_gets_enough_to_begin_with() {
        let (_, pool) = pool(1_600);
        let early = spiller("ExternalSorter[0]", &pool);
        early.try_grow(1_067).unwrap();
        let late = spiller("ExternalSorter[1]", &pool);
        late.try_grow(100).unwrap();
        late.try_grow(1).unwrap_err();
    }

    #[test]
    fn a_refusal_names_the_operators_that_hold_most() {
        let (_, pool) = pool(10_000_000);
        let builds: Vec<_> = (0..2).map(|n| holder(&format!("HashJoinInput[{n}]"), &pool)).collect();
        builds.iter().for_each(|build| build.try_grow(3_000_000).unwrap());
        let others: Vec<_> = ["TopK[0]", "CrossJoinExec", "Unheard"].map(|name| holder(name, &pool)).into();
        others.iter().zip([300_000, 200_000, 100_000]).for_each(|(other, held)| other.grow(held));
        let error = others[0].try_grow(4_000_000).unwrap_err();
        let DataFusionError::ResourcesExhausted(text) = error else { panic!("{error}") };
        assert_eq!(
            text,
            "out of memory: the limit of 10.0 MB (--memory-limit) is reached; the largest consumers are hash \
             join (6.0 MB), top rows (300.0 kB), cross join (200.0 kB); top rows asked for 4.0 MB more"
        );
    }

    #[test]
    fn what_is_given_back_is_free_again() {
        let (own, pool) = pool(800);
        let join = holder("HashJoinInput", &pool);
        join.try_grow(800).unwrap();
        own.set_limit(400);
        join.shrink(500);
        join.try_grow(101).unwrap_err();
        join.try_grow(100).unwrap();
        let part = join.split(50);
        drop(join);
        assert_eq!(pool.reserved(), 50);
        drop(part);
        assert_eq!(pool.reserved(), 0);
        let sort = spiller("ExternalSorter[0]", &pool);
        sort.try_grow(250).unwrap();
        drop(sort);
        assert_eq!((pool.reserved(), own.state().spillers), (0, 0));
    }
}
