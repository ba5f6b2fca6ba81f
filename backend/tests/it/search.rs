//! Search in the text of findings: literal, whatever the case, also while an import is not in the index yet.

use crate::server::{Server, on_both, sarif};
use std::time::{Duration, Instant};

async fn found(server: &Server, text: &str) -> Vec<String> {
    let path = format!("/api/v1/projects/payments/findings?limit=500&q={text}");
    let list = server.get(&path).await;
    let mut all: Vec<String> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["message"].as_str().unwrap().to_owned())
        .collect();
    all.sort();
    all
}

async fn assert_finds(server: &Server) {
    assert_eq!(
        found(server, "unsanitised").await,
        ["Unsanitised input_a 100%", "unsanitised input b"]
    );
    assert_eq!(
        found(server, "INPUT_A").await,
        ["Unsanitised input_a 100%"],
        "an underscore is one"
    );
    assert_eq!(
        found(server, "100%25").await,
        ["Unsanitised input_a 100%"],
        "a percent sign is one"
    );
    assert_eq!(
        found(server, "sanitised%20inp").await.len(),
        2,
        "in the middle of words"
    );
    assert_eq!(found(server, "%22quoted%22").await, ["a \"quoted\" word"]);
    assert_eq!(found(server, "b").await.len(), 1, "short texts too");
    assert_eq!(found(server, "src%2Fa.py").await.len(), 3, "the location");
    assert!(found(server, "nowhere").await.is_empty());
}

on_both! {
    async fn text_is_found_before_and_after_it_is_indexed(server: Server) {
        let results = [("sql", "Unsanitised input_a 100%"), ("xss", "unsanitised input b"), ("sql", "a \"quoted\" word")];
        assert_eq!(server.push("asset=repo:shop", sarif("semgrep", &results)).await.0, 201);
        assert_finds(&server).await;
        // The index is filled by a job that looks every two seconds.
        use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
        let sqlite = format!("sqlite://{}", server.data.path().join("affiant.sqlite").display());
        let db = Database::connect(server.database.clone().unwrap_or(sqlite)).await.unwrap();
        let backend = if server.database.is_some() { DbBackend::Postgres } else { DbBackend::Sqlite };
        let begun = Instant::now();
        loop {
            let sql = "SELECT count(*) AS n FROM import WHERE is_searchable";
            let row = db.query_one_raw(Statement::from_string(backend, sql)).await.unwrap().unwrap();
            if row.try_get::<i64>("", "n").unwrap() == 1 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_finds(&server).await;
        let page = server.send("GET", "/p/payments/findings?q=unsanitised", None).await.text().await.unwrap();
        assert!(page.contains("2 high") || page.contains("1 high"), "counted by severity");
    }
}
