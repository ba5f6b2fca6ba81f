//! The installation's keys as they lie in their file: in clear, readable by its owner alone, or wrapped by a master key.

use super::master::Master;
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind, Write};
use std::path::Path;

/// All keys of an installation.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Ring {
    /// Makes the keyed hashes. It never changes: what it found must be found again.
    #[serde(with = "hex::serde")]
    pub(super) root: [u8; 32],
    /// Seal, the present one first; older ones open what they sealed until it is sealed anew.
    #[serde(with = "many")]
    pub(super) seals: Vec<[u8; 32]>,
    /// Opens already and seals soon: known to all servers before the first one uses it.
    #[serde(with = "many", default)]
    pub(super) next: Vec<[u8; 32]>,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Clear {
        affiant_keys: u8,
        ring: Ring,
    },
    Wrapped {
        affiant_keys: u8,
        wrapped_by: String,
        wrapped: String,
    },
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, what.into())
}

impl Ring {
    pub(super) fn new() -> Self {
        let root = rand::random();
        Self {
            root,
            seals: vec![rand::random()],
            next: Vec::new(),
        }
    }

    /// Reads what the file holds; gives the master key too, where one wraps it.
    pub(super) async fn read(text: &str) -> std::io::Result<(Self, Option<Master>)> {
        // As the file was before there were several keys.
        if let Some(root) = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok()) {
            let ring = Self {
                root,
                seals: vec![root],
                next: Vec::new(),
            };
            return Ok((ring, None));
        }
        match serde_json::from_str(text).map_err(|_| wrong("the file holds no keys of an installation"))? {
            Written::Clear { ring, .. } => Ok((ring, None)),
            Written::Wrapped {
                wrapped_by, wrapped, ..
            } => {
                let master = Master::parse(&wrapped_by).map_err(wrong)?;
                let bytes = master.unwrap(&wrapped).await.map_err(Error::other)?;
                let ring =
                    serde_json::from_slice(&bytes).map_err(|_| wrong("what the master key unwraps holds no keys"))?;
                Ok((ring, Some(master)))
            }
        }
    }

    /// Writes the file in the place of what is there: whole, or not at all.
    pub(super) async fn write(&self, path: &Path, master: Option<&Master>, is_new: bool) -> std::io::Result<()> {
        let written = match master {
            None => Written::Clear {
                affiant_keys: 1,
                ring: self.clone(),
            },
            Some(master) => {
                let bytes = serde_json::to_vec(self)?;
                Written::Wrapped {
                    affiant_keys: 1,
                    wrapped_by: master.reference(),
                    wrapped: master.wrap(&bytes).await.map_err(Error::other)?,
                }
            }
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        // A file of its own, readable by its owner alone from the start.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{}", serde_json::to_string(&written)?)?;
        file.as_file().sync_all()?;
        if is_new {
            file.persist_noclobber(path).map_err(|error| error.error)?;
        } else {
            file.persist(path).map_err(|error| error.error)?;
        }
        std::fs::File::open(folder)?.sync_all()
    }
}

/// Keys as hexadecimal digits.
mod many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(all: &[[u8; 32]], to: S) -> Result<S::Ok, S::Error> {
        all.iter().map(hex::encode).collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<[u8; 32]>, D::Error> {
        let all = Vec::<String>::deserialize(from)?;
        let key = |text: &String| hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        let keys: Option<Vec<[u8; 32]>> = all.iter().map(key).collect();
        keys.ok_or_else(|| D::Error::custom("no key"))
    }
}
