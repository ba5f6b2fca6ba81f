//! What everything else is given: wires, decides nothing.

use crate::auth::session::SignIn;
use crate::clock::Clock;
use crate::flow::ingest::Progress;
use crate::flow::sources::Allowed;
use crate::keys::Key;
use crate::spool::Spool;
use crate::trail::Trail;
use affiant_domain::catalogue::Catalogue;
use affiant_ingest::{Formats, Limits};
use affiant_store::{Store, StoreError};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// The parts of a running installation.
#[derive(Clone)]
pub struct Context {
    /// The database.
    pub store: Store,
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// The time.
    pub clock: Clock,
    /// The formats that are read.
    pub formats: Arc<Formats>,
    /// The installation's key.
    pub key: Key,
    /// How entries of the trail look and are sealed.
    pub trail: Arc<Trail>,
    /// Refused access that is not in the trail yet.
    pub refusals: Arc<crate::flow::refusals::Refusals>,
    /// Where checkpoints are kept beside the database.
    pub checkpoints: Arc<crate::config::TrailSettings>,
    /// A service that says how unsafe a text is, where one is set up.
    pub classifier: Option<crate::flow::screen::Classifier>,
    /// Where sources may read from.
    pub sources: Allowed,
    /// Beginning of the addresses at which processors may be told.
    pub webhooks: Arc<Vec<String>>,
    /// The form for people who are not signed in, where it is on.
    pub intake: Option<Arc<crate::http::pages::intake::Intake>>,
    /// How people get in.
    pub sign_in: Arc<SignIn>,
    /// Bounds on files.
    pub limits: Limits,
    /// Folder for uploads under way.
    pub spool: Spool,
    /// Processes that were found to have ended without taking away what they had in hand.
    pub ended: Arc<Vec<Uuid>>,
    /// Originals of failed imports that could not be removed yet.
    pub left: Arc<Mutex<Vec<Uuid>>>,
    /// Folder for the keys of backups and the list of those who were forgotten.
    pub backup_keys: PathBuf,
    /// Audit events on their way into the database, committed together.
    pub events: crate::flow::events::Writer,
    /// Idempotency keys for which requests of this server are at work.
    pub at_work: crate::flow::keyed::AtWork,
    /// Turns for imports, which hold what is stored in their scopes.
    pub imports: crate::flow::budget::Turns,
    /// Turns for pushes of more events than one batch.
    pub large_pushes: crate::flow::budget::Turns,
    /// Turns for assessments, reports and evidence, which read a whole project.
    pub heavy: crate::flow::budget::Turns,
    /// The turn for drawing a report, which holds all of its pages.
    pub drawing: crate::flow::budget::Turns,
    /// Since when the clock is watched after a suspicion.
    pub probation: crate::flow::clock_watch::Probation,
    /// Whether writing worked, when it was tried last.
    pub readiness: crate::flow::readiness::Readiness,
    /// How far the imports of this server's jobs are, by job.
    pub progress: Arc<Mutex<HashMap<Uuid, Arc<Progress>>>>,
    /// What to fix first, as it was worked out for the latest assessment of each project.
    pub advice: Arc<crate::flow::advise::Advice>,
    /// How many findings opened and closed in the last 30 days.
    pub changes: Arc<crate::flow::recent::Recent<(u64, u64)>>,
}

/// Folders and files outside the database.
#[derive(Clone, Debug)]
pub struct Places {
    /// The installation's key; beside the spool folder, where none is named.
    pub key_file: Option<PathBuf>,
    /// Reference of the master key that wraps it, where one does.
    pub master_key: Option<String>,
    /// Beginning of the addresses at which processors may be told.
    pub webhooks: Vec<String>,
    /// Keys of backups, and who was forgotten; beside the spool folder, where none is named.
    pub backup_keys: Option<PathBuf>,
    /// Where sources may read from.
    pub sources: Allowed,
}

impl Context {
    /// Does something together with its entry in the trail: both are there when it comes back, or neither is. The work gives what came of it
    /// and what the entry is to say; it may use nothing but the context that it is given.
    ///
    /// # Errors
    /// Those of the work, and of the database.
    pub async fn deed<T, E, F, Fut>(&self, of: (&str, &str, Option<Uuid>), work: F) -> Result<T, E>
    where
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = Result<(T, serde_json::Value), E>>,
        E: From<StoreError>,
    {
        let own = self.clone();
        let within = |store: Store| async move {
            let app = Self {
                store: store.clone(),
                ..own.clone()
            };
            let (done, detail) = work(app).await?;
            store.record_action(of, &detail.to_string(), own.clock.now()).await?;
            Ok(done)
        };
        self.store.together(within).await
    }

    /// The same over connections for background work, whose statements may take minutes.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self {
            store: self.store.patient(),
            ..self.clone()
        }
    }

    /// Puts the parts together and keeps the catalogue for later recomputation.
    ///
    /// # Errors
    /// [`crate::flow::FlowError`] where the database or the spool folder fails.
    pub async fn new(
        store: Store,
        catalogue: Arc<Catalogue>,
        formats: Arc<Formats>,
        clock: Clock,
        spool: PathBuf,
        places: Places,
    ) -> Result<Self, crate::flow::FlowError> {
        let opened = Spool::open(&spool);
        let (own_spool, ended) =
            opened.map_err(|error| crate::flow::FlowError::Io(spool.display().to_string(), error))?;
        let sources = serde_json::to_vec(catalogue.sources()).unwrap_or_default();
        store.keep_catalogue(catalogue.digest(), &sources, clock.now()).await?;
        let key_file = places
            .key_file
            .unwrap_or_else(|| spool.with_file_name("installation.key"));
        let master = places.master_key.as_deref().filter(|text| !text.is_empty());
        let master = master.map(crate::keys::Master::parse).transpose();
        let master = master.map_err(|why| crate::flow::invalid("master-key", why))?;
        let key = Key::load_or_create(&key_file, master.as_ref())
            .await
            .map_err(|error| crate::flow::FlowError::Io(key_file.display().to_string(), error))?;
        let backup_keys = places
            .backup_keys
            .unwrap_or_else(|| spool.with_file_name("backup-keys"));
        let trail = Arc::new(Trail::new(key.clone()));
        let store = store.with_log(trail.clone());
        let events = crate::flow::events::Writer::start(store.clone(), clock.clone());
        Ok(Self {
            store,
            catalogue,
            clock,
            formats,
            key,
            backup_keys,
            webhooks: Arc::new(places.webhooks),
            intake: None,
            trail,
            refusals: Arc::default(),
            checkpoints: Arc::default(),
            classifier: None,
            sources: places.sources,
            sign_in: Arc::default(),
            limits: Limits::default(),
            spool: own_spool,
            ended: Arc::new(ended),
            left: Arc::default(),
            events,
            at_work: Arc::default(),
            large_pushes: crate::flow::budget::turns(2),
            imports: crate::flow::budget::turns(crate::flow::ingest::IMPORTS),
            heavy: crate::flow::budget::turns(2),
            drawing: crate::flow::budget::turns(1),
            probation: Arc::default(),
            readiness: Arc::default(),
            progress: Arc::default(),
            advice: Arc::default(),
            changes: Arc::default(),
        })
    }
}
