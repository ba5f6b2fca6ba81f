//! The configuration file: TOML, with environment variables over it, checked as a whole so that every mistake is named at once.

use super::secret::Secret;
use affiant_trail::Witness;
use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// Everything that a file may say. What it leaves out is as it is here.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The installation.
    pub server: Server,
    /// Sessions in browsers.
    pub session: Session,
    /// Bounds on requests.
    pub limits: Limits,
    /// Screening of content.
    pub screening: Screening,
    /// The trail.
    pub trail: Trail,
    /// Rights of data subjects.
    pub privacy: Privacy,
    /// Single sign-on.
    pub providers: Vec<Provider>,
    /// Issuers of workloads' tokens.
    pub workloads: Vec<Workload>,
}

/// The installation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address under which browsers reach the server, such as https://affiant.example; that on which it listens, where none is given.
    pub public_url: String,
    /// For trying out: secrets may stand in the file in clear.
    pub development: bool,
    /// Lets the local administrator for emergencies in, which `affiant break-glass set` makes.
    pub break_glass: bool,
    /// Networks of the proxies in front, such as 10.0.0.0/8: they alone are believed when they say whom they speak for.
    pub trusted_proxies: Vec<IpNet>,
    /// Certificates of the server, PEM, its own first; none where TLS ends at a proxy.
    pub tls_certificate: String,
    /// File with its private key, PEM.
    pub tls_key: String,
    /// File with the authorities that vouch for clients' certificates, PEM. Clients may then show one, and tokens may be bound to it.
    pub tls_client_authorities: String,
    /// Believes the header Client-Cert of trusted proxies (RFC 9440), where the certificate in it is one of tls_client_authorities.
    pub client_cert_header: bool,
    /// Networks from which /metrics is answered.
    pub metrics_from: Vec<IpNet>,
}

impl Default for Server {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Self {
            public_url: String::new(),
            development: false,
            break_glass: false,
            trusted_proxies: Vec::new(),
            tls_certificate: String::new(),
            tls_key: String::new(),
            tls_client_authorities: String::new(),
            client_cert_header: false,
            metrics_from: loopback.iter().filter_map(|net| net.parse().ok()).collect(),
        }
    }
}

/// Bounds on requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests a second of one person or token, on the average; twice as many at once.
    pub identity_per_second: u32,
    /// Requests a second of one address from which nobody is signed in, on the average; ten times as many at once.
    pub anonymous_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            identity_per_second: 3000,
            anonymous_per_second: 50,
        }
    }
}

/// A classifier of content, asked beside the rules.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Screening {
    /// Its address; none is asked where it is empty. It gets {"text": …} and answers {"score": 0 to 1}.
    pub classifier_url: String,
    /// What shows it who asks, as Authorization: Bearer.
    pub classifier_token: Secret,
    /// It must answer within so many milliseconds.
    pub classifier_milliseconds: u32,
}

impl Default for Screening {
    fn default() -> Self {
        Self {
            classifier_url: String::new(),
            classifier_token: Secret::default(),
            classifier_milliseconds: 3000,
        }
    }
}

/// Where the trail's checkpoints are kept beside the database.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trail {
    /// Each checkpoint is posted there as text; nowhere, where it is empty.
    pub checkpoint_url: String,
    /// Each checkpoint is written there as a file; nowhere, where it is empty.
    pub checkpoint_folder: String,
    /// Who is asked to cosign each checkpoint: address and key of each, with a space between.
    pub witnesses: Vec<String>,
}

impl Trail {
    /// Address and key of each witness.
    #[must_use]
    pub fn witnesses(&self) -> Vec<(String, Witness)> {
        let read = |text: &String| {
            let (url, key) = text.trim().split_once(' ')?;
            Some((url.to_owned(), Witness::parse(key)?))
        };
        self.witnesses.iter().filter_map(read).collect()
    }
}

