//! A bank, its campaigns, its routes and one provider, over the memory store; and what must hold of it at every instant.
use super::{Answer, Memory, Script, bank, carriers, enter, now, routes, setup, told};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use touchline::actors::running::Route;
use touchline::actors::world::{End, World};
use touchline::domain::campaign::Campaign;
use touchline::domain::channel::Channel;
use touchline::domain::time::Timestamp;
use touchline::domain::touch::State;
use touchline::store::memory::MemoryStore;
use touchline::store::{CampaignBook, Status, Store};

pub struct Scene {
    pub store: Arc<MemoryStore>,
    pub campaigns: Vec<Campaign>,
    pub routes: Vec<Route>,
    pub memory: Arc<Mutex<Memory>>,
    pub script: Script,
}

impl Scene {
    pub fn new(customers: usize, campaigns: Vec<Campaign>, channels: &[Channel], script: Script) -> Self {
        let store = Arc::new(MemoryStore::new());
        now(bank(store.as_ref(), customers));
        let routes = now(routes(store.as_ref(), channels));
        for campaign in &campaigns {
            now(enter(store.as_ref(), campaign));
        }
        Self { store, campaigns, routes, memory: Arc::default(), script }
    }

    pub fn world(&self, at: Timestamp) -> World {
        let store: Arc<dyn Store> = Arc::clone(&self.store) as Arc<dyn Store>;
        let setup = now(setup(store, &self.campaigns, &self.routes, at));
        World::new(&setup, carriers(&self.routes, self.script, &self.memory), at)
    }

    /// The same with a provider that answers as it is told.
    pub fn world_told(&self, at: Timestamp, answer: impl Answer + Clone + 'static) -> World {
        let store: Arc<dyn Store> = Arc::clone(&self.store) as Arc<dyn Store>;
        let setup = now(setup(store, &self.campaigns, &self.routes, at));
        World::new(&setup, told(&self.routes, &self.memory, answer), at)
    }

    /// Over a store that is given, instead of the scene's own.
    pub fn world_over(&self, store: Arc<dyn Store>, at: Timestamp) -> World {
        let setup = now(setup(store, &self.campaigns, &self.routes, at));
        World::new(&setup, carriers(&self.routes, self.script, &self.memory), at)
    }

    /// What a kill leaves: the committed rows, and what the provider remembers.
    #[must_use]
    pub fn after_a_kill(self) -> Self {
        Self { store: Arc::new(self.store.snapshot()), ..self }
    }

    /// The closed sum, and the tallies against a recount of the rows.
    pub fn sums_close(&self) {
        for campaign in &self.campaigns {
            let row = now(self.store.campaign(&campaign.name, Some(false))).unwrap();
            let kept = now(self.store.tallies(row.id)).unwrap();
            let seed = self.script.seed;
            for (state, n) in kept.customers(row.audience) {
                assert!(n >= 0, "seed {seed}: {} customers {state} in {}", n, campaign.name);
            }
            assert_eq!(kept, now(self.store.recount(row.id)).unwrap(), "seed {seed}: tallies of {} against its rows", campaign.name);
        }
    }

    pub fn run(&self, world: &mut World, limit: Option<u64>) -> End {
        now(world.run(limit, async |_, step| {
            assert!(step < 200_000, "seed {}: no end in sight", self.script.seed);
            if step % 7 == 0 {
                self.sums_close();
            }
        }))
    }

    pub fn counts(&self, name: &str) -> BTreeMap<State, i64> {
        let row = now(self.store.campaign(name, Some(false))).unwrap();
        now(self.store.tallies(row.id)).unwrap().customers(row.audience)
    }

    pub fn status(&self, name: &str) -> Status {
        now(self.store.campaign(name, Some(false))).unwrap().status
    }

    pub fn all_closed(&self) {
        self.sums_close();
        for campaign in &self.campaigns {
            let counts = self.counts(&campaign.name);
            for open in [State::Pending, State::Scheduled, State::Started] {
                assert_eq!(counts[&open], 0, "seed {}: {} left {open}", self.script.seed, campaign.name);
            }
        }
        self.memory.lock().unwrap().nobody_twice();
    }
}
