//! The testbed's servers while they run.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use super::settings::loopback;
use super::state::State;
use super::{TestbedError, dns, web};
use crate::ident::Domain;

/// The running servers.
#[derive(Debug)]
pub struct Running {
    /// The name server, UDP and TCP.
    pub dns_addr: SocketAddr,
    /// Its zone.
    pub sml_zone: Domain,
    /// The SMP's base URL.
    pub smp_url: String,
    /// The address below which the revocation lists lie.
    pub crl_url: String,
    /// The address below which the OCSP responders are asked.
    pub ocsp_url: String,
    dns: JoinHandle<()>,
    smp: JoinHandle<()>,
    crl: JoinHandle<()>,
    ocsp: JoinHandle<()>,
}

impl Running {
    pub(super) async fn start(state: &Arc<State>) -> Result<Self, TestbedError> {
        let dns_addr = loopback(state.settings.dns_port);
        let failed = |source| TestbedError::Port { address: dns_addr, source };
        let udp = UdpSocket::bind(dns_addr).await.map_err(failed)?;
        let tcp = listen(state.settings.dns_port).await?;
        let smp = listen(state.settings.smp_port).await?;
        let crl = listen(state.settings.crl_port).await?;
        let ocsp = listen(state.settings.ocsp_port).await?;
        let sml_zone = state.settings.sml_zone.clone();
        let zone = dns::Zone::new(&sml_zone, &state.smp_url(), state.registry()).map_err(failed)?;
        Ok(Self {
            dns_addr,
            sml_zone,
            smp_url: state.smp_url(),
            crl_url: state.crl_url(),
            ocsp_url: state.ocsp_url(),
            dns: tokio::spawn(dns::serve(udp, tcp, zone)),
            smp: tokio::spawn(web::serve_smp(smp, Arc::clone(state))),
            crl: tokio::spawn(web::serve_lists(crl, Arc::clone(state))),
            ocsp: tokio::spawn(web::serve_responders(ocsp, Arc::clone(state))),
        })
    }

    /// Stops the SMP alone, to see what others do without it.
    pub async fn stop_smp(&mut self) {
        end(&mut self.smp).await;
    }

    /// Stops the revocation lists alone.
    pub async fn stop_crl(&mut self) {
        end(&mut self.crl).await;
    }

    /// Stops the OCSP responders alone.
    pub async fn stop_ocsp(&mut self) {
        end(&mut self.ocsp).await;
    }

    /// Stops everything; when it returns the ports are free.
    pub async fn stop(mut self) {
        for server in [&mut self.dns, &mut self.smp, &mut self.crl, &mut self.ocsp] {
            end(server).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for server in [&self.dns, &self.smp, &self.crl, &self.ocsp] {
            server.abort();
        }
    }
}

async fn listen(port: u16) -> Result<TcpListener, TestbedError> {
    let address = loopback(port);
    TcpListener::bind(address).await.map_err(|source| TestbedError::Port { address, source })
}

/// A handle must not be awaited again once it has answered.
async fn end(server: &mut JoinHandle<()>) {
    if !server.is_finished() {
        server.abort();
        let _ = server.await;
    }
}
