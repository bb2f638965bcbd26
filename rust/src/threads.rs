//! Thread pools owned by the extension, one per number of threads; the global pool is never used.

use std::collections::HashMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex, OnceLock};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::KernelError;

type Pools = Mutex<HashMap<(u32, usize), Arc<ThreadPool>>>;

/// The pool with `threads` workers, made on first use. Pools belong to a process: threads do not survive a fork.
fn pool(threads: usize) -> Result<Arc<ThreadPool>, KernelError> {
    static POOLS: OnceLock<Pools> = OnceLock::new();
    let key = (std::process::id(), threads.max(1));
    let mut pools = POOLS.get_or_init(Default::default).lock().map_err(|_| {
        KernelError::Shape("the thread pools are poisoned by an earlier panic".into())
    })?;
    if let Some(pool) = pools.get(&key) {
        return Ok(Arc::clone(pool));
    }
    let built = ThreadPoolBuilder::new()
        .num_threads(key.1)
        .build()
        .map_err(|e| KernelError::Shape(format!("cannot start {} threads: {e}", key.1)))?;
    let pool = Arc::new(built);
    pools.insert(key, Arc::clone(&pool));
    Ok(pool)
}

/// Applies `f` to every part and returns the results in order: in the current pool, or on this thread when there is
/// one part only, so that small problems never wake a worker.
pub fn map_parts<T: Send, R: Send>(parts: Vec<T>, f: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
    if parts.len() <= 1 {
        parts.into_iter().map(f).collect()
    } else {
        parts.into_par_iter().map(f).collect()
    }
}

/// Runs `work` in the pool of `threads` workers, or directly when the problem is one part; a panic is an error.
pub fn run<T: Send>(
    single_part: bool,
    threads: usize,
    work: impl FnOnce() -> T + Send,
) -> Result<T, KernelError> {
    let guarded = || catch_unwind(AssertUnwindSafe(work));
    let outcome = if single_part {
        guarded()
    } else {
        pool(threads)?.install(guarded)
    };
    outcome.map_err(|_| KernelError::Shape("the arrays do not fit together".into()))
}
