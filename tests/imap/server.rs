//! An IMAP server that does what a test says: folders in memory, and quirks as Exchange and others have them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brevbro::edge::imap::{ImapLogin, ImapOptions, ImapTls};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a server does instead of, or beside, what it should.
#[derive(Debug, Clone)]
pub enum Act {
    /// Says this in place of the command's effect and answer; `{tag}` is the command's tag.
    Say(String),
    /// Says this first, and then does what it should.
    First(String),
    /// Says this and ends the connection.
    Bye(String),
    /// Does what it should, and ends the connection before the answer.
    Forget,
    /// Says nothing more.
    Hang,
}

/// One mail.
#[derive(Debug, Clone)]
pub struct Kept {
    pub uid: u32,
    pub flags: Vec<String>,
    pub octets: Vec<u8>,
}

/// One folder.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    pub validity: u32,
    pub next: u32,
    pub mails: Vec<Kept>,
}

/// Everything that a server knows.
pub struct State {
    pub capabilities: String,
    pub folders: BTreeMap<String, Folder>,
    /// What the next commands that begin so are answered with.
    pub quirks: VecDeque<(String, Act)>,
    /// Tokens that are taken; a password is always `password`.
    pub tokens: Vec<String>,
    /// Whether an IDLE is told of new mails.
    pub tells: bool,
    /// What RFC822.SIZE says in place of the size.
    pub size: Option<u64>,
    pub quota: Option<u64>,
    /// Every command line that came, without its tag, and connections as `connect`.
    pub log: Vec<String>,
}

/// A server.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What Exchange Online says of itself.
pub const EXCHANGE: &str = "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";

