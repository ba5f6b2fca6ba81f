//! Drawings: the gauge of a score, its course, stacked bars.

use super::layout::{ACCENT, BLACK, Face, GREY, INNER, Ink, LEFT, Layout, RULE};
use crate::{Change, TrendPoint};
use affiant_domain::score::{Bounds, Status};

pub(crate) const BAND: Ink = Ink(186, 205, 233);

/// Inks of statuses.
pub(crate) const fn status_ink(status: Status) -> Ink {
    match status {
        Status::NotSatisfied => Ink(178, 48, 38),
        Status::PartiallySatisfied => Ink(166, 105, 8),
        Status::Satisfied => Ink(28, 116, 68),
        Status::NotAssessed => Ink(110, 118, 132),
        Status::NotApplicable => Ink(168, 174, 184),
    }
}

/// A score with its bounds as one bar from 0 to 100 %.
pub(crate) fn gauge(layout: &mut Layout, score: Option<f64>, bounds: Bounds, y: f32) {
    let x_of = |value: f64| LEFT + INNER * to_f32(value);
    layout.bar(LEFT, y, INNER, 12.0, Ink(232, 235, 240));
    layout.bar(x_of(bounds.low), y, x_of(bounds.high) - x_of(bounds.low), 12.0, BAND);
    if let Some(score) = score {
        layout.bar(x_of(score) - 1.5, y - 4.0, 3.0, 20.0, ACCENT);
    }
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let label = format!("{:.0} %", tick * 100.0);
        let x = x_of(tick);
        let right = tick > 0.9;
        layout.line_at(
            if right {
                x
            } else {
                x + if tick > 0.0 { -8.0 } else { 0.0 }
            },
            y + 26.0,
            &label,
            (Face::Regular, 7.0, GREY),
            right,
        );
    }
}

/// The course of score and bounds.
pub(crate) fn trend(layout: &mut Layout, points: &[TrendPoint]) {
    const HEIGHT: f32 = 110.0;
    layout.need(HEIGHT + 50.0);
    let top = layout.y + 8.0;
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return;
    };
    let span = (last.at - first.at).num_seconds().max(1);
    let left = LEFT + 30.0;
    let width = INNER - 30.0;
    let x_of = |at: affiant_domain::Instant| left + width * ratio((at - first.at).num_seconds(), span);
    let y_of = |value: f64| top + HEIGHT * (1.0 - to_f32(value));
    for tick in [0.0, 0.5, 1.0] {
        layout.bar(left, y_of(tick), width, 0.5, RULE);
        layout.line_at(
            left - 5.0,
            y_of(tick) + 2.5,
            &format!("{:.0} %", tick * 100.0),
            (Face::Regular, 7.0, GREY),
            true,
        );
    }
    let mut band: Vec<(f32, f32)> = points.iter().map(|p| (x_of(p.at), y_of(p.high))).collect();
    band.extend(points.iter().rev().map(|p| (x_of(p.at), y_of(p.low))));
    if points.len() > 1 {
        layout.fill(&band, Ink(222, 231, 245));
        let line: Vec<(f32, f32)> = points
            .iter()
            .filter_map(|p| Some((x_of(p.at), y_of(p.score?))))
            .collect();
        if line.len() > 1 {
            layout.stroke(&line, 1.4, ACCENT);
        }
    }
    let label = |at: affiant_domain::Instant| at.format("%Y-%m-%d").to_string();
    layout.line_at(
        left,
        top + HEIGHT + 13.0,
        &label(first.at),
        (Face::Regular, 7.0, GREY),
        false,
    );
    layout.line_at(
        left + width,
        top + HEIGHT + 13.0,
        &label(last.at),
        (Face::Regular, 7.0, GREY),
        true,
    );
    layout.y = top + HEIGHT + 26.0;
}

/// How many requirements have which status, as one bar with a legend.
pub(crate) fn statuses(layout: &mut Layout, counts: &[(Status, usize)]) {
    let total: usize = counts.iter().map(|(_, n)| n).sum();
    if total == 0 {
        return;
    }
    layout.need(70.0);
    let y = layout.y + 6.0;
    let mut x = LEFT;
    for (status, n) in counts {
        let width = INNER * ratio(i64::try_from(*n).unwrap_or(0), i64::try_from(total).unwrap_or(1));
        layout.bar(x, y, width, 14.0, status_ink(*status));
        x += width;
    }
    let mut x = LEFT;
    for (status, n) in counts {
        layout.bar(x, y + 22.0, 7.0, 7.0, status_ink(*status));
        let label = format!("{} {n}", status.label());
        layout.line_at(x + 11.0, y + 28.5, &label, (Face::Regular, 7.4, BLACK), false);
        x += layout.width(&label, Face::Regular, 7.4) + 24.0;
    }
    layout.y = y + 44.0;
}

/// Openings and closings over the period, as pairs of bars.
pub(crate) fn changes(layout: &mut Layout, changes: &[Change]) {
    const HEIGHT: f32 = 80.0;
    let most = changes.iter().map(|c| c.opened.max(c.closed)).max().unwrap_or(0);
    if most == 0 {
        return;
    }
    layout.need(HEIGHT + 50.0);
    let base = layout.y + HEIGHT + 6.0;
    #[allow(clippy::cast_precision_loss, reason = "a small number of bars")]
    let step = INNER / changes.len().max(1) as f32;
    let height = |n: u64| HEIGHT * ratio(n.cast_signed(), most.cast_signed());
    for (at, change) in changes.iter().enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "a small number of bars")]
        let x = LEFT + step * at as f32;
        let bar = (step * 0.36).min(18.0);
        layout.bar(
            x,
            base - height(change.opened),
            bar,
            height(change.opened),
            status_ink(Status::NotSatisfied),
        );
        layout.bar(
            x + bar + 1.0,
            base - height(change.closed),
            bar,
            height(change.closed),
            status_ink(Status::Satisfied),
        );
    }
    layout.bar(LEFT, base, INNER, 0.6, RULE);
    if let (Some(first), Some(last)) = (changes.first(), changes.last()) {
        let label = |at: affiant_domain::Instant| at.format("%Y-%m-%d").to_string();
        layout.line_at(LEFT, base + 12.0, &label(first.from), (Face::Regular, 7.0, GREY), false);
        layout.line_at(
            LEFT + INNER,
            base + 12.0,
            &format!("from {}", label(last.from)),
            (Face::Regular, 7.0, GREY),
            true,
        );
    }
    layout.bar(LEFT + 150.0, base + 6.0, 7.0, 7.0, status_ink(Status::NotSatisfied));
    layout.line_at(LEFT + 161.0, base + 12.5, "opened", (Face::Regular, 7.4, BLACK), false);
    layout.bar(LEFT + 210.0, base + 6.0, 7.0, 7.0, status_ink(Status::Satisfied));
    layout.line_at(
        LEFT + 221.0,
        base + 12.5,
        &format!("closed (tallest bar: {most})"),
        (Face::Regular, 7.4, BLACK),
        false,
    );
    layout.y = base + 28.0;
}

#[allow(clippy::cast_possible_truncation, reason = "drawing needs no more")]
fn to_f32(value: f64) -> f32 {
    value.clamp(0.0, 1.0) as f32
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "drawing needs no more"
)]
fn ratio(part: i64, whole: i64) -> f32 {
    (part as f64 / whole.max(1) as f64) as f32
}
