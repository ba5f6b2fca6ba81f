//! The deployment files hold to what our own catalogue demands of others. Containers and clusters cannot be run here: the files are read.

use crate::server::{Server, binary};
use serde::Deserialize;
use serde_yaml_ng::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|one| Value::deserialize(one).unwrap())
        .collect()
}

/// The value at a path of keys.
fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    static NULL: Value = Value::Null;
    path.split('.').fold(value, |value, key| match key.parse::<usize>() {
        Ok(n) => value.get(n).unwrap_or(&NULL),
        Err(_) => value.get(key).unwrap_or(&NULL),
    })
}

fn of_kind<'v>(all: &'v [Value], kind: &str) -> Vec<&'v Value> {
    all.iter()
        .filter(|one| at(one, "kind").as_str() == Some(kind))
        .collect()
}

#[test]
fn pods_are_hardened() {
    let all = documents("deploy/kubernetes/affiant.yaml");
    let deployment = of_kind(&all, "Deployment")[0];
    assert!(at(deployment, "spec.replicas").as_i64() >= Some(2));
    let pod = at(deployment, "spec.template.spec");
    assert_eq!(at(pod, "automountServiceAccountToken").as_bool(), Some(false));
    assert_eq!(at(pod, "securityContext.runAsNonRoot").as_bool(), Some(true));
    assert_eq!(at(pod, "securityContext.runAsUser").as_i64(), Some(10001));
    assert_eq!(
        at(pod, "securityContext.seccompProfile.type").as_str(),
        Some("RuntimeDefault")
    );
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(at(pod, host).is_null(), "{host}");
    }
    for container in at(pod, "containers").as_sequence().unwrap() {
        assert_eq!(
            at(container, "securityContext.allowPrivilegeEscalation").as_bool(),
            Some(false)
        );
        assert_eq!(
            at(container, "securityContext.readOnlyRootFilesystem").as_bool(),
            Some(true)
        );
        assert_eq!(
            at(container, "securityContext.capabilities.drop.0").as_str(),
            Some("ALL")
        );
        assert!(at(container, "securityContext.capabilities.add").is_null());
        for kind in ["requests", "limits"] {
            for what in ["cpu", "memory", "ephemeral-storage"] {
                assert!(
                    !at(container, &format!("resources.{kind}.{what}")).is_null(),
                    "{kind} {what}"
                );
            }
        }
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            assert!(at(container, &format!("{probe}.httpGet.path")).is_string(), "{probe}");
        }
        let image = at(container, "image").as_str().unwrap();
        assert!(image.contains(':') && !image.ends_with(":latest"), "{image}");
        for variable in at(container, "env").as_sequence().unwrap() {
            let name = at(variable, "name").as_str().unwrap();
            let secret = ["URL", "SECRET", "PASSWORD", "TOKEN"]
                .iter()
                .any(|word| name.contains(word));
            assert!(!secret || at(variable, "value").is_null(), "{name} stands in clear");
        }
    }
    assert_eq!(of_kind(&all, "PodDisruptionBudget").len(), 1);
    let denies = |policy: &&&Value| {
        at(policy, "spec.podSelector")
            .as_mapping()
            .is_some_and(|all| all.is_empty())
    };
    let policies = of_kind(&all, "NetworkPolicy");
    let deny = policies.iter().find(denies).expect("a policy that denies all");
    assert_eq!(at(deny, "spec.policyTypes").as_sequence().map(Vec::len), Some(2));
    assert!(at(deny, "spec.ingress").is_null() && at(deny, "spec.egress").is_null());
    let namespace = of_kind(&all, "Namespace")[0];
    let level = at(namespace, "metadata.labels").get("pod-security.kubernetes.io/enforce");
    assert_eq!(level.and_then(Value::as_str), Some("restricted"));
    assert!(of_kind(&all, "Secret").is_empty(), "secrets are brought, not written");
    for one in documents("deploy/kubernetes/mesh.yaml") {
        assert!(
            at(&one, "apiVersion")
                .as_str()
                .unwrap()
                .starts_with("security.istio.io/")
        );
    }
}

