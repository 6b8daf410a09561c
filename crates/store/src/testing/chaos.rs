//! A network between Postgres and its client that a test can cut.

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
    is_cut: watch::Sender<bool>,
    accepting: JoinHandle<()>,
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
        let (is_cut, cuts) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, server, cuts));
        let mut through = options.to_url_lossy();
        through.set_host(Some("127.0.0.1")).expect("a host");
        through.set_port(Some(port)).expect("a port");
        (Self { is_cut, accepting }, through.to_string())
    }

    /// Breaks every connection, and each new one at once.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets new connections through again.
    pub fn restore(&self) {
        self.is_cut.send_replace(false);
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

async fn accept(listener: TcpListener, server: Server, mut cuts: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        // Seen here, so that what this connection sees next is a cut after its beginning.
        if !*cuts.borrow_and_update() {
            tokio::spawn(carry(client, server.clone(), cuts.clone()));
        }
    }
}

async fn carry(
    mut client: TcpStream,
    server: Server,
    mut cuts: watch::Receiver<bool>,
) -> io::Result<()> {
    let carried = async {
        match server {
            Server::Tcp(host, port) => {
                let mut server = TcpStream::connect((host, port)).await?;
                copy_bidirectional(&mut client, &mut server).await
            }
            Server::Socket(path) => {
                let mut server = UnixStream::connect(path).await?;
                copy_bidirectional(&mut client, &mut server).await
            }
        }
    };
    tokio::select! {
        // Cut, even if it is restored by now; or an error, because the proxy is gone.
        _ = cuts.changed() => Ok(()),
        done = carried => done.map(|_| ()),
    }
}
