//! A server of its own for each test, with a database of its own.

use affiant_store::entity;
use reqwest::cookie::{CookieStore, Jar};
use reqwest::{Client, Response, StatusCode};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectOptions, Database, DatabaseConnection, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

pub struct Server {
    pub url: String,
    pub client: Client,
    pub jar: Arc<Jar>,
    pub token: String,
    pub data: TempDir,
    pub database: Option<String>,
    child: Child,
}

pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_affiant")
}

/// Runs `affiant …` on data; gives exit code and words.
pub fn affiant(
    data: &Path,
    database: Option<&str>,
    args: &[&str],
    variables: &[(&str, &str)],
) -> (Option<i32>, String) {
    let mut command = Command::new(binary());
    command
        .args(args)
        .arg("--data")
        .arg(data)
        .envs(variables.iter().copied());
    if let Some(url) = database {
        command.args(["--database-url", url]);
    }
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&told).into_owned())
}

/// Exports the trail of this data and verifies the export.
pub fn assert_trail_verifies(data: &Path, database: Option<&str>, after: &str) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("trail.jsonl");
    let (code, told) = affiant(
        data,
        database,
        &["trail", "export", "--out", file.to_str().unwrap()],
        &[],
    );
    assert_eq!(code, Some(0), "{after}: {told}");
    let (code, told) = affiant(data, database, &["trail", "verify", file.to_str().unwrap()], &[]);
    assert_eq!(code, Some(0), "{after}: {told}");
}

/// An empty database on the PostgreSQL that the test script started.
pub async fn postgres() -> Option<String> {
    use sea_orm::{ConnectionTrait, Database};
    let base = match std::env::var("AFFIANT_TEST_POSTGRES") {
        Ok(base) => base,
        Err(_) if std::env::var("CI").is_ok() => panic!("AFFIANT_TEST_POSTGRES is not set; run the tests by ./test.sh"),
        Err(_) => return None,
    };
    let name = format!("t{}", uuid::Uuid::now_v7().simple());
    let admin = Database::connect(format!("{base}/postgres")).await.unwrap();
    admin
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    Some(format!("{base}/{name}"))
}

impl Server {
    pub async fn start(database: Option<String>) -> Self {
        Self::start_with(database, &[]).await
    }

    /// A server with these variables in its environment, and the link that it prints.
    fn spawn(database: Option<&str>, variables: &[(&str, &str)]) -> (Child, TempDir, String, String) {
        Self::spawn_in(TempDir::new().unwrap(), database, variables)
    }

    fn spawn_in(data: TempDir, database: Option<&str>, variables: &[(&str, &str)]) -> (Child, TempDir, String, String) {
        Self::spawn_by(Command::new(binary()), data, database, variables)
    }