/// Rights of data subjects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// Whether people may ask for their rights at /your-data without signing in.
    pub intake: bool,
}

/// How long sessions hold, in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// A session that is not used ends after so long.
    pub idle_seconds: u32,
    /// Any session ends after so long.
    pub longest_seconds: u32,
    /// The provider is asked again after so long, where it gave a refresh token: who was disabled is out, and groups are as they are.
    pub renew_seconds: u32,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            idle_seconds: 1800,
            longest_seconds: 43_200,
            renew_seconds: 300,
        }
    }
}

/// A provider of identities, OpenID Connect.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// Its name in addresses: lower-case letters, digits and '-'.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Its issuer, exactly as it writes it; discovery begins there.
    pub issuer: String,
    /// This installation's id there.
    pub client_id: String,
    /// Its secret: env:NAME, file:PATH, vault:MOUNT/PATH#KEY or aws:NAME#KEY.
    pub client_secret: Secret,
    /// Scopes beside openid. With offline_access the provider is asked again while a session holds.
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups.
    pub groups_claim: String,
    /// Groups whose members administer the installation; other roles are given on the page People.
    pub admin_groups: Vec<String>,
    /// Groups of its directory whose members administer the installation; a group that only the directory tells does not otherwise.
    pub directory_admin_groups: Vec<String>,
    /// How strongly people must have shown who they are there: one of these values of the claim acr. Any, where none is named.
    pub required_acr: Vec<String>,
    /// The claim that holds what the provider's directory sends by SCIM as externalId: sub, or what never changes of a person, such as oid.
    pub directory_claim: String,
    /// Only those get in whom the directory told by SCIM.
    pub directory_only: bool,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            name: String::new(),
            title: String::new(),
            issuer: String::new(),
            client_id: String::new(),
            client_secret: Secret::default(),
            scopes: vec!["profile".to_owned(), "email".to_owned()],
            groups_claim: "groups".to_owned(),
            admin_groups: Vec::new(),
            directory_admin_groups: Vec::new(),
            required_acr: Vec::new(),
            directory_claim: "sub".to_owned(),
            directory_only: false,
        }
    }
}

/// An issuer of workloads' tokens: a platform that runs pipelines.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// Its name in records: lower-case letters, digits and '-'.
    pub name: String,
    /// Its issuer, exactly as its tokens name it.
    pub issuer: String,
    /// The audience that a pipeline asks its token for.
    pub audience: String,
    /// Who may push to which project.
    pub rules: Vec<Rule>,
}

/// Who may push to a project.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Slug of the project.
    pub project: String,
    /// Claims of the token, each as it must be; `*` at the end stands for anything.
    pub claims: BTreeMap<String, String>,
}

impl Provider {
    /// What people read.
    #[must_use]
    pub fn title_or_name(&self) -> &str {
        if self.title.is_empty() { &self.name } else { &self.title }
    }
}

/// What is wrong with a configuration: where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key, such as `session.idle_seconds`.
    pub at: String,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

impl Config {
    /// Reads a file, where one is named, and the environment.
    ///
    /// # Errors
    /// Every mistake.
    pub fn load(path: Option<&Path>) -> Result<Self, Vec<Mistake>> {
        let text = path
            .map_or(Ok(String::new()), std::fs::read_to_string)
            .map_err(|error| {
                let at = path.map_or_else(String::new, |path| path.display().to_string());
                let what = format!("cannot be read: {error}");
                vec![Mistake { at, what }]
            })?;
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::parse(&text, &variables.collect())
    }