#[test]
fn the_image_runs_unprivileged_and_without_a_shell() {
    let text = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let run = text.rsplit("\nFROM ").next().unwrap();
    assert!(text.matches("\nFROM ").count() >= 2, "what builds does not run");
    assert!(run.contains("USER 10001:10001") && run.contains("HEALTHCHECK") && !run.contains("\nRUN "));
    for line in run
        .lines()
        .filter(|line| line.starts_with("CMD") || line.starts_with("ENTRYPOINT"))
    {
        assert!(line.contains('['), "{line} needs a shell");
    }
    assert!(!text.contains(":latest"));
}

#[test]
fn the_composition_says_what_it_needs() {
    let compose = &documents("docker-compose.yml")[0];
    let services = at(compose, "services").as_mapping().unwrap();
    for name in ["affiant", "provider", "postgres"] {
        assert!(services.contains_key(name), "{name}");
    }
    let affiant = at(compose, "services.affiant");
    assert_eq!(at(affiant, "read_only").as_bool(), Some(true));
    assert_eq!(at(affiant, "cap_drop.0").as_str(), Some("ALL"));
    for (name, service) in services {
        for port in at(service, "ports").as_sequence().into_iter().flatten() {
            assert!(
                port.as_str().unwrap().starts_with("127.0.0.1:"),
                "{name:?} is open to the network"
            );
        }
    }
    let realm = std::fs::read_to_string(root().join("deploy/compose/realm.json")).unwrap();
    let realm: serde_json::Value = serde_json::from_str(&realm).unwrap();
    assert_eq!(realm["clients"][0]["clientId"], "affiant");
}

/// The configurations that the files carry are right, as the program itself says.
#[test]
fn the_configurations_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let all = documents("deploy/kubernetes/affiant.yaml");
    let text = at(of_kind(&all, "ConfigMap")[0], "data")
        .get("affiant.toml")
        .unwrap()
        .as_str()
        .unwrap();
    let secret = folder.path().join("client-secret");
    std::fs::write(&secret, "s").unwrap();
    let kubernetes = folder.path().join("affiant.toml");
    std::fs::write(
        &kubernetes,
        text.replace("/run/secrets/affiant/client-secret", secret.to_str().unwrap()),
    )
    .unwrap();
    for file in [kubernetes, root().join("deploy/compose/affiant.toml")] {
        let output = Command::new(binary())
            .args(["config", "check"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let wrong = folder.path().join("wrong.toml");
    std::fs::write(&wrong, "[session]\nidle_seconds = 0\n[sever]\n").unwrap();
    let output = Command::new(binary())
        .args(["config", "check"])
        .arg(&wrong)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains("session") && told.contains("sever"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_told_to_whom_they_are_for() {
    let server = Server::start(None).await;
    let health = |url: String| {
        Command::new(binary())
            .args(["health", "--url", &url])
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(health(server.url.clone()), Some(0));
    assert_eq!(health("http://127.0.0.1:1".to_owned()), Some(1));
    server.get("/api/v1/projects/payments").await;
    let answer = reqwest::get(server.at("/metrics")).await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(uuid::Uuid::parse_str(&id).is_ok());
    let text = answer.text().await.unwrap();
    let line = "affiant_http_requests_total{method=\"GET\",route=\"/api/v1/projects/{project}\",status=\"200\"} 1";
    assert!(text.contains(line) && !text.contains("payments"), "{text}");
    let closed = Server::start_with(None, &[("AFFIANT_SERVER_METRICS_FROM", "10.0.0.0/8")]).await;
    assert_eq!(reqwest::get(closed.at("/metrics")).await.unwrap().status(), 404);
    let missing = server.send("GET", "/api/v1/projects/nothing", None).await;
    let id = missing.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: serde_json::Value = missing.json().await.unwrap();
    assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
}
