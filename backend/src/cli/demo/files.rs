//! Reports as real scanners write them, made by a fixed seed: what stands in each depends only on asset, tool and step.

use serde_json::{Value, json};

/// A small generator of numbers, the same on every machine.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: &str) -> Self {
        let mut state = 0xcbf2_9ce4_8422_2325_u64;
        for byte in seed.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(state | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(super) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let n = usize::try_from(self.below(all.len() as u64)).unwrap_or(0);
        &all[n]
    }
}

/// Steps of two weeks that make up the year.
pub(super) const STEPS: u64 = 27;

/// A problem that comes and goes.
struct Issue {
    rule: usize,
    place: u64,
    from: u64,
    until: u64,
    again: Option<u64>,
}

impl Issue {
    fn stands(&self, step: u64) -> bool {
        (self.from..self.until).contains(&step) || self.again.is_some_and(|again| step >= again)
    }
}

/// The problems of an asset under a tool with so many rules.
fn issues(seed: &str, rules: usize, count: u64) -> Vec<Issue> {
    let mut dice = Dice::new(seed);
    (0..count)
        .map(|_| {
            let from = dice.below(STEPS + 6).saturating_sub(6);
            let until = from + 2 + dice.below(12);
            let again = (dice.below(7) == 0).then(|| until + 2 + dice.below(4));
            Issue {
                rule: usize::try_from(dice.below(rules as u64)).unwrap_or(0),
                place: dice.below(400),
                from,
                until,
                again,
            }
        })
        .collect()
}

struct Rule {
    id: &'static str,
    title: &'static str,
    cwe: u32,
    level: &'static str,
    score: &'static str,
}

const CODE: [Rule; 12] = [
    Rule {
        id: "python.sql-built-from-input",
        title: "SQL is built from request input",
        cwe: 89,
        level: "error",
        score: "8.8",
    },
    Rule {
        id: "python.command-from-input",
        title: "A command line is built from input",
        cwe: 78,
        level: "error",
        score: "9.1",
    },
    Rule {
        id: "python.requests-without-verify",
        title: "Certificate verification is switched off",
        cwe: 295,
        level: "warning",
        score: "6.5",
    },
    Rule {
        id: "python.weak-hash",
        title: "MD5 is used to protect something",
        cwe: 327,
        level: "warning",
        score: "5.3",
    },
    Rule {
        id: "python.debug-on",
        title: "The debugger is on in production settings",
        cwe: 489,
        level: "warning",
        score: "5.0",
    },
    Rule {
        id: "python.prompt-from-input",
        title: "User text goes into a system prompt unchecked",
        cwe: 1427,
        level: "warning",
        score: "6.8",
    },
    Rule {
        id: "js.inner-html",
        title: "Input reaches innerHTML",
        cwe: 79,
        level: "warning",
        score: "6.1",
    },
    Rule {
        id: "js.open-redirect",
        title: "A redirect goes wherever input says",
        cwe: 601,
        level: "note",
        score: "3.4",
    },
    Rule {
        id: "python.log-of-secret",
        title: "A credential is written to the log",
        cwe: 532,
        level: "warning",
        score: "5.5",
    },
    Rule {
        id: "python.missing-authorisation",
        title: "A route checks no permission",
        cwe: 862,
        level: "error",
        score: "8.1",
    },
    Rule {
        id: "python.pickle",
        title: "Data from outside is unpickled",
        cwe: 502,
        level: "error",
        score: "8.1",
    },
    Rule {
        id: "python.unbounded-read",
        title: "A body is read without a limit",
        cwe: 400,
        level: "note",
        score: "3.1",
    },
];

const MODULES: [&str; 8] = [
    "api/orders.py",
    "api/users.py",
    "agents/runner.py",
    "agents/tools.py",
    "billing/export.py",
    "web/cart.js",
    "web/admin.js",
    "jobs/nightly.py",
];

