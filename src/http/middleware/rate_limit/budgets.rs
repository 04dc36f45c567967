//! Bounded store of the budgets. governor's own stores grow with the number of addresses.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use governor::{
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

use super::Key;

/// Budgets that are kept apart, about 8 MB. All callers beyond share one.
const MAX_BUDGETS: usize = 65_536;

/// When each budget is full again, in nanoseconds since the start.
#[derive(Debug, Default)]
pub(super) struct Budgets(Mutex<HashMap<Key, Nanos>>);

impl Budgets {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Nanos>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Budgets {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut budgets = self.lock();
        let key = if budgets.len() < MAX_BUDGETS || budgets.contains_key(key) { key } else { &Key::Overflow };
        let (outcome, full_at) = measure(budgets.get(key).copied())?;
        budgets.insert(key.clone(), full_at);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<Key> for Budgets {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut budgets = self.lock();
        budgets.retain(|_, full_at| *full_at > drop_below);
        if budgets.len() < budgets.capacity() / 4 {
            budgets.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        self.lock().len()
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_addresses_fills_no_more_than_the_store() {
        let budgets = Budgets::default();
        let count = |key: &Key| {
            budgets.measure_and_replace(key, |seen| {
                let next = Nanos::new(seen.map_or(1, |seen| seen.as_u64() + 1));
                Ok::<_, ()>((next, next))
            })
        };
        let key = |number: usize| Key::of_address(std::net::Ipv4Addr::from_bits(number as u32).into());
        (0..MAX_BUDGETS).for_each(|number| assert_eq!(count(&key(number)), Ok(Nanos::new(1))));
        for (shared, number) in (1..).zip(MAX_BUDGETS..MAX_BUDGETS + 1000) {
            assert_eq!(count(&key(number)), Ok(Nanos::new(shared)), "all share one");
        }
        assert_eq!(count(&key(7)), Ok(Nanos::new(2)), "an earlier caller keeps its own");
        assert_eq!(budgets.len(), MAX_BUDGETS + 1);

        budgets.retain_recent(Nanos::new(1));
        assert_eq!(budgets.len(), 2, "the shared one, and the caller that came twice");
        assert_eq!(count(&key(MAX_BUDGETS)), Ok(Nanos::new(1)), "the store has space again");
    }
}
