//! The nodes of side A and their database; side B is one gateway of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use brevbro::event::Event;
use brevbro::port::Store;
use brevbro::store::{PostgresOptions, PostgresStore};
use toml::Table;

use crate::balancer::balance;
use crate::common::cable::Cable;
use crate::common::postgres::{Cluster, Plan};
use crate::stage::{Process, Side, Stage, free_port, greets, wait_for};

/// What a node is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    AccessPoint,
    Mail,
    Both,
}

/// One node, running or not.
pub struct Node {
    pub name: String,
    pub role: Role,
    pub smtp: u16,
    pub as4: u16,
    /// Its folder: configuration, state, log.
    pub folder: PathBuf,
    /// What else it is started with.
    pub environment: Vec<(&'static str, &'static str)>,
    process: Option<Process>,
}

impl Node {
    fn config(&self) -> PathBuf {
        self.folder.join("gateway.toml")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Starts it, with fail points when some are given.
    pub fn start(&mut self, failpoints: Option<&str>) {
        self.start_with(failpoints.map(|failpoints| ("FAILPOINTS", failpoints)));
    }

    /// Starts it; it dies at this point and pass, `store.postgres.commit:2`.
    pub fn start_to_end_at(&mut self, point: &str) {
        self.start_with(Some(("BREVBRO_ABORT_AT", point)));
    }

    fn start_with(&mut self, setting: Option<(&str, &str)>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brevbro"));
        command.args(["run", "--config"]).arg(self.config()).stdin(Stdio::null()).stdout(Stdio::null());
        command.envs(self.environment.iter().copied()).envs(setting);
        self.process = Some(Process::start(&mut command, &self.folder.join("log")));
    }

    /// Waits until it takes connections; `false` when it ends before.
    pub fn is_up(&mut self) -> bool {
        let name = self.name.clone();
        wait_for(&format!("node {name}"), Duration::from_mins(2), || {
            if self.process.as_mut().unwrap().ended().is_some() {
                return Some(false);
            }
            let takes = match self.role {
                Role::AccessPoint => TcpStream::connect((Ipv4Addr::LOCALHOST, self.as4)).is_ok(),
                Role::Mail | Role::Both => greets(self.smtp),
            };
            takes.then_some(true)
        })
    }

    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        assert!(process.ended().is_none(), "node {} ended by itself:\n{}", self.name, self.log());
        process.kill();
    }

    pub fn stop(&mut self) {
        self.process.take().unwrap().stop();
    }

    pub fn has_ended(&mut self) -> bool {
        self.ended().is_some()
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut().unwrap().ended()
    }

    pub fn id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }
}

/// Everything that runs.
pub struct Nodes {
    pub stage: Stage,
    pub cluster: Cluster,
    pub database: String,
    /// Between the nodes and their database.
    pub cable: Cable,
    pub running: Vec<Node>,
}

impl Nodes {
    /// Sets the stage for nodes of these roles, `None` where there is no PostgreSQL or Python. `user` is the database's for
    /// a role.
    pub fn set(name: &str, roles: &[Role], plan: &Plan, user: impl Fn(Role) -> &'static str) -> Option<Self> {
        if !crate::common::has("python3") {
            return None;
        }
        let cluster = Cluster::start(plan)?;
        let (stage, database) = (Stage::set(name), cluster.database());
        let cable = Cable::to((Ipv4Addr::LOCALHOST, cluster.port).into());
        let nodes: Vec<Node> =
            roles.iter().enumerate().map(|(at, role)| node(&stage, at, *role, &database, cable.address.port(), user(*role))).collect();
        balance(stage.a.as4, nodes.iter().filter(|node| node.role != Role::Mail).map(|node| node.as4).collect());
        Some(Self { stage, cluster, database, cable, running: nodes })
    }

    /// Starts the nodes, one after the other, and the other side.
    pub fn start(&mut self) {
        for node in &mut self.running {
            node.start(None);
            assert!(node.is_up(), "{}", node.log());
        }
        self.stage.b.start(None);
        assert!(self.stage.b.is_up());
    }

    /// Where mails are handed in.
    pub fn smtp(&self) -> Vec<u16> {
        self.running.iter().filter(|node| node.role != Role::AccessPoint).map(|node| node.smtp).collect()
    }

    /// The whole journal that the nodes share.
    pub fn events(&self) -> Vec<Event> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = PostgresStore::open(PostgresOptions::new(&self.cluster.url(&self.database)).unwrap()).await.unwrap();
            let mut events = Vec::new();
            loop {
                let page = store.audit(events.len() as u64, 1_000).await.unwrap();
                if page.is_empty() {
                    return events;
                }
                events.extend(page.into_iter().map(|(_, event)| event));
            }
        })
    }

    /// What `psql` answers, in the nodes' schema.
    pub fn sql(&self, sql: &str) -> String {
        self.cluster.sql(&self.database, &format!("SET search_path = brevbro; {sql}"))
    }
}

fn node(stage: &Stage, at: usize, role: Role, database: &str, port: u16, user: &str) -> Node {
    let name = format!("nod-{}", at + 1);
    let folder = stage.dir.join(&name);
    fs::create_dir_all(&folder).unwrap();
    let (smtp, as4) = (free_port(), free_port());
    let mut config: Table = fs::read_to_string(&stage.a.config).unwrap().parse().unwrap();
    let mut set = |key: &str, value: toml::Value| drop(config.insert(key.to_owned(), value));
    set("state-dir", folder.join("state").display().to_string().into());
    let store = format!("kind = \"postgresql\"\nhost = [\"127.0.0.1\"]\nport = {port}\ndatabase = \"{database}\"\nuser = \"{user}\"");
    set("store", store.parse::<Table>().unwrap().into());
    let word = match role {
        Role::AccessPoint => "access-point",
        Role::Mail => "mail",
        Role::Both => "both",
    };
    set("node", format!("name = \"{name}\"\nrole = \"{word}\"").parse::<Table>().unwrap().into());
    apart(&mut config, role);
    for (section, port) in [("smtp", smtp), ("access-point", as4)] {
        if let Some(section) = config.get_mut(section).and_then(toml::Value::as_table_mut) {
            section.insert("listen".into(), format!("127.0.0.1:{port}").into());
        }
    }
    fs::write(folder.join("gateway.toml"), config.to_string()).unwrap();
    Node { name, role, smtp, as4, folder, environment: Vec::new(), process: None }
}

/// Leaves what a role needs.
fn apart(config: &mut Table, role: Role) {
    match role {
        Role::Both => {}
        Role::Mail => drop(config.remove("access-point")),
        Role::AccessPoint => {
            for key in ["operator", "smtp", "mail-server", "malware", "loops"] {
                config.remove(key);
            }
            for organisation in config["organisation"].as_array_mut().unwrap() {
                organisation.as_table_mut().unwrap().retain(|key, _| key == "participant");
            }
        }
    }
}

/// The order for a mail of one side to the other.
pub fn order(token: &str, side: Side, number: usize, files: u64) -> serde_json::Value {
    let (from, to) = (side.mailbox(number % 2), side.towards((number / 2) % 2));
    serde_json::json!({ "token": token, "from": from, "to": [to], "files": files })
}
