//! The network between Overdub and all others: a process that every connection goes through. Killed, it is a network
//! whose connections are reset; stopped, one that swallows what is sent.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::around::{free_port, this_binary};
use super::process::Process;

#[derive(clap::Args)]
pub struct Args {
    /// Where to listen, and where that leads: two ports of this machine, `1234:5678`.
    #[arg(long)]
    route: Vec<String>,
}

pub async fn run(args: Args) -> bool {
    let mut routes = JoinSet::new();
    for route in args.route {
        let ports = route.split_once(':').expect("two ports");
        let [from, to] = [ports.0, ports.1]
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().expect("a port"))));
        let listener = TcpListener::bind(from).await.expect("the port is free");
        routes.spawn(forward(listener, to));
    }
    routes.join_all().await;
    true
}

async fn forward(listener: TcpListener, to: SocketAddr) {
    while let Ok((mut near, _)) = listener.accept().await {
        tokio::spawn(async move {
            // Who is not there refuses, and so does the network to it.
            let Ok(mut far) = TcpStream::connect(to).await else { return };
            let _ = near.set_nodelay(true);
            let _ = far.set_nodelay(true);
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
    }
}

/// Starts it; each port is replaced by the one that leads to it.
pub fn between<'a>(ports: impl IntoIterator<Item = &'a mut u16>) -> Process {
    let mut args = Vec::new();
    for port in ports {
        let near = free_port();
        args.extend(["--route".to_owned(), format!("{near}:{port}")]);
        *port = near;
    }
    Process::start("network", move || {
        let mut command = Command::new(this_binary());
        command.arg("network").args(&args);
        command
    })
}
