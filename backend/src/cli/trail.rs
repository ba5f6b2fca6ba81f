//! `affiant trail`.

use super::context;
use super::output::{Failure, say};
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::{trail, verify_trail};
use affiant_trail::proof::Claim;
use affiant_trail::{Head, PublicKey, Trusted, Verified, Witness, verify};
use serde_json::json;
use std::io::BufReader;
use std::path::PathBuf;

/// Arguments of `trail`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Write the trail as a file that verifies by itself
    Export {
        /// File to write; standard output, where none is given
        #[arg(long)]
        out: Option<PathBuf>,
        /// Slug of a project: of all others only hashes are written
        #[arg(long)]
        project: Option<String>,
        /// Open payloads, as far as anybody can still read them
        #[arg(long)]
        payloads: bool,
    },
    /// Check an exported file, without anything else, or the trail and what it vouches for as they are stored; exit 1 where it is not intact
    Verify {
        /// The file; the stored trail is checked where none is given
        file: Option<PathBuf>,
        /// File with a checkpoint that was kept elsewhere: the trail must agree with it
        #[arg(long = "checkpoint")]
        checkpoints: Vec<PathBuf>,
        /// A key known from elsewhere, NAME+ID+BASE64: the trail must be signed by it
        #[arg(long = "key")]
        keys: Vec<String>,
        /// The key of a witness, NAME+ID+BASE64: it must vouch for a checkpoint of the file
        #[arg(long = "witness")]
        witnesses: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Prove that an entry is in the trail, or that the trail continues an older one
    Proof {
        /// The entry
        #[arg(long, conflicts_with = "old", required_unless_present = "old")]
        index: Option<u64>,
        /// Size of an older checkpoint
        #[arg(long)]
        old: Option<u64>,
        /// Size of the tree; that of the latest checkpoint, where it is not given
        #[arg(long)]
        size: Option<u64>,
    },
    /// Sign and print a checkpoint: keep it somewhere else
    Checkpoint,
    /// Print the keys that sign checkpoints
    Keys,
    /// Take a new signing key into use: an entry says so, signed by both
    Rotate,
}

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    if let Command::Verify {
        file,
        checkpoints,
        keys,
        witnesses,
        json,
    } = args.command
    {
        return match file {
            Some(file) => check(&file, &checkpoints, (&keys, &witnesses), json),
            None => stored(storage, json).await,
        };
    }
    let app = context(storage, Clock::system()).await?;
    match args.command {
        Command::Export { out, project, payloads } => {
            let project = match project {
                None => None,
                Some(slug) => {
                    let found = app.store.project_by_slug(&slug).await.map_err(Failure::fault)?;
                    let missing = || Failure::Input(format!("there is no project \"{slug}\""));
                    Some(found.ok_or_else(missing)?.id)
                }
            };
            match out {
                None => {
                    trail::export(&app, std::io::stdout(), project, payloads).await?;
                }
                Some(path) => {
                    let wrong = |error| Failure::Input(format!("{}: {error}", path.display()));
                    let file = std::fs::File::create(&path).map_err(wrong)?;
                    let out = trail::export(&app, std::io::BufWriter::new(file), project, payloads).await?;
                    out.into_inner()
                        .map_err(|error| wrong(error.into_error()))?
                        .sync_all()
                        .map_err(wrong)?;
                }
            }
        }
        Command::Proof { index, old, size } => {
            let checkpoint = trail::sign(&app).await?;
            let size = size.unwrap_or_else(|| Head::parse(&checkpoint).map_or(0, |head| head.size));
            let claim = match (index, old) {
                (Some(index), _) => Claim::Inclusion { size, index },
                (None, old) => Claim::Consistency {
                    size,
                    old: old.unwrap_or(0),
                },
            };
            let hashes: Vec<String> = trail::prove(&app, claim)
                .await?
                .iter()
                .map(|h| hex::encode(h.0))
                .collect();
            let leaf = match index {
                Some(index) => app.store.trail_from(index, 1).await.map_err(Failure::fault)?.pop(),
                None => None,
            };
            let leaf_hash = leaf.map(|leaf| hex::encode(leaf.hash));
            say(
                json!({ "size": size, "index": index, "leaf_hash": leaf_hash, "old": old, "hashes": hashes, "checkpoint": checkpoint }),
            );
        }
        Command::Checkpoint => say(trail::sign(&app).await?.trim_end()),
        Command::Keys => {
            for (from, key) in trail::keys(&app).await? {
                say(format_args!("{} from size {from}", key.public().as_str()));
            }
        }
        Command::Rotate => say(trail::rotate(&app, "cli").await?.as_str()),
        Command::Verify { .. } => {}
    }
    Ok(())
}

