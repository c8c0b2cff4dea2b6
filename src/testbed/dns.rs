//! The name server of the testbed's SML zone: NAPTR for registered participants, NXDOMAIN for others, over UDP and TCP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{NAPTR, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::registry::Registry;
use crate::ident::{Domain, PARTICIPANT_SCHEME};
use crate::smp::Naptr;

/// Records may be remembered for so many seconds; short, so that a registration is seen soon.
const TTL: u32 = 5;
/// What a resolver may send us in one datagram.
const DATAGRAM: usize = 4096;

/// What the server knows.
pub(super) struct Zone {
    apex: Name,
    branch: Name,
    smp_url: String,
    registry: Registry,
}

impl Zone {
    pub(super) fn new(zone: &Domain, smp_url: &str, registry: Registry) -> io::Result<Self> {
        let name = |text: String| Name::from_utf8(text).map_err(io::Error::other);
        Ok(Self { apex: name(format!("{zone}."))?, branch: name(format!("{PARTICIPANT_SCHEME}.{zone}."))?, smp_url: smp_url.to_owned(), registry })
    }

    /// The answer to a request; `None` to what is none.
    fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        let request = Message::from_vec(request).ok()?;
        if request.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
        answer.metadata.recursion_desired = request.metadata.recursion_desired;
        answer.queries.clone_from(&request.queries);
        if request.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(1232);
            answer.set_edns(edns);
        }
        match (request.metadata.op_code, request.queries.as_slice()) {
            (OpCode::Query, [query]) => self.resolve(&query.name, query.query_type, query.query_class, &mut answer),
            (OpCode::Query, _) => answer.metadata.response_code = ResponseCode::FormErr,
            _ => answer.metadata.response_code = ResponseCode::NotImp,
        }
        answer.to_vec().ok()
    }

    fn resolve(&self, name: &Name, kind: RecordType, class: DNSClass, answer: &mut Message) {
        if class != DNSClass::IN || !self.apex.zone_of(name) {
            answer.metadata.response_code = ResponseCode::Refused;
            return;
        }
        answer.metadata.authoritative = true;
        let soa = SOA::new(self.apex.clone(), self.apex.clone(), 1, 60, 60, 3600, TTL);
        let soa = Record::from_rdata(self.apex.clone(), TTL, RData::SOA(soa));
        if *name == self.apex && kind == RecordType::SOA {
            answer.add_answer(soa);
            return;
        }
        let label = name.iter().next().and_then(|label| std::str::from_utf8(label).ok());
        let below = self.branch.zone_of(name) && name.num_labels() == self.branch.num_labels() + 1;
        let registered = below && label.is_some_and(|label| self.registry.has_label(label));
        if registered && matches!(kind, RecordType::NAPTR | RecordType::ANY) {
            let Naptr { order, preference, flags, service, regexp } = Naptr::to_smp(&self.smp_url);
            let bytes = |text: String| text.into_bytes().into_boxed_slice();
            let naptr = NAPTR::new(order, preference, bytes(flags), bytes(service), bytes(regexp), Name::root());
            answer.add_answer(Record::from_rdata(name.clone(), TTL, RData::NAPTR(naptr)));
            return;
        }
        // The apex and the branch exist without records of this type (RFC 8020).
        if !(registered || *name == self.apex || *name == self.branch) {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        answer.add_authority(soa);
    }
}

/// Serves until it is dropped.
pub(super) async fn serve(udp: UdpSocket, tcp: TcpListener, zone: Zone) {
    let zone = Arc::new(zone);
    let mut connections = JoinSet::new();
    let mut datagram = vec![0; DATAGRAM];
    loop {
        tokio::select! {
            received = udp.recv_from(&mut datagram) => {
                // An error here is an ICMP answer to an earlier packet of ours: nobody's loss.
                if let Ok((length, peer)) = received
                    && let Some(answer) = datagram.get(..length).and_then(|request| zone.answer(request))
                {
                    let _ = udp.send_to(&answer, peer).await;
                }
            }
            accepted = tcp.accept() => match accepted {
                Ok((stream, _)) => {
                    let zone = Arc::clone(&zone);
                    connections.spawn(async move { tokio::time::timeout(Duration::from_secs(10), converse(stream, &zone)).await });
                }
                // Out of file descriptors, for example: it passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One TCP connection: each message follows its length (RFC 1035 4.2.2).
async fn converse(mut stream: TcpStream, zone: &Zone) -> io::Result<()> {
    loop {
        let length = usize::from(stream.read_u16().await?);
        let mut request = vec![0; length];
        stream.read_exact(&mut request).await?;
        let Some(answer) = zone.answer(&request) else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&[length.to_be_bytes().as_slice(), &answer].concat()).await?;
    }
}