impl Server {
    /// A server with an empty folder `Out`.
    pub async fn start(capabilities: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folders = BTreeMap::from([("Out".to_owned(), Folder { validity: 1, next: 1, mails: Vec::new() })]);
        let state = State {
            capabilities: capabilities.to_owned(),
            folders,
            quirks: VecDeque::new(),
            tokens: Vec::new(),
            tells: true,
            size: None,
            quota: None,
            log: Vec::new(),
        };
        let server = Self { address, state: Arc::new(Mutex::new(state)) };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { drop(own.serve(stream).await) });
            }
        });
        server
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next command that begins so is answered so.
    pub fn will(&self, command: &str, act: Act) {
        self.state().quirks.push_back((command.to_owned(), act));
    }

    /// Puts a mail into a folder; its UID.
    pub fn put(&self, folder: &str, octets: impl AsRef<[u8]>) -> u32 {
        put(&mut self.state(), folder, Vec::new(), octets.as_ref().to_vec())
    }

    /// The mails of a folder.
    pub fn mails(&self, folder: &str) -> Vec<Kept> {
        self.state().folders.get(folder).map(|folder| folder.mails.clone()).unwrap_or_default()
    }

    /// How many commands began so.
    pub fn count(&self, command: &str) -> usize {
        self.state().log.iter().filter(|line| line.starts_with(command)).count()
    }

    /// How to log in with the password.
    pub fn options(&self) -> ImapOptions {
        ImapOptions {
            host: "127.0.0.1".into(),
            port: self.address.port(),
            tls: ImapTls::Plain,
            user: "inkorg@a.se".into(),
            login: ImapLogin::Password("password".to_owned().into()),
            timeout: Duration::from_secs(2),
        }
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        self.state().log.push("connect".into());
        let mut stream = BufReader::new(stream);
        let greeting = match self.quirk("connect") {
            Some(Act::Bye(text)) => return stream.write_all(text.as_bytes()).await,
            Some(Act::Say(text)) => text,
            _ => "* OK The service is ready.\r\n".to_owned(),
        };
        stream.write_all(greeting.as_bytes()).await?;
        let mut selected = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let (tag, command) = line.trim_end().split_once(' ').unwrap_or(("*", ""));
            let (tag, command) = (tag.to_owned(), command.to_owned());
            self.state().log.push(command.clone());
            let quirk = self.quirk(&command);
            if let Some(Act::Say(text)) = &quirk {
                stream.write_all(text.replace("{tag}", &tag).as_bytes()).await?;
                continue;
            }
            match &quirk {
                Some(Act::First(text)) => stream.write_all(text.as_bytes()).await?,
                Some(Act::Bye(text)) => return stream.write_all(text.as_bytes()).await,
                Some(Act::Hang) => {
                    tokio::time::sleep(Duration::from_mins(10)).await;
                    return Ok(());
                }
                _ => {}
            }
            let answer = match command.split(' ').next().unwrap_or_default() {
                "APPEND" => self.append(&mut stream, &tag, &command).await?,
                "AUTHENTICATE" => self.authenticate(&mut stream, &tag, &command).await?,
                "IDLE" => self.idle(&mut stream, &tag, &selected).await?,
                "LOGOUT" => return stream.write_all(format!("* BYE\r\n{tag} OK\r\n").as_bytes()).await,
                _ => self.answer(&tag, &command, &mut selected),
            };
            if matches!(quirk, Some(Act::Forget)) {
                return Ok(());
            }
            stream.write_all(&answer).await?;
        }
    }

    fn quirk(&self, command: &str) -> Option<Act> {
        let mut state = self.state();
        let at = state.quirks.iter().position(|(begins, _)| command.starts_with(begins.as_str()))?;
        state.quirks.remove(at).map(|(_, act)| act)
    }

    async fn authenticate(&self, stream: &mut BufReader<TcpStream>, tag: &str, command: &str) -> std::io::Result<Vec<u8>> {
        let mut parts = command.split(' ').skip(1);
        let mechanism = parts.next().unwrap_or_default();
        let first = if let Some(first) = parts.next() {
            first.to_owned()
        } else {
            stream.write_all(b"+ \r\n").await?;
            read_line(stream).await?
        };
        let said = String::from_utf8(STANDARD.decode(first).unwrap()).unwrap();
        let good = match mechanism {
            "PLAIN" => said.ends_with("\0password"),
            _ => said.split_once("auth=Bearer ").is_some_and(|(_, rest)| self.state().tokens.iter().any(|token| rest.starts_with(token.as_str()))),
        };
        if good {
            return Ok(format!("{tag} OK AUTHENTICATE completed.\r\n").into_bytes());
        }
        if mechanism != "PLAIN" {
            stream.write_all(b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n").await?;
            let end = read_line(stream).await?;
            assert_eq!(end, if mechanism == "OAUTHBEARER" { "AQ==" } else { "" });
        }
        Ok(format!("{tag} NO AUTHENTICATE failed.\r\n").into_bytes())
    }

    async fn append(&self, stream: &mut BufReader<TcpStream>, tag: &str, command: &str) -> std::io::Result<Vec<u8>> {
        let folder = quoted(command);
        let (_, size) = command.rsplit_once('{').unwrap();
        let size = size.trim_end_matches('}');
        if !size.ends_with('+') {
            if !self.state().folders.contains_key(&folder) {
                return Ok(format!("{tag} NO [TRYCREATE] Mailbox doesn't exist.\r\n").into_bytes());
            }
            stream.write_all(b"+ Ready for additional command text.\r\n").await?;
        }
        let mut octets = vec![0; size.trim_end_matches('+').parse().unwrap()];
        stream.read_exact(&mut octets).await?;
        assert_eq!(read_line(stream).await?, "");
        let flags = command.split_once(" (").map(|(_, rest)| rest.split(')').next().unwrap_or_default().split(' ').map(str::to_owned).collect());
        let mut state = self.state();
        if !state.folders.contains_key(&folder) {
            return Ok(format!("{tag} NO [TRYCREATE] Mailbox doesn't exist.\r\n").into_bytes());
        }
        if state.quota.is_some_and(|quota| octets.len() as u64 > quota) {
            return Ok(format!("{tag} NO [OVERQUOTA] Quota exceeded.\r\n").into_bytes());
        }
        let uid = put(&mut state, &folder, flags.unwrap_or_default(), octets);
        let validity = state.folders[&folder].validity;
        Ok(format!("{tag} OK [APPENDUID {validity} {uid}] APPEND completed.\r\n").into_bytes())
    }

    async fn idle(&self, stream: &mut BufReader<TcpStream>, tag: &str, selected: &str) -> std::io::Result<Vec<u8>> {
        stream.write_all(b"+ idling\r\n").await?;
        let mut known = self.mails(selected).len();
        let mut line = String::new();
        loop {
            tokio::select! {
                read = stream.read_line(&mut line) => {
                    if read? == 0 {
                        return Err(std::io::ErrorKind::UnexpectedEof.into());
                    }
                    assert_eq!(line.trim_end(), "DONE");
                    self.state().log.push("DONE".into());
                    return Ok(format!("{tag} OK IDLE completed.\r\n").into_bytes());
                }
                () = tokio::time::sleep(Duration::from_millis(20)) => {
                    let tells = self.state().tells;
                    let now = self.mails(selected).len();
                    if tells && now > known {
                        known = now;
                        stream.write_all(format!("* {now} EXISTS\r\n").as_bytes()).await?;
                    }
                }
            }
        }
    }

    fn answer(&self, tag: &str, command: &str, selected: &mut String) -> Vec<u8> {
        let mut state = self.state();
        let ok = |text: String| format!("{text}{tag} OK completed.\r\n").into_bytes();
        let no = |text: &str| format!("{tag} NO {text}\r\n").into_bytes();
        let name = quoted(command);
        let word = command.strip_prefix("UID ").unwrap_or(command).split(' ').next().unwrap_or_default();
        let uid = || command.split(' ').nth(2).and_then(|uid| uid.parse::<u32>().ok()).unwrap_or_default();
        match word {
            "CAPABILITY" => ok(format!("* CAPABILITY {}\r\n", state.capabilities)),
            "LOGIN" if command.ends_with("\"password\"") => ok(String::new()),
            "LOGIN" => no("[AUTHENTICATIONFAILED] Authentication failed."),
            "SELECT" | "EXAMINE" => match state.folders.get(&name) {
                Some(folder) => {
                    *selected = name;
                    ok(format!("* {} EXISTS\r\n* OK [UIDVALIDITY {}] UIDs valid\r\n", folder.mails.len(), folder.validity))
                }
                None => no("The folder doesn't exist."),
            },
            "CREATE" => {
                if state.folders.contains_key(&name) {
                    return no("[ALREADYEXISTS] It exists.");
                }
                state.folders.insert(name, Folder { validity: 7, next: 1, mails: Vec::new() });
                ok(String::new())
            }
            "STATUS" => match (state.folders.contains_key(&name), command.contains("APPENDLIMIT")) {
                (true, true) => ok(format!("* STATUS \"{name}\" (APPENDLIMIT 1000)\r\n")),
                (true, false) => ok(format!("* STATUS \"{name}\" (MESSAGES 0)\r\n")),
                (false, _) => no("The folder doesn't exist."),
            },
            "GETQUOTAROOT" => {
                ok(format!("* QUOTAROOT \"{name}\" \"\"\r\n* QUOTA \"\" (STORAGE 1 {})\r\n", state.quota.unwrap_or_default().div_ceil(1024)))
            }
            "SEARCH" => {
                let id = command.contains("HEADER Message-ID").then_some(name);
                let found = state.folders[selected.as_str()].mails.iter().filter(|mail| match &id {
                    Some(id) => String::from_utf8_lossy(&mail.octets).contains(id.as_str()),
                    None => !mail.flags.iter().any(|flag| flag == "\\Deleted"),
                });
                let uids: Vec<String> = found.map(|mail| mail.uid.to_string()).collect();
                ok(format!("* SEARCH {}\r\n", uids.join(" ")))
            }
            "FETCH" => {
                let folder = &state.folders[selected.as_str()];
                let Some(at) = folder.mails.iter().position(|mail| mail.uid == uid()) else { return ok(String::new()) };
                let mail = &folder.mails[at];
                let size = state.size.unwrap_or(mail.octets.len() as u64);
                let head = mail.octets.windows(4).position(|window| window == b"\r\n\r\n").map_or(mail.octets.len(), |end| end + 4);
                let body = |part: &str, octets: &[u8]| {
                    let head = format!("* {} FETCH (UID {} {part} {{{}}}\r\n", at + 1, mail.uid, octets.len());
                    [head.as_bytes(), octets, b")\r\n", &ok(String::new())].concat()
                };
                if command.contains("BODY.PEEK[HEADER]") {
                    return body("BODY[HEADER]", &mail.octets[..head]);
                }
                if command.contains("BODY.PEEK[]") {
                    return body("BODY[]", &mail.octets);
                }
                let flags = mail.flags.join(" ");
                ok(format!(
                    "* {} FETCH (UID {} RFC822.SIZE {size} INTERNALDATE \"05-Jan-2026 10:00:00 +0100\" FLAGS ({flags}))\r\n",
                    at + 1,
                    mail.uid
                ))
            }
            "MOVE" | "COPY" => {
                if !state.folders.contains_key(&name) {
                    return no("[TRYCREATE] The folder doesn't exist.");
                }
                let from = state.folders.get_mut(selected.as_str()).unwrap();
                let Some(at) = from.mails.iter().position(|mail| mail.uid == uid()) else { return ok(String::new()) };
                let mail = if word == "MOVE" { from.mails.remove(at) } else { from.mails[at].clone() };
                put(&mut state, &name, mail.flags, mail.octets);
                ok(if word == "MOVE" { format!("* {} EXPUNGE\r\n", at + 1) } else { String::new() })
            }
            "STORE" => {
                for mail in &mut state.folders.get_mut(selected.as_str()).unwrap().mails {
                    if mail.uid == uid() {
                        mail.flags.push("\\Deleted".into());
                    }
                }
                ok(String::new())
            }
            "EXPUNGE" => {
                let uid = uid();
                state.folders.get_mut(selected.as_str()).unwrap().mails.retain(|mail| mail.uid != uid);
                ok(String::new())
            }
            "NOOP" => ok(String::new()),
            _ => format!("{tag} BAD Command Error. 12\r\n").into_bytes(),
        }
    }
}

fn put(state: &mut State, folder: &str, flags: Vec<String>, octets: Vec<u8>) -> u32 {
    let folder = state.folders.get_mut(folder).unwrap();
    let uid = folder.next;
    folder.next += 1;
    folder.mails.push(Kept { uid, flags, octets });
    uid
}

/// The first quoted string of a command.
fn quoted(command: &str) -> String {
    command.split('"').nth(1).unwrap_or_default().to_owned()
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}
