//! The folder for files on their way. Each process has one of its own, under a lock that ends with it: what a process that was killed left
//! behind is found by that, and taken away by the next that starts.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// The folder of this process.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
    id: Uuid,
    /// Held as long as the process lives.
    _lock: Arc<File>,
}

impl Spool {
    /// Makes a folder for this process below `root`, readable by its owner alone, and takes away those of processes that ended; gives their
    /// ids, too.
    ///
    /// # Errors
    /// The system's, where the folder cannot be made or locked.
    pub fn open(root: &Path) -> io::Result<(Self, Vec<Uuid>)> {
        std::fs::create_dir_all(root)?;
        let dead = sweep(root)?;
        let id = Uuid::now_v7();
        // The lock first: a folder without one is a dead process's.
        let lock = File::create_new(lock_of(root, id))?;
        lock.lock()?;
        let folder = root.join(id.simple().to_string());
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let spool = Self {
            folder,
            id,
            _lock: Arc::new(lock),
        };
        Ok((spool, dead))
    }

    /// What tells this process from others.
    #[must_use]
    pub const fn process(&self) -> Uuid {
        self.id
    }
}

impl std::ops::Deref for Spool {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.folder
    }
}

impl AsRef<Path> for Spool {
    fn as_ref(&self) -> &Path {
        &self.folder
    }
}

fn lock_of(root: &Path, id: Uuid) -> PathBuf {
    root.join(format!("{}.lock", id.simple()))
}

/// Takes away the folders of processes that ended, and what earlier versions left in the root.
fn sweep(root: &Path) -> io::Result<Vec<Uuid>> {
    let mut dead = Vec::new();
    for entry in std::fs::read_dir(root)?.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.ends_with(".lock") {
            continue;
        }
        let id = Uuid::try_parse(&name).ok();
        if id.is_some_and(|id| is_alive(&lock_of(root, id))) {
            continue;
        }
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        match (removed, id) {
            (Ok(()), Some(id)) => {
                let _ = std::fs::remove_file(lock_of(root, id));
                dead.push(id);
            }
            (Ok(()), None) => {}
            (Err(error), _) => {
                tracing::warn!(%error, path = %path.display(), "what a process left could not be removed")
            }
        }
    }
    Ok(dead)
}

fn is_alive(lock: &Path) -> bool {
    match File::open(lock) {
        Ok(file) => matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_dead_are_taken_away_and_those_of_the_living_stay() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(".tmpOld"), "from before").unwrap();
        let (living, dead) = Spool::open(root.path()).unwrap();
        assert!(dead.is_empty() && !root.path().join(".tmpOld").exists());
        std::fs::write(living.join("upload"), "raw").unwrap();
        let (ended, dead) = Spool::open(root.path()).unwrap();
        assert!(dead.is_empty());
        std::fs::write(ended.join("upload"), "raw").unwrap();
        let (folder, id) = (ended.to_path_buf(), ended.process());
        drop(ended);
        let (_next, dead) = Spool::open(root.path()).unwrap();
        assert_eq!(dead, [id]);
        assert!(!folder.exists() && living.join("upload").exists());
    }
}