    /// By a command that ends in the program's name.
    fn spawn_by(
        mut command: Command,
        data: TempDir,
        database: Option<&str>,
        variables: &[(&str, &str)],
    ) -> (Child, TempDir, String, String) {
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .envs(variables.iter().copied());
        if let Some(url) = database {
            command.args(["--database-url", url]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the server printed nothing").unwrap();
        let url = first.rsplit(' ').next().unwrap().to_owned();
        let link = lines.next().unwrap().unwrap().rsplit(' ').next().unwrap().to_owned();
        (child, data, url, link)
    }

    /// A server of this configuration, with a token of an administrator.
    pub async fn start_configured(database: Option<String>, config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("affiant.toml");
        std::fs::write(&file, config).unwrap();
        let named = [("AFFIANT_CONFIG", file.to_str().unwrap())];
        let (child, data, url, _) = Self::spawn(database.as_deref(), &named);
        let mut command = Command::new(binary());
        command
            .args(["token", "create", "--role", "admin", "--data"])
            .arg(data.path());
        if let Some(url) = &database {
            command.args(["--database-url", url]);
        }
        let made = command.output().unwrap();
        let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        assert!(
            token.starts_with("aff_"),
            "{token} {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let server = Self {
            url,
            client: Client::new(),
            jar: Arc::default(),
            token,
            data,
            database,
            child,
        };
        server
            .post("/api/v1/projects", json!({"slug": "payments", "name": "Payments"}))
            .await;
        server
    }

    /// A server over data that is there, to which this token gives access.
    pub fn over(data: TempDir, database: Option<String>, token: &str, variables: &[(&str, &str)]) -> Self {
        let (child, data, url, _) = Self::spawn_in(data, database.as_deref(), variables);
        Self::of(child, data, database, (url, token))
    }

    /// A server that a command starts, over data to which this token gives access.
    pub fn by(command: Command, data: TempDir, database: Option<String>, token: &str) -> Self {
        let (child, data, url, _) = Self::spawn_by(command, data, database.as_deref(), &[]);
        Self::of(child, data, database, (url, token))
    }

    fn of(child: Child, data: TempDir, database: Option<String>, (url, token): (String, &str)) -> Self {
        Self {
            url,
            client: Client::new(),
            jar: Arc::default(),
            token: token.to_owned(),
            data,
            database,
            child,
        }
    }

    /// Another server over the same database and with the same keys.
    pub fn replica(&self) -> Self {
        let data = TempDir::new().unwrap();
        let key = "installation.key";
        std::fs::copy(self.data.path().join(key), data.path().join(key)).unwrap();
        Self::over(data, self.database.clone(), &self.token, &[])
    }

    /// The number of the server's process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Runs `affiant …` on the data of this server; gives exit code and words.
    pub fn affiant(&self, args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
        affiant(self.data.path(), self.database.as_deref(), args, variables)
    }

    /// Another server, in which nobody is signed in.
    pub fn start_beside(variables: &[(&str, &str)]) -> Self {
        let (child, data, url, _) = Self::spawn(None, variables);
        Self {
            url,
            client: Client::new(),
            jar: Arc::default(),
            token: String::new(),
            data,
            database: None,
            child,
        }
    }

    /// A server with these variables in its environment.
    pub async fn start_with(database: Option<String>, variables: &[(&str, &str)]) -> Self {
        let (child, data, url, link) = Self::spawn(database.as_deref(), variables);
        let jar = Arc::new(Jar::default());
        let client = Client::builder().cookie_provider(jar.clone()).build().unwrap();
        assert_eq!(client.get(link).send().await.unwrap().status(), StatusCode::OK);
        let mut server = Self {
            url,
            client,
            jar,
            token: String::new(),
            data,
            database,
            child,
        };
        let made = server
            .session_post("/api/v1/tokens", json!({"name": "test", "role": "admin"}))
            .await;
        server.token = made["token"].as_str().unwrap().to_owned();
        server
            .post("/api/v1/projects", json!({"slug": "payments", "name": "Payments"}))
            .await;
        server
    }

    /// The cookies of the browser that is signed in.
    pub fn cookies(&self) -> String {
        let cookies = self.jar.cookies(&self.url.parse().unwrap()).unwrap();
        cookies.to_str().unwrap().to_owned()
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn session_post(&self, path: &str, body: Value) -> Value {
        let request = self
            .client
            .post(self.at(path))
            .header("sec-fetch-site", "same-origin")
            .json(&body);
        let response = request.send().await.unwrap();
        assert!(
            response.status().is_success(),
            "{path}: {}",
            response.text().await.unwrap()
        );
        response.json().await.unwrap()
    }

    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Response {
        self.send_as(&self.token, method, path, body).await
    }

    pub async fn send_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Response {
        let client = Client::new();
        let mut request = client.request(method.parse().unwrap(), self.at(path));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        let response = self.send("GET", path, None).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let response = self.send("POST", path, Some(body)).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Has the trail verified; gives the verdict.
    pub async fn verify_trail(&self) -> Value {
        let mut asked = self.post("/api/v1/trail/verify", json!({})).await;
        let path = format!("/api/v1/trail/verifications/{}", asked["id"].as_str().unwrap());
        while asked["state"] == "queued" || asked["state"] == "running" {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            asked = self.get(&path).await;
        }
        assert_eq!(asked["state"], "done", "{asked}");
        asked["verdict"].clone()
    }

    /// Pushes a file; gives status and answer.
    pub async fn push(&self, query: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        self.push_with(query, body, &[]).await
    }

    pub async fn push_with(
        &self,
        query: &str,
        body: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let path = self.at(&format!("/api/v1/projects/payments/scans?{query}"));
        let mut request = Client::new().post(path).bearer_auth(&self.token).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub async fn open_findings(&self) -> usize {
        let list = self
            .get("/api/v1/projects/payments/findings?state=open&limit=500")
            .await;
        list["items"].as_array().unwrap().len()
    }

    pub async fn new_token(&self, role: &str, project: Option<&str>) -> String {
        let made = self
            .post(
                "/api/v1/tokens",
                json!({"name": role, "role": role, "project": project}),
            )
            .await;
        made["token"].as_str().unwrap().to_owned()
    }

    /// The server's database.
    pub async fn connection(&self) -> DatabaseConnection {
        let file = self.data.path().join("affiant.sqlite");
        let sqlite = format!("sqlite://{}", file.display());
        let mut options = ConnectOptions::new(self.database.clone().unwrap_or(sqlite));
        options.max_connections(1);
        Database::connect(options).await.unwrap()
    }

    /// Somebody who administers, and a token of theirs.
    pub async fn person_token(&self, name: &str, role: &str, project: Option<&str>) -> String {
        let made = self
            .post(
                "/api/v1/tokens",
                json!({"name": role, "role": role, "project": project}),
            )
            .await;
        let (person, token) = (Uuid::now_v7(), made["id"].as_str().unwrap().parse::<Uuid>().unwrap());
        let db = self.connection().await;
        let row = entity::person::Model {
            id: person,
            issuer: "https://id.example".to_owned(),
            subject: name.to_owned(),
            name: name.to_owned(),
            email: String::new(),
            member_of: "[]".to_owned(),
            created_at: 0,
            seen_at: 0,
            left_at: None,
            external_id: String::new(),
            user_name: String::new(),
            standing: String::new(),
            profile: String::new(),
        };
        let row = entity::person::Entity::insert(entity::person::ActiveModel::from(row));
        row.exec_without_returning(&db).await.unwrap();
        db.close().await.unwrap();
        self.own(token, person).await;
        self.post("/api/v1/memberships", json!({"person": person, "role": "admin"}))
            .await;
        made["token"].as_str().unwrap().to_owned()
    }

    /// Makes a token somebody's, as if they had made it in their session.
    pub async fn own(&self, token: Uuid, person: Uuid) {
        let db = self.connection().await;
        let own = entity::token::Entity::update_many().col_expr(entity::token::Column::PersonId, Expr::value(person));
        own.filter(entity::token::Column::Id.eq(token)).exec(&db).await.unwrap();
        db.close().await.unwrap();
    }
}

impl Server {
    /// Sends the server's process a signal: `STOP`, `CONT`, `KILL`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.unwrap().success());
    }

    /// Ends the server at once, as a loss of power does, and starts another over its data.
    pub fn kill_and_go_on(self) -> Self {
        self.kill_and_go_on_by(Command::new(binary()))
    }

    /// The same, with a command that starts the other.
    pub fn kill_and_go_on_by(mut self, command: Command) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let data = std::mem::replace(&mut self.data, TempDir::new().unwrap());
        Self::by(command, data, self.database.clone(), &self.token)
    }

    /// Runs a command that ends in the program's name on the data of this server; gives exit code and words.
    pub fn affiant_by(&self, mut command: Command, args: &[&str]) -> (Option<i32>, String) {
        command.args(args).arg("--data").arg(self.data.path());
        if let Some(url) = &self.database {
            command.args(["--database-url", url]);
        }
        let output = command.output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&told).into_owned())
    }

    /// Asks the server to stop, as an orchestrator does, and waits until it has.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A SARIF file of one tool with these results: rule and message.
pub fn sarif(tool: &str, results: &[(&str, &str)]) -> String {
    sarif_runs(&[(tool, results)])
}

pub fn sarif_runs(runs: &[(&str, &[(&str, &str)])]) -> String {
    let runs: Vec<Value> = runs
        .iter()
        .map(|(tool, results)| {
            let rules = json!([
                {"id": "sql", "properties": {"tags": ["CWE-89"], "security-severity": "8.0"}},
                {"id": "xss", "properties": {"tags": ["CWE-79"]}, "defaultConfiguration": {"level": "warning"}}
            ]);
            let results: Vec<Value> = results
                .iter()
                .map(|(rule, message)| {
                    json!({"ruleId": rule, "message": {"text": message}, "locations": [
                        {"physicalLocation": {"artifactLocation": {"uri": "src/a.py"}, "region": {"startLine": 7}}}]})
                })
                .collect();
            json!({"tool": {"driver": {"name": tool, "rules": rules}}, "results": results})
        })
        .collect();
    json!({"version": "2.1.0", "runs": runs}).to_string()
}

/// Makes a test for each database.
macro_rules! on_both {
    ($(async fn $name:ident($server:ident: Server) $body:block)+) => {$(
        mod $name {
            use super::*;
            async fn run($server: Server) $body
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                run(Server::start(None).await).await;
            }
            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                if let Some(url) = crate::server::postgres().await {
                    run(Server::start(Some(url)).await).await;
                }
            }
        }
    )+};
}
pub(crate) use on_both;