/// SARIF as Semgrep writes it.
pub(super) fn semgrep(asset: &str, step: u64) -> Value {
    let rules: Vec<Value> = CODE
        .iter()
        .map(|rule| {
            json!({ "id": rule.id, "name": rule.id, "shortDescription": { "text": rule.title },
                "help": { "text": format!("{}: change the code so that it cannot happen.", rule.title) },
                "defaultConfiguration": { "level": rule.level },
                "properties": { "security-severity": rule.score, "tags": [format!("CWE-{}: weakness", rule.cwe), "security"] } })
        })
        .collect();
    let results: Vec<Value> = issues(&format!("semgrep {asset}"), CODE.len(), 16)
        .iter()
        .filter(|issue| issue.stands(step))
        .map(|issue| {
            let rule = &CODE[issue.rule];
            let module = MODULES[usize::try_from(issue.place % 8).unwrap_or(0)];
            json!({ "ruleId": rule.id, "ruleIndex": issue.rule, "level": rule.level, "message": { "text": format!("{} in {module}", rule.title) },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": format!("src/{module}") },
                    "region": { "startLine": 10 + issue.place + step % 3, "snippet": { "text": "    ..." } } } }],
                "partialFingerprints": { "matchBasedId/v1": format!("{:08x}", issue.place * 7919 + issue.rule as u64) } })
        })
        .collect();
    json!({ "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [{
        "tool": { "driver": { "name": "Semgrep OSS", "semanticVersion": format!("1.{}.0", 100 + step), "rules": rules } }, "results": results }] })
}

const LEAKS: [(&str, &str); 4] = [
    ("aws-access-token", "AWS access key"),
    ("anthropic-api-key", "Model provider key"),
    ("private-key", "Private key"),
    ("generic-api-key", "API key"),
];

/// SARIF as Gitleaks writes it, the secret itself left out.
pub(super) fn gitleaks(asset: &str, step: u64) -> Value {
    let rules: Vec<Value> = LEAKS
        .iter()
        .map(|(id, title)| json!({ "id": id, "shortDescription": { "text": title } }))
        .collect();
    let results: Vec<Value> = issues(&format!("gitleaks {asset}"), LEAKS.len(), 2)
        .iter()
        .filter(|issue| issue.stands(step))
        .map(|issue| {
            let (id, title) = LEAKS[issue.rule];
            json!({ "ruleId": id, "message": { "text": format!("{title} has been detected") },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": format!("deploy/env-{}.sh", issue.place % 5) },
                    "region": { "startLine": 3 + issue.place % 20 } } }],
                "partialFingerprints": { "commitSha": format!("{:040x}", issue.place * 104_729) } })
        })
        .collect();
    json!({ "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [{
        "tool": { "driver": { "name": "gitleaks", "semanticVersion": "v8.24.0", "rules": rules } }, "results": results }] })
}

const PACKAGES: [(&str, &str, &str, &str, &str); 10] = [
    ("CVE-2025-10101", "openssl", "3.0.11", "3.0.14", "HIGH"),
    ("CVE-2025-11213", "glibc", "2.36-9", "2.36-9+deb12u9", "CRITICAL"),
    ("CVE-2025-12007", "zlib1g", "1.2.13", "", "MEDIUM"),
    ("CVE-2025-12650", "curl", "7.88.1", "7.88.1-10", "HIGH"),
    ("CVE-2025-13377", "libxml2", "2.9.14", "2.9.15", "MEDIUM"),
    ("CVE-2025-14024", "perl-base", "5.36.0", "", "LOW"),
    ("CVE-2026-10044", "python3.11", "3.11.2", "3.11.9", "HIGH"),
    ("CVE-2026-11790", "libexpat1", "2.5.0", "2.5.1", "CRITICAL"),
    ("CVE-2026-12345", "sqlite3", "3.40.1", "", "LOW"),
    ("CVE-2026-20001", "krb5-locales", "1.20.1", "1.20.2", "MEDIUM"),
];

