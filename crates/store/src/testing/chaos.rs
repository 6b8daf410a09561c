//! A network between Postgres and its client that a test can cut, or have swallow everything.

use std::{io, net::Ipv4Addr, path::PathBuf, str::FromStr};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinHandle,
};

/// A proxy on TCP before a Postgres. It ends with this value.
pub struct ChaosProxy {
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Cut,
    Silent,
}

impl ChaosProxy {
    /// Puts a proxy before the server of a URL, and answers the URL that leads through it.
    ///
    /// # Panics
    /// The URL is none.
    pub async fn to(url: &str) -> (Self, String) {
        let options = PgConnectOptions::from_str(url).expect("a Postgres URL");
        let server = Server::of(&options);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("the port").port();
        let (state, states) = watch::channel(State::Open);
        let accepting = tokio::spawn(accept(listener, server, states));
        let mut through = options.to_url_lossy();
        through.set_host(Some("127.0.0.1")).expect("a host");
        through.set_port(Some(port)).expect("a port");
        (Self { state, accepting }, through.to_string())
    }

    /// Breaks every connection, and each new one at once.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Carries nothing any more, old connections or new, and lets nobody know.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Lets new connections through again.
    pub fn restore(&self) {
        self.state.send_replace(State::Open);
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        // The connections end too, as the sender of cuts is gone.
        self.accepting.abort();
    }
}

/// Where the server listens.
#[derive(Clone)]
enum Server {
    Tcp(String, u16),
    Socket(PathBuf),
}

impl Server {
    fn of(options: &PgConnectOptions) -> Self {
        let port = options.get_port();
        match options.get_socket() {
            Some(dir) => Self::Socket(dir.join(format!(".s.PGSQL.{port}"))),
            None => Self::Tcp(options.get_host().to_owned(), port),
        }
    }
}

async fn accept(listener: TcpListener, server: Server, mut states: watch::Receiver<State>) {
    while let Ok((client, _)) = listener.accept().await {
        // Seen here, so that what this connection sees next is a change after its beginning.
        let state = *states.borrow_and_update();
        if state != State::Cut {
            tokio::spawn(carry(client, server.clone(), states.clone()));
        }
    }
}

async fn carry(
    mut client: TcpStream,
    server: Server,
    mut states: watch::Receiver<State>,
) -> io::Result<()> {
    if *states.borrow() == State::Open {
        tokio::select! {
            // Cut, even if it is restored by now; or an error, because the proxy is gone.
            _ = states.changed() => {}
            done = copy(&mut client, server) => return done,
        }
    }
    // Whatever was on its way in silence never arrives.
    while *states.borrow_and_update() == State::Silent {
        if states.changed().await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn copy(client: &mut TcpStream, server: Server) -> io::Result<()> {
    let carried = match server {
        Server::Tcp(host, port) => {
            copy_bidirectional(client, &mut TcpStream::connect((host, port)).await?).await
        }
        Server::Socket(path) => {
            copy_bidirectional(client, &mut UnixStream::connect(path).await?).await
        }
    };
    carried.map(|_| ())
}
