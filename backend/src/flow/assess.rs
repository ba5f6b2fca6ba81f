//! Scores a project: brings what is stored and the catalogue into the form that the score reads, and stores what comes out.

use super::{FlowError, project::profiles};
use crate::app::Context;
use affiant_domain::catalogue::{Applicability, Catalogue, Framework, Mapper, Polarity, SPEAKS, applicability};
use affiant_domain::id::ProjectId;
use affiant_domain::observation::Check;
use affiant_domain::score::{
    AssetState, AttestedOutcome, ControlInput, FrameworkScore, Freshness, Impact, Input, RequirementInput, compute,
};
use affiant_domain::{Instant, Severity};
use affiant_store::{Aggregates, AssetRow, NewAssessment, RecordKind, entity, micros};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Which requirements apply to a project at an instant.
pub struct Scope {
    /// The project.
    pub project: entity::project::Model,
    /// The instant.
    pub as_of: Instant,
    profiles: BTreeSet<String>,
    /// Rulings on requirements: applicable, reason.
    rulings: HashMap<String, (bool, String)>,
}

impl Scope {
    /// Reads the rulings on a project as they held at `as_of`, with what was known at `known`.
    ///
    /// # Errors
    /// [`FlowError`] where the project is not there or the database fails.
    #[tracing::instrument(name = "load evidence", skip_all)]
    pub async fn load(app: &Context, project: ProjectId, as_of: Instant, known: Instant) -> Result<Self, FlowError> {
        let row = app.store.project_by_id(project).await?;
        let row = row.ok_or_else(|| FlowError::NotFound("there is no such project".to_owned()))?;
        let mut rulings = HashMap::new();
        for ruling in app.store.project(project).requirement_scopes(as_of, known).await? {
            rulings.insert(ruling.requirement, (ruling.applicable, ruling.reason));
        }
        Ok(Self {
            profiles: profiles(&row)?,
            project: row,
            as_of,
            rulings,
        })
    }

    /// Whether a requirement applies: a ruling decides, else profile and date.
    #[must_use]
    pub fn applies(&self, framework: &Framework, requirement: &str) -> Applicability {
        if let Some((applicable, reason)) = self.rulings.get(requirement) {
            return if *applicable {
                Applicability::Applicable
            } else {
                Applicability::NotApplicable(reason.clone())
            };
        }
        let Some(row) = framework.requirements.iter().find(|r| r.id == requirement) else {
            return Applicability::NotApplicable("not in the catalogue".to_owned());
        };
        applicability(&framework.row, row, &self.profiles, self.as_of)
    }
}

