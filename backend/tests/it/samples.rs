//! Real files of other projects through the real server, where their folder stands beside this one.

use crate::server::Server;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_goes_in_or_is_refused_with_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/samples");
    let Ok(table) = std::fs::read_to_string(folder.join("EXPECTED.tsv")) else {
        return;
    };
    let server = Server::start(None).await;
    let mut taken = 0;
    for (n, row) in table.lines().skip(1).enumerate() {
        let cells: Vec<&str> = row.split('\t').collect();
        let formats = affiant_ingest::Formats::built_in();
        let known = formats.by_name(cells[1]);
        let Some(format) = known.filter(|format| format.kind == affiant_ingest::Kind::Findings) else {
            continue;
        };
        let bytes = std::fs::read(folder.join(cells[0])).unwrap();
        let (status, result) = server
            .push(&format!("asset=repo:sample-{n}&format={}", format.name), bytes)
            .await;
        if cells[2].starts_with("reject") {
            assert_eq!(status, 422, "{}: {result}", cells[0]);
            continue;
        }
        assert_eq!(status, 201, "{}: {result}", cells[0]);
        let open = server.get("/api/v1/projects/payments/scans?limit=1").await;
        assert_eq!(open["items"][0]["result"]["import"], result["import"]);
        taken += 1;
    }
    assert!(taken > 100, "only {taken} samples went in");
}
