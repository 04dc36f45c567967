//! Per-key concurrency limit.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// At most `limit` permits for each key at a time. Clones share the counts.
#[derive(Debug)]
pub(crate) struct KeyedLimit<K> {
    limit: usize,
    /// Permits in use. A key without any has no entry, so that memory follows what is in flight.
    counts: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Clone + Eq + Hash> KeyedLimit<K> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, counts: Arc::default() }
    }

    /// A permit for this key; `None` where the limit is reached.
    pub(crate) fn try_acquire(&self, key: K) -> Option<Permit<K>> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&key).copied().unwrap_or_default();
        if count >= self.limit {
            return None;
        }
        counts.insert(key.clone(), count + 1);
        Some(Permit { key, counts: Arc::clone(&self.counts) })
    }
}

/// One permit; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit<K: Eq + Hash> {
    key: K,
    counts: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_limit_and_an_idle_key_takes_no_memory() {
        let limit = KeyedLimit::new(2);
        let mut permits: Vec<_> = ["a", "a", "b"].map(|key| limit.try_acquire(key)).into();
        assert!(permits.iter().all(Option::is_some));
        assert!(limit.try_acquire("a").is_none() && KeyedLimit::new(0).try_acquire("c").is_none());
        permits.remove(0);
        permits.push(limit.try_acquire("a"));
        assert!(permits.iter().all(Option::is_some));
        drop(permits);
        assert!(limit.counts.lock().expect("no panic").is_empty());
    }
}
