//! Checks that were told of late, so that one which is told over and over is built once.

use affiant_domain::observation::Check;
use std::sync::Arc;

/// A check as a record tells it, borrowed: most records tell one that is known already.
#[derive(Default)]
pub(crate) struct Told<'s> {
    pub(crate) tool: &'s str,
    pub(crate) rule: &'s str,
    pub(crate) title: &'s str,
    pub(crate) cwe: &'s [u32],
    pub(crate) cve: Option<&'s str>,
    pub(crate) tags: &'s [&'s str],
    pub(crate) category: &'s str,
    pub(crate) ocsf_class: Option<u32>,
    pub(crate) remediation: &'s str,
    pub(crate) help_url: &'s str,
}

impl Told<'_> {
    fn is(&self, check: &Check) -> bool {
        self.tool == check.tool
            && self.rule == check.rule
            && self.title == check.title
            && self.cwe == check.cwe
            && self.cve == check.cve.as_deref()
            && self.tags == check.tags
            && self.category == check.category
            && self.ocsf_class == check.ocsf_class
            && self.remediation == check.remediation
            && self.help_url == check.help_url
    }

    /// What tells checks apart soonest. Two with one hash only cost time.
    fn hash(&self) -> u64 {
        let mut hash = 0_u64;
        for text in [self.rule, self.title] {
            for eight in text.as_bytes().chunks(8) {
                let mut word = [0; 8];
                word[..eight.len()].copy_from_slice(eight);
                hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
            }
        }
        hash
    }

    /// Writes it over another check, whose memory is used again.
    fn write(&self, check: &mut Check) {
        self.tool.clone_into(&mut check.tool);
        self.rule.clone_into(&mut check.rule);
        self.title.clone_into(&mut check.title);
        self.cwe.clone_into(&mut check.cwe);
        match self.cve {
            Some(cve) => cve.clone_into(check.cve.get_or_insert_default()),
            None => check.cve = None,
        }
        check.tags.resize_with(self.tags.len(), String::new);
        self.tags
            .iter()
            .zip(&mut check.tags)
            .for_each(|(tag, to)| (*tag).clone_into(to));
        self.category.clone_into(&mut check.category);
        check.ocsf_class = self.ocsf_class;
        self.remediation.clone_into(&mut check.remediation);
        self.help_url.clone_into(&mut check.help_url);
    }
}

/// Checks that were told of late. A file may tell any number: one that has not come for a while gives way.
#[derive(Default)]
pub(crate) struct Known(Vec<(u64, Arc<Check>)>);

/// How many are known at once.
const KNOWN: usize = 4096;

impl Known {
    /// The check that is told.
    pub(crate) fn check(&mut self, told: &Told<'_>) -> Arc<Check> {
        self.0.resize_with(KNOWN, Default::default);
        let hash = told.hash();
        let (known_by, known) = &mut self.0[(hash >> 52) as usize % KNOWN];
        if *known_by != hash || !told.is(known) {
            *known_by = hash;
            match Arc::get_mut(known) {
                Some(forgotten) => told.write(forgotten),
                None => {
                    let mut check = Check::default();
                    told.write(&mut check);
                    *known = Arc::new(check);
                }
            }
        }
        known.clone()
    }
}