    /// Reads a text and variables.
    ///
    /// # Errors
    /// Every mistake.
    pub fn parse(text: &str, variables: &BTreeMap<String, String>) -> Result<Self, Vec<Mistake>> {
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            let what = error.to_string();
            vec![Mistake {
                at: "the file".to_owned(),
                what,
            }]
        })?;
        let mut mistakes = Vec::new();
        let server = section::<Server>(&mut table, "server", variables, &mut mistakes);
        let session = section::<Session>(&mut table, "session", variables, &mut mistakes);
        let limits = section::<Limits>(&mut table, "limits", variables, &mut mistakes);
        let screening = section::<Screening>(&mut table, "screening", variables, &mut mistakes);
        let trail = section::<Trail>(&mut table, "trail", variables, &mut mistakes);
        let privacy = section::<Privacy>(&mut table, "privacy", variables, &mut mistakes);
        let providers = sections::<Provider>(&mut table, "provider", &mut mistakes);
        let workloads = sections::<Workload>(&mut table, "workload", &mut mistakes);
        mistakes.extend(table.keys().map(|key| {
            Mistake {
                at: key.clone(),
                what: "unknown; sections are [server], [session], [limits], [screening], [trail], [privacy], [[provider]] and [[workload]]"
                    .to_owned(),
            }
        }));
        let config = Self {
            server,
            session,
            limits,
            screening,
            trail,
            privacy,
            providers,
            workloads,
        };
        super::check::check(&config, &mut mistakes);
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    /// Fetches each secret once, so that one that cannot be had is told with the other mistakes.
    ///
    /// # Errors
    /// Every secret that cannot be had.
    pub async fn fetch(&self) -> Result<Vec<String>, Vec<Mistake>> {
        let (mut secrets, mut mistakes) = (Vec::new(), Vec::new());
        for (n, provider) in self.providers.iter().enumerate() {
            match provider.client_secret.resolve().await {
                Ok(secret) => secrets.push(secret),
                Err(what) => mistakes.push(Mistake {
                    at: format!("provider[{n}].client_secret"),
                    what,
                }),
            }
        }
        if mistakes.is_empty() {
            Ok(secrets)
        } else {
            Err(mistakes)
        }
    }

    /// A file in which each key stands with its default.
    #[must_use]
    pub fn example() -> &'static str {
        include_str!("example.toml")
    }
}

/// Reads a list of sections.
fn sections<T: DeserializeOwned + Serialize + Default>(
    table: &mut Table,
    name: &str,
    mistakes: &mut Vec<Mistake>,
) -> Vec<T> {
    let all = match table.remove(name) {
        None => return Vec::new(),
        Some(Value::Array(all)) => all,
        Some(_) => {
            mistakes.push(Mistake {
                at: name.to_owned(),
                what: format!("a list: each begins with [[{name}]]"),
            });
            return Vec::new();
        }
    };
    let one = |(n, one): (usize, Value)| {
        let at = format!("{name}[{n}]");
        let mut own = Table::from_iter([(at.clone(), one)]);
        section(&mut own, &at, &BTreeMap::new(), mistakes)
    };
    all.into_iter().enumerate().map(one).collect()
}

/// Reads a section key by key, so that each mistake is told. A variable `AFFIANT_SECTION_KEY` stands over the file.
fn section<T: DeserializeOwned + Serialize + Default>(
    table: &mut Table,
    name: &str,
    variables: &BTreeMap<String, String>,
    mistakes: &mut Vec<Mistake>,
) -> T {
    let Ok(known) = Table::try_from(T::default()) else {
        return T::default();
    };
    let mut given = match table.remove(name) {
        None => Table::new(),
        Some(Value::Table(given)) => given,
        Some(_) => {
            mistakes.push(Mistake {
                at: name.to_owned(),
                what: format!("a section: it begins with [{name}]"),
            });
            Table::new()
        }
    };
    for (key, default) in &known {
        let variable = format!("AFFIANT_{}_{}", name.to_uppercase(), key.to_uppercase());
        if let Some(text) = variables.get(&variable) {
            given.insert(key.clone(), like(default, text));
        }
    }
    let mut good = known.clone();
    for (key, value) in given {
        let at = format!("{name}.{key}");
        if !known.contains_key(&key) {
            let all: Vec<&str> = known.keys().map(String::as_str).collect();
            let what = format!("unknown; keys are {}", all.join(", "));
            mistakes.push(Mistake { at, what });
            continue;
        }
        let mut tried = known.clone();
        tried.insert(key.clone(), value.clone());
        match tried.try_into::<T>() {
            Ok(_) => {
                good.insert(key, value);
            }
            Err(error) => mistakes.push(Mistake {
                at,
                what: error.message().to_owned(),
            }),
        }
    }
    good.try_into().unwrap_or_default()
}

