//! Waiting for work on the workers, and for the signals that stop it.

use std::any::Any;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::progress;
use crate::config::STACK_BYTES;
use crate::error::{Error, Result, panic_message};
use crate::output::staging;

/// How often stopped work is looked at.
const POLL: Duration = Duration::from_millis(5);
/// How often a prompt is told that the process is to end, and for how long until it ends without it.
const POKE: Duration = Duration::from_millis(50);
const POKES_MAX: usize = 240;

/// A signal that asks to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A polite kill.
    Terminate,
}

impl Signal {
    /// What the signal means as an error, for its message and exit code.
    pub(super) fn error(self) -> Error {
        let signal = match self {
            Self::Interrupt => libc::SIGINT,
            Self::Terminate => libc::SIGTERM,
        };
        Error::Interrupted { signal }
    }
}

/// Signals, heard on a thread of their own: workers may all be busy with operators that do not yield, and
/// a prompt blocks the thread that waits for work.
pub(super) struct Signals {
    heard: UnboundedReceiver<Signal>,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    /// Hears signals from now on. With a prompt, SIGTERM becomes a Ctrl-C for whoever reads the terminal,
    /// so that it is given back as it was found.
    pub(super) fn hear(has_prompt: bool) -> Result<Self> {
        let failed = |source| Error::io("wait for signals in", "query", source);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (send, heard) = unbounded_channel();
        let terminated = Arc::new(AtomicBool::new(false));
        let (interrupts, terminations) = {
            let _guard = runtime.enter();
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        };
        let (interrupts, terminations) = (interrupts.map_err(failed)?, terminations.map_err(failed)?);
        let is_set = Arc::clone(&terminated);
        let listen = listen(interrupts, terminations, send, is_set, has_prompt);
        let thread = thread::Builder::new().name("signals".into());
        thread.spawn(move || runtime.block_on(listen)).map_err(failed)?;
        Ok(Self { heard, terminated })
    }

    /// Whether the process has been told to end.
    pub(super) fn terminated(&self) -> bool {
        self.terminated.load(Ordering::SeqCst)
    }

    /// Forgets what came while nothing was running.
    pub(super) fn forget(&mut self) {
        while self.heard.try_recv().is_ok() {}
    }

    async fn next(&mut self) -> Signal {
        match self.heard.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

async fn listen(
    mut interrupts: tokio::signal::unix::Signal,
    mut terminations: tokio::signal::unix::Signal,
    send: UnboundedSender<Signal>,
    terminated: Arc<AtomicBool>,
    has_prompt: bool,
) {
    loop {
        let signal = tokio::select! {
            _ = interrupts.recv() => Signal::Interrupt,
            _ = terminations.recv() => Signal::Terminate,
        };
        if signal == Signal::Terminate {
            terminated.store(true, Ordering::SeqCst);
        }
        // Nobody may be waiting any more: the process is about to end by itself.
        let _ = send.send(signal);
        if signal == Signal::Terminate && has_prompt {
            poke().await;
        }
    }
}

/// Wakes a prompt until it has gone and taken the process with it.
async fn poke() {
    for _ in 0..POKES_MAX {
        interrupt_self();
        tokio::time::sleep(POKE).await;
    }
    progress::close();
    std::process::exit(Signal::Terminate.error().exit_code().into());
}

#[expect(unsafe_code, reason = "std sends no signals")]
fn interrupt_self() {
    // SAFETY: `kill` reads two numbers and touches no memory of ours.
    unsafe { libc::kill(libc::getpid(), libc::SIGINT) };
}

/// Tells work that nobody wants its results any more: an operator that does not yield outlives its
/// cancellation for a while, and must not write then.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether to write nothing more.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// How work ended.
pub(super) enum Ended<T> {
    /// By itself.
    Done(T),
    /// By a panic.
    Panicked(Error),
    /// By a signal; `is_gone` tells whether its task has ended as well.
    Stopped { signal: Signal, is_gone: bool },
}

/// Waits for work, or for a signal: then says so, aborts the work and gives it so much time to go.
pub(super) async fn supervise<T>(
    mut work: JoinHandle<T>,
    signals: &mut Signals,
    stop: &Stop,
    say: impl FnOnce(Signal),
    patience: impl Fn() -> Duration,
) -> Ended<T> {
    tokio::select! {
        done = &mut work => match done.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(done) => Ended::Done(done),
            Err(Ok(panic)) => Ended::Panicked(panicked(panic.as_ref())),
            Err(Err(_)) => Ended::Panicked(Error::Internal { message: "the work was cancelled".into() }),
        },
        signal = signals.next() => {
            stop.set();
            say(signal);
            work.abort();
            let stopped = Instant::now();
            while !work.is_finished() && stopped.elapsed() < patience() {
                tokio::time::sleep(POLL).await;
            }
            Ended::Stopped { signal, is_gone: work.is_finished() }
        }
    }
}

/// How long stopped work may take to end before the process does, and how long if it has half a file to
/// take away. What it leaves all the same, the next write sweeps.
pub(super) fn cleanup_time_max() -> Duration {
    if staging::is_open() { Duration::from_secs(10) } else { Duration::from_millis(500) }
}

/// Waits for what work that was stopped, or ran out of time, has still to take away: files that are half written,
/// uploads that were begun.
pub(super) fn clear_up() {
    let begun = Instant::now();
    while staging::is_open() && begun.elapsed() < cleanup_time_max() {
        thread::sleep(POLL);
    }
}

/// The threads that plan queries and write what they give; those of the engine `stock` run on them as well. All cores
/// unless said otherwise.
pub(super) fn workers(threads: Option<NonZeroUsize>) -> Result<Runtime> {
    let builder = &mut Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads.get());
    }
    builder.enable_all().thread_stack_size(STACK_BYTES).build().map_err(not_started)
}