/// Trivy's report of an image.
pub(super) fn trivy(asset: &str, step: u64, at: &str) -> Value {
    let found: Vec<Value> = issues(&format!("trivy {asset}"), PACKAGES.len(), 13)
        .iter()
        .filter(|issue| issue.stands(step))
        .map(|issue| {
            let (id, package, installed, fixed, severity) = PACKAGES[issue.rule];
            json!({ "VulnerabilityID": id, "PkgName": package, "InstalledVersion": installed, "FixedVersion": fixed, "Severity": severity,
                "Title": format!("{package}: a flaw that an attacker can use"), "PrimaryURL": format!("https://avd.aquasec.com/nvd/{}", id.to_lowercase()),
                "Status": if fixed.is_empty() { "affected" } else { "fixed" }, "CweIDs": ["CWE-787"] })
        })
        .collect();
    let root = Dice::new(&format!("root {asset}")).below(3) == 0 && step < 20;
    let config = if root {
        json!([{ "ID": "DS-0002", "Title": "Image user should not be 'root'", "Message": "Specify at least 1 USER command", "Resolution": "Add a USER line",
            "Severity": "HIGH", "Status": "FAIL", "CauseMetadata": { "Provider": "Dockerfile" } }])
    } else {
        json!([{ "ID": "DS-0002", "Title": "Image user should not be 'root'", "Message": "", "Severity": "HIGH", "Status": "PASS" }])
    };
    json!({ "SchemaVersion": 2, "Trivy": { "Version": "0.58.1" }, "CreatedAt": at, "ArtifactName": asset, "ArtifactType": "container_image",
        "Results": [{ "Target": format!("{asset} (debian 12.9)"), "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": found },
                    { "Target": "Dockerfile", "Class": "config", "Type": "dockerfile", "MisconfSummary": { "Successes": 24, "Failures": 1 }, "Misconfigurations": config }] })
}

/// A check of Prowler: id, title, service, severity (2 low to 5 critical).
const CLOUD: [(&str, &str, &str, u8); 18] = [
    (
        "s3_bucket_default_encryption",
        "Buckets are encrypted by default",
        "s3",
        3,
    ),
    ("s3_bucket_public_access", "Buckets are not public", "s3", 5),
    ("rds_instance_storage_encrypted", "Databases are encrypted", "rds", 4),
    ("rds_instance_backup_enabled", "Databases are backed up", "rds", 3),
    ("kms_cmk_rotation_enabled", "Keys are rotated", "kms", 3),
    (
        "ec2_securitygroup_allow_ingress_from_internet_to_all_ports",
        "No security group is open to the internet",
        "ec2",
        5,
    ),
    (
        "iam_inline_policy_no_administrative_privileges",
        "No inline policy grants everything",
        "iam",
        4,
    ),
    (
        "iam_policy_allows_privilege_escalation",
        "No policy allows escalation",
        "iam",
        4,
    ),
    ("iam_root_mfa_enabled", "Root has a second factor", "iam", 5),
    (
        "iam_user_mfa_enabled_console_access",
        "Users have a second factor",
        "iam",
        4,
    ),
    ("iam_rotate_access_key_90_days", "Access keys are rotated", "iam", 3),
    ("iam_user_accesskey_unused", "Unused keys are switched off", "iam", 3),
    ("iam_password_policy_minimum_length_14", "Passwords are long", "iam", 3),
    (
        "cloudtrail_log_file_validation_enabled",
        "Log files are validated",
        "cloudtrail",
        3,
    ),
    ("vpc_flow_logs_enabled", "Flow logs are on", "ec2", 3),
    ("guardduty_is_enabled", "Threat detection is on", "guardduty", 3),
    (
        "bedrock_model_invocation_logging_enabled",
        "Model invocations are logged",
        "bedrock",
        3,
    ),
    (
        "bedrock_agent_guardrail_enabled",
        "Agents have a guardrail",
        "bedrock",
        4,
    ),
];

/// Prowler's OCSF report of an account: every check on two resources, passed or failed.
pub(super) fn prowler(account: &str, step: u64, at: &str) -> Value {
    let failing = issues(&format!("prowler {account}"), CLOUD.len() * 2, 15);
    let mut records = Vec::new();
    for (n, (id, title, service, severity)) in CLOUD.iter().enumerate() {
        for resource in 0..2 {
            let slot = n * 2 + resource;
            let failed = failing.iter().any(|issue| issue.rule == slot && issue.stands(step));
            let word = ["Informational", "Informational", "Low", "Medium", "High", "Critical"][usize::from(*severity)];
            let uid = format!(
                "arn:aws:{service}:eu-central-1:{account}:{service}-{}",
                ["main", "replica"][resource]
            );
            let verdict = if failed { "FAIL" } else { "PASS" };
            records.push(json!({
                "class_uid": 2004, "metadata": { "event_code": id, "version": "1.4.0", "product": { "name": "Prowler", "vendor_name": "Prowler", "version": "5.3.0" } },
                "severity_id": severity, "severity": word, "status": "New", "status_code": verdict, "time_dt": at,
                "status_detail": format!("{title}: {} on {uid}", if failed { "not so" } else { "so" }),
                "finding_info": { "title": title, "desc": title, "uid": format!("prowler-aws-{id}-{account}-{uid}") },
                "remediation": { "desc": format!("Change the resource so that: {}.", title.to_lowercase()) },
                "resources": [{ "uid": uid, "name": service, "type": "AwsResource", "region": "eu-central-1" }],
                "unmapped": { "compliance": {} } }));
        }
    }
    Value::Array(records)
}