/// Checks the trail as it is stored, and what it vouches for.
async fn stored(storage: &Storage, as_json: bool) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    let found = verify_trail::verify(&app).await?;
    if as_json {
        say(json!(found));
    } else if found.intact {
        say(format_args!(
            "The trail is intact: {} entries under {} checkpoints; {} records are what it vouches for.",
            found.entries, found.checkpoints, found.records.records
        ));
    }
    for differs in found.records.first.iter().filter(|_| !as_json) {
        say(differs);
    }
    if found.intact {
        return Ok(());
    }
    let fault = found.fault.unwrap_or_default();
    Err(Failure::No(format!("the trail is not intact: {fault}")))
}

/// Checks a file; nothing of an installation is opened.
fn check(
    file: &PathBuf,
    checkpoints: &[PathBuf],
    (keys, witnesses): (&[String], &[String]),
    as_json: bool,
) -> Result<(), Failure> {
    let mut trusted = Trusted::default();
    for path in checkpoints {
        let note = std::fs::read_to_string(path);
        trusted
            .checkpoints
            .push(note.map_err(|error| Failure::Input(format!("{}: {error}", path.display())))?);
    }
    for key in keys {
        let parsed =
            PublicKey::parse(key).ok_or_else(|| Failure::Input(format!("\"{key}\" is no key: NAME+ID+BASE64")))?;
        trusted.keys.push(parsed);
    }
    for key in witnesses {
        let parsed = Witness::parse(key);
        let parsed =
            parsed.ok_or_else(|| Failure::Input(format!("\"{key}\" is no key of a witness: NAME+ID+BASE64")))?;
        trusted.witnesses.push(parsed);
    }
    let opened = std::fs::File::open(file);
    let opened = opened.map_err(|error| Failure::Input(format!("{}: {error}", file.display())))?;
    match verify(BufReader::with_capacity(1 << 20, opened), &trusted) {
        Ok(found) => {
            tell(&found, as_json, trusted.keys.is_empty());
            Ok(())
        }
        Err(fault) if as_json => {
            say(json!({ "intact": false, "fault": fault.to_string() }));
            Err(Failure::No("the trail is not intact".to_owned()))
        }
        Err(fault) => Err(Failure::No(format!("the trail is not intact: {fault}"))),
    }
}

fn tell(found: &Verified, as_json: bool, on_its_word: bool) {
    let keys: Vec<&str> = found.keys.iter().map(PublicKey::as_str).collect();
    if as_json {
        say(json!({
            "intact": true, "origin": found.origin, "entries": found.entries, "hidden": found.hidden, "checkpoints": found.checkpoints,
            "payloads": { "intact": found.intact, "sealed": found.sealed, "erased": found.erased, "purged": found.purged },
            "signed_at": found.signed_at, "keys": keys, "root": found.root.to_string(),
            "witnesses": found.witnessed.iter().map(|(name, entries)| json!({ "name": name, "entries": entries })).collect::<Vec<_>>(),
        }));
        return;
    }
    say(format_args!(
        "The trail is intact: {} entries under {} checkpoints, the last of {}.",
        found.entries, found.checkpoints, found.signed_at
    ));
    say(format_args!(
        "Payloads: {} intact, {} sealed, {} erased, {} purged. Entries of other projects, as hashes: {}.",
        found.intact, found.sealed, found.erased, found.purged, found.hidden
    ));
    for key in keys {
        say(format_args!("Signed by {key}"));
    }
    for (name, entries) in &found.witnessed {
        say(format_args!("Witnessed by {name}: {entries} entries"));
    }
    if on_its_word {
        say("The key is the file's own: compare it with one that you know, or name that by --key.");
    }
}
