//! The allocator, and its habits fitted to the limit of memory.
//!
//! It is built without pages of 4 MB for objects of 64 to 512 KB (`MI_ENABLE_LARGE_PAGES` in `.cargo/config.toml`), of
//! which each thread has one for each size: each object has pages of its own then. Batches and their buffers have these
//! sizes, but few have the same one, so that a process went on touching new memory for its first eight runs of a
//! query. With two threads the queries of TPC-H at scale 1 hold 10 % less without.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Below this limit memory is spared, above it time.
const SPARE_BELOW_BYTES: usize = 4 << 30;
/// How long freed memory is kept for the next who asks, where memory is spared and where time is; the allocator's own
/// default is a second.
const PURGE_DELAYS_MILLIS: (std::ffi::c_long, std::ffi::c_long) = (10, 10_000);
/// `mi_option_purge_delay` of mimalloc 3.
const PURGE_DELAY: std::ffi::c_int = 15;

/// Makes the process hold little more than its queries do, if they may not hold much; else makes it keep what they have
/// freed for those that come soon.
///
/// Measured on TPC-H at scale 1 with a limit of 256 MB: Q18 holds up to 600 MB with huge pages and freed memory
/// kept for a second, 370 MB as set here, in the same time. Without such a limit, twelve runs of Q7 on two threads ask
/// the system for pages 6,000 times more with memory that is kept for a second than with what is set here. Each of them
/// is to be zeroed, and in a virtual machine to be found by the host: a hash table that takes 5 ms took up to 90.
///
/// To be called before much is freed. A program frees a little before it can know its limit, and that is due to be
/// purged by the delay of then; what is freed later waits for it. So it is purged here.
#[expect(unsafe_code, reason = "neither std nor the allocator's crate sets this")]
pub(crate) fn fit(limit_bytes: usize) {
    let is_spared = limit_bytes < SPARE_BELOW_BYTES;
    let purge_delay = if is_spared { PURGE_DELAYS_MILLIS.0 } else { PURGE_DELAYS_MILLIS.1 };
    unsafe extern "C" {
        fn mi_option_set(option: std::ffi::c_int, value: std::ffi::c_long);
        fn mi_collect(force: bool);
    }
    // SAFETY: the allocator is linked into every program that has this module; the first call stores a number,
    // the second gives back memory that nobody holds.
    unsafe {
        mi_option_set(PURGE_DELAY, purge_delay);
        mi_collect(true);
    }
    #[cfg(target_os = "linux")]
    if is_spared {
        // SAFETY: the call takes numbers only; where the kernel does not know it, it does nothing.
        unsafe {
            libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
        }
    }
}
