//! The stage: a name server and an SMP that say what the test tells them, and count who asks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use brevbro::crypto::{Authorities, Certificate, Identity};
use brevbro::edge::directory::{DirectoryOptions, DnsDirectory};
use brevbro::edge::http::PlainHttp;
use brevbro::edge::reach::Reach;
use brevbro::edge::trust::{CaTrust, Revocation, TrustOptions};
use brevbro::ident::{DocumentKind, Domain, ParticipantId};
use brevbro::port::{Clock, Directory, DirectoryError, Freshness, Metadata, Pending, Realm, Trust, TrustError};
use brevbro::smp::{self, CertificateUse, Endpoint, Naptr, Process, Published, ServiceMetadata};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, NAPTR, SOA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::common::pki::Ca;

pub(crate) const PROFILE: &str = "digg-transport-as4-v1_0";
pub(crate) const ENDPOINT: &str = "https://as4.kommun.se/as4";

/// What the name server says.
#[derive(Clone)]
pub(crate) enum Says {
    /// These records.
    Records(Vec<Naptr>),
    /// The name is another one's alias, where these records are.
    Alias(Vec<Naptr>),
    /// By UDP, that the answer is too long for it; by TCP these records.
    Truncated(Vec<Naptr>),
    /// There is no such name.
    NxDomain,
    /// The name is there, without such records, vouched for by the zone or not.
    Nothing { soa: bool },
    /// It has failed, or refuses.
    Code(ResponseCode),
    /// Nothing at all.
    Silence,
}

/// What the SMP does with a request.
#[derive(Clone)]
pub(crate) enum Does {
    /// Answers with these octets, head included, and closes.
    Answers(Vec<u8>),
    /// Answers with a document.
    Gives(Vec<u8>),
    /// As before, after a while.
    Waits(Duration, Vec<u8>),
    /// Begins an answer, and sends an octet each time span.
    Drips(Duration),
    /// Sends a document without end.
    Floods,
    /// Closes at once.
    HangsUp,
}

/// A clock that the test sets.
pub(crate) struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Judges as CAs do, and can be told what has happened to certificates since.
pub(crate) struct Judge {
    cas: CaTrust,
    pub(crate) verdict: Mutex<Option<TrustError>>,
    pub(crate) asked: AtomicUsize,
}

impl Trust for Judge {
    fn judge<'a>(&'a self, realm: Realm, certificate: &'a Certificate, intermediates: &'a [Certificate]) -> Pending<'a, Result<(), TrustError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.verdict.lock().unwrap().clone() {
            Some(error) => Box::pin(async move { Err(error) }),
            None => self.cas.judge(realm, certificate, intermediates),
        }
    }
}

