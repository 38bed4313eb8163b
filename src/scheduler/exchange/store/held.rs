//! The memory behind batches that are held together.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, ArrayData, RecordBatch};
use datafusion::arrow::buffer::Buffer;

/// Counts the buffers of batches, each once. Aggregations hand on slices of one large batch: counted by themselves,
/// a hundred slices of a gigabyte would be a hundred gigabytes.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By address: bytes, and in how many places it is used.
    buffers: HashMap<usize, (usize, usize)>,
}

impl Held {
    /// Adds a batch; gives the bytes that were not held before.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> usize {
        let mut added = 0;
        each_buffer(batch, &mut |buffer| {
            let (bytes, uses) = self.buffers.entry(address(buffer)).or_insert((buffer.capacity(), 0));
            *uses += 1;
            added += if *uses == 1 { *bytes } else { 0 };
        });
        added
    }

    /// Takes out a batch that was added; gives the bytes that are not held any more.
    pub(super) fn remove(&mut self, batch: &RecordBatch) -> usize {
        let mut freed = 0;
        each_buffer(batch, &mut |buffer| {
            let address = address(buffer);
            let Some((bytes, uses)) = self.buffers.get_mut(&address) else { return };
            *uses -= 1;
            if *uses == 0 {
                freed += *bytes;
                self.buffers.remove(&address);
            }
        });
        freed
    }
}

/// Where a buffer begins, however it is sliced.
fn address(buffer: &Buffer) -> usize {
    buffer.data_ptr().addr().get()
}

fn each_buffer(batch: &RecordBatch, f: &mut impl FnMut(&Buffer)) {
    for column in batch.columns() {
        each_buffer_of(&column.to_data(), f);
    }
}

fn each_buffer_of(data: &ArrayData, f: &mut impl FnMut(&Buffer)) {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    // Those without bytes have no address of their own.
    data.buffers().iter().chain(nulls).filter(|buffer| buffer.capacity() > 0).for_each(&mut *f);
    data.child_data().iter().for_each(|child| each_buffer_of(child, f));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, ListArray, StringViewArray};
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    fn of(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("a", column)]).unwrap()
    }

    #[test]
    fn slices_of_a_batch_count_once() {
        let whole = of(Arc::new(Int64Array::from_iter((0..1_000).map(|n| (n % 3 > 0).then_some(n)))));
        let mut held = Held::default();
        let added = held.add(&whole.slice(0, 10));
        assert!((8_000 + 125..10_000).contains(&added), "{added}");
        for at in 1..100 {
            assert_eq!(held.add(&whole.slice(at * 10, 10)), 0);
        }
        for at in 0..99 {
            assert_eq!(held.remove(&whole.slice(at * 10, 10)), 0);
        }
        assert_eq!(held.remove(&whole.slice(990, 10)), added);
    }

    #[test]
    fn a_batch_that_comes_twice_counts_once() {
        let whole = of(Arc::new(Int64Array::from_iter_values(0..1_000)));
        let mut held = Held::default();
        let added = held.add(&whole);
        assert_eq!(held.add(&whole), 0);
        assert_eq!(held.remove(&whole), 0);
        assert_eq!(held.remove(&whole), added);
    }

    #[test]
    fn what_is_below_a_list_and_behind_a_view_is_counted() {
        let texts = of(Arc::new(StringViewArray::from_iter_values((0..10).map(|n| format!("{n:0>1000}")))));
        assert!(Held::default().add(&texts) >= 10_000);
        let list = (0..10).map(|_| Some((0..100).map(Some)));
        let lists = of(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(list)));
        assert!(Held::default().add(&lists) >= 8_000);
    }

    #[test]
    fn a_batch_without_columns_or_rows_holds_nothing() {
        let empty = of(Arc::new(Int64Array::from_iter_values([])));
        let mut held = Held::default();
        assert_eq!((held.add(&empty), held.remove(&empty)), (0, 0));
    }
}
