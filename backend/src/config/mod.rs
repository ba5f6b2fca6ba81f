//! What an operator can set, by flag or environment.

mod check;
mod file;
mod secret;
pub mod tls;

pub use file::{Config, Limits, Mistake, Provider, Rule, Session, Trail as TrailSettings, Workload};
pub use secret::Secret;
pub(crate) use secret::{variable, vault};

use crate::app::Places;
use crate::flow::sources::Allowed;
use affiant_ingest::{Formats, FormatsError};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

/// Where data is kept.
#[derive(Args, Clone, Debug)]
pub struct Storage {
    /// Folder for the SQLite database and for uploads under way
    #[arg(long, env = "AFFIANT_DATA", default_value = "data", global = true)]
    pub data: PathBuf,
    /// PostgreSQL address (postgres://…) to use instead of SQLite in the data folder, or where it is kept: file:PATH, vault:MOUNT/PATH#KEY, aws:NAME#KEY
    #[arg(long, env = "AFFIANT_DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<String>,
    /// File with the installation's key, shared by all replicas; made in the data folder where none is named
    #[arg(long, env = "AFFIANT_KEY_FILE", global = true)]
    pub key_file: Option<PathBuf>,
    /// Master key that wraps the installation's keys: vault:MOUNT/NAME (transit engine) or aws-kms:KEY; none where the file is kept safe itself
    #[arg(long, env = "AFFIANT_MASTER_KEY", global = true)]
    pub master_key: Option<String>,
    /// Folder for the keys of backups and the list of those who were forgotten, shared by all replicas and kept apart from the backups;
    /// data/backup-keys where none is named
    #[arg(long, env = "AFFIANT_BACKUP_KEYS", global = true)]
    pub backup_keys: Option<PathBuf>,
    /// Folder below which audit stores of the kind folder lie; data/inbox where none is named
    #[arg(long, env = "AFFIANT_SOURCE_ROOT", global = true)]
    pub source_root: Option<PathBuf>,
    /// Folder with the secrets that sources name as file:NAME; data/secrets where none is named
    #[arg(long, env = "AFFIANT_SOURCE_SECRETS", global = true)]
    pub source_secrets: Option<PathBuf>,
    /// Address of a compatible object store that sources may name; repeat it for several
    #[arg(
        long = "source-endpoint",
        env = "AFFIANT_SOURCE_ENDPOINTS",
        value_delimiter = ',',
        global = true
    )]
    pub source_endpoints: Vec<String>,
    /// Beginning of the addresses at which processors may be told of requests; repeat it for several
    #[arg(
        long = "webhook-endpoint",
        env = "AFFIANT_WEBHOOK_ENDPOINTS",
        value_delimiter = ',',
        global = true
    )]
    pub webhook_endpoints: Vec<String>,
    /// Let sources that name no credentials use those of this machine
    #[arg(long, env = "AFFIANT_SOURCE_MACHINE", global = true)]
    pub source_machine: bool,
    /// Folder with catalogue files of your own, beside the built-in ones
    #[arg(
        long = "frameworks",
        id = "frameworks-folder",
        env = "AFFIANT_FRAMEWORKS",
        global = true
    )]
    pub frameworks: Option<PathBuf>,
    /// Folder with declarative formats of your own (one TOML file each), beside the built-in ones
    #[arg(long = "formats", id = "formats-folder", env = "AFFIANT_FORMATS", global = true)]
    pub formats: Option<PathBuf>,
}

impl Storage {
    /// The formats that are read: the built-in ones and those of the folder.
    ///
    /// # Errors
    /// [`FormatsError`] names the file that is wrong.
    pub fn load_formats(&self) -> Result<Arc<Formats>, FormatsError> {
        self.formats
            .as_deref()
            .map_or_else(|| Ok(Formats::built_in()), Formats::with_folder)
    }

    /// Folders and files outside the database.
    #[must_use]
    pub fn places(&self) -> Places {
        let within = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| self.data.join(name));
        Places {
            key_file: Some(within(&self.key_file, "installation.key")),
            master_key: self.master_key.clone(),
            webhooks: self.webhook_endpoints.clone(),
            backup_keys: Some(within(&self.backup_keys, "backup-keys")),
            sources: Allowed {
                folders: within(&self.source_root, "inbox"),
                secrets: within(&self.source_secrets, "secrets"),
                endpoints: self.source_endpoints.clone(),
                machine: self.source_machine,
            },
        }
    }

    /// The address of the database, or where it is kept.
    #[must_use]
    pub fn url(&self) -> Secret {
        let file = || format!("sqlite:{}", self.data.join("affiant.sqlite").display());
        self.database_url.clone().unwrap_or_else(file).as_str().into()
    }
}

/// How the server listens.
#[derive(Args, Clone, Debug)]
pub struct Listen {
    /// Configuration file, TOML: `affiant config example` prints one
    #[arg(long, env = "AFFIANT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, env = "AFFIANT_LISTEN", default_value = "127.0.0.1:8400")]
    pub listen: String,
    /// Address under which browsers reach the server, where it is another one
    #[arg(long, env = "AFFIANT_PUBLIC_URL")]
    pub public_url: Option<String>,
}