/// A variable's text as the kind of value that stands there by default.
fn like(default: &Value, text: &str) -> Value {
    let text_as_is = || Value::String(text.to_owned());
    match default {
        Value::Integer(_) => text.parse().map_or_else(|_| text_as_is(), Value::Integer),
        Value::Boolean(_) => text.parse().map_or_else(|_| text_as_is(), Value::Boolean),
        Value::Array(_) => Value::Array(
            text.split(',')
                .map(|part| Value::String(part.trim().to_owned()))
                .collect(),
        ),
        _ => text_as_is(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<Mistake>> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::parse(text, &variables.iter().map(own).collect())
    }

    #[test]
    fn every_mistake_is_named() {
        let text = "
            [server]
            public_url = 'ftp://x'
            [session]
            idle_seconds = 'long'
            ilde_seconds = 5
            longest_seconds = 1
            [[provider]]
            name = 'Corp SSO'
            issuer = 'https://sso.example'
            client_secret = 'hunter2'
            [limit]
            a = 1";
        let mistakes = parse(text, &[]).unwrap_err();
        let places: Vec<&str> = mistakes.iter().map(|mistake| mistake.at.as_str()).collect();
        for at in [
            "session.idle_seconds",
            "session.ilde_seconds",
            "limit",
            "server.public_url",
            "session.longest_seconds",
            "provider[0].name",
            "provider[0].client_id",
            "provider[0].client_secret",
        ] {
            assert!(places.contains(&at), "{at} is not among {places:?}");
        }
        assert!(
            !mistakes.iter().any(|mistake| mistake.what.contains("hunter2")),
            "no secret in an error"
        );
    }

    #[test]
    fn variables_stand_over_the_file() {
        let config = parse(
            "[session]\nidle_seconds = 600",
            &[
                ("AFFIANT_SESSION_IDLE_SECONDS", "900"),
                ("AFFIANT_SERVER_DEVELOPMENT", "true"),
            ],
        )
        .unwrap();
        assert_eq!((config.session.idle_seconds, config.server.development), (900, true));
        assert!(parse("", &[("AFFIANT_SESSION_IDLE_SECONDS", "soon")]).is_err());
    }

    #[test]
    fn the_example_says_the_defaults() {
        let example = Config::parse(Config::example(), &BTreeMap::new()).unwrap();
        let default = Config::default();
        let same = |a: &dyn erased::Say, b: &dyn erased::Say| assert_eq!(a.say(), b.say());
        same(&example.server, &default.server);
        same(&example.session, &default.session);
        same(&example.limits, &default.limits);
        same(&example.screening, &default.screening);
        same(&example.trail, &default.trail);
        assert!(example.providers.is_empty());
        let commented = Config::example().replace("\n# ", "\n").replace("\n#\n", "\n");
        let provider = commented.find("[[provider]]").unwrap();
        let known = Table::try_from(Provider::default()).unwrap();
        for key in known.keys() {
            assert!(
                commented[provider..].contains(&format!("\n{key} = ")),
                "the example does not say {key}"
            );
        }
    }

    mod erased {
        pub(super) trait Say {
            fn say(&self) -> String;
        }
        impl<T: serde::Serialize> Say for T {
            fn say(&self) -> String {
                toml::to_string(self).unwrap_or_default()
            }
        }
    }
}
