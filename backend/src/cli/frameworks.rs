//! `affiant frameworks`: the catalogue.

use super::output::{Failure, say, say_json};
use crate::config::Storage;
use affiant_domain::catalogue::{Catalogue, inspect};

/// Arguments of `frameworks`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the frameworks, or the common controls
    List {
        /// List the common controls
        #[arg(long)]
        controls: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a framework, a requirement or a control
    Show {
        /// Its id, such as pci-dss, pci-8.6.2 or SEC-01
        id: String,
    },
    /// Check ids, references, cycles, dates and orphans, and count
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(storage: &Storage, args: &Args) -> Result<(), Failure> {
    let catalogue = crate::frameworks::load(storage.frameworks.as_deref()).map_err(Failure::input)?;
    match &args.command {
        Command::List { controls: true, json } => controls(&catalogue, *json),
        Command::List { controls: false, json } => list(&catalogue, *json),
        Command::Show { id } => return show(&catalogue, id),
        Command::Check { json } => return check(&catalogue, *json),
    }
    Ok(())
}

fn list(catalogue: &Catalogue, json: bool) {
    if json {
        let rows: Vec<_> = catalogue
            .frameworks
            .values()
            .map(|f| serde_json::json!({ "id": f.row.id, "title": f.row.title, "version": f.row.version, "rows": f.requirements.len(), "scored": f.scored().count() }))
            .collect();
        return say_json(&rows);
    }
    say(format_args!(
        "{:<16} {:<10} {:>5} {:>7}  title",
        "id", "version", "rows", "scored"
    ));
    for framework in catalogue.frameworks.values() {
        let row = &framework.row;
        say(format_args!(
            "{:<16} {:<10} {:>5} {:>7}  {}",
            row.id,
            row.version,
            framework.requirements.len(),
            framework.scored().count(),
            row.title
        ));
    }
}

fn controls(catalogue: &Catalogue, json: bool) {
    if json {
        return say_json(&catalogue.controls);
    }
    for control in catalogue.controls.values() {
        let tested = if control.automatable { "tools" } else { "statement" };
        say(format_args!(
            "{:<24} {:<10} {:>4} d  {}",
            control.id, tested, control.window_days, control.title
        ));
    }
}

fn show(catalogue: &Catalogue, id: &str) -> Result<(), Failure> {
    if let Some(framework) = catalogue.frameworks.get(id) {
        say(format_args!(
            "{} {} ({})",
            framework.row.title, framework.row.version, framework.row.source
        ));
        for row in &framework.requirements {
            let mark = if row.is_scored() { "" } else { "  (not scored)" };
            say(format_args!("  {:<28} {}{mark}", row.id, row.title));
        }
    } else if let Some((framework, row)) = catalogue.requirement(id) {
        say(format_args!("{} {}: {}", framework.row.name, row.label, row.title));
        for (name, value) in [
            ("note", &row.note),
            ("reference", &row.reference),
            ("not scored", &row.not_scored),
        ] {
            if !value.is_empty() {
                say(format_args!("  {name}: {value}"));
            }
        }
        for profile in &row.only_for {
            say(format_args!("  only for: {profile}"));
        }
        for (control, weight) in catalogue.controls_of(&row.id) {
            say(format_args!("  {weight:>4}  {:<24} {}", control.id, control.title));
        }
    } else if let Some(control) = catalogue.controls.get(id) {
        say(format_args!("{}: {}", control.id, control.title));
        say(format_args!(
            "  evidence is fresh for {} days; applies to {}",
            control.window_days,
            if control.applies_to.is_empty() {
                "the organisation, by statement".to_owned()
            } else {
                control.applies_to.join(", ")
            }
        ));
        for mapping in catalogue
            .mappings
            .iter()
            .filter(|mapping| mapping.controls.contains_key(id))
        {
            let strength = mapping.controls.get(id).copied().unwrap_or_default();
            say(format_args!(
                "  {:<14} strength {strength:<5} {}",
                mapping.id, mapping.rationale
            ));
        }
        for (requirement, weight) in catalogue.requirements_of(id) {
            say(format_args!("  {weight:>4}  {requirement}"));
        }
    } else {
        let known = catalogue.frameworks.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(Failure::Input(format!(
            "no framework, requirement or control \"{id}\"; the frameworks are {known}"
        )));
    }
    Ok(())
}

fn check(catalogue: &Catalogue, json: bool) -> Result<(), Failure> {
    let inspection = inspect(catalogue);
    if json {
        let row = |fault: &affiant_domain::catalogue::Fault| serde_json::json!({ "at": fault.at, "what": fault.what });
        say_json(&serde_json::json!({
            "frameworks": inspection.counts.iter().map(|(id, (rows, scored))| (id.clone(), serde_json::json!({ "rows": rows, "scored": scored }))).collect::<serde_json::Map<_, _>>(),
            "controls": catalogue.controls.len(),
            "mappings": catalogue.mappings.len(),
            "digest": catalogue.digest(),
            "faults": inspection.faults.iter().map(row).collect::<Vec<_>>(),
            "remarks": inspection.remarks.iter().map(row).collect::<Vec<_>>(),
        }));
    } else {
        for (id, (rows, scored)) in &inspection.counts {
            say(format_args!("{id:<16} {rows:>4} rows, {scored:>4} scored"));
        }
        say(format_args!(
            "{} controls, {} mappings, digest {}",
            catalogue.controls.len(),
            catalogue.mappings.len(),
            catalogue.digest()
        ));
        for fault in &inspection.faults {
            say(format_args!("fault   {}: {}", fault.at, fault.what));
        }
        for remark in &inspection.remarks {
            say(format_args!("remark  {}: {}", remark.at, remark.what));
        }
    }
    match inspection.faults.len() {
        0 => Ok(()),
        n => Err(Failure::No(format!("the catalogue has {n} faults"))),
    }
}
