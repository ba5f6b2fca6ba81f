//! The tree as static tiles at the paths of C2SP `tlog-tiles`, below `/trail`, for monitors of other people's making. They show the
//! activity of all projects: for who may read the trail of all.

use crate::app::Context;
use crate::auth::{Allowed, ReadTrail};
use crate::flow::trail;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, web};
use affiant_trail::{Frontier, tile_path};

/// Hashes or entries of a whole tile.
const WHOLE: u64 = 256;

/// Every route.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(checkpoint).service(tile);
}

fn everywhere(who: &Allowed<ReadTrail>) -> Result<(), Problem> {
    if who.principal.reach::<ReadTrail>().is_all() {
        Ok(())
    } else {
        Err(Problem::forbidden("trail:read for all projects"))
    }
}

/// The latest checkpoint.
#[get("/trail/checkpoint")]
pub async fn checkpoint(who: Allowed<ReadTrail>, app: web::Data<Context>) -> Result<HttpResponse, Problem> {
    everywhere(&who)?;
    let note = trail::sign(&app).await?;
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(note))
}

/// What a path names: the level (none for entries), the place, and how many hashes.
fn parse(path: &str) -> Option<(Option<u8>, u64, u64)> {
    let (level, rest) = path.split_once('/')?;
    let level = match level {
        "entries" => None,
        digits => Some(digits.parse::<u8>().ok().filter(|level| *level < 8)?),
    };
    let (place, width) = match rest.split_once(".p/") {
        Some((place, width)) => (
            place,
            width.parse::<u16>().ok().filter(|width| (1..256).contains(width))?,
        ),
        None => (rest, 256),
    };
    let mut index = 0_u64;
    for part in place.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    // One tile has one path.
    let name = level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
    (format!("tile/{path}") == tile_path(&name, index, width)).then_some((level, index, width.into()))
}

/// A tile of hashes, or a bundle of entries.
#[get("/trail/tile/{path:.*}")]
pub async fn tile(
    who: Allowed<ReadTrail>,
    app: web::Data<Context>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who)?;
    let none = || Problem::not_found("there is no such tile");
    let (level, index, width) = parse(&path).ok_or_else(none)?;
    let size = Frontier::from_bytes(&app.store.trail_frontier().await?).map_or(0, |tree| tree.size());
    // A place that is out of reach of any tree is none.
    let first = index.checked_mul(WHOLE).ok_or_else(none)?;
    let there = (size >> (8 * u32::from(level.unwrap_or(0)))).saturating_sub(first);
    if there < width {
        return Err(none());
    }
    let mut bytes = Vec::new();
    match level {
        Some(level) => {
            for hash in app.store.trail_hashes(level, first, width).await? {
                bytes.extend(hash);
            }
        }
        None => {
            for entry in app.store.trail_from(first, width).await? {
                let length = u16::try_from(entry.leaf.len()).map_err(|_| Problem::internal("an entry is too long"))?;
                bytes.extend(length.to_be_bytes());
                bytes.extend(entry.leaf.into_bytes());
            }
        }
    }
    let mut response = HttpResponse::Ok();
    if width == WHOLE {
        response.insert_header(("Cache-Control", "private, max-age=31536000, immutable"));
    }
    Ok(response.content_type("application/octet-stream").body(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_has_one_path() {
        assert_eq!(parse("0/x001/x234/067"), Some((Some(0), 1_234_067, 256)));
        assert_eq!(parse("1/000.p/7"), Some((Some(1), 0, 7)));
        assert_eq!(parse("entries/012"), Some((None, 12, 256)));
        for wrong in [
            "",
            "0",
            "0/0",
            "0/x000/001",
            "9/000",
            "0/000.p/0",
            "0/000.p/256",
            "data/000",
            "0/-01",
            "0/+01",
            "0/000/",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
