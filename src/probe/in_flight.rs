//! How many there are of each, and no more than that.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts by key; a key without any has no entry. A clone shares the counts.
#[derive(Debug)]
pub(super) struct InFlight<K>(Arc<Mutex<HashMap<K, usize>>>);

impl<K: Clone + Eq + Hash> InFlight<K> {
    /// A slot at this key, unless it has as many already as the limit says.
    pub(super) fn enter(&self, key: K, limit: usize) -> Option<Slot<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&key) {
            Some(count) if *count >= limit => return None,
            Some(count) => *count += 1,
            None if limit == 0 => return None,
            None => drop(counts.insert(key.clone(), 1)),
        }
        Some(Slot { key, in_flight: self.clone() })
    }
}

impl<K> Clone for InFlight<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for InFlight<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// One slot, given back on drop, however what it was for ends.
#[derive(Debug)]
pub(super) struct Slot<K: Clone + Eq + Hash> {
    key: K,
    in_flight: InFlight<K>,
}

impl<K: Clone + Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut counts = self.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn each_key_has_its_own_slots_and_none_is_remembered_when_it_is_empty() {
        let in_flight = InFlight::default();
        let mut slots = vec![in_flight.enter("a", 2), in_flight.clone().enter("a", 2), in_flight.enter("b", 2)];
        assert!(slots.iter().all(Option::is_some));
        assert!(in_flight.enter("a", 2).is_none() && in_flight.enter("c", 0).is_none());
        slots.remove(0);
        slots.push(in_flight.enter("a", 2));
        assert!(slots.iter().all(Option::is_some));
        drop(slots);
        assert!(in_flight.0.lock().expect("no panic").is_empty());
    }
}
