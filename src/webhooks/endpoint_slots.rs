//! The limit on concurrent deliveries to one endpoint, so that a slow endpoint delays only its own deliveries.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

/// The deliveries that one replica makes to an endpoint at the same time.
const SLOTS: usize = 4;
/// The same for an endpoint that fails: each of its deliveries may last until the timeout.
const SLOTS_WHILE_FAILING: usize = 1;

/// The slots of all endpoints in this replica. Clones share them.
#[derive(Clone, Default)]
pub struct EndpointSlots {
    used: Arc<Mutex<HashMap<Uuid, Usage>>>,
}

#[derive(Clone, Copy, Default)]
struct Usage {
    deliveries: usize,
    is_failing: bool,
}

/// A slot for one delivery. It is free again when it is dropped.
pub struct EndpointSlot {
    slots: EndpointSlots,
    endpoint: Uuid,
}

impl EndpointSlots {
    /// The endpoints without a free slot.
    pub fn full(&self) -> Vec<Uuid> {
        let is_full = |usage: &Usage| usage.deliveries >= if usage.is_failing { SLOTS_WHILE_FAILING } else { SLOTS };
        self.used.lock().iter().filter(|(_, usage)| is_full(usage)).map(|(endpoint, _)| *endpoint).collect()
    }

    /// Takes a slot of an endpoint.
    pub fn take(&self, endpoint: Uuid, is_failing: bool) -> EndpointSlot {
        let mut used = self.used.lock();
        let usage = used.entry(endpoint).or_default();
        usage.deliveries += 1;
        usage.is_failing = is_failing;
        EndpointSlot { slots: self.clone(), endpoint }
    }
}

impl Drop for EndpointSlot {
    fn drop(&mut self) {
        let mut used = self.slots.used.lock();
        if let Some(usage) = used.get_mut(&self.endpoint) {
            usage.deliveries = usage.deliveries.saturating_sub(1);
        }
        used.retain(|_, usage| usage.deliveries > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_full_until_one_of_its_slots_is_dropped() {
        for (is_failing, limit) in [(false, SLOTS), (true, SLOTS_WHILE_FAILING)] {
            let (slots, endpoint) = (EndpointSlots::default(), Uuid::from_u128(1));
            let mut taken = Vec::new();
            while slots.full().is_empty() {
                taken.push(slots.take(endpoint, is_failing));
            }
            assert_eq!((taken.len(), slots.full()), (limit, vec![endpoint]));
            taken.pop();
            assert!(slots.full().is_empty());
        }
    }
}
