//! Histories made up at random, with compactions, restarts and crashes in them: what is in the store is always what was put
//! there, and the log alone tells the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use caducee::store::{AccountId, Batch, Body, BodyId, BodyKey, Domain, StagedBody, Store, Usage};
use proptest::prelude::*;

use crate::compaction::{adopt, assert_sound, compact, domain, put_usage, stage, waste, without_index};
use crate::support::{Directory, noise, open, run};

#[derive(Debug, Clone)]
enum Step {
    Put(u64),
    Delete(u64),
    PutTwiceInOneCommit(u64),
    /// A record that the index refers to, or one that it holds.
    PutDomain(u8, usize),
    DeleteDomain(u8),
    Deliver(usize, u64),
    Retain(prop::sample::Index),
    Release(prop::sample::Index),
    Stage(usize),
    Adopt(prop::sample::Index),
    GiveUp(prop::sample::Index),
    Waste(usize),
    Compact(u8),
    Restart,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0..10u64).prop_map(Step::Put),
        4 => (0..10u64).prop_map(Step::Delete),
        1 => (0..10u64).prop_map(Step::PutTwiceInOneCommit),
        4 => (0..4u8, prop_oneof![Just(100), Just(5000), Just(60_000)]).prop_map(|(n, size)| Step::PutDomain(n, size)),
        2 => (0..4u8).prop_map(Step::DeleteDomain),
        6 => (prop_oneof![Just(900), Just(70_000), Just(300_000)], 1..3u64).prop_map(|(size, n)| Step::Deliver(size, n)),
        2 => index().prop_map(Step::Retain),
        5 => index().prop_map(Step::Release),
        2 => prop_oneof![Just(500), Just(900_000)].prop_map(Step::Stage),
        2 => index().prop_map(Step::Adopt),
        1 => index().prop_map(Step::GiveUp),
        6 => prop_oneof![Just(50_000), Just(700_000)].prop_map(Step::Waste),
        5 => prop_oneof![Just(0u8), Just(20), Just(60)].prop_map(Step::Compact),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}

struct Known {
    key: BodyKey,
    seed: u64,
    size: usize,
    references: u64,
}

/// A store and what must be in it.
struct World {
    directory: Directory,
    store: Store,
    seed: u64,
    last: u64,
    usages: BTreeMap<u64, (u64, u64)>,
    domains: BTreeMap<String, (u64, Domain)>,
    bodies: BTreeMap<BodyId, Known>,
    staged: Vec<(StagedBody, u64, usize)>,
    emptied: u64,
}

impl World {
    fn new() -> World {
        let directory = Directory::new("world");
        let (store, _) = open(directory.path());
        World {
            directory,
            store,
            seed: 1,
            last: 0,
            usages: BTreeMap::new(),
            domains: BTreeMap::new(),
            bodies: BTreeMap::new(),
            staged: Vec::new(),
            emptied: 0,
        }
    }

