//! Who is asking, and what they may do. A handler says in its signature which permission it needs; without one it cannot be called.

pub mod break_glass;
mod extract;
pub mod oidc;
mod room;
mod secret;
pub mod session;

pub use extract::{Allowed, In, SESSION_COOKIE, identify};
pub use room::Room;
pub use secret::{hash, random, token};

use affiant_domain::Instant;
use affiant_domain::actor::{Actor, Behind};
use affiant_store::Maker;
use uuid::Uuid;

/// What a permission covers.
pub trait Permission: 'static {
    /// Its name, as tokens and the API description write it.
    const NAME: &'static str;
    /// The roles that have it.
    const ROLES: &'static [Role];
    /// Whether somebody in a room has it; who asks for it holds what is shown against the room.
    const IN_ROOM: bool;
    /// Whether a session of a browser has it, or programs with a token alone.
    const BY_SESSION: bool;
}

/// What somebody may do, as a name for a set of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Settings, projects, tokens, and everything below.
    Admin,
    /// Scope, attestations, schedules, approval of waivers.
    Compliance,
    /// Findings, requests for waivers, uploads.
    Member,
    /// Reads.
    Auditor,
    /// Requests of data subjects, retention and legal holds.
    Privacy,
    /// Pushes scans and events, and nothing else.
    Ingest,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Admin,
        Self::Compliance,
        Self::Member,
        Self::Auditor,
        Self::Privacy,
        Self::Ingest,
    ];

    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Compliance => "compliance",
            Self::Member => "member",
            Self::Auditor => "auditor",
            Self::Privacy => "privacy",
            Self::Ingest => "ingest",
        }
    }

    /// The role of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

macro_rules! in_room {
    (room) => {
        true
    };
    ($($other:ident)?) => {
        false
    };
}

macro_rules! by_session {
    (token) => {
        false
    };
    ($($other:ident)?) => {
        true
    };
}

/// A permission is followed by `room` where somebody in a room has it, and by `token` where no session of a browser has it.
macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal for $($role:ident),+ $(=> $mark:ident)?;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;
            impl Permission for $name {
                const NAME: &'static str = $text;
                const ROLES: &'static [Role] = &[$(Role::$role),+];
                const IN_ROOM: bool = in_room!($($mark)?);
                const BY_SESSION: bool = by_session!($($mark)?);
            }
        )+
        /// Every permission with its roles.
        pub const PERMISSIONS: &[(&str, &[Role])] = &[$(($text, <$name as Permission>::ROLES)),+];
    };
}

permissions! {
    /// Read everything of a project but originals.
    Read = "read" for Admin, Compliance, Member, Auditor;
    /// Read scores, evidence and reports of a framework.
    ReadFramework = "frameworks:read" for Admin, Compliance, Member, Auditor => room;
    /// Download scanners' originals.
    ReadOriginals = "originals:read" for Admin, Compliance, Member, Auditor;
    /// Push scans.
    PushScans = "scans:write" for Admin, Compliance, Member, Ingest;
    /// Push scans in the browser, where the page shows what came of them.
    UploadScans = "scans:upload" for Admin, Compliance, Member;
    /// Push audit events.
    PushEvents = "events:write" for Admin, Compliance, Member, Ingest;
    /// Follow one's own imports.
    ReadJobs = "jobs:read" for Admin, Compliance, Member, Auditor, Ingest;
    /// Register assets.
    WriteAssets = "assets:write" for Admin, Compliance, Member;
    /// Rule on scope.
    WriteScope = "scope:write" for Admin, Compliance;
    /// Ask for waivers.
    RequestWaivers = "waivers:request" for Admin, Compliance, Member;
    /// Decide on waivers.
    DecideWaivers = "waivers:decide" for Admin, Compliance;
    /// State that a control works.
    Attest = "attestations:write" for Admin, Compliance;
    /// Run assessments.
    Assess = "assessments:write" for Admin, Compliance, Member;
    /// Change schedules.
    WriteSchedules = "schedules:write" for Admin, Compliance;
    /// Make reports.
    MakeReports = "reports:write" for Admin, Compliance, Auditor => room;
    /// Set up and pull audit stores.
    WriteSources = "sources:write" for Admin;
    /// Make and change projects.
    WriteProjects = "projects:write" for Admin;
    /// Make and revoke tokens.
    WriteTokens = "tokens:write" for Admin;
    /// Give and take roles.
    WritePeople = "people:write" for Admin;
    /// Tell people and groups by SCIM.
    ProvisionPeople = "people:provision" for Admin => token;
    /// Let go of what is past its date, and hold what must stay.
    WriteRetention = "retention:write" for Admin, Compliance, Privacy;
    /// Bring requests of data subjects forward.
    WritePrivacy = "privacy:write" for Admin, Privacy;
    /// Have content screened.
    ScreenContent = "content:screen" for Admin, Compliance, Member, Ingest;
    /// Read the trail: entries, proofs, exports.
    ReadTrail = "trail:read" for Admin, Compliance, Auditor;
    /// Read the log of actions.
    ReadActions = "actions:read" for Admin, Compliance, Auditor;
}

