//! The allocator, and its habits fitted to the limit of memory.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Below this limit memory is spared, above it time.
const SPARE_BELOW_BYTES: usize = 4 << 30;
/// How long freed memory is kept for the next who asks; the allocator's own default is a second.
const PURGE_DELAY_MILLIS: std::ffi::c_long = 10;
/// `mi_option_purge_delay` of mimalloc 3.
const PURGE_DELAY: std::ffi::c_int = 15;

/// Makes the process hold little more than its queries do, if they may not hold much.
///
/// Measured on TPC-H at scale 1 with a limit of 256 MB: Q18 holds up to 600 MB with huge pages and freed memory
/// kept for a second, 370 MB as set here, in the same time.
///
/// To be called before much is freed. A program frees a little before it can know its limit, and that is due to be
/// purged by the delay of then; what is freed later waits for it. So it is purged here.
#[expect(unsafe_code, reason = "neither std nor the allocator's crate sets this")]
pub(crate) fn fit(limit_bytes: usize) {
    if limit_bytes >= SPARE_BELOW_BYTES {
        return;
    }
    unsafe extern "C" {
        fn mi_option_set(option: std::ffi::c_int, value: std::ffi::c_long);
        fn mi_collect(force: bool);
    }
    // SAFETY: the allocator is linked into every program that has this module; the first call stores a number,
    // the second gives back memory that nobody holds.
    unsafe {
        mi_option_set(PURGE_DELAY, PURGE_DELAY_MILLIS);
        mi_collect(true);
    }
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers only; where the kernel does not know it, it does nothing.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}
