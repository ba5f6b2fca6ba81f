//! One entity per table. `TABLES` names them all; a test compares them with the migrated schema.

macro_rules! entities {
    ($($(#[$doc:meta])* $module:ident = $table:literal { $($(#[$attr:meta])* $field:ident : $kind:ty,)+ })+) => {
        $(
            $(#[$doc])*
            #[allow(missing_docs, reason = "the columns are named as in the migration, which says what they are")]
            pub mod $module {
                use sea_orm::entity::prelude::*;

                #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
                #[sea_orm(table_name = $table)]
                pub struct Model { $($(#[$attr])* pub $field: $kind,)+ }

                #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
                pub enum Relation {}

                impl ActiveModelBehavior for ActiveModel {}
            }
        )+

        /// Every table with its columns.
        #[must_use]
        pub fn tables() -> Vec<(&'static str, Vec<String>)> {
            use sea_orm::{Iterable, sea_query::Iden};
            vec![$(($table, $module::Column::iter().map(|column| column.unquoted().to_owned()).collect())),+]
        }
    };
}

entities! {
    /// Projects.
    project = "project" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        slug: String, name: String, profiles: String, created_at: i64, known_at: i64,
    }
    /// Assets.
    asset = "asset" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, key: String, kind: String, named: bool, first_seen_at: i64, recorded_at: i64, is_settled: bool,
    }
    /// Assets that imports on their way tell of.
    asset_import = "asset_import" {
        #[sea_orm(primary_key, auto_increment = false)] asset_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)] import_id: Uuid,
        at: i64,
    }
    /// Rulings on assets' scope.
    asset_scope = "asset_scope" {
        #[sea_orm(primary_key)] id: i64,
        project_id: Uuid, asset_id: Uuid, framework: String, reason: String, actor: String, in_scope: bool, at: i64, recorded_at: i64,
    }
    /// Rulings on requirements' applicability.
    requirement_scope = "requirement_scope" {
        #[sea_orm(primary_key)] id: i64,
        project_id: Uuid, requirement: String, reason: String, actor: String, applicable: bool, at: i64, recorded_at: i64,
    }
    /// Checks of tools.
    checks = "checks" {
        #[sea_orm(primary_key)] id: i64,
        digest: String, tool: String, rule: String, body: String,
    }
    /// Lists of checks, by digest.
    checklist = "checklist" {
        #[sea_orm(primary_key, auto_increment = false)] digest: String,
        body: String,
    }
    /// Originals of scanners.
    original = "original" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, digest: String, gzip: bool, size: i64, created_at: i64, process: Option<Uuid>,
    }
    /// Pieces of originals.
    original_chunk = "original_chunk" {
        #[sea_orm(primary_key, auto_increment = false)] original_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)] n: i32,
        start: i64, body: Vec<u8>,
    }
    /// Imports.
    import = "import" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, asset_id: Uuid, original_id: Option<Uuid>, part: String, mode: String, format: String,
        format_version: String, digest: String, actor: String, result: String, size: i64, completed_at: i64, recorded_at: i64, is_searchable: bool,
        state: i16, visible_at: i64, lease_until: i64, process: Option<Uuid>,
    }
    /// Scopes of scans.
    scan_scope = "scan_scope" {
        #[sea_orm(primary_key)] id: i64,
        project_id: Uuid, asset_id: Uuid, latest_import_id: Option<Uuid>, tool: String, part: String, latest_at: Option<i64>,
    }
    /// Scans.
    scan = "scan" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        import_id: Uuid, project_id: Uuid, asset_id: Uuid, scope_id: i64, completed_at: i64, recorded_at: i64, tool: String,
        tool_version: String, checklist: String,
    }
    /// Results of checks.
    result = "result" {
        #[sea_orm(primary_key)] id: i64,
        project_id: Uuid, scan_id: Uuid, asset_id: Uuid, check_id: i64, observed_at: i64, recorded_at: i64, outcome: i16, count: i32,
    }
    /// Findings.
    finding = "finding" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, asset_id: Uuid, import_id: Uuid, scope_id: i64, check_id: i64, opened_at: i64, recorded_at: i64,
        changed_at: i64, fingerprint: Vec<u8>, occurrence: i32, line: i32, place_length: i32, place_offset: i64, place_line: i64,
        fingerprint_version: i16, first_state: i16, first_severity: i16, state: i16, severity: i16, title: String, message: String,
        location: String, suppression: String, package: String, secret: String, cvss: Option<f64>, group_key: Option<Vec<u8>>,
    }
    /// Fingerprints that older readers gave.
    fingerprint_link = "fingerprint_link" {
        #[sea_orm(primary_key)] id: i64,
        project_id: Uuid, finding_id: Uuid, old: Vec<u8>, new: Vec<u8>, old_version: i16, new_version: i16, recorded_at: i64,
    }
    /// Changes of findings.
    transition = "transition" {
        #[sea_orm(primary_key)] id: i64,
        project_id: Uuid, finding_id: Uuid, scan_id: Uuid, at: i64, recorded_at: i64, state: i16, severity: i16,
    }
    /// Waivers.
    waiver = "waiver" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, finding_id: Uuid, kind: String, reason: String, requested_by: String, state: String,
        decided_by: Option<String>, revoked_by: Option<String>, from_at: i64, until_at: i64, requested_at: i64,
        decided_at: Option<i64>, revoked_at: Option<i64>, owner: String,
    }
    /// Attestations.
    attestation = "attestation" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, control: String, outcome: String, statement: String, evidence: String, actor: String, from_at: i64,
        until_at: i64, recorded_at: i64, revoked_at: Option<i64>,
    }
    /// Catalogues that assessments were made with.
    catalogue = "catalogue" {
        #[sea_orm(primary_key, auto_increment = false)] digest: String,
        body: Vec<u8>, recorded_at: i64,
    }
    /// Assessments.
    assessment = "assessment" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, schedule_id: Option<Uuid>, framework: String, version: String, catalogue_digest: String,
        evidence_digest: String, origin: String, actor: String, as_of: i64, recorded_at: i64, slot: Option<i64>, score: Option<f64>,
        score_raw: Option<f64>, coverage: f64, low: f64, high: f64, body: Vec<u8>,
    }
    /// Schedules.
    schedule = "schedule" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, framework: String, cron: String, zone: String, enabled: bool, since_at: i64,
    }
    /// Slots that were fired.
    schedule_fire = "schedule_fire" {
        #[sea_orm(primary_key, auto_increment = false)] schedule_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)] slot: i64,
        job_id: Uuid, fired_at: i64, missed: i32,
    }
    /// Jobs.
    job = "job" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Option<Uuid>, kind: String, payload: String, state: String, result: String, attempt: i32, created_at: i64,
        done: i64, total: i64, lease_until: i64,
    }
    /// Reports.
    report = "report" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Option<Uuid>, framework: String, digest: String, actor: String, start_at: i64, end_at: i64, recorded_at: i64,
        body: Vec<u8>,
    }
    /// Audit events.
    audit_event = "audit_event" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, asset_id: Option<Uuid>, source: String, event_key: String, agent: String, action: String,
        action_key: String, resource: String, outcome: String, risk: String, reasons: String, tags: String, categories: String,
        payloads: String, detail: String, is_processing: bool, at: i64, recorded_at: i64, keep_until: i64, keep_rule: String,
        payload_until: Option<i64>, payload_rule: String,
    }
    /// Rules of retention that were changed.
    retention_rule = "retention_rule" {
        #[sea_orm(primary_key, auto_increment = false)] id: String,
        tag: String, reason: String, actor: String, at_least: Option<i64>, at_most: Option<i64>, changed_at: i64, pending: bool,
    }
    /// Audit stores that are pulled.
    source = "source" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, name: String, kind: String, settings: String, format: String, asset: String, tags: String, actor: String,
        last_error: String, enabled: bool, every_seconds: i64, expected_seconds: i64, created_at: i64, next_at: i64,
        last_run_at: Option<i64>, last_done_at: Option<i64>,
    }
    /// What of a source was read.
    source_object = "source_object" {
        #[sea_orm(primary_key, auto_increment = false)] source_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)] key: String,
        version: String, error: String, events: i64, size: i64, read_at: i64, complete: bool,
    }
    /// Gaps in the record of sources.
    source_gap = "source_gap" {
        #[sea_orm(primary_key)] id: i64,
        project_id: Uuid, source: String, reason: String, from_at: i64, until_at: i64, missing: i64, recorded_at: i64,
    }
    /// Operations that agents are expected to record.
    expected_operation = "expected_operation" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, agent: String, action: String, actor: String, within_seconds: i64, created_at: i64,
    }
    /// One-time links.
    sign_in_link = "sign_in_link" {
        #[sea_orm(primary_key, auto_increment = false)] hash: String,
        name: String, role: String, expires_at: i64, used_at: Option<i64>,
    }
    /// Sessions.
    session = "session" {
        #[sea_orm(primary_key, auto_increment = false)] hash: String,
        name: String, role: String, csrf: String, created_at: i64, expires_at: i64, person_id: Option<Uuid>, provider: String,
        sid: String, browser: String, refresh: Option<Vec<u8>>, seen_at: i64, refreshed_at: i64,
    }
    /// People, by the identity that their provider gives them.
    person = "person" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        issuer: String, subject: String, name: String, email: String, member_of: String, created_at: i64, seen_at: i64,
        left_at: Option<i64>, external_id: String, user_name: String, standing: String, profile: String,
    }
    /// Groups as a directory tells them.
    directory_group = "directory_group" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        issuer: String, external_id: String, name: String, created_at: i64, changed_at: i64,
    }
    /// Who is in them.
    directory_member = "directory_member" {
        #[sea_orm(primary_key, auto_increment = false)] group_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)] person_id: Uuid,
    }
    /// What people and groups may do, for a project or for all.
    membership = "membership" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Option<Uuid>, person_id: Option<Uuid>, role: String, member_of: String, frameworks: String, actor: String,
        created_at: i64, from_at: Option<i64>, until_at: Option<i64>, ends_at: Option<i64>, provider: String, by_token: Option<Uuid>,
        by_session: String,
    }
    /// The local administrator for emergencies.
    break_glass = "break_glass" {
        #[sea_orm(primary_key, auto_increment = false)] id: String,
        password: String, secret: Vec<u8>, last_step: i64, failures: i64, locked_until: i64, created_at: i64,
    }
    /// What people consented to.
    consent = "consent" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        subject_id: Uuid, purpose: String, actor: String, proof: Option<Vec<u8>>, given_at: i64, withdrawn_at: Option<i64>,
    }
    /// The record of processing activities.
    processing_activity = "processing_activity" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        name: String, purpose: String, basis: String, subjects: String, categories: String, recipients: String, transfers: String,
        retention: String, measures: String, actor: String, created_at: i64, ended_at: Option<i64>,
    }
    /// Who processes data on our behalf.
    processor = "processor" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        name: String, services: String, country: String, webhook_url: String, actor: String, secret: Option<Vec<u8>>, contract_at: i64,
        review_at: i64, created_at: i64, ended_at: Option<i64>,
    }
    /// What processors are told of requests.
    processor_notice = "processor_notice" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        request_id: Uuid, processor_id: Uuid, state: String, answer: String, attempts: i32, body: Option<Vec<u8>>, next_at: i64,
        created_at: i64, sent_at: Option<i64>, answered_at: Option<i64>,
    }
    /// Breaches of personal data.
    breach = "breach" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        title: String, what_happened: String, late_because: String, actor: String, high_risk: bool, affected: i64, aware_at: i64,
        created_at: i64, authority_told_at: Option<i64>, people_told_at: Option<i64>, closed_at: Option<i64>,
    }
    /// Requests of data subjects.
    privacy_request = "privacy_request" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        subject_id: Option<Uuid>, kind: String, state: String, handlers: String, approver: String, proof: String, reason: String,
        ground: String, plan: String, done: String, outcome: String, certificate: String, identifier: Option<Vec<u8>>, received_at: i64,
        created_at: i64, paused: i64, extended_at: Option<i64>, closed_at: Option<i64>,
    }
    /// What is neither purged nor erased.
    legal_hold = "legal_hold" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Uuid, subject_id: Option<Uuid>, reason: String, actor: String, created_at: i64, from_at: Option<i64>,
        until_at: Option<i64>, released_at: Option<i64>,
    }
    /// The tree of the trail as far as it has grown.
    trail_head = "trail_head" {
        #[sea_orm(primary_key, auto_increment = false)] id: i16,
        frontier: Vec<u8>,
    }
    /// Entries of the trail.
    trail_entry = "trail_entry" {
        #[sea_orm(primary_key, auto_increment = false)] idx: i64,
        at: i64, project_id: Option<Uuid>, record_id: Option<Uuid>, subject_id: Option<Uuid>, action: String, outcome: String,
        leaf: String, hash: Vec<u8>, sealed: Option<Vec<u8>>, state: i16,
    }
    /// Whole nodes of the tree that are first hashes of tiles.
    trail_node = "trail_node" {
        #[sea_orm(primary_key, auto_increment = false)] level: i16,
        #[sea_orm(primary_key, auto_increment = false)] idx: i64,
        hash: Vec<u8>,
    }
    /// People whom an entry concerns beside who acted.
    trail_subject = "trail_subject" {
        #[sea_orm(primary_key, auto_increment = false)] subject_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)] idx: i64,
    }
    /// Signed checkpoints.
    trail_checkpoint = "trail_checkpoint" {
        #[sea_orm(primary_key, auto_increment = false)] size: i64,
        #[sea_orm(primary_key, auto_increment = false)] at: i64,
        note: String,
    }
    /// Keys that sign checkpoints.
    trail_key = "trail_key" {
        #[sea_orm(primary_key, auto_increment = false)] from_size: i64,
        created_at: i64, public: String, sealed: Vec<u8>,
    }
    /// People whom records concern, with the key under which what is personal is sealed.
    subject = "subject" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        lookup: Option<String>, wrapped: Option<Vec<u8>>, created_at: i64, erased_at: Option<i64>, restricted_until: Option<i64>,
        former_lookup: Option<String>,
    }
    /// Tokens.
    token = "token" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        project_id: Option<Uuid>, name: String, prefix: String, hash: String, role: String, actor: String, created_at: i64,
        expires_at: i64, last_used_at: Option<i64>, revoked_at: Option<i64>, person_id: Option<Uuid>, scopes: String, subject: String,
        holder: String, by_token: Option<Uuid>, by_session: String,
    }
    /// Answers kept for retries.
    idempotency = "idempotency" {
        #[sea_orm(primary_key, auto_increment = false)] id: String,
        request: String, attempt: i64, lease_until: i64, expires_at: i64, status: i32, is_personal: bool, answer: Option<Vec<u8>>,
    }
    /// What the servers know of the clock: one row.
    clock = "clock" {
        #[sea_orm(primary_key, auto_increment = false)] id: i16,
        heartbeat_at: i64, suspicion: String, suspected_at: Option<i64>,
    }
    /// Daily work, by job.
    daily_run = "daily_run" {
        #[sea_orm(primary_key, auto_increment = false)] job: String,
        slot: i64, attempt: i64, lease_until: i64, finished_at: Option<i64>,
    }
    /// The text of findings, to be searched.
    finding_text = "finding_text" {
        #[sea_orm(primary_key)] n: i64,
        finding_id: Uuid, project_id: Uuid, body: String,
    }
}