/// How somebody showed who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A session in a browser, with its secret against forged requests.
    Session {
        /// Hash of the session.
        hash: String,
        /// Secret that forms must carry.
        csrf: String,
    },
    /// A token.
    Token(Uuid),
    /// The command line, on the machine itself.
    Machine,
}

/// A role, for a project or for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub role: Role,
    /// The project; all, where none is named.
    pub project: Option<Uuid>,
    /// The room that it is for, where it is not for everything.
    pub room: Option<Room>,
    /// When it ends, where it does.
    pub until: Option<Instant>,
}

/// The projects in which something may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All, those to come too.
    All,
    /// These.
    Only(Vec<Uuid>),
}

impl Reach {
    /// Whether a project is among them.
    #[must_use]
    pub fn covers(&self, project: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::Only(all) => all.contains(&project),
        }
    }

    /// Whether it is all of them.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// The projects; none where it is all.
    #[must_use]
    pub fn only(&self) -> Option<&[Uuid]> {
        match self {
            Self::All => None,
            Self::Only(all) => Some(all),
        }
    }
}

/// Who is asking.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Name in records: one name is one person, or one token of theirs.
    pub name: String,
    /// What they may do, and where.
    pub grants: Vec<Grant>,
    /// The person, where it is known.
    pub person: Option<Uuid>,
    /// Permissions to which a token is bound; all of its roles, where none is named.
    pub scopes: Option<Vec<String>>,
    /// The client certificate to which their token is bound; empty where it is bound to none.
    pub holder: String,
    /// From when on it is worth nothing, where that is known.
    pub until: Option<Instant>,
    /// How they showed who they are.
    pub way: Way,
}

