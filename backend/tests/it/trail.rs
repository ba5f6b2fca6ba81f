//! The trail as its users see it: everything that happened is in it, in one order over all servers, and any change of it shows offline.

use crate::server::{Server, binary, on_both};
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn database(server: &Server) -> String {
    let own = || format!("sqlite://{}", server.data.path().join("affiant.sqlite").display());
    server.database.clone().unwrap_or_else(own)
}

async fn export(server: &Server, query: &str) -> String {
    let answer = server.send("GET", &format!("/api/v1/trail/export{query}"), None).await;
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// What `affiant trail verify` says of a file.
fn verify(text: &str, more: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trail.jsonl");
    std::fs::write(&file, text).unwrap();
    verify_file(&file, more)
}

fn verify_file(file: &Path, more: &[&str]) -> (i32, String) {
    let output = Command::new(binary())
        .args(["trail", "verify"])
        .arg(file)
        .args(more)
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&told).into_owned(),
    )
}

async fn events(server: &Server, count: usize, user: &str) {
    let all: Vec<Value> = (0..count)
        .map(|n| json!({"timestamp": "2026-11-01T10:00:00Z", "user_id": user, "agent_id": "bot", "action": "data_read", "event_id": format!("{user}-{n}"), "source_ip": "203.0.113.77", "resource": "db:orders"}))
        .collect();
    let answer = server
        .send("POST", "/api/v1/projects/payments/audit-events", Some(json!(all)))
        .await;
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

on_both! {
    async fn what_happened_is_in_the_trail_and_verifies_offline(server: Server) {
        events(&server, 300, "jane.doe@corp.example").await;
        let text = export(&server, "?payloads=true").await;
        let (code, told) = verify(&text, &["--json"]);
        assert_eq!(code, 0, "{told}");
        let found: Value = serde_json::from_str(&told).unwrap();
        assert!(found["entries"].as_u64().unwrap() > 300, "{told}");
        assert_eq!(found["payloads"]["sealed"], 0);
        assert!(text.contains("jane.doe@corp.example") && text.contains("\\\"did\\\":\\\"data_read\\\""));
        // Without payloads nothing personal is told.
        let bare = export(&server, "").await;
        assert!(!bare.contains("jane.doe") && !bare.contains("203.0.113.77"));
        assert_eq!(verify(&bare, &[]).0, 0);
        // Of another project, hashes alone.
        server.post("/api/v1/projects", json!({"slug": "other", "name": "Other"})).await;
        let other = export(&server, "?project=other&payloads=true").await;
        assert!(!other.contains("jane.doe") && !other.contains("data_read"));
        let (code, told) = verify(&other, &["--json"]);
        assert_eq!(code, 0, "{told}");
        assert!(serde_json::from_str::<Value>(&told).unwrap()["hidden"].as_u64().unwrap() > 300);
        let listed = server.get("/api/v1/trail/entries?action=event&limit=5").await;
        assert_eq!(listed["items"][0]["payload"]["user"], "jane.doe@corp.example");
        assert_eq!(server.verify_trail().await["intact"], true);
        // The event's own page of the API still shows who it was.
        let seen = server.get("/api/v1/projects/payments/audit-events?limit=1").await;
        assert_eq!(seen["items"][0]["user"], "jane.doe@corp.example", "{seen}");
    }

    async fn nothing_personal_of_events_stands_in_clear(server: Server) {
        events(&server, 3, "jane.doe@corp.example").await;
        let bytes: Vec<u8> = if server.database.is_some() {
            let db = Database::connect(database(&server)).await.unwrap();
            let mut all = String::new();
            for table in affiant_store::entity::tables() {
                let sql = format!("SELECT coalesce(string_agg(t::text, ' '), '') AS all_of_it FROM \"{}\" t", table.0);
                let row = db.query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql)).await.unwrap().unwrap();
                all.push_str(&row.try_get::<String>("", "all_of_it").unwrap());
            }
            assert!(all.contains("data_read"));
            all.into_bytes()
        } else {
            let mut all = Vec::new();
            for entry in std::fs::read_dir(server.data.path()).unwrap().flatten().filter(|e| e.path().is_file()) {
                all.extend(std::fs::read(entry.path()).unwrap());
            }
            assert!(all.windows(9).any(|part| part == b"data_read"));
            all
        };
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        for personal in ["jane.doe", "203.0.113.77"] {
            assert!(!text.contains(personal), "{personal}");
        }
    }

    async fn a_change_behind_our_back_is_named_and_not_signed(server: Server) {
        events(&server, 40, "u").await;
        let before = export(&server, "").await;
        let kept = before.lines().rev().find(|line| line.contains("\"checkpoint\"")).unwrap();
        let kept: Value = serde_json::from_str(kept).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("kept.txt");
        std::fs::write(&note, kept["checkpoint"].as_str().unwrap()).unwrap();
        let at = note.to_str().unwrap();
        assert_eq!(verify(&before, &["--checkpoint", at]).0, 0);
        let db = Database::connect(database(&server)).await.unwrap();
        db.execute_unprepared("UPDATE trail_entry SET leaf = replace(leaf, 'data_read', 'data_seen') WHERE idx = 20").await.unwrap();
        let (code, told) = verify(&export(&server, "").await, &[]);
        assert_eq!(code, 1);
        assert!(told.contains("entry 20 was edited"), "{told}");
        assert_eq!(server.verify_trail().await["intact"], false);
        db.execute_unprepared("UPDATE trail_entry SET leaf = replace(leaf, 'data_seen', 'data_read') WHERE idx = 20").await.unwrap();
        assert_eq!(verify(&export(&server, "").await, &["--checkpoint", at]).0, 0);
        // An entry is gone.
        db.execute_unprepared("UPDATE trail_entry SET idx = -1 WHERE idx = 15").await.unwrap();
        let (code, told) = verify(&export(&server, "").await, &[]);
        assert_eq!(code, 1);
        assert!(told.contains("entry 15 was removed or moved"), "{told}");
        db.execute_unprepared("UPDATE trail_entry SET idx = 15 WHERE idx = -1").await.unwrap();
        // Its hash is rewritten too: what is signed next must continue what was signed before, and does not.
        db.execute_unprepared("UPDATE trail_entry SET hash = (SELECT hash FROM trail_entry WHERE idx = 7) WHERE idx = 8").await.unwrap();
        events(&server, 1, "v").await;
        let answer = server.send("GET", "/trail/checkpoint", None).await;
        assert_eq!(answer.status(), 503, "a trail that was changed is not signed");
        let (code, told) = verify(&export(&server, "").await, &["--checkpoint", at]);
        assert_eq!(code, 1);
        assert!(told.contains("entry 8 was edited"), "{told}");
    }

    async fn a_tail_that_was_cut_in_the_database_shows(server: Server) {
        events(&server, 10, "u").await;
        export(&server, "").await;
        let db = Database::connect(database(&server)).await.unwrap();
        db.execute_unprepared("CREATE TABLE head_copy AS SELECT frontier, (SELECT max(idx) FROM trail_entry) AS last FROM trail_head").await.unwrap();
        events(&server, 10, "v").await;
        assert_eq!(verify(&export(&server, "").await, &[]).0, 0);
        db.execute_unprepared("DELETE FROM trail_entry WHERE idx > (SELECT last FROM head_copy)").await.unwrap();
        db.execute_unprepared("UPDATE trail_head SET frontier = (SELECT frontier FROM head_copy)").await.unwrap();
        let (code, told) = verify(&export(&server, "").await, &[]);
        assert_eq!(code, 1);
        assert!(told.contains("the tail was cut"), "{told}");
        let page = server.client.get(server.at("/trail")).send().await.unwrap();
        assert_eq!(page.status(), 200, "exactly then the page is wanted");
        assert!(page.text().await.unwrap().contains("The trail was changed."));
    }

    async fn proofs_and_tiles_are_those_of_the_standard(server: Server) {
        for n in 0..3 {
            events(&server, 300, &format!("u{n}")).await;
        }
        let text = export(&server, "").await;
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let leaves: Vec<[u8; 32]> = lines.iter().filter_map(|line| {
            let mut hash = [0; 32];
            hex::decode_to_slice(line["hash"].as_str()?, &mut hash).unwrap();
            Some(hash)
        }).collect();
        let size = leaves.len() as u64;
        let head = |note: &str| affiant_trail::Head::parse(note).unwrap();
        for index in [0, 1, 255, 256, 511, 512, size - 1] {
            let proof = server.get(&format!("/api/v1/trail/proof?index={index}&size={size}")).await;
            let hashes: Vec<affiant_trail::Hash> = proof["hashes"].as_array().unwrap().iter().map(|hash| {
                affiant_trail::Hash(hex::decode(hash.as_str().unwrap()).unwrap().try_into().unwrap())
            }).collect();
            let note = lines.iter().rev().find_map(|line| line["checkpoint"].as_str()).unwrap();
            let claim = affiant_trail::proof::Claim::Inclusion { size, index };
            assert!(claim.holds(&hashes, head(note).root, affiant_trail::Hash(leaves[index as usize])), "{index}");
            let claim = affiant_trail::proof::Claim::Consistency { size, old: index + 1 };
            let proof = server.get(&format!("/api/v1/trail/proof?old={}&size={size}", index + 1)).await;
            let hashes: Vec<affiant_trail::Hash> = proof["hashes"].as_array().unwrap().iter().map(|hash| {
                affiant_trail::Hash(hex::decode(hash.as_str().unwrap()).unwrap().try_into().unwrap())
            }).collect();
            let mut tree = affiant_trail::Frontier::new();
            leaves[..=index as usize].iter().for_each(|leaf| tree.append(affiant_trail::Hash(*leaf), &mut |_| {}));
            assert!(claim.holds(&hashes, head(note).root, tree.root()), "{index}");
        }
        let bytes = async |path: &str| {
            let answer = server.send("GET", path, None).await;
            let status = answer.status().as_u16();
            (status, answer.bytes().await.unwrap().to_vec())
        };
        let (status, tile) = bytes("/trail/tile/0/001").await;
        assert_eq!((status, tile), (200, leaves[256..512].concat()));
        let (status, tile) = bytes("/trail/tile/1/000.p/3").await;
        let whole = |n: usize| affiant_trail::proof::fold(leaves[n * 256..(n + 1) * 256].iter().map(|leaf| affiant_trail::Hash(*leaf)).collect()).unwrap().0;
        assert_eq!((status, tile), (200, [whole(0), whole(1), whole(2)].concat()));
        let (status, bundle) = bytes("/trail/tile/entries/000").await;
        assert_eq!(status, 200);
        let first = lines.iter().find_map(|line| line["leaf"].as_str()).unwrap();
        assert_eq!(&bundle[..2], (first.len() as u16).to_be_bytes());
        assert_eq!(&bundle[2..2 + first.len()], first.as_bytes());
        for none in ["/trail/tile/0/009", "/trail/tile/2/000", "/trail/tile/0/1", "/trail/tile/0/x001/000", "/trail/tile/7/x999/x999/x999/999"] {
            assert_eq!(bytes(none).await.0, 404, "{none}");
        }
        let (status, note) = bytes("/trail/checkpoint").await;
        let note = String::from_utf8(note).unwrap();
        assert_eq!(status, 200);
        let keys = server.get("/api/v1/trail/keys").await;
        let key = affiant_trail::PublicKey::parse(keys[0]["key"].as_str().unwrap()).unwrap();
        assert!(key.check(&note).unwrap().size >= size);
    }

    async fn a_key_is_changed_by_an_entry_that_both_sign(server: Server) {
        events(&server, 5, "u").await;
        let run = |args: &[&str]| {
            let mut command = Command::new(binary());
            command.args(args).arg("--data").arg(server.data.path());
            if let Some(url) = &server.database {
                command.args(["--database-url", url]);
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let old = server.get("/api/v1/trail/keys").await[0]["key"].as_str().unwrap().to_owned();
        let new = run(&["trail", "rotate"]).trim().to_owned();
        assert_ne!(old, new);
        events(&server, 5, "v").await;
        let text = export(&server, "").await;
        for key in [&old, &new] {
            let (code, told) = verify(&text, &["--key", key]);
            assert_eq!(code, 0, "{told}");
        }
        let stranger = affiant_trail::SigningKey::new("stranger", &[1; 32]).unwrap();
        assert_eq!(verify(&text, &["--key", stranger.public().as_str()]).0, 1);
        let proof: Value = serde_json::from_str(&run(&["trail", "proof", "--index", "3"])).unwrap();
        assert!(!proof["hashes"].as_array().unwrap().is_empty());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.jsonl");
        run(&["trail", "export", "--out", file.to_str().unwrap()]);
        assert_eq!(verify_file(&file, &["--key", &new]).0, 0);
    }

    async fn sixteen_writers_leave_no_gap(server: Server) {
        // A second server on the same database, where that can be.
        let other = server.database.as_deref().map(|url| {
            let key = server.data.path().join("installation.key").display().to_string();
            Server::start_beside(&[("AFFIANT_DATABASE_URL", url), ("AFFIANT_KEY_FILE", &key)])
        });
        let write = async |n: usize| {
            let at = other.as_ref().filter(|_| n % 2 == 1).unwrap_or(&server);
            for m in 0..15 {
                let event = json!({"timestamp": "2026-11-01T10:00:00Z", "user_id": format!("user {}", m % 3), "action": "read", "event_id": format!("{n}-{m}")});
                let client = reqwest::Client::new();
                let sent = client.post(at.at("/api/v1/projects/payments/audit-events")).bearer_auth(&server.token).json(&event).send().await.unwrap();
                assert_eq!(sent.status(), 201);
                if m % 5 == 0 {
                    let made = client.post(at.at("/api/v1/tokens")).bearer_auth(&server.token).json(&json!({"name": "x", "role": "auditor"})).send().await.unwrap();
                    assert_eq!(made.status(), 201);
                }
            }
        };
        futures::future::join_all((0..16).map(write)).await;
        let text = export(&server, "?payloads=true").await;
        let (code, told) = verify(&text, &["--json"]);
        assert_eq!(code, 0, "{told}");
        assert_eq!(text.matches("\\\"action\\\":\\\"event\\\"").count(), 16 * 15);
        assert_eq!(text.matches("token.made").count(), 16 * 3 + 1);
    }

    async fn refused_access_is_told_and_a_flood_of_it_counted(server: Server) {
        let auditor = server.new_token("auditor", None).await;
        for _ in 0..40 {
            assert_eq!(server.send_as(&auditor, "POST", "/api/v1/tokens", Some(json!({"name": "x", "role": "admin"}))).await.status(), 403);
            assert_eq!(server.send_as("", "GET", "/p/payments", None).await.status(), 401);
        }
        let mut told = Vec::new();
        for _ in 0..120 {
            let list = server.get("/api/v1/trail/entries?action=access.refused").await;
            told = list["items"].as_array().unwrap().iter().map(|one| serde_json::from_str::<Value>(one["leaf"].as_str().unwrap()).unwrap()).collect();
            let times = |status: &str| told.iter().filter(|one| one["refs"]["status"] == status).map(|one| one["refs"]["times"].as_str().unwrap().parse::<u64>().unwrap()).sum::<u64>();
            if times("403") == 40 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(!told.is_empty() && told.len() <= 8, "{told:?}");
        let of = |status: &str| told.iter().find(|one| one["refs"]["status"] == status).unwrap();
        assert_eq!(of("403")["refs"]["route"], "/api/v1/tokens");
        assert!(told.iter().all(|one| one["refs"]["status"] == "403"), "who comes without anything is asked to sign in, not refused");
        assert!(!format!("{told:?}").contains("127.0.0.1"));
    }

    async fn a_server_that_stops_leaves_a_checkpoint_over_all_of_its_entries(server: Server) {
        let mut server = server;
        let busy: Vec<_> = (0..8).map(|client| {
            let (url, token) = (server.at("/api/v1/projects/payments/audit-events"), server.token.clone());
            tokio::spawn(async move {
                let http = reqwest::Client::new();
                for n in 0.. {
                    let event = json!({"timestamp": "2026-11-01T10:00:00Z", "user_id": format!("u{client}"), "action": "read", "event_id": format!("{client}-{n}")});
                    if http.post(&url).bearer_auth(&token).json(&event).send().await.is_err() {
                        return n;
                    }
                }
                0
            })
        }).collect();
        // Somebody who is refused just before: told in the trail too.
        while server.get("/api/v1/projects/payments/audit-events?limit=100").await["items"].as_array().unwrap().len() < 100 {}
        assert_eq!(server.send_as("wrong", "GET", "/api/v1/tokens", None).await.status(), 401);
        assert!(server.stop().success());
        let mut sent = 0;
        for client in busy {
            sent += client.await.unwrap();
        }
        assert!(sent > 100);
        let db = Database::connect(database(&server)).await.unwrap();
        let number = async |sql: &str| -> i64 {
            let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap().unwrap();
            row.try_get_by_index::<i64>(0).unwrap()
        };
        let (entries, signed) = (number("SELECT COUNT(*) FROM trail_entry").await, number("SELECT MAX(size) FROM trail_checkpoint").await);
        assert_eq!(entries, signed, "entries that no checkpoint vouches for");
        assert!(number("SELECT COUNT(*) FROM trail_entry WHERE action = 'strangers.refused'").await > 0);
    }

    async fn where_the_trail_cannot_be_written_nothing_is_done(server: Server) {
        let db = Database::connect(database(&server)).await.unwrap();
        db.execute_unprepared("ALTER TABLE trail_entry RENAME TO trail_entry_away").await.unwrap();
        let event = json!({"timestamp": "2026-11-01T10:00:00Z", "user_id": "u", "action": "read"});
        let refused = server.send("POST", "/api/v1/projects/payments/audit-events", Some(event)).await.status().as_u16();
        assert!(refused >= 500, "{refused}");
        let refused = server.send("POST", "/api/v1/tokens", Some(json!({"name": "x", "role": "auditor"}))).await.status().as_u16();
        assert!(refused >= 500, "{refused}");
        db.execute_unprepared("ALTER TABLE trail_entry_away RENAME TO trail_entry").await.unwrap();
        let seen = server.get("/api/v1/projects/payments/audit-events").await;
        assert_eq!(seen["items"].as_array().unwrap().len(), 0);
        assert_eq!(server.get("/api/v1/tokens").await.as_array().unwrap().iter().filter(|token| token["name"] == "x").count(), 0, "no token without its entry");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_kept_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display().to_string();
    let server = Server::start_with(None, &[("AFFIANT_TRAIL_CHECKPOINT_FOLDER", &at)]).await;
    events(&server, 3, "u").await;
    let text = export(&server, "").await;
    let kept: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert!(!kept.is_empty());
    let last = kept.iter().max().unwrap().display().to_string();
    assert_eq!(verify(&text, &["--checkpoint", &last]).0, 0);
}

/// A server that sleeps while it holds the head of the trail is fenced off: the other one goes on, and what the sleeper had not ended is
/// not there when it wakes.
#[tokio::test(flavor = "multi_thread")]
async fn who_sleeps_at_the_head_of_the_trail_is_fenced_off() {
    let Some(url) = crate::server::postgres().await else {
        return;
    };
    let server = Server::start(Some(url.clone())).await;
    let key = server.data.path().join("installation.key").display().to_string();
    let other = Server::start_beside(&[("AFFIANT_DATABASE_URL", &url), ("AFFIANT_KEY_FILE", &key)]);
    let acknowledged = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let writer = |base: &str, name: &str, count: usize| {
        let (at, name, token) = (
            format!("{base}/api/v1/projects/payments/audit-events"),
            name.to_owned(),
            server.token.clone(),
        );
        let acknowledged = acknowledged.clone();
        tokio::spawn(async move {
            let client = reqwest::Client::builder()
                .timeout(std::time::Duration::from_secs(60))
                .build()
                .unwrap();
            for n in 0..count {
                let event = json!({"timestamp": "2026-11-01T10:00:00Z", "user_id": "u", "action": "read", "event_id": format!("{name}-{n}")});
                let sent = client.post(&at).bearer_auth(&token).json(&event).send().await;
                if sent.is_ok_and(|sent| sent.status().is_success()) {
                    acknowledged.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
            }
        })
    };
    let sleeping: Vec<_> = (0..8)
        .map(|n| writer(&server.url, &format!("sleeper{n}"), 400))
        .collect();
    // It is stopped again and again until it is caught with the head in its hands: then the other one has to wait for it.
    let begun = std::time::Instant::now();
    let mut waited = std::time::Duration::ZERO;
    for n in 0..40 {
        tokio::time::sleep(std::time::Duration::from_millis(37)).await;
        server.signal("STOP");
        let at = std::time::Instant::now();
        writer(&other.url, &format!("other{n}"), 1).await.unwrap();
        waited = at.elapsed();
        server.signal("CONT");
        if waited > std::time::Duration::from_secs(5) {
            break;
        }
    }
    for one in sleeping {
        one.await.unwrap();
    }
    assert!(
        waited < std::time::Duration::from_secs(45),
        "nobody waits longer than the fence: {waited:?} of {:?}",
        begun.elapsed()
    );
    let text = export(&server, "?payloads=true").await;
    let (code, told) = verify(&text, &["--json"]);
    assert_eq!(code, 0, "no gap and no fork: {told}");
    let stored = text.matches("\\\"action\\\":\\\"event\\\"").count();
    assert!(
        stored >= acknowledged.load(std::sync::atomic::Ordering::SeqCst),
        "what was acknowledged is there"
    );
}

/// A witness as C2SP `tlog-witness` describes it: signs what continues the tree that it saw last. The first question finds it out of order.
struct Witnessing {
    key: ed25519_dalek::SigningKey,
    id: [u8; 4],
    questions: usize,
    size: u64,
    root: affiant_trail::Hash,
}

async fn witness(body: String, state: actix_web::web::Data<std::sync::Mutex<Witnessing>>) -> actix_web::HttpResponse {
    use actix_web::HttpResponse;
    use affiant_trail::{Hash, Head, proof::Claim};
    use base64::prelude::{BASE64_STANDARD, Engine};
    use ed25519_dalek::Signer;
    let mut state = state.lock().unwrap();
    state.questions += 1;
    if state.questions == 1 {
        return HttpResponse::InternalServerError().finish();
    }
    let (asked, checkpoint) = body.split_once("\n\n").unwrap();
    let mut lines = asked.lines();
    let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
    let proof: Vec<Hash> = lines
        .map(|line| Hash(BASE64_STANDARD.decode(line).unwrap().try_into().unwrap()))
        .collect();
    let head = Head::parse(checkpoint).unwrap();
    if old != state.size {
        return HttpResponse::Conflict()
            .content_type("text/x.tlog.size")
            .body(format!("{}\n", state.size));
    }
    let claim = Claim::Consistency { size: head.size, old };
    let continues = match old {
        0 => proof.is_empty(),
        old if old == head.size => proof.is_empty() && head.root == state.root,
        _ => claim.holds(&proof, head.root, state.root),
    };
    if !continues {
        return HttpResponse::UnprocessableEntity().finish();
    }
    (state.size, state.root) = (head.size, head.root);
    let text = checkpoint.split_once("\n\n").unwrap().0;
    let time = 1_800_000_000_u64;
    let signature = state
        .key
        .sign(format!("cosignature/v1\ntime {time}\n{text}\n").as_bytes());
    let bytes = [state.id.as_slice(), &time.to_be_bytes(), &signature.to_bytes()].concat();
    HttpResponse::Ok().body(format!("\u{2014} witness.example {}\n", BASE64_STANDARD.encode(bytes)))
}

async fn witnesses_cosign(database: Option<String>) {
    use actix_web::{App, HttpServer, web};
    use base64::prelude::{BASE64_STANDARD, Engine};
    use sha2::{Digest, Sha256};
    let key = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    let public = [&[4], key.verifying_key().as_bytes().as_slice()].concat();
    let id = Sha256::digest([b"witness.example\n".as_slice(), &public].concat());
    let id: [u8; 4] = id[..4].try_into().unwrap();
    let vouching = format!(
        "witness.example+{}+{}",
        hex::encode(id),
        BASE64_STANDARD.encode(&public)
    );
    let (questions, size, root) = (0, 0, affiant_trail::Hash([0; 32]));
    let state = web::Data::new(std::sync::Mutex::new(Witnessing {
        key,
        id,
        questions,
        size,
        root,
    }));
    let shared = state.clone();
    let stand_in = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .route("/w/add-checkpoint", web::post().to(witness))
    });
    let stand_in = stand_in.workers(1).bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/w/ {vouching}", stand_in.addrs()[0]);
    tokio::spawn(stand_in.run());
    let server = Server::start_with(
        database,
        &[
            ("AFFIANT_TRAIL_WITNESSES", &address),
            ("AFFIANT_SERVER_DEVELOPMENT", "true"),
        ],
    )
    .await;
    let witness = affiant_trail::Witness::parse(&vouching).unwrap();
    // The witness is out of order, then has seen nothing yet, then sees the tree grow.
    let mut sizes = std::collections::BTreeSet::new();
    for n in 0..4 {
        events(&server, 5, &format!("u{n}")).await;
        export(&server, "").await;
        for _ in 0..40 {
            let note = server
                .send("GET", "/trail/checkpoint", None)
                .await
                .text()
                .await
                .unwrap();
            if witness.line(&note, &note).is_some() {
                sizes.insert(affiant_trail::Head::parse(&note).unwrap().size);
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    assert!(sizes.len() >= 3, "{sizes:?}");
    assert!(state.lock().unwrap().questions > 4);
    // A trail with their lines verifies as before.
    let text = export(&server, "").await;
    assert!(text.contains("witness.example"));
    let (code, told) = verify(&text, &[]);
    assert_eq!(code, 0, "{told}");
    // Who knows the witness asks for its word, and finds that a stranger gave none.
    let (code, told) = verify(&text, &["--witness", &vouching]);
    assert!(code == 0 && told.contains("Witnessed by witness.example"), "{told}");
    let other = [
        &[4],
        ed25519_dalek::SigningKey::from_bytes(&[4; 32])
            .verifying_key()
            .as_bytes()
            .as_slice(),
    ]
    .concat();
    let id = Sha256::digest([b"witness.example\n".as_slice(), &other].concat());
    let other = format!(
        "witness.example+{}+{}",
        hex::encode(&id[..4]),
        BASE64_STANDARD.encode(&other)
    );
    let (code, told) = verify(&text, &["--witness", &other]);
    assert!(code == 1 && told.contains("vouches for no checkpoint"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_cosign_what_continues_sqlite() {
    witnesses_cosign(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_cosign_what_continues_postgres() {
    if let Some(url) = crate::server::postgres().await {
        witnesses_cosign(Some(url)).await;
    }
}
