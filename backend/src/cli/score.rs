//! `affiant score`: the score of an evidence file.

use super::output::{Failure, say, say_json};
use affiant_domain::score::{build, compute, parse};
use std::io::Read;

/// Arguments of `score`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Evidence file, or - for standard input
    file: String,
    /// Print the digest of what the score reads, as assessments and reports state it
    #[arg(long)]
    digest: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    let read = if args.file == "-" {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(&args.file).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::Input(format!("{}: {error}", args.file)))?;
    let evidence = parse(&bytes).map_err(|error| Failure::Input(format!("{}: {error}", args.file)))?;
    let input = build(&evidence);
    if args.digest {
        say(input.digest());
    } else {
        say_json(&compute(&input));
    }
    Ok(())
}