    fn next_seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed
    }

    fn commit(&mut self, batch: Batch) -> u64 {
        self.last = self.store.commit_blocking(batch).unwrap().sequence();
        self.last
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Put(account) => {
                let bytes = self.next_seed();
                let version = self.commit(put_usage(account, bytes));
                self.usages.insert(account, (version, bytes));
            }
            Step::PutTwiceInOneCommit(account) => {
                let bytes = self.next_seed();
                let mut batch = put_usage(account, 0);
                batch.merge(put_usage(account, bytes));
                let version = self.commit(batch);
                self.usages.insert(account, (version, bytes));
            }
            Step::Delete(account) => {
                let mut batch = Batch::new();
                batch.delete::<Usage>(&AccountId(account));
                self.commit(batch);
                self.usages.remove(&account);
            }
            Step::PutDomain(number, size) => {
                let record = domain(number, self.next_seed(), size);
                let mut batch = Batch::new();
                batch.put(&record.name, &record);
                let version = self.commit(batch);
                self.domains.insert(record.name.clone(), (version, record));
            }
            Step::DeleteDomain(number) => {
                let name = domain(number, 0, 0).name;
                let mut batch = Batch::new();
                batch.delete::<Domain>(&name);
                self.commit(batch);
                self.domains.remove(&name);
            }
            Step::Compact(percent) => self.compact(percent),
            Step::Restart => self.restart(),
            Step::Crash => self.crash(),
            of_bodies => self.take_of_bodies(of_bodies),
        }
    }

    fn take_of_bodies(&mut self, step: Step) {
        match step {
            Step::Deliver(size, references) => {
                let seed = self.next_seed();
                let staged = stage(&self.store, seed, size);
                self.adopt(staged, seed, size, references);
            }
            Step::Stage(size) => {
                let seed = self.next_seed();
                self.staged.push((stage(&self.store, seed, size), seed, size));
            }
            Step::Adopt(index) if !self.staged.is_empty() => {
                let (staged, seed, size) = self.staged.remove(index.index(self.staged.len()));
                self.adopt(staged, seed, size, 1);
            }
            Step::GiveUp(index) if !self.staged.is_empty() => {
                drop(self.staged.remove(index.index(self.staged.len())));
            }
            Step::Retain(index) if !self.bodies.is_empty() => {
                let id = *self.bodies.keys().nth(index.index(self.bodies.len())).unwrap();
                let mut batch = Batch::new();
                batch.retain_body(id, 1);
                self.commit(batch);
                self.bodies.get_mut(&id).unwrap().references += 1;
            }
            Step::Release(index) if !self.bodies.is_empty() => {
                let id = *self.bodies.keys().nth(index.index(self.bodies.len())).unwrap();
                let mut batch = Batch::new();
                batch.release_body(id, 1);
                self.commit(batch);
                let known = self.bodies.get_mut(&id).unwrap();
                known.references -= 1;
                if known.references == 0 {
                    self.bodies.remove(&id);
                }
            }
            Step::Waste(size) => {
                let seed = self.next_seed();
                waste(&self.store, seed, size);
            }
            _ => {}
        }
    }

    fn adopt(&mut self, staged: StagedBody, seed: u64, size: usize, references: u64) {
        self.bodies.insert(staged.id, Known { key: staged.key.clone(), seed, size, references });
        adopt(&self.store, staged, references);
    }

    fn compact(&mut self, percent: u8) {
        self.emptied += compact(&self.store, percent).emptied;
        self.check(&self.store);
        let copy = without_index(&self.directory);
        self.check_and_go_on(copy.path());
        assert_sound(copy.path());
    }

    fn restart(&mut self) {
        self.staged.clear();
        self.store.close();
        // The last handle of the old store lets go of the lock.
        self.store = Store::in_memory();
        self.store = open(self.directory.path()).0;
        self.check(&self.store);
    }

    fn crash(&mut self) {
        self.staged.clear();
        let crashed = self.directory.copy();
        self.store = open(crashed.path()).0;
        self.directory = crashed;
        self.check(&self.store);
    }

    /// Another store with the same content, whose commits go on behind all that there were.
    fn check_and_go_on(&self, path: &Path) {
        let (store, opening) = open(path);
        assert!(opening.damaged.is_empty() && opening.replayed > 0, "{opening:?}");
        self.check(&store);
        let committed = store.commit_blocking(put_usage(99, 1)).unwrap();
        assert!(committed.sequence() > self.last, "a version was given twice");
    }

    fn check(&self, store: &Store) {
        let usages = store.scan::<Usage>(.., usize::MAX).unwrap();
        let usages: BTreeMap<_, _> =
            usages.into_iter().map(|(account, usage)| (account.0, (usage.version.0, usage.bytes))).collect();
        assert_eq!(usages, self.usages);
        let domains = store.scan::<Domain>(.., usize::MAX).unwrap();
        let domains: BTreeMap<_, _> =
            domains.into_iter().map(|(name, domain)| (name, (domain.version.0, domain.record))).collect();
        assert!(domains == self.domains, "domains differ");
        let bodies = store.scan::<Body>(.., usize::MAX).unwrap();
        let found: Vec<_> = bodies.iter().map(|(id, body)| (*id, body.size, body.references)).collect();
        let known: Vec<_> = self.bodies.iter().map(|(id, body)| (*id, body.size as u64, body.references)).collect();
        assert_eq!(found, known);
        for (id, body) in &self.bodies {
            let read = store.read_body_blocking(id, &body.key, 0..u64::MAX).unwrap();
            assert!(read == noise(body.seed, body.size), "body {id} differs");
        }
        for (staged, seed, size) in &self.staged {
            let read = run(staged.reader().read(0..u64::MAX)).unwrap();
            assert!(read == noise(*seed, *size), "staged body {} differs", staged.id);
        }
    }
}

#[test]
fn whatever_the_history_records_versions_and_bodies_stay_and_a_rebuild_finds_them() {
    let emptied = AtomicU64::new(0);
    let cases = ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(24) };
    proptest!(cases, |(steps in prop::collection::vec(step(), 20..90))| {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.compact(0);
        world.restart();
        emptied.fetch_add(world.emptied, Ordering::Relaxed);
    });
    let emptied = emptied.into_inner();
    assert!(emptied > 50, "{emptied} segments were emptied: too few to tell");
}
