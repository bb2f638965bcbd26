//! Thread pools owned by the extension, one per number of threads; the global pool is never used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::KernelError;

type Pools = Mutex<HashMap<(u32, usize), Arc<ThreadPool>>>;

/// The pool with `threads` workers, made on first use. Pools belong to a process: threads do not survive a fork.
pub fn pool(threads: usize) -> Result<Arc<ThreadPool>, KernelError> {
    static POOLS: OnceLock<Pools> = OnceLock::new();
    let key = (std::process::id(), threads.max(1));
    let mut pools = POOLS
        .get_or_init(Default::default)
        .lock()
        .map_err(|_| KernelError::Shape("the thread pools are poisoned by an earlier panic".into()))?;
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
