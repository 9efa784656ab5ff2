//! Indexes of hints: where to look for what somebody comes with, while the store's records decide.
//!
//! One is read from the store whole, once, by one reader while others wait, and is told of each change from then on. A hint too
//! many costs a look at a record that says no, one too few would keep somebody out: so what is added while it is read is in it
//! afterwards, and what is taken away meanwhile may stay.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An index from keys to what they may open.
#[derive(Debug)]
pub(super) struct Hints<K, V> {
    state: Mutex<State<K, V>>,
    /// Held while it is read: one at a time.
    reading: Mutex<()>,
}

#[derive(Debug)]
enum State<K, V> {
    Unread,
    /// With what was added meanwhile.
    Reading(Vec<(K, V)>),
    Read(HintTable<K, V>),
}

/// The hints themselves; what has none takes no memory.
#[derive(Debug)]
pub(super) struct HintTable<K, V>(HashMap<K, Vec<V>>);

impl<K, V> Default for Hints<K, V> {
    fn default() -> Self {
        Self { state: Mutex::new(State::Unread), reading: Mutex::default() }
    }
}

impl<K: Hash + Eq, V: PartialEq + Copy> Hints<K, V> {
    /// What any of these may open, in the order of the keys; `None`: it was not read yet.
    pub(super) fn find(&self, keys: &[K]) -> Option<Vec<V>> {
        match &*self.state() {
            State::Read(table) => Some(keys.iter().filter_map(|key| table.0.get(key)).flatten().copied().collect()),
            State::Unread | State::Reading(_) => None,
        }
    }

    /// Whether a key is there that `picked` picks; `None`: it was not read yet.
    pub(super) fn has(&self, picked: impl Fn(&K) -> bool) -> Option<bool> {
        match &*self.state() {
            State::Read(table) => Some(table.0.keys().any(picked)),
            State::Unread | State::Reading(_) => None,
        }
    }

    /// Something was added that is in the store already.
    pub(super) fn add(&self, key: K, value: V) {
        match &mut *self.state() {
            State::Unread => {}
            State::Reading(meanwhile) => meanwhile.push((key, value)),
            State::Read(table) => table.add(key, value),
        }
    }

    /// Something is gone from the store.
    pub(super) fn remove(&self, key: &K, value: V) {
        if let State::Read(table) = &mut *self.state() {
            table.remove(key, value);
        }
    }

    /// All that `picked` picks is gone from the store. Looks at every hint.
    pub(super) fn remove_where(&self, picked: impl Fn(&V) -> bool) {
        if let State::Read(table) = &mut *self.state() {
            table.0.retain(|_, values| {
                values.retain(|value| !picked(value));
                !values.is_empty()
            });
        }
    }

    /// Reads it, unless it was read. Others who ask meanwhile wait for this one reading.
    pub(super) fn read<E>(&self, read: impl FnOnce(&mut HintTable<K, V>) -> Result<(), E>) -> Result<(), E> {
        if self.is_read() {
            return Ok(());
        }
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_read() {
            return Ok(());
        }
        *self.state() = State::Reading(Vec::new());
        let mut table = HintTable(HashMap::new());
        let outcome = read(&mut table);
        let mut state = self.state();
        let before = std::mem::replace(&mut *state, State::Unread);
        outcome?;
        if let State::Reading(meanwhile) = before {
            meanwhile.into_iter().for_each(|(key, value)| table.add(key, value));
        }
        *state = State::Read(table);
        Ok(())
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(*self.state(), State::Read(_))
    }

    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V: PartialEq + Copy> HintTable<K, V> {
    pub(super) fn add(&mut self, key: K, value: V) {
        let values = self.0.entry(key).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }

    fn remove(&mut self, key: &K, value: V) {
        let Some(values) = self.0.get_mut(key) else { return };
        values.retain(|held| *held != value);
        if values.is_empty() {
            self.0.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    type Numbers = Hints<&'static str, u32>;

    fn holding(hints: &[(&'static str, u32)]) -> Numbers {
        let index = Numbers::default();
        let read = |table: &mut HintTable<_, _>| {
            hints.iter().for_each(|(key, value)| table.add(*key, *value));
            Ok::<_, ()>(())
        };
        index.read(read).unwrap();
        index
    }

    #[test]
    fn what_is_added_while_it_is_read_is_in_it() {
        let index = Numbers::default();
        assert_eq!(index.find(&["a"]), None);
        let read = |table: &mut HintTable<_, _>| {
            index.add("a", 2);
            table.add("a", 1);
            Ok::<_, ()>(())
        };
        index.read(read).unwrap();
        assert_eq!(index.find(&["a", "b"]), Some(vec![1, 2]));
    }

    #[test]
    fn what_is_gone_leaves_the_others_and_takes_no_memory() {
        let index = holding(&[("a", 1), ("a", 2), ("a", 2), ("b", 3)]);
        index.remove(&"a", 1);
        assert_eq!(index.find(&["a", "b"]), Some(vec![2, 3]));
        index.remove(&"a", 2);
        index.remove(&"a", 2);
        assert_eq!((index.has(|key| *key == "a"), index.has(|key| *key == "b")), (Some(false), Some(true)));
        assert!(matches!(&*index.state(), State::Read(table) if table.0.len() == 1));
        index.add("a", 4);
        index.remove_where(|value| *value == 3);
        assert_eq!(index.find(&["a", "b"]), Some(vec![4]));
    }

    #[test]
    fn a_reading_that_failed_is_made_again() {
        let index = Numbers::default();
        assert_eq!(index.read(|_| Err("disk")), Err("disk"));
        assert!(!index.is_read());
        let read = |table: &mut HintTable<_, _>| {
            table.add("a", 1);
            Ok::<_, ()>(())
        };
        index.read(read).unwrap();
        assert_eq!(index.find(&["a"]), Some(vec![1]));
    }

    #[test]
    fn many_who_ask_at_once_make_one_reading() {
        let (index, readings) = (Numbers::default(), AtomicUsize::new(0));
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    let read = |table: &mut HintTable<_, _>| {
                        readings.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(20));
                        table.add("a", 1);
                        Ok::<_, ()>(())
                    };
                    index.read(read).unwrap();
                    assert_eq!(index.find(&["a"]), Some(vec![1]));
                });
            }
        });
        assert_eq!(readings.into_inner(), 1);
    }
}