/// The runtime of the thread that waits.
pub(super) fn supervisor() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().map_err(not_started)
}

fn not_started(source: std::io::Error) -> Error {
    Error::io("start the runtime for", "query", source)
}

/// An error for a caught panic.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Error {
    Error::Internal { message: panic_message(panic) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signals that a test sends by hand.
    fn signals() -> (UnboundedSender<Signal>, Signals) {
        let (send, heard) = unbounded_channel();
        (send, Signals { heard, terminated: Arc::default() })
    }

    fn run<T: Send + 'static>(
        work: impl Future<Output = T> + Send + 'static,
        mut signals: Signals,
        stop: &Stop,
    ) -> Ended<T> {
        let workers = workers(None).unwrap();
        let patience = || Duration::from_millis(20);
        #[expect(clippy::disallowed_methods, reason = "a statement's driver is no task of a query")]
        let work = workers.spawn(work);
        let ended = supervisor().unwrap().block_on(supervise(work, &mut signals, stop, |_| (), patience));
        workers.shutdown_background();
        ended
    }

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let (_send, signals) = signals();
        let ended = run(async { panic!("a part broke") }, signals, &Stop::default());
        let Ended::<()>::Panicked(error) = ended else { panic!("no panic") };
        assert_eq!(error.to_string(), "internal error: a part broke");
    }

    #[test]
    fn work_that_does_not_yield_is_left_behind_and_told_to_be_quiet() {
        let (send, signals) = signals();
        let stop = Stop::default();
        let (seen, started) = (stop.clone(), Arc::new(AtomicBool::new(false)));
        let is_started = Arc::clone(&started);
        thread::spawn(move || {
            while !started.load(Ordering::SeqCst) {
                thread::sleep(POLL);
            }
            send.send(Signal::Interrupt).unwrap();
            // The channel stays open for as long as somebody may wait.
            thread::sleep(Duration::from_secs(1));
        });
        let (ended_send, ended) = std::sync::mpsc::channel();
        let stubborn = async move {
            is_started.store(true, Ordering::SeqCst);
            // Longer than the patience, whatever the machine is busy with.
            while !seen.is_set() || ended.try_recv().is_err() {
                thread::sleep(POLL);
            }
        };
        let outcome = run(stubborn, signals, &stop);
        assert!(matches!(outcome, Ended::Stopped { signal: Signal::Interrupt, is_gone: false }));
        assert!(stop.is_set());
        ended_send.send(()).unwrap();
    }
}