const IAC: [(&str, &str); 8] = [
    ("CKV_K8S_23", "Containers do not run as root"),
    ("CKV_K8S_20", "Containers cannot escalate"),
    ("CKV_K8S_22", "Root file systems are read-only"),
    ("CKV_K8S_37", "Capabilities are dropped"),
    ("CKV_K8S_31", "A seccomp profile is set"),
    ("CKV2_K8S_6", "Pods have a network policy"),
    ("CKV_K8S_43", "Images are pinned by digest"),
    ("CKV2_GHA_1", "Pipelines' tokens are narrow"),
];

/// Checkov's report of a repository's manifests.
pub(super) fn checkov(asset: &str, step: u64) -> Value {
    let failing = issues(&format!("checkov {asset}"), IAC.len(), 5);
    let (mut failed, mut passed) = (Vec::new(), Vec::new());
    for (n, (id, title)) in IAC.iter().enumerate() {
        let fails = failing.iter().any(|issue| issue.rule == n && issue.stands(step));
        let record = json!({ "check_id": id, "check_name": title, "check_result": { "result": if fails { "FAILED" } else { "PASSED" } },
            "file_path": "/deploy/agents.yaml", "file_line_range": [1, 40], "resource": "Deployment.agents.runner", "severity": if fails { json!("MEDIUM") } else { Value::Null },
            "guideline": "https://docs.prismacloud.io/" });
        if fails {
            failed.push(record)
        } else {
            passed.push(record)
        }
    }
    json!({ "check_type": "kubernetes", "results": { "passed_checks": passed, "failed_checks": failed, "skipped_checks": [], "parsing_errors": [] },
        "summary": { "passed": passed.len(), "failed": failed.len(), "checkov_version": "3.2.300" } })
}

const ACTIONS: [(&str, &str); 9] = [
    ("data_read", "customer records"),
    ("query", "orders table"),
    ("tool_call", "search"),
    ("prompt_blocked", "prompt"),
    ("summarise", "support case"),
    ("data_export", "monthly ledger"),
    ("model_update", "risk model"),
    ("login_failed", "console"),
    ("create_access_key", "service account"),
];

/// What agents did around an instant, as our own audit events.
pub(super) fn events(project: &str, agents: &[&str], step: u64, start: affiant_domain::Instant) -> Value {
    let mut dice = Dice::new(&format!("events {project} {step}"));
    let mut all = Vec::new();
    for agent in agents {
        for n in 0..10 + dice.below(8) {
            let common = dice.below(12) > 0;
            let (action, resource) = if common {
                ACTIONS[usize::try_from(dice.below(5)).unwrap_or(0)]
            } else {
                *dice.pick(&ACTIONS[5..])
            };
            let at = start + chrono::Duration::minutes(i64::try_from(dice.below(14 * 24 * 60)).unwrap_or(0));
            all.push(json!({ "timestamp": at.to_rfc3339(), "event_id": format!("{project}-{agent}-{step}-{n}"), "agent_id": agent,
                "user_id": format!("user{}@example.com", dice.below(40)), "action": action, "resource": resource,
                "outcome": if dice.below(25) == 0 { "denied" } else { "success" }, "compliance_tags": ["SOX", "GDPR"],
                "environment": "production", "model_version": format!("2026.{}", step / 2) }));
        }
    }
    if project == "payments" && step == 17 {
        let at = start + chrono::Duration::days(3);
        all.push(json!({ "timestamp": at.to_rfc3339(), "event_id": "payments-stop-logging", "user_id": "admin@example.com", "action": "stop_logging",
            "resource": "audit trail eu-central-1", "outcome": "success", "compliance_tags": ["SOX", "PCI_DSS"], "agent_id": "invoice-bot" }));
    }
    Value::Array(all)
}