/// All that is known of a project at an instant: read once, scored for any framework.
pub struct Reading<'c> {
    /// The catalogue.
    pub catalogue: &'c Catalogue,
    /// The instant that is scored.
    pub as_of: Instant,
    /// The instant at which it was known.
    pub known: Instant,
    /// The project and what applies to it.
    pub scope: Scope,
    /// Assets by id.
    pub assets: HashMap<Uuid, AssetRow>,
    /// Counts of findings, scans and results.
    pub aggregates: Aggregates,
    /// Attestations that were known.
    pub attestations: Vec<entity::attestation::Model>,
    /// Rulings on assets, by framework.
    pub scoped_out: HashMap<String, HashSet<Uuid>>,
    /// Latest events that speak for controls: asset, action, outcome, time.
    pub events: Vec<(Uuid, String, String, i64)>,
    speaks: HashMap<(i64, Severity), Vec<(&'c str, f64)>>,
    exercised: HashMap<(String, String), BTreeSet<&'c str>>,
    event_speaks: HashMap<(String, String), Vec<(&'c str, Polarity)>>,
}

impl<'c> Reading<'c> {
    /// Reads a project as it was at `as_of`, with what was known at `known`.
    ///
    /// # Errors
    /// [`FlowError`] where the project is not there or the database fails.
    pub async fn load(
        app: &Context,
        catalogue: &'c Catalogue,
        project: ProjectId,
        as_of: Instant,
        known: Instant,
    ) -> Result<Self, FlowError> {
        let scoped = app.store.project(project);
        let scope = Scope::load(app, project, as_of, known).await?;
        let assets = scoped.assets_known(as_of, known).await?;
        let mut scoped_out = HashMap::new();
        for framework in catalogue.frameworks.keys() {
            let mut out: HashSet<Uuid> = HashSet::new();
            for ruling in scoped.asset_scopes(framework, as_of, known).await? {
                if ruling.in_scope {
                    out.remove(&ruling.asset_id)
                } else {
                    out.insert(ruling.asset_id)
                };
            }
            scoped_out.insert(framework.clone(), out);
        }
        let mut reading = Self {
            catalogue,
            as_of,
            known,
            scope,
            assets,
            aggregates: scoped.aggregates(as_of, known).await?,
            attestations: scoped.attestations_known(micros(known)).await?,
            scoped_out,
            events: scoped
                .latest_events(&actions(catalogue), micros(as_of), micros(known))
                .await?,
            speaks: HashMap::new(),
            exercised: HashMap::new(),
            event_speaks: HashMap::new(),
        };
        reading.resolve();
        Ok(reading)
    }

    /// Resolves every check, list of checks and event against the mappings, once.
    fn resolve(&mut self) {
        let mapper = Mapper::new(self.catalogue);
        for (id, check) in &self.aggregates.checks {
            for severity in Severity::ALL {
                let controls = mapper.controls(check, severity).into_iter().collect();
                self.speaks.insert((*id, severity), controls);
            }
        }
        for scan in &self.aggregates.scans {
            let key = (scan.tool.clone(), scan.checklist.clone());
            if self.exercised.contains_key(&key) {
                continue;
            }
            let ids = self
                .aggregates
                .checklists
                .get(&scan.checklist)
                .map_or(&[][..], Vec::as_slice);
            let listed: Vec<&Check> = ids.iter().filter_map(|id| self.aggregates.checks.get(id)).collect();
            let mut controls = if listed.is_empty() {
                BTreeSet::new()
            } else {
                mapper.exercised(&scan.tool, listed.into_iter())
            };
            if ids.contains(&super::ingest::PROFILE) {
                controls.extend(mapper.exercised(&scan.tool, std::iter::empty()));
            }
            self.exercised.insert(key, controls);
        }
        for (_, action, outcome, _) in &self.events {
            let found = mapper
                .event_controls(action, outcome)
                .into_iter()
                .filter(|(_, strength, _)| *strength >= SPEAKS);
            let found = found.map(|(control, _, polarity)| (control, polarity)).collect();
            self.event_speaks.insert((action.clone(), outcome.clone()), found);
        }
    }

    /// The controls that a check of this severity speaks for, with strengths.
    #[must_use]
    pub fn speaks(&self, check: i64, severity: Severity) -> &[(&'c str, f64)] {
        self.speaks.get(&(check, severity)).map_or(&[], Vec::as_slice)
    }

    /// The controls that a list of checks of a tool exercises.
    #[must_use]
    pub fn exercised(&self, tool: &str, checklist: &str) -> Option<&BTreeSet<&'c str>> {
        self.exercised.get(&(tool.to_owned(), checklist.to_owned()))
    }

    /// What an event says of controls.
    #[must_use]
    pub fn event_speaks(&self, action: &str, outcome: &str) -> &[(&'c str, Polarity)] {
        self.event_speaks
            .get(&(action.to_owned(), outcome.to_owned()))
            .map_or(&[], Vec::as_slice)
    }

    /// The input of the score for one framework.
    #[must_use]
    pub fn input(&self, framework: &Framework) -> Input {
        let mut controls = self.blank_controls(framework);
        let out = self.scoped_out.get(&framework.row.id);
        let mut pad = Pad {
            reading: self,
            controls: &mut controls,
            out,
        };
        pad.kinds();
        pad.scans();
        pad.results();
        pad.events();
        pad.findings();
        self.attest(&mut controls);
        let ids: Vec<String> = controls.keys().map(|id| (*id).to_owned()).collect();
        let requirements = self.requirements(framework, &ids);
        let controls = controls.into_values().map(Draft::finish).collect();
        Input {
            as_of: self.as_of,
            framework: framework.row.id.clone(),
            version: framework.row.version.clone(),
            requirements,
            controls,
        }
    }

    fn blank_controls(&self, framework: &Framework) -> BTreeMap<&'c str, Draft<'c>> {
        let mut controls = BTreeMap::new();
        for requirement in framework.scored() {
            for id in self
                .catalogue
                .crosswalk
                .get(&requirement.id)
                .into_iter()
                .flat_map(BTreeMap::keys)
            {
                if let Some((id, row)) = self.catalogue.controls.get_key_value(id) {
                    controls.entry(id.as_str()).or_insert_with(|| Draft::new(row));
                }
            }
        }
        controls
    }

    fn requirements(&self, framework: &Framework, ids: &[String]) -> Vec<RequirementInput> {
        let mut all: Vec<RequirementInput> = framework
            .scored()
            .map(|row| RequirementInput {
                id: row.id.clone(),
                weight: row.weight,
                applicable: self.scope.applies(framework, &row.id).is_applicable(),
                controls: self
                    .catalogue
                    .crosswalk
                    .get(&row.id)
                    .into_iter()
                    .flatten()
                    .filter_map(|(id, weight)| Some((ids.binary_search(id).ok()?, *weight)))
                    .collect(),
            })
            .collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    fn attest(&self, controls: &mut BTreeMap<&'c str, Draft<'c>>) {
        let t = micros(self.as_of);
        for row in self.attestations.iter().filter(|a| a.from_at <= t) {
            let Some(draft) = controls.get_mut(row.control.as_str()) else {
                continue;
            };
            if row.until_at <= t {
                draft.attested_before = true;
                continue;
            }
            let candidate = (row.from_at, outcome_of(&row.outcome));
            let better = draft.attested.is_none_or(|known| {
                candidate.0 > known.0 || (candidate.0 == known.0 && candidate.1.score() < known.1.score())
            });
            if better {
                draft.attested = Some(candidate);
            }
        }
    }
}

/// The outcome of a stored attestation.
#[must_use]
pub fn outcome_of(word: &str) -> AttestedOutcome {
    match word {
        "effective" => AttestedOutcome::Effective,
        "partially_effective" => AttestedOutcome::PartiallyEffective,
        _ => AttestedOutcome::Ineffective,
    }
}

fn actions(catalogue: &Catalogue) -> Vec<String> {
    let all: BTreeSet<&String> = catalogue
        .mappings
        .iter()
        .flat_map(|mapping| &mapping.when.event)
        .collect();
    all.into_iter()
        .filter(|action| !action.ends_with('*'))
        .cloned()
        .collect()
}

/// A control while its assets are gathered.
struct Draft<'c> {
    row: &'c affiant_domain::catalogue::ControlRow,
    assets: BTreeMap<String, AssetState>,
    attested: Option<(i64, AttestedOutcome)>,
    attested_before: bool,
}

impl<'c> Draft<'c> {
    const fn new(row: &'c affiant_domain::catalogue::ControlRow) -> Self {
        Self {
            row,
            assets: BTreeMap::new(),
            attested: None,
            attested_before: false,
        }
    }

    fn finish(self) -> ControlInput {
        ControlInput {
            id: self.row.id.clone(),
            automatable: self.row.automatable,
            assets: self.assets.into_values().collect(),
            attested: self.attested.map(|(_, outcome)| outcome),
            attested_before: self.attested_before,
        }
    }

    fn window(&self) -> i64 {
        i64::from(self.row.window_days) * 86_400_000_000
    }
}

/// Fills the controls of a framework. An asset is in scope of a control if it is of a kind that the control applies to, or if any check of
/// the control has spoken about it; unless it was ruled out of the framework.
struct Pad<'r, 'c> {
    reading: &'r Reading<'c>,
    controls: &'r mut BTreeMap<&'c str, Draft<'c>>,
    out: Option<&'r HashSet<Uuid>>,
}

impl Pad<'_, '_> {
    fn state(&mut self, control: &str, asset: Uuid) -> Option<(&mut AssetState, i64)> {
        if self.out.is_some_and(|out| out.contains(&asset)) {
            return None;
        }
        let key = &self.reading.assets.get(&asset)?.key;
        let draft = self.controls.get_mut(control)?;
        let window = draft.window();
        let state = draft.assets.entry(key.clone()).or_insert_with(|| AssetState {
            id: key.clone(),
            freshness: Freshness::default(),
            open: Vec::new(),
        });
        Some((state, window))
    }

    fn kinds(&mut self) {
        let ids: Vec<&str> = self.controls.keys().copied().collect();
        for (id, asset) in self.reading.assets.iter().filter(|(_, asset)| asset.named) {
            for control in &ids {
                let applies = self
                    .controls
                    .get(control)
                    .is_some_and(|draft| draft.row.applies_to.contains(&asset.kind));
                if applies {
                    let _ = self.state(control, *id);
                }
            }
        }
    }

    fn fresh(&mut self, control: &str, asset: Uuid, at: i64) {
        let now = micros(self.reading.as_of);
        if let Some((state, window)) = self.state(control, asset) {
            state.freshness.ever = true;
            state.freshness.fresh |= now - at <= window;
        }
    }

    fn scans(&mut self) {
        let reading = self.reading;
        for scan in &reading.aggregates.scans {
            for control in reading.exercised(&scan.tool, &scan.checklist).into_iter().flatten() {
                self.fresh(control, scan.asset, scan.at);
            }
        }
    }

    fn results(&mut self) {
        let reading = self.reading;
        for result in &reading.aggregates.results {
            for (control, strength) in reading.speaks(result.check, Severity::High) {
                if *strength < SPEAKS {
                    continue;
                }
                match result.outcome {
                    0 | 1 => self.fresh(control, result.asset, result.at),
                    2 => {
                        if let Some((state, _)) = self.state(control, result.asset) {
                            state.freshness.errors = true;
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn events(&mut self) {
        let reading = self.reading;
        for (asset, action, outcome, at) in &reading.events {
            for (control, polarity) in reading.event_speaks(action, outcome) {
                if *polarity != Polarity::Fail {
                    self.fresh(control, *asset, *at);
                }
            }
        }
    }

    fn findings(&mut self) {
        let reading = self.reading;
        for (asset, check) in &reading.aggregates.seen {
            for (control, _) in reading.speaks(*check, Severity::High) {
                let _ = self.state(control, *asset);
            }
        }
        for (group, count) in &reading.aggregates.open {
            for (control, strength) in reading.speaks(group.check, group.severity) {
                if let Some((state, _)) = self.state(control, group.asset) {
                    state.open.push(Impact {
                        strength: *strength,
                        severity: group.severity,
                        waived: group.waived,
                        count: *count,
                    });
                }
            }
        }
    }
}

/// Who asks for an assessment, and why.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `schedule`, `api`, `page`, `cli` or `demo`.
    pub origin: &'a str,
    /// Who.
    pub actor: &'a str,
    /// The schedule and slot, where one asks.
    pub slot: Option<(Uuid, i64)>,
}

/// Scores that are not stored yet.
pub struct Scored {
    project: ProjectId,
    /// Each score with the id that its assessment will have, and the digest of its evidence.
    scores: Vec<(Uuid, FrameworkScore, String)>,
    known: Instant,
}

impl Scored {
    /// The id of the first assessment, and the digest of its evidence, for who cites it.
    #[must_use]
    pub fn cited(&self) -> Option<(Uuid, &str)> {
        self.scores.first().map(|(id, _, digest)| (*id, digest.as_str()))
    }
}

/// Scores frameworks of a project at an instant and stores the scores. All of the catalogue's, where none is named.
///
/// # Errors
/// [`FlowError`] where the framework is not known or the database fails.
#[tracing::instrument(skip_all)]
pub async fn assess(
    app: &Context,
    project: ProjectId,
    frameworks: &[String],
    as_of: Instant,
    request: Request<'_>,
) -> Result<Vec<(entity::assessment::Model, FrameworkScore)>, FlowError> {
    let scored = score(app, project, frameworks, as_of).await?;
    store(app, scored, request).await
}

/// Scores frameworks of a project at an instant; stores nothing.
///
/// # Errors
/// [`FlowError`] where the framework is not known or the database fails.
pub async fn score(
    app: &Context,
    project: ProjectId,
    frameworks: &[String],
    as_of: Instant,
) -> Result<Scored, FlowError> {
    let now = app.clock.now();
    if as_of > now {
        return Err(super::invalid(
            "as_of",
            "an assessment looks at the present or the past, not at the future",
        ));
    }
    let known = app.store.project(project).known(now).await?;
    score_known(app, project, frameworks, as_of, known).await
}

/// The same with what was known at an instant that [`affiant_store::Scoped::known`] gave.
///
/// # Errors
/// [`FlowError`] where the framework is not known or the database fails.
pub async fn score_known(
    app: &Context,
    project: ProjectId,
    frameworks: &[String],
    as_of: Instant,
    known: Instant,
) -> Result<Scored, FlowError> {
    let app = &app.patient();
    let wanted = chosen(&app.catalogue, frameworks)?;
    let reading = Reading::load(app, &app.catalogue, project, as_of, known).await?;
    let scores = wanted.into_iter().map(|framework| {
        let input = reading.input(framework);
        (Uuid::now_v7(), compute(&input), input.digest())
    });
    Ok(Scored {
        project,
        scores: scores.collect(),
        known,
    })
}

/// Stores scores with their entry in the trail.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn store(
    app: &Context,
    scored: Scored,
    request: Request<'_>,
) -> Result<Vec<(entity::assessment::Model, FrameworkScore)>, FlowError> {
    let Scored { project, scores, known } = scored;
    let keep = |app: Context| async move {
        let mut stored = Vec::new();
        for (id, score, digest) in scores {
            let new = NewAssessment {
                id,
                score: &score,
                catalogue_digest: app.catalogue.digest(),
                evidence_digest: &digest,
                origin: request.origin,
                actor: request.actor,
                slot: request.slot,
            };
            let row = app.store.project(project).store_assessment(&new, known).await?;
            stored.push((row, score));
        }
        let ids: Vec<Uuid> = stored.iter().map(|(row, _)| row.id).collect();
        app.store.vouch(RecordKind::Assessment, &ids, app.clock.now()).await?;
        let told = stored
            .iter()
            .map(|(row, _)| serde_json::json!({ "assessment": row.id, "framework": row.framework, "evidence": row.evidence_digest }));
        let detail = serde_json::json!({ "origin": request.origin, "assessments": told.collect::<Vec<_>>() });
        Ok((stored, detail))
    };
    app.deed((request.actor, "assessment.made", Some(project.0)), keep)
        .await
}

/// The frameworks of these ids; all where none is named.
///
/// # Errors
/// [`FlowError::Framework`] lists the known ones.
pub fn chosen<'c>(catalogue: &'c Catalogue, ids: &[String]) -> Result<Vec<&'c Framework>, FlowError> {
    if ids.is_empty() {
        return Ok(catalogue.frameworks.values().collect());
    }
    ids.iter()
        .map(|id| catalogue.framework(id).map_err(FlowError::from))
        .collect()
}
