//! Affiant: what scanners and audit stores say, what it means for SOX, HIPAA, GDPR and PCI DSS, and the proof of it.
//!
//! A tour, in the order in which data flows:
//! - a file comes in over [`http`] or the command line ([`cli`]) and [`flow::ingest`] stores what its reader says of it;
//! - [`flow::assess`] brings what is stored and the catalogue ([`frameworks`]) into the form that the scoring function reads, and stores the
//!   score; [`jobs`] asks for that by schedule;
//! - [`flow::report`] gathers a period for an auditor; [`http`] serves pages and the API.
//!
//! [`app`] wires these together and decides nothing.

pub mod app;
pub mod auth;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod config;
pub mod flow;
pub mod frameworks;
pub mod http;
pub mod jobs;
pub mod keys;
pub mod spool;
pub mod telemetry;
pub mod trail;