pub(crate) struct Stage {
    pub(crate) ca: &'static Ca,
    pub(crate) smp: &'static Identity,
    pub(crate) participant: ParticipantId,
    pub(crate) own: Certificate,
    pub(crate) point: Certificate,
    pub(crate) smp_address: SocketAddr,
    dns_address: SocketAddr,
    pub(crate) clock: Arc<Hands>,
    pub(crate) judge: Arc<Judge>,
    pub(crate) says: Arc<Mutex<Says>>,
    pub(crate) does: Arc<Mutex<Does>>,
    /// The request lines that the SMP got.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    /// How often the name server was asked.
    pub(crate) questions: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Stage {
    /// A participant that is registered as it should be.
    pub(crate) async fn set() -> Self {
        let (ca, smp, point, own) = keys();
        let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let smp_address = web.local_addr().unwrap();
        let (udp, tcp) = dns_sockets().await;
        let dns_address = udp.local_addr().unwrap();
        let base = format!("http://{smp_address}/smp");
        let (says, does) = (Arc::new(Mutex::new(Says::Records(vec![Naptr::to_smp(&base)]))), Arc::new(Mutex::new(Does::HangsUp)));
        let (requests, questions) = (Arc::default(), Arc::default());
        let clock = Arc::new(Hands(Mutex::new(Timestamp::now() + SignedDuration::from_hours(1))));
        let tasks = vec![
            tokio::spawn(serve_smp(web, Arc::clone(&does), Arc::clone(&requests))),
            tokio::spawn(serve_udp(udp, Arc::clone(&says), Arc::clone(&questions))),
            tokio::spawn(serve_tcp(tcp, Arc::clone(&says))),
        ];
        let authorities = BTreeMap::from([(Realm::Smp, Authorities::from_bundle(vec![ca.certificate()]))]);
        let options = TrustOptions { authorities, revocation: Revocation::Off, ..TrustOptions::default() };
        let cas = CaTrust::new(options, Arc::clone(&clock) as Arc<dyn Clock>);
        let judge = Arc::new(Judge { cas, verdict: Mutex::default(), asked: AtomicUsize::default() });
        let participant = "0203:kommun.se".parse().unwrap();
        let stage = Self {
            ca,
            smp,
            participant,
            own: own.clone(),
            point: point.clone(),
            smp_address,
            dns_address,
            clock,
            judge,
            says,
            does,
            requests,
            questions,
            tasks,
        };
        stage.publish(&stage.metadata());
        stage
    }

    pub(crate) fn directory(&self) -> Arc<DnsDirectory> {
        self.directory_with(|_| ())
    }

    pub(crate) fn directory_with(&self, change: impl FnOnce(&mut DirectoryOptions)) -> Arc<DnsDirectory> {
        let mut options = DirectoryOptions::new(Domain::new("sml.test").unwrap());
        options.dns.resolvers = vec![self.dns_address];
        options.dns.timeout = Duration::from_millis(700);
        options.http.plain = PlainHttp::Loopback;
        options.http.reach = Reach::with_loopback();
        change(&mut options);
        let trust = Arc::clone(&self.judge) as Arc<dyn Trust>;
        Arc::new(DnsDirectory::new(options, trust, Arc::clone(&self.clock) as Arc<dyn Clock>).unwrap())
    }

    /// Metadata that is as it should be.
    pub(crate) fn metadata(&self) -> ServiceMetadata {
        ServiceMetadata {
            participant: self.participant.clone(),
            document_id: DocumentKind::Message.document_id().into(),
            processes: vec![Process::of_sdk(vec![self.endpoint()])],
            published: [CertificateUse::Signing, CertificateUse::Encryption].map(|usage| Published { usage, certificate: self.own.clone() }).into(),
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint { url: ENDPOINT.into(), transport_profile: PROFILE.into(), certificate: self.point.clone(), activation: None, expiration: None }
    }

    /// Signs it with the SMP's key and gives it to whoever asks.
    pub(crate) fn publish(&self, metadata: &ServiceMetadata) {
        self.does(Does::Gives(metadata.sign(self.smp).unwrap()));
    }

    pub(crate) fn does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    pub(crate) fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    pub(crate) fn points_to(&self, url: &str) {
        self.says(Says::Records(vec![Naptr::to_smp(url)]));
    }

    /// Lets time pass.
    pub(crate) fn later(&self, span: SignedDuration) {
        *self.clock.0.lock().unwrap() += span;
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(crate) async fn ask(&self, directory: &DnsDirectory, freshness: Freshness) -> Result<Metadata, DirectoryError> {
        directory.metadata(&self.participant, DocumentKind::Message, freshness).await
    }

    /// Asks a directory that has asked nobody before; why it cannot use the answer.
    pub(crate) async fn unusable(&self) -> String {
        match self.ask(&self.directory(), Freshness::Cached).await {
            Err(DirectoryError::Unusable { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// As before; why there is no answer.
    pub(crate) async fn unavailable(&self, directory: &DnsDirectory) -> String {
        match self.ask(directory, Freshness::Cached).await {
            Err(DirectoryError::Unavailable { service, reason }) => format!("{service}: {reason}"),
            other => panic!("{other:?}"),
        }
    }
}

/// The CA, the SMP's key, an access point's certificate and a participant's: made once, they take their time.
fn keys() -> (&'static Ca, &'static Identity, &'static Certificate, &'static Certificate) {
    static KEYS: OnceLock<(Ca, Identity, Certificate, Certificate)> = OnceLock::new();
    let (ca, smp, point, own) = KEYS.get_or_init(|| {
        let ca = Ca::new("Test CA");
        let (smp, point, own) = (ca.issue("SMP0001-TEST"), ca.issue("AP0001-TEST").certificate, ca.issue("kommun.se").certificate);
        (ca, smp, point, own)
    });
    (ca, smp, point, own)
}

/// One port for both, as resolvers expect it.
async fn dns_sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(socket: UdpSocket, says: Arc<Mutex<Says>>, questions: Arc<AtomicUsize>) {
    let mut datagram = vec![0; 4096];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut datagram).await else { continue };
        questions.fetch_add(1, Ordering::Relaxed);
        let says = says.lock().unwrap().clone();
        if let Some(answer) = answer(&datagram[..length], &says, false) {
            socket.send_to(&answer, peer).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, says: Arc<Mutex<Says>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let says = Arc::clone(&says);
        tokio::spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut request = vec![0; usize::from(length)];
                stream.read_exact(&mut request).await.unwrap();
                let says = says.lock().unwrap().clone();
                let Some(answer) = answer(&request, &says, true) else { return };
                let length = u16::try_from(answer.len()).unwrap();
                if stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn answer(request: &[u8], says: &Says, tcp: bool) -> Option<Vec<u8>> {
    let request = Message::from_vec(request).unwrap();
    let name = request.queries[0].name.clone();
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.metadata.recursion_desired = request.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.queries.clone_from(&request.queries);
    let zone = Name::from_utf8("sml.test.").unwrap();
    let soa = || Record::from_rdata(zone.clone(), 5, RData::SOA(SOA::new(zone.clone(), zone.clone(), 1, 60, 60, 3600, 5)));
    let naptr = |records: &[Naptr], owner: &Name| -> Vec<Record> {
        let bytes = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
        let data = |n: &Naptr| NAPTR::new(n.order, n.preference, bytes(&n.flags), bytes(&n.service), bytes(&n.regexp), Name::root());
        records.iter().map(|record| Record::from_rdata(owner.clone(), 5, RData::NAPTR(data(record)))).collect()
    };
    let asked = request.queries[0].query_type;
    match says {
        Says::Silence => return None,
        Says::Code(code) => answer.metadata.response_code = *code,
        Says::NxDomain => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            answer.add_authority(soa());
        }
        Says::Nothing { soa: false } => {}
        Says::Truncated(_) if !tcp => answer.metadata.truncation = true,
        Says::Records(records) | Says::Truncated(records) if asked == RecordType::NAPTR => drop(answer.add_answers(naptr(records, &name))),
        Says::Alias(records) => {
            let other = Name::from_utf8("elsewhere.sml.test.").unwrap();
            if name != other {
                answer.add_answer(Record::from_rdata(name.clone(), 5, RData::CNAME(CNAME(other.clone()))));
            }
            answer.add_answers(naptr(records, &other));
        }
        // Its records are of another type than the one asked for.
        Says::Nothing { soa: true } | Says::Records(_) | Says::Truncated(_) => drop(answer.add_authority(soa())),
    }
    Some(answer.to_vec().unwrap())
}

async fn serve_smp(listener: TcpListener, does: Arc<Mutex<Does>>, requests: Arc<Mutex<Vec<String>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (does, requests) = (Arc::clone(&does), Arc::clone(&requests));
        tokio::spawn(async move {
            let mut request = vec![0; 16_384];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
            requests.lock().unwrap().push(line);
            let does = does.lock().unwrap().clone();
            // The client may hang up first, as it should with some of this.
            let _ = perform(&mut stream, does).await;
            let _ = stream.shutdown().await;
        });
    }
}

async fn perform(stream: &mut tokio::net::TcpStream, does: Does) -> std::io::Result<()> {
    let whole =
        |body: &[u8]| [format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
    match does {
        Does::Answers(octets) => stream.write_all(&octets).await,
        Does::Gives(body) => stream.write_all(&whole(&body)).await,
        Does::Waits(span, body) => {
            tokio::time::sleep(span).await;
            stream.write_all(&whole(&body)).await
        }
        Does::Drips(span) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 100000\r\n\r\n").await?;
            loop {
                stream.write_all(b" ").await?;
                tokio::time::sleep(span).await;
            }
        }
        Does::Floods => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n").await?;
            let flood = vec![b' '; 65_536];
            loop {
                stream.write_all(&flood).await?;
            }
        }
        Does::HangsUp => Ok(()),
    }
}

/// An answer with a status and a head of one's own.
pub(crate) fn response(status: &str, head: &str, body: &[u8]) -> Does {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{head}\r\n", body.len());
    Does::Answers([head.as_bytes(), body].concat())
}

/// The path at which the SMP is asked for the metadata.
pub(crate) fn path(stage: &Stage) -> String {
    smp::service_metadata_url("/smp", &stage.participant, DocumentKind::Message.document_id())
}
