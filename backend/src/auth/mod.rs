//! Who is asking, and what they may do. A handler says in its signature which permission it needs; without one it cannot be called.

mod extract;
mod secret;

pub use extract::{Allowed, In, SESSION_COOKIE, identify};
pub use secret::{hash, random, token};

use uuid::Uuid;

/// What a permission covers.
pub trait Permission: 'static {
    /// Its name, as tokens and the API description write it.
    const NAME: &'static str;
    /// The roles that have it.
    const ROLES: &'static [Role];
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
    /// Pushes scans and events, and nothing else.
    Ingest,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Admin, Self::Compliance, Self::Member, Self::Auditor, Self::Ingest];

    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Compliance => "compliance",
            Self::Member => "member",
            Self::Auditor => "auditor",
            Self::Ingest => "ingest",
        }
    }

    /// The role of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal for $($role:ident),+;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;
            impl Permission for $name {
                const NAME: &'static str = $text;
                const ROLES: &'static [Role] = &[$(Role::$role),+];
            }
        )+
        /// Every permission with its roles.
        pub const PERMISSIONS: &[(&str, &[Role])] = &[$(($text, <$name as Permission>::ROLES)),+];
    };
}

permissions! {
    /// Read everything of a project but originals.
    Read = "read" for Admin, Compliance, Member, Auditor;
    /// Download scanners' originals.
    ReadOriginals = "originals:read" for Admin, Compliance, Member, Auditor;
    /// Push scans.
    PushScans = "scans:write" for Admin, Compliance, Member, Ingest;
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
    MakeReports = "reports:write" for Admin, Compliance, Auditor;
    /// Set up and pull audit stores.
    WriteSources = "sources:write" for Admin;
    /// Make and change projects.
    WriteProjects = "projects:write" for Admin;
    /// Make and revoke tokens.
    WriteTokens = "tokens:write" for Admin;
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
}

/// Who is asking.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Name in records.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The one project they may see, or all.
    pub project: Option<Uuid>,
    /// How they showed who they are.
    pub way: Way,
}

impl Principal {
    /// Whether they have a permission.
    #[must_use]
    pub fn may<P: Permission>(&self) -> bool {
        P::ROLES.contains(&self.role)
    }

    /// Whether they may see a project.
    #[must_use]
    pub fn sees(&self, project: Uuid) -> bool {
        self.project.is_none_or(|own| own == project)
    }

    /// The secret that forms carry; empty for tokens.
    #[must_use]
    pub fn csrf(&self) -> &str {
        match &self.way {
            Way::Session { csrf, .. } => csrf,
            Way::Token(_) => "",
        }
    }
}
