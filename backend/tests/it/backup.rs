//! Backups: sealed, brought back whole, and nobody in them who was forgotten since.

use crate::privacy::{Desk, events, raw};
use crate::server::{Server, affiant, on_both};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// The keys that stay when a machine is lost: the installation's, those of backups, and who was forgotten.
fn take_keys(from: &Path, to: &Path) {
    std::fs::copy(from.join("installation.key"), to.join("installation.key")).unwrap();
    std::fs::create_dir(to.join("backup-keys")).unwrap();
    for entry in std::fs::read_dir(from.join("backup-keys")).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join("backup-keys").join(entry.file_name())).unwrap();
    }
}

async fn users(server: &Server) -> Vec<String> {
    let seen = server.get("/api/v1/projects/payments/audit-events?limit=50").await;
    let items = seen["items"].as_array().unwrap().iter();
    items
        .map(|item| item["user"].as_str().unwrap_or_default().to_owned())
        .collect()
}

on_both! {
    async fn a_backup_comes_back_whole_and_without_who_was_forgotten_since(server: Server) {
        let mut server = server;
        let now = "2026-11-20T10:00:00Z";
        for (name, tags) in [("ann@corp.example", &["GDPR"][..]), ("bob@corp.example", &["GDPR"]), ("cleo@corp.example", &["SOX"])] {
            events(&server, name, 30, tags, now).await;
        }
        server.push("asset=repo:shop", crate::server::sarif("semgrep", &[("sql", "one"), ("xss", "two")])).await;
        let kept = TempDir::new().unwrap();
        let file = kept.path().join("nightly.backup");
        let path = file.display().to_string();
        let (code, told) = server.affiant(&["backup", &path, "--json"], &[]);
        assert_eq!(code, Some(0), "{told}");
        assert!(serde_json::from_str::<Value>(&told).unwrap()["bytes"].as_u64().unwrap() > 1000);
        let sealed = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(sealed.starts_with("affiant-backup 1\n") && !sealed.contains("semgrep") && !sealed.contains("payments"));
        assert_ne!(server.affiant(&["backup", &path], &[]).0, Some(0), "a backup is never written over");
        // What comes after the backup: ann is forgotten, cleo is set aside.
        let desk = Desk::new(&server).await;
        assert_eq!(desk.through(&server, "erasure", "ann@corp.example").await["outcome"], "erased");
        assert_eq!(desk.through(&server, "erasure", "cleo@corp.example").await["outcome"], "restricted_hold");
        let noted = std::fs::read_to_string(server.data.path().join("backup-keys/forgotten.jsonl")).unwrap();
        assert!(noted.lines().filter(|line| !line.is_empty()).count() == 2 && !noted.contains("corp.example"), "{noted}");
        assert!(server.stop().success());

        // Elsewhere: an empty folder or database, and the keys.
        let data = TempDir::new().unwrap();
        take_keys(server.data.path(), data.path());
        let database = match &server.database {
            Some(_) => crate::server::postgres().await,
            None => None,
        };
        let (code, told) = affiant(data.path(), database.as_deref(), &["restore", &path], &[]);
        assert!(code == Some(0) && told.contains("2 people were forgotten again"), "{code:?} {told}");
        let (code, told) = affiant(data.path(), database.as_deref(), &["restore", &path], &[]);
        assert!(code != Some(0), "what is there is not written over: {told}");
        let again = Server::over(data, database, &server.token, &[]);
        assert_eq!(again.open_findings().await, 2);
        let users = users(&again).await;
        assert!(users.contains(&"bob@corp.example".to_owned()) && !users.iter().any(|name| name.contains("ann") || name.contains("cleo")), "{users:?}");
        assert_eq!(again.verify_trail().await["intact"], true);
        let export = again.send("GET", "/api/v1/trail/export?payloads=true", None).await.text().await.unwrap();
        assert!(export.contains("bob@corp.example") && !export.contains("ann@corp.example") && export.contains("backup.restored"));
        let everything = raw(&again).await;
        assert!(!everything.contains("ann@corp.example") && !everything.contains("cleo@corp.example"));
        // It works on: numbers that the database gives go on behind those that came.
        again.push("asset=repo:other", crate::server::sarif("semgrep", &[("sql", "three")])).await;
        events(&again, "dave@corp.example", 5, &["GDPR"], now).await;
        assert_eq!(again.verify_trail().await["intact"], true);
    }
}

