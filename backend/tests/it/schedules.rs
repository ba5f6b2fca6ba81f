//! Each slot runs once, whoever asks, and a missed one is caught up once.

use affiant::app::Context;
use affiant::clock::Clock;
use affiant_domain::id::ProjectId;
use affiant_domain::period::parse_instant;
use affiant_store::Store;
use std::collections::BTreeSet;
use std::sync::Arc;
use tempfile::TempDir;

pub async fn context(url: &str, clock: &Clock, folder: &TempDir) -> Context {
    let store = Store::connect(url).await.unwrap();
    let catalogue = Arc::new(affiant::frameworks::load_checked(None).unwrap());
    let formats = affiant_ingest::Formats::built_in();
    let sources = affiant::flow::sources::Allowed {
        folders: folder.path().join("inbox"),
        secrets: folder.path().join("secrets"),
        ..affiant::flow::sources::Allowed::default()
    };
    let places = affiant::app::Places {
        key_file: None,
        master_key: None,
        backup_keys: None,
        webhooks: Vec::new(),
        sources,
    };
    Context::new(
        store,
        catalogue,
        formats,
        clock.clone(),
        folder.path().join("spool"),
        places,
    )
    .await
    .unwrap()
}

async fn run(url: String) {
    let folder = TempDir::new().unwrap();
    let clock = Clock::standing(parse_instant("2026-03-27T12:00:00Z").unwrap());
    let (one, two) = (
        context(&url, &clock, &folder).await,
        context(&url, &clock, &folder).await,
    );
    let project = affiant::flow::project::create(&one, "payments", "Payments", &BTreeSet::new(), "test")
        .await
        .unwrap();
    let scoped = one.store.project(ProjectId(project.id));
    for framework in one.catalogue.frameworks.keys() {
        scoped
            .set_schedule(framework, "0 6 * * *", "Europe/Berlin", framework == "sox", clock.now())
            .await
            .unwrap();
    }
    let assessed = || async {
        one.store
            .project(ProjectId(project.id))
            .assessments(Some("sox"), 100)
            .await
            .unwrap()
    };
    affiant::jobs::tick(&one).await;
    assert_eq!(assessed().await.len(), 0, "nothing is due yet");
    // 06:00 in Berlin is 05:00 UTC in winter and, from the 29th on, 04:00 UTC.
    for (now, slot) in [
        ("2026-03-28T05:00:30Z", "2026-03-28T05:00:00Z"),
        ("2026-03-29T04:10:00Z", "2026-03-29T04:00:00Z"),
    ] {
        clock.set(parse_instant(now).unwrap());
        tokio::join!(
            affiant::jobs::tick(&one),
            affiant::jobs::tick(&two),
            affiant::jobs::tick(&one)
        );
        let latest = &assessed().await[0];
        assert_eq!(latest.slot, Some(affiant_store::micros(parse_instant(slot).unwrap())));
    }
    assert_eq!(assessed().await.len(), 2, "two servers, two slots, two runs");
    clock.set(parse_instant("2026-04-03T10:00:00Z").unwrap());
    tokio::join!(affiant::jobs::tick(&two), affiant::jobs::tick(&one));
    affiant::jobs::tick(&two).await;
    assert_eq!(assessed().await.len(), 3, "five missed slots are caught up by one run");
    let schedule = scoped
        .schedules()
        .await
        .unwrap()
        .into_iter()
        .find(|s| s.framework == "sox")
        .unwrap();
    let fires = scoped.fires(schedule.id, 10).await.unwrap();
    assert_eq!((fires.len(), fires[0].0.missed), (3, 4));
    assert_eq!(fires[0].1.as_ref().unwrap().state, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    let folder = TempDir::new().unwrap();
    run(format!("sqlite:{}", folder.path().join("s.sqlite").display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    if let Some(url) = crate::server::postgres().await {
        run(url).await;
    }
}
