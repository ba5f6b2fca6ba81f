//! The database schema, one file per step. Steps are only ever added.

mod m20261120_000001_projects;
mod m20261120_000002_scans;
mod m20261120_000003_findings;
mod m20261120_000004_decisions;
mod m20261120_000005_assessments;
mod m20261120_000006_audit_events;
mod m20261120_000007_access;
mod m20261120_000008_facets;
mod m20261120_000009_sources;
mod m20261120_000010_expected_operations;
mod m20261120_000011_people;
mod m20261120_000012_token_scopes;
mod m20261120_000013_group_provider;
mod m20261120_000014_break_glass;
mod m20261120_000015_directory;
mod m20261120_000016_token_holder;
mod m20261120_000017_trail;
mod m20261120_000018_legal_hold;
mod m20261120_000019_privacy_request;
mod m20261120_000020_registers;
mod m20261127_000021_processors;
mod m20261127_000022_retention_rules;
mod m20261127_000023_trail_subject;
mod m20261127_000024_idempotency;
mod m20261127_000025_clock;
mod m20261127_000026_daily_run;
mod m20261127_000027_indices;
mod m20261127_000028_original_process;
mod m20261127_000029_finding_text;
mod m20261127_000030_visible_imports;
mod m20261127_000031_transitions_in_order;
mod m20261127_000032_lists_in_order;
mod m20261127_000033_lineage;
mod m20261127_000034_jobs_in_turns;
mod table;

use sea_orm_migration::prelude::*;

pub use sea_orm_migration::MigratorTrait;

/// Applies the steps.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261120_000001_projects::Migration),
            Box::new(m20261120_000002_scans::Migration),
            Box::new(m20261120_000003_findings::Migration),
            Box::new(m20261120_000004_decisions::Migration),
            Box::new(m20261120_000005_assessments::Migration),
            Box::new(m20261120_000006_audit_events::Migration),
            Box::new(m20261120_000007_access::Migration),
            Box::new(m20261120_000008_facets::Migration),
            Box::new(m20261120_000009_sources::Migration),
            Box::new(m20261120_000010_expected_operations::Migration),
            Box::new(m20261120_000011_people::Migration),
            Box::new(m20261120_000012_token_scopes::Migration),
            Box::new(m20261120_000013_group_provider::Migration),
            Box::new(m20261120_000014_break_glass::Migration),
            Box::new(m20261120_000015_directory::Migration),
            Box::new(m20261120_000016_token_holder::Migration),
            Box::new(m20261120_000017_trail::Migration),
            Box::new(m20261120_000018_legal_hold::Migration),
            Box::new(m20261120_000019_privacy_request::Migration),
            Box::new(m20261120_000020_registers::Migration),
            Box::new(m20261127_000021_processors::Migration),
            Box::new(m20261127_000022_retention_rules::Migration),
            Box::new(m20261127_000023_trail_subject::Migration),
            Box::new(m20261127_000024_idempotency::Migration),
            Box::new(m20261127_000025_clock::Migration),
            Box::new(m20261127_000026_daily_run::Migration),
            Box::new(m20261127_000027_indices::Migration),
            Box::new(m20261127_000028_original_process::Migration),
            Box::new(m20261127_000029_finding_text::Migration),
            Box::new(m20261127_000030_visible_imports::Migration),
            Box::new(m20261127_000031_transitions_in_order::Migration),
            Box::new(m20261127_000032_lists_in_order::Migration),
            Box::new(m20261127_000033_lineage::Migration),
            Box::new(m20261127_000034_jobs_in_turns::Migration),
        ]
    }
}