impl Principal {
    /// Who has the machine has everything.
    #[must_use]
    pub fn operator(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            grants: vec![Grant {
                role: Role::Admin,
                project: None,
                room: None,
                until: None,
            }],
            person: None,
            scopes: None,
            holder: String::new(),
            until: None,
            way: Way::Machine,
        }
    }

    /// Whether they have a permission anywhere.
    #[must_use]
    pub fn may<P: Permission>(&self) -> bool {
        let has = |grant: &Grant| P::ROLES.contains(&grant.role) && (P::IN_ROOM || grant.room.is_none());
        self.is_within::<P>() && self.grants.iter().any(has)
    }

    fn is_within<P: Permission>(&self) -> bool {
        // Who reads everything of a project reads its frameworks.
        let covers = |scope: &String| scope == P::NAME || scope == Read::NAME && P::NAME == ReadFramework::NAME;
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(covers))
    }

    /// What tells them from everybody else.
    #[must_use]
    pub fn identity(&self) -> String {
        match (&self.way, self.person) {
            (Way::Token(id), _) => format!("token {id}"),
            (_, Some(person)) => format!("person {person}"),
            _ => self.name.clone(),
        }
    }

    /// Who acts, for what wants a second pair of eyes.
    #[must_use]
    pub fn actor(&self) -> Actor<'_> {
        let behind = match (&self.way, self.person) {
            (Way::Machine, _) | (_, Some(_)) => Behind::Known,
            (Way::Session { .. }, None) => Behind::Somebody,
            (Way::Token(_), None) => Behind::Nobody,
        };
        Actor {
            name: &self.name,
            behind,
        }
    }

    /// When what they may do ends, where it does: the last of the roles that have a permission in a project, or in all.
    #[must_use]
    pub fn until_of<P: Permission>(&self, project: Option<Uuid>) -> Option<Instant> {
        let covers = |grant: &&Grant| {
            P::ROLES.contains(&grant.role) && (grant.project.is_none() || project.is_some() && grant.project == project)
        };
        let ends = self.grants.iter().filter(covers).map(|grant| grant.until);
        // One that does not end outlasts all that do.
        let last = ends.reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten();
        match (last, self.until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// By what they make tokens and memberships.
    #[must_use]
    pub fn maker(&self) -> Maker {
        match &self.way {
            Way::Token(id) => Maker {
                token: Some(*id),
                session: String::new(),
            },
            Way::Session { hash, .. } => Maker {
                token: None,
                session: hash.clone(),
            },
            Way::Machine => Maker::default(),
        }
    }

    /// Where they have a permission.
    #[must_use]
    pub fn reach<P: Permission>(&self) -> Reach {
        let within = self.is_within::<P>();
        self.reach_of(|grant| within && P::ROLES.contains(&grant.role) && (P::IN_ROOM || grant.room.is_none()))
    }

    /// The projects of which they know at all.
    #[must_use]
    pub fn known(&self) -> Reach {
        self.reach_of(|_| true)
    }

    fn reach_of(&self, wanted: impl Fn(&Grant) -> bool) -> Reach {
        let held = self.grants.iter().filter(|grant| wanted(grant));
        let projects: Option<Vec<Uuid>> = held.map(|grant| grant.project).collect();
        projects.map_or(Reach::All, Reach::Only)
    }

    /// Their roles, in words.
    #[must_use]
    pub fn roles(&self) -> String {
        let held = |role: &Role| self.grants.iter().any(|grant| grant.role == *role);
        let words: Vec<&str> = Role::ALL
            .iter()
            .filter(|role| held(role))
            .map(|role| role.as_str())
            .collect();
        words.join(", ")
    }

    /// The secret that forms carry; empty for tokens.
    #[must_use]
    pub fn csrf(&self) -> &str {
        match &self.way {
            Way::Session { csrf, .. } => csrf,
            Way::Token(_) | Way::Machine => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(grants: &[(Role, Option<u128>)]) -> Principal {
        let grant = |(role, project): &(Role, Option<u128>)| Grant {
            role: *role,
            project: project.map(Uuid::from_u128),
            room: None,
            until: None,
        };
        Principal {
            name: String::new(),
            grants: grants.iter().map(grant).collect(),
            person: None,
            scopes: None,
            holder: String::new(),
            until: None,
            way: Way::Token(Uuid::nil()),
        }
    }

    #[test]
    fn what_is_given_ends_with_what_the_giver_holds() {
        let at = |day: u32| chrono::DateTime::from_timestamp(i64::from(day) * 86_400, 0).unwrap();
        let mut ann = who(&[(Role::Admin, Some(1)), (Role::Admin, None), (Role::Member, None)]);
        assert_eq!(ann.until_of::<WritePeople>(None), None);
        ann.grants[0].until = Some(at(9));
        ann.grants[1].until = Some(at(5));
        assert_eq!(ann.until_of::<WritePeople>(None), Some(at(5)));
        assert_eq!(ann.until_of::<WritePeople>(Some(Uuid::from_u128(1))), Some(at(9)));
        ann.until = Some(at(2));
        assert_eq!(ann.until_of::<WritePeople>(None), Some(at(2)));
    }

    #[test]
    fn a_permission_reaches_as_far_as_its_role() {
        let ann = who(&[(Role::Auditor, None), (Role::Admin, Some(1)), (Role::Ingest, Some(2))]);
        assert_eq!(ann.reach::<Read>(), Reach::All);
        assert_eq!(ann.reach::<WriteTokens>(), Reach::Only(vec![Uuid::from_u128(1)]));
        assert!(!ann.reach::<PushScans>().covers(Uuid::from_u128(3)));
        assert_eq!(who(&[]).known(), Reach::Only(vec![]));
        assert!(!who(&[]).may::<Read>());
        assert_eq!(
            who(&[(Role::Member, Some(1)), (Role::Ingest, Some(2))])
                .known()
                .only()
                .map(<[_]>::len),
            Some(2)
        );
    }
}
