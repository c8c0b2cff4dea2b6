//! A cable between a client and a server that can be cut: a TCP relay on 127.0.0.1.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A relay to one server.
pub struct Cable {
    /// Where clients connect.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: AtomicBool,
    /// Octets from the server that clients still get, when set; then everything is cut.
    allowance: Mutex<Option<u64>>,
    passed: AtomicU64,
    ends: Mutex<Vec<TcpStream>>,
}

impl Cable {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(State::default()));
        let relaying = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if relaying.cut.load(Ordering::SeqCst) {
                    continue;
                }
                if let Ok(server) = TcpStream::connect(server) {
                    relaying.join(client, server);
                }
            }
        });
        Self { address, state }
    }

    /// Ends every connection and lets no new one through, until [`Self::mend`].
    pub fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        self.state.end_all();
    }

    /// Ends every connection; new ones are let through.
    pub fn jerk(&self) {
        self.state.end_all();
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        *self.state.allowance.lock().unwrap() = None;
        self.state.cut.store(false, Ordering::SeqCst);
    }

    /// Ends every connection once the server has answered so many octets more: requests arrive, answers do not.
    pub fn jerk_after(&self, answered: u64) {
        *self.state.allowance.lock().unwrap() = Some(answered);
    }

    /// Octets that the server has answered.
    pub fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::SeqCst)
    }
}

impl State {
    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut ends = self.ends.lock().unwrap();
        ends.retain(|end| end.peer_addr().is_ok());
        ends.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
        drop(ends);
        let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || pour(from, to, |_| true));
        let state = Arc::clone(self);
        std::thread::spawn(move || pour(server, client, |octets| state.let_through(octets)));
    }

    fn let_through(&self, octets: usize) -> bool {
        self.passed.fetch_add(octets as u64, Ordering::SeqCst);
        let mut allowance = self.allowance.lock().unwrap();
        if let Some(left) = allowance.as_mut() {
            let Some(rest) = left.checked_sub(octets as u64) else {
                *allowance = None;
                drop(allowance);
                self.end_all();
                return false;
            };
            *left = rest;
        }
        true
    }

    fn end_all(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn pour(mut from: TcpStream, mut to: TcpStream, passes: impl Fn(usize) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(octets) = from.read(&mut buffer) {
        if octets == 0 || !passes(octets) || to.write_all(&buffer[..octets]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
