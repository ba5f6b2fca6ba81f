//! Disks that fill up or fail: what was acknowledged is there after a restart, and the server works again without one.

use crate::server::{Server, assert_trail_verifies, binary};
use reqwest::Client;
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Creates projects one after the other; gives the slugs that were acknowledged and how many were not.
async fn create_projects(server: &Server, prefix: impl std::fmt::Display, count: usize) -> (Vec<String>, usize) {
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for n in 0..count {
        let slug = format!("{prefix}-{n}");
        // Every other with a key, whose claim is a write of its own.
        let mut request = Client::new()
            .post(server.at("/api/v1/projects"))
            .bearer_auth(&server.token);
        if n % 2 == 0 {
            request = request.header("idempotency-key", &slug);
        }
        let body = json!({"slug": slug, "name": slug});
        let answer = request.json(&body).send().await.unwrap();
        match answer.status().as_u16() {
            201 => acknowledged.push(slug),
            503 => {
                assert!(answer.headers().contains_key("retry-after"));
                refused += 1;
            }
            other => panic!("{other}: {}", answer.text().await.unwrap()),
        }
    }
    (acknowledged, refused)
}

async fn stored_projects(server: &Server) -> Vec<String> {
    let list = server.get("/api/v1/projects").await;
    let slugs = list.as_array().unwrap().iter();
    slugs
        .map(|project| project["slug"].as_str().unwrap().to_owned())
        .collect()
}

async fn assert_none_lost(server: &Server, acknowledged: &[String]) {
    let stored = stored_projects(server).await;
    let lost: Vec<&String> = acknowledged.iter().filter(|slug| !stored.contains(slug)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged projects are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    assert_trail_verifies(server.data.path(), None, "disk fault");
}

/// Waits until readiness says so: a finding holds for a second.
async fn assert_readiness(server: &Server, wanted: u16) {
    let begun = std::time::Instant::now();
    loop {
        let answer = Client::new().get(server.at("/readyz")).send().await.unwrap();
        if answer.status().as_u16() == wanted {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{}",
            answer.text().await.unwrap()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Makes system calls of the server fail while `during` runs.
async fn with_syscall_fault<T>(server: &Server, fault: &str, during: impl Future<Output = T>) -> T {
    let log = TempDir::new().unwrap();
    let mut tracer = Command::new("strace")
        .args(["-f", "-q", "-o"])
        .arg(log.path().join("trace"))
        .args([
            "-e",
            "trace=fsync,fdatasync,pwrite64",
            "-e",
            &format!("inject={fault}"),
            "-p",
        ])
        .arg(server.process().to_string())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let attached = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.process())).unwrap();
        !status.contains("TracerPid:\t0\n")
    };
    while !attached() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let done = during.await;
    let ended = Command::new("kill").arg(tracer.id().to_string()).status().unwrap();
    assert!(ended.success());
    tracer.wait().unwrap();
    done
}

/// A failed commit leaves nothing behind on the connection: later writes are stored, or refused.
#[tokio::test(flavor = "multi_thread")]
async fn writes_after_a_failed_commit_are_stored() {
    let faults = [
        "fsync:error=EIO:when=3..6",
        "fsync:error=ENOSPC:when=2+",
        "pwrite64:error=EIO:when=8..20",
        "pwrite64:error=ENOSPC:when=5+",
    ];
    for (n, fault) in faults.iter().enumerate() {
        let server = Server::start(None).await;
        let during = create_projects(&server, format!("during-{n}"), 25);
        let (mut acknowledged, refused) = with_syscall_fault(&server, fault, during).await;
        assert!(refused > 0, "{fault}: no write failed");
        let (after, refused) = create_projects(&server, format!("after-{n}"), 15).await;
        assert_eq!(refused, 0, "{fault}: writes fail after the disk is well again");
        acknowledged.extend(after);
        assert_none_lost(&server.kill_and_go_on(), &acknowledged).await;
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// A server whose data lie on a file system of their own, which this test can fill.
struct SmallDisk {
    server: Server,
    data: std::path::PathBuf,
}

impl SmallDisk {
    fn start(megabytes: u32, token: &str, from: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().to_owned();
        // The file system is seen by the server alone, and gone with it.
        let mount = "mount -t tmpfs -o size=$1m small $2 && cp -a $3/. $2 && shift 3 && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.arg(if is_root() { "-m" } else { "-Urm" });
        command.args(["sh", "-c", mount, "sh", &megabytes.to_string()]);
        command.arg(&data).arg(from).arg(binary());
        Self {
            server: Server::by(command, folder, None, token),
            data,
        }
    }

    /// Runs a command where the server's file system is seen.
    fn within(&self, script: &str) {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.server.process().to_string(), "-m"]);
        if !is_root() {
            command.args(["-U", "--preserve-credentials"]);
        }
        let done = command
            .args(["sh", "-c", script])
            .env("DATA", &self.data)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "{script}");
    }
}

/// A full disk is told, by answers and by readiness; reading goes on, and so does writing once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn full_disk_refuses_writes_until_there_is_room() {
    let mut first = Server::start(None).await;
    let token = first.token.clone();
    assert!(first.stop().success());
    let disk = SmallDisk::start(24, &token, first.data.path());
    let (mut acknowledged, refused) = create_projects(&disk.server, "before", 3).await;
    assert_eq!(refused, 0);
    assert_readiness(&disk.server, 200).await;

    disk.within("dd if=/dev/zero of=$DATA/.fill bs=4k 2>/dev/null; true");
    let (during, refused) = create_projects(&disk.server, "full", 40).await;
    assert!(refused > 0, "the disk is not full");
    acknowledged.extend(during);
    assert_readiness(&disk.server, 503).await;
    assert!(stored_projects(&disk.server).await.contains(&"before-0".to_owned()));

    disk.within("rm $DATA/.fill");
    let (after, refused) = create_projects(&disk.server, "after", 20).await;
    assert_eq!(refused, 0, "writes fail though there is room again");
    acknowledged.extend(after);
    assert_readiness(&disk.server, 200).await;

    // The file system ends with the server: its files come out before, as a loss of power leaves them.
    let copy = TempDir::new().unwrap();
    disk.server.signal("STOP");
    disk.within(&format!("cp -a $DATA/. {}", copy.path().display()));
    assert_none_lost(&Server::over(copy, None, &token, &[]), &acknowledged).await;
}
