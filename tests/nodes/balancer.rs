//! What a load balancer is to AS4: each connection goes to the next node that takes it, whole, TLS and all.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Relays connections to a port in turn to those of the nodes.
pub fn balance(port: u16, nodes: Vec<u16>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (nodes, turn) = (Arc::new(nodes), Arc::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (nodes, turn) = (Arc::clone(&nodes), Arc::clone(&turn));
            std::thread::spawn(move || {
                let first = turn.fetch_add(1, Ordering::SeqCst);
                let mut order = (0..nodes.len()).map(|at| nodes[(first + at) % nodes.len()]);
                if let Some(node) = order.find_map(|node| TcpStream::connect((Ipv4Addr::LOCALHOST, node)).ok()) {
                    join(&client, &node);
                }
            });
        }
    });
}

fn join(client: &TcpStream, node: &TcpStream) {
    std::thread::scope(|both| {
        both.spawn(|| pour(client, node));
        both.spawn(|| pour(node, client));
    });
}

fn pour(mut from: &TcpStream, mut to: &TcpStream) {
    drop(io::copy(&mut from, &mut to));
    // Whoever dies takes the other end along, as it would without anything between.
    drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
}
