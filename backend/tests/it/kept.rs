//! What an import keeps: secrets only as a mask and a keyed hash, one issue of several tools as one group, decisions of people, and what
//! could not be read.

use crate::server::{Server, binary, on_both, sarif};
use serde_json::{Value, json};

const REPO: &str = "asset=repo:payments";
const SECRET: &str = "zz9-plural-z-alpha-42";

fn gitleaks(secret: &str) -> String {
    json!([
        {"RuleID": "generic-api-key", "Description": "An API key", "StartLine": 4, "Match": format!("key = <\"{secret}\">"),
         "Secret": secret, "File": "conf/a.env", "Commit": "abc", "Tags": []},
        {"RuleID": "short", "Description": "Short", "StartLine": 5, "Match": "pw=Tags", "Secret": "Tags", "File": "b.env", "Commit": "abc", "Tags": []}
    ])
    .to_string()
}

async fn finding(server: &Server, q: &str) -> Value {
    let list = server.get(&format!("/api/v1/projects/payments/findings?q={q}")).await;
    let id = list["items"][0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no finding for {q}: {list}"));
    server.get(&format!("/api/v1/projects/payments/findings/{id}")).await
}

fn grype(ids: &[&str]) -> String {
    let matches: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({"vulnerability": {"id": id, "severity": "High"},
                "artifact": {"name": "openssl", "version": "1.1", "type": "deb", "locations": [{"path": "/var/lib/dpkg/status"}]}})
        })
        .collect();
    json!({"matches": matches, "descriptor": {"name": "grype", "version": "1"}}).to_string()
}

fn trivy(ids: &[&str]) -> String {
    let found: Vec<Value> = ids
        .iter()
        .map(|id| json!({"VulnerabilityID": id, "PkgName": "openssl", "InstalledVersion": "1.1", "Severity": "HIGH"}))
        .collect();
    json!({"SchemaVersion": 2, "ArtifactName": "web", "Results": [{"Target": "web (debian 12)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": found}]})
        .to_string()
}

