//! The black-box tests: they start the real server, on SQLite and on PostgreSQL, and speak HTTP.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod access;
mod architecture;
mod aws;
mod backup;
mod bad_input;
mod certificates;
mod clocks;
mod command_line;
mod crashes;
mod damage;
mod deploy;
mod directory;
mod disk_faults;
mod events;
mod idempotency;
mod imports;
mod kept;
mod keys;
mod migrations;
mod openapi;
mod outages;
mod plans;
mod privacy;
mod processors;
mod remains;
mod reports;
mod retention;
mod samples;
mod schedules;
mod schema;
mod scores;
mod screening;
mod search;
mod secrets;
mod server;
mod sources;
mod tampering;
mod traces;
mod trail;
mod visible;
mod walk;