/// A database that was copied and put back by other means than ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_forgets_again_before_it_serves() {
    let mut server = Server::start(None).await;
    events(&server, "ann@corp.example", 10, &["GDPR"], "2026-11-20T10:00:00Z").await;
    assert!(server.stop().success());
    let (data, token) = (TempDir::new().unwrap(), server.token.clone());
    let old = TempDir::new().unwrap();
    for entry in std::fs::read_dir(server.data.path())
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_file())
    {
        std::fs::copy(entry.path(), data.path().join(entry.file_name())).unwrap();
        std::fs::copy(entry.path(), old.path().join(entry.file_name())).unwrap();
    }
    let mut second = Server::over(data, None, &token, &[]);
    let desk = Desk::new(&second).await;
    assert_eq!(
        desk.through(&second, "erasure", "ann@corp.example").await["outcome"],
        "erased"
    );
    assert!(second.stop().success());
    // The old files under the list of the one that went on; a line before was cut by a fault.
    let list = second.data.path().join("backup-keys/forgotten.jsonl");
    let whole = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, format!("{{\"subject\":\"0192{whole}")).unwrap();
    let keys = second.data.path().join("backup-keys").display().to_string();
    let third = Server::over(old, None, &token, &[("AFFIANT_BACKUP_KEYS", &keys)]);
    assert!(users(&third).await.iter().all(String::is_empty));
    let export = third
        .send("GET", "/api/v1/trail/export?payloads=true", None)
        .await
        .text()
        .await
        .unwrap();
    assert!(!export.contains("ann@corp.example"));
    assert!(!raw(&third).await.contains("ann@corp.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_time_is_over_or_that_was_changed_does_not_come_back() {
    let server = Server::start(None).await;
    let kept = TempDir::new().unwrap();
    let file = kept.path().join("a.backup");
    let path = file.display().to_string();
    assert_eq!(server.affiant(&["backup", &path, "--days", "1"], &[]).0, Some(0));
    let restore = |file: &Path, keys: &Path| {
        let data = TempDir::new().unwrap();
        std::fs::copy(
            server.data.path().join("installation.key"),
            data.path().join("installation.key"),
        )
        .unwrap();
        let (file, keys) = (file.display().to_string(), keys.display().to_string());
        let (code, told) = affiant(data.path(), None, &["restore", &file, "--backup-keys", &keys], &[]);
        (code, told, data.path().join("affiant.sqlite").exists())
    };
    let keys = server.data.path().join("backup-keys");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    let changed = kept.path().join("changed.backup");
    std::fs::write(&changed, &bytes).unwrap();
    let (code, told, is_there) = restore(&changed, &keys);
    assert!(
        code != Some(0) && told.contains("cut or was changed") && !is_there,
        "{code:?} {told}"
    );
    std::fs::write(&changed, &bytes[..bytes.len() / 2]).unwrap();
    assert!(!restore(&changed, &keys).2);
    std::fs::write(&changed, b"something else").unwrap();
    assert!(restore(&changed, &keys).1.contains("no backup of Affiant"));
    // Its time is over: the key is overwritten and gone, and what it sealed with it.
    let entry = std::fs::read_dir(&keys)
        .unwrap()
        .flatten()
        .find(|entry| entry.path().extension().is_some_and(|e| e == "json"))
        .unwrap();
    let mut kept_key: Value = serde_json::from_str(&std::fs::read_to_string(entry.path()).unwrap()).unwrap();
    kept_key["expires_at"] = json!(1);
    std::fs::write(entry.path(), kept_key.to_string()).unwrap();
    let (code, told, _) = restore(&file, &keys);
    assert!(code != Some(0) && told.contains("its time is over"), "{code:?} {told}");
    let clock = affiant::clock::Clock::system();
    let data = TempDir::new().unwrap();
    let app = crate::schedules::context(
        &format!("sqlite:{}", data.path().join("x.sqlite").display()),
        &clock,
        &data,
    )
    .await;
    let app = affiant::app::Context {
        backup_keys: keys.clone(),
        ..app
    };
    assert_eq!(affiant::flow::backup::expire(&app, false).await.unwrap().done, 1);
    assert!(!entry.path().exists());
    assert_eq!(affiant::flow::backup::expire(&app, false).await.unwrap().done, 0);
}