on_both! {
    async fn a_secret_is_nowhere_in_clear(server: Server) {
        let (status, result) = server.push(REPO, gitleaks(SECRET)).await;
        assert_eq!((status, result["created"].as_u64()), (201, Some(2)), "{result}");
        assert!(result["remarks"][0].as_str().unwrap().contains("stand-in"), "{result}");
        let found = finding(&server, "api-key").await;
        let kept = found["secret"].as_str().unwrap();
        assert!(kept.starts_with("zz9-…") && kept.contains("21 characters") && kept.contains("keyed hash"), "{kept}");
        let import = result["import"].as_str().unwrap();
        let original = server.send("GET", &format!("/api/v1/projects/payments/scans/{import}/original"), None).await;
        let original = original.text().await.unwrap();
        assert!(original.contains("generic-api-key") && original.contains("\"Tags\":[]"), "the rest is as it was: {original}");
        assert!(!original.contains(SECRET) && !original.contains("\"Tags\",\"File\""), "{original}");
        let page = server.client.get(server.at(&format!("/p/payments/findings/{}", found["id"].as_str().unwrap())));
        let page = page.send().await.unwrap().text().await.unwrap();
        assert!(page.contains("keyed hash") && !page.contains(SECRET));
        if server.database.is_none() {
            for file in std::fs::read_dir(server.data.path()).unwrap().flatten().filter(|f| f.path().is_file()) {
                let bytes = std::fs::read(file.path()).unwrap();
                assert!(!bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()), "{}", file.path().display());
            }
        }
        // The same secret again, from a job: the same finding, the same hash.
        let (status, _) = server.push_with(&format!("{REPO}&part=x"), gitleaks(SECRET), &[("prefer", "respond-async")]).await;
        assert_eq!(status, 202);
        let wanted = "/api/v1/projects/payments/findings?q=api-key&limit=10";
        for _ in 0..200 {
            let list = server.get(wanted).await;
            let all = list["items"].as_array().unwrap();
            if all.len() == 2 {
                assert!(all.iter().all(|one| one["secret"] == found["secret"]), "{list}");
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the job did not end");
    }

    async fn a_secret_that_a_tool_for_code_or_the_web_quotes_is_masked(server: Server) {
        let semgrep = |rule: &str| json!({"version": "1", "errors": [], "paths": {"scanned": []}, "results": [
            {"check_id": rule, "path": "a.py", "start": {"line": 4}, "extra": {"message": "Quoted", "severity": "ERROR", "metadata": {},
                "lines": format!("key = \"{SECRET}\""), "metavars": {"$X": {"abstract_content": format!("\"{SECRET}\"")}}}}]}).to_string();
        let nuclei = |tags: &str| json!({"template-id": "leak", "info": {"name": "Leak", "severity": "high", "tags": tags}, "type": "http",
            "host": "https://a.example", "extracted-results": [SECRET], "response": format!("HTTP/1.1 200\r\n\r\n{SECRET}")}).to_string();
        for (file, clear) in [
            (semgrep("generic.secrets.detected-key"), false), (semgrep("python.lang.eval"), true),
            (nuclei("exposure,tokens"), false), (nuclei("tech"), true),
        ] {
            let (status, result) = server.push(REPO, file).await;
            assert_eq!(status, 201, "{result}");
            let path = format!("/api/v1/projects/payments/scans/{}/original", result["import"].as_str().unwrap());
            let kept = server.send("GET", &path, None).await.text().await.unwrap();
            assert_eq!((kept.contains(SECRET), kept.is_empty()), (clear, false), "{kept}");
        }
    }

    async fn a_secret_in_a_record_that_cannot_be_read_is_not_kept(server: Server) {
        let whole = json!({"DetectorName": "AWS", "SourceMetadata": {"Data": {"Git": {"file": "a"}}}, "Raw": "first-not-real-1"}).to_string();
        let cut = json!({"DetectorName": "AWS", "SourceMetadata": {}, "Raw": SECRET, "Verified": true}).to_string();
        let (status, result) = server.push(REPO, format!("{whole}\n{}", &cut[..cut.len() - 8])).await;
        assert_eq!((status, result["rejected"].as_u64()), (201, Some(1)), "{result}");
        assert!(result["remarks"].to_string().contains("not kept"), "{result}");
        let import = result["import"].as_str().unwrap();
        let original = server.send("GET", &format!("/api/v1/projects/payments/scans/{import}/original"), None).await;
        assert_eq!(original.status(), 404);
    }

    async fn what_stands_under_its_fingerprint_is_left_alone(server: Server) {
        let bom = |refs: &[&str]| {
            let affects: Vec<Value> = refs.iter().map(|name| json!({"ref": name})).collect();
            json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "vulnerabilities": [{"id": "CVE-2024-0001", "affects": affects}]}).to_string()
        };
        server.push(REPO, bom(&["a"])).await;
        server.push(REPO, bom(&["a", "b"])).await;
        let mut command = std::process::Command::new(binary());
        command.args(["reread", "--project", "payments", "--json", "--data"]).arg(server.data.path());
        if let Some(url) = &server.database {
            command.args(["--database-url", url]);
        }
        let told: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        assert_eq!((told["findings"].as_u64(), told["linked"].as_u64(), told["not_found"].as_u64()), (Some(2), Some(0), Some(0)), "{told}");
    }

    async fn one_issue_of_two_tools_is_one_group(server: Server) {
        server.push("asset=image:web", grype(&["CVE-2024-0001", "CVE-2024-0002"])).await;
        let (status, result) = server.push("asset=image:web", trivy(&["CVE-2024-0001"])).await;
        assert_eq!((status, result["created"].as_u64(), result["closed"].as_u64()), (201, Some(1), Some(0)), "{result}");
        assert_eq!(server.open_findings().await, 3, "each occurrence is kept");
        let both = finding(&server, "CVE-2024-0001").await;
        let same = both["same_issue"].as_array().unwrap();
        assert_eq!(same.len(), 1);
        assert_ne!(same[0]["tool"], both["tool"]);
        assert_eq!(finding(&server, "CVE-2024-0002").await["same_issue"], json!([]));
        // The same weakness at the same place.
        server.push(REPO, sarif("semgrep", &[("sql", "one")])).await;
        server.push(REPO, sarif("codeql", &[("sql", "other words")])).await;
        assert_eq!(finding(&server, "words").await["same_issue"][0]["tool"], "semgrep");
        server.push("asset=repo:other", sarif("codeql", &[("sql", "elsewhere")])).await;
        assert_eq!(finding(&server, "elsewhere").await["same_issue"], json!([]), "a path of another repository is another place");
        // Two secrets in one file, of which no line is known.
        let leak = |rule: &str| json!({"rule": rule, "offender": format!("{rule}-not-real"), "file": ".bashrc", "commit": "c", "line": "x"});
        let (status, result) = server.push("asset=repo:dotfiles", json!([leak("github"), leak("mailchimp")]).to_string()).await;
        assert_eq!((status, result["created"].as_u64()), (201, Some(2)), "{result}");
        assert_eq!(finding(&server, "mailchimp").await["same_issue"], json!([]));
    }

    async fn what_could_not_be_read_closes_nothing(server: Server) {
        server.push("asset=image:web", grype(&["CVE-2024-0001", "CVE-2024-0002"])).await;
        let broken = grype(&["CVE-2024-0001"]).replace(r#""matches":["#, r#""matches":[{"vulnerability":{"severity":"Low"},"artifact":{"name":"x"}},"#);
        let (_, result) = server.push("asset=image:web", broken.clone()).await;
        assert_eq!((result["rejected"].as_u64(), result["closed"].as_u64()), (Some(1), Some(0)), "{result}");
        assert!(result["remarks"][0].as_str().unwrap().contains("stay open"), "{result}");
        assert_eq!(server.open_findings().await, 2);
        let (_, result) = server.push("asset=image:web&confirm=true", broken).await;
        assert_eq!(result["closed"].as_u64(), Some(1), "{result}");
    }

    async fn what_tells_only_a_part_closes_nothing(server: Server) {
        let bill = |vulnerabilities: Option<Value>| {
            let mut bill = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "metadata": {"tools": [{"name": "trivy"}]},
                "components": [{"bom-ref": "a", "name": "left", "version": "1"}]});
            if let Some(all) = vulnerabilities {
                bill["vulnerabilities"] = all;
            }
            bill.to_string()
        };
        let one = json!([{"id": "CVE-2026-0001", "ratings": [{"severity": "high"}], "affects": [{"ref": "a"}]}]);
        server.push("asset=image:web", bill(Some(one))).await;
        let (_, result) = server.push("asset=image:web", bill(None)).await;
        assert_eq!((result["partial"].as_bool(), result["closed"].as_u64()), (Some(true), Some(0)), "{result}");
        assert!(result["remarks"][1].as_str().unwrap().contains("stay open"), "{result}");
        let (_, result) = server.push("asset=image:web", bill(Some(json!([])))).await;
        assert_eq!(result["closed"].as_u64(), Some(1), "a list that is empty says that nothing was found: {result}");
        // A tool that says that it did not end well, or did not look.
        let tool = json!({"driver": {"name": "semgrep"}});
        for run in [
            json!({"tool": tool, "invocations": [{"executionSuccessful": false}], "results": []}),
            json!({"tool": tool, "results": null}),
            json!({"tool": tool}),
        ] {
            server.push(REPO, sarif("semgrep", &[("sql", "one")])).await;
            let (_, result) = server.push(REPO, json!({"version": "2.1.0", "runs": [run]}).to_string()).await;
            assert_eq!((result["partial"].as_bool(), result["closed"].as_u64()), (Some(true), Some(0)), "{result}");
        }
        server.push(&format!("{REPO}&confirm=true"), sarif("semgrep", &[])).await;
        // A scan that never ran.
        let (status, told) = server.push(REPO, r#"{"version":"1.90.0","results":[],"errors":[{"level":"error","message":"no such rules"}],"paths":{"scanned":[]}}"#).await;
        assert!(status == 422 && told.to_string().contains("no such rules"), "{status} {told}");
        // One of infrastructure says nothing of dependencies.
        server.push("asset=repo:shop", r#"{"packageManager":"npm","dependencyCount":1,"vulnerabilities":[{"id":"SNYK-JS-A-1","title":"t","severity":"high","packageName":"a","version":"1"}]}"#).await;
        let (_, result) = server.push("asset=repo:shop", r#"{"packageManager":"k8sconfig","dependencyCount":0,"vulnerabilities":[],"infrastructureAsCodeIssues":[]}"#).await;
        assert_eq!((result["closed"].as_u64(), result["tools"][0].as_str()), (Some(0), Some("snyk-iac")), "{result}");
    }

    async fn secrets_beside_the_quoted_line_are_masked_too(server: Server) {
        let key = "AKIA7NOTAREALKEY0123";
        let sarif = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Gitleaks", "rules": [{"id": "aws"}]}}, "results": [
            {"ruleId": "aws", "message": {"text": "found"}, "properties": {"offender": key}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a.json"},
                "region": {"startLine": 1, "snippet": {"text": format!("  \"x\": \"{key}\",")}}, "contextRegion": {"snippet": {"text": format!("y\n{key}\nz")}}}}]}]}]});
        let neighbour = "export OTHER=ghp_notarealneighbour";
        let trivy = json!({"SchemaVersion": 2, "ArtifactName": ".", "Results": [{"Target": "d.sh", "Class": "secret", "Secrets": [
            {"RuleID": "github-pat", "Severity": "CRITICAL", "Title": "GitHub token", "StartLine": 2, "Match": "T=****************", "Code": {"Lines": [
                {"Number": 1, "Content": neighbour, "Highlighted": neighbour}, {"Number": 2, "Content": "T=****************"}]}}]}]});
        for (file, secret) in [(sarif, key), (trivy, "ghp_notarealneighbour")] {
            let (status, result) = server.push(REPO, file.to_string()).await;
            assert_eq!((status, result["created"].as_u64()), (201, Some(1)), "{result}");
            let import = result["import"].as_str().unwrap();
            let original = server.send("GET", &format!("/api/v1/projects/payments/scans/{import}/original"), None).await;
            let original = original.text().await.unwrap();
            assert!(original.contains("ocations") || original.contains("github-pat"), "{original}");
            assert!(!original.contains(secret), "{original}");
        }
    }

    async fn what_people_decided_stands_when_it_is_seen_again(server: Server) {
        for kind in ["accepted_risk", "false_positive", "out_of_scope"] {
            let part = format!("{REPO}&part={kind}");
            server.push(&part, sarif("semgrep", &[("sql", kind)])).await;
            let id = finding(&server, kind).await["id"].as_str().unwrap().to_owned();
            let ask = json!({"finding": id, "kind": kind, "reason": "decided by people", "until": "2027-10-01T00:00:00Z"});
            let waiver = server.post("/api/v1/projects/payments/waivers", ask).await;
            let other = server.person_token(&format!("Otto {kind}"), "compliance", None).await;
            let path = format!("/api/v1/projects/payments/waivers/{}/decision", waiver["id"].as_str().unwrap());
            let decided = server.send_as(&other, "POST", &path, Some(json!({"approve": true}))).await;
            assert!(decided.status().is_success(), "{}", decided.text().await.unwrap());
            for file in [sarif("semgrep", &[("sql", kind), ("xss", "new")]), sarif("semgrep", &[]), sarif("semgrep", &[("sql", kind)])] {
                server.push(&part, file).await;
            }
            let again = finding(&server, kind).await;
            assert_eq!((again["id"].as_str(), again["state"].as_str()), (Some(id.as_str()), Some("open")));
            let waivers = server.get("/api/v1/projects/payments/waivers").await;
            let own = waivers["items"].as_array().unwrap().iter().find(|waiver| waiver["finding"] == id.as_str());
            assert_eq!(own.unwrap()["state"], "approved", "{waivers}");
        }
    }

    async fn a_newer_reader_links_old_fingerprints_and_closes_nothing(server: Server) {
        use sea_orm::{ConnectionTrait, Database};
        let file = sarif("semgrep", &[("sql", "same"), ("sql", "same"), ("xss", "two")]);
        server.push(REPO, file).await;
        let url = server.database.clone().unwrap_or_else(|| format!("sqlite:{}", server.data.path().join("affiant.sqlite").display()));
        let db = Database::connect(&url).await.unwrap();
        // As an older reader would have left them: other fingerprints, of an older version.
        let old = if server.database.is_some() { "decode(md5(id::text), 'hex')" } else { "randomblob(16)" };
        db.execute_unprepared(&format!("UPDATE finding SET fingerprint = {old}, fingerprint_version = 0, occurrence = 0")).await.unwrap();
        let mut command = std::process::Command::new(binary());
        command.args(["reread", "--project", "payments", "--json", "--data"]).arg(server.data.path());
        if let Some(url) = &server.database {
            command.args(["--database-url", url]);
        }
        let output = command.output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!((told["linked"].as_u64(), told["not_found"].as_u64()), (Some(3), Some(0)), "{told}");
        let (_, again) = server.push(REPO, sarif("semgrep", &[("xss", "two"), ("sql", "same"), ("sql", "same")])).await;
        let counts = ["created", "seen_again", "reopened", "closed"].map(|name| again[name].as_u64().unwrap());
        assert_eq!(counts, [0, 3, 0, 0], "{again}");
    }
}
