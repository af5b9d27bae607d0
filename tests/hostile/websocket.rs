//! WebSockets by hand (RFC 6455): frames that no library would send, from peers that do not read.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Written in one go.
const CHUNK: usize = 64 << 10;

/// Who sends a frame: clients mask theirs (RFC 6455 5.3), here with zeros.
#[derive(Clone, Copy, PartialEq)]
pub enum From {
    Client,
    Server,
}

/// A whole message in one frame (RFC 6455 5.2).
pub fn frame(from: From, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = if from == From::Client { 0x80 } else { 0 };
    let mut out = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..126 => out.push(mask | len as u8),
        len @ 126..0x1_0000 => {
            out.push(mask | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(mask | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    if from == From::Client {
        out.extend([0; 4]);
    }
    out.extend(payload);
    out
}

/// The same message as often as fits into one write, once at least.
pub fn many(frame: &[u8]) -> Vec<u8> {
    frame.repeat((CHUNK / frame.len()).max(1))
}

/// Opens one at a service, as Engine.IO has it; `query` begins with `&` or is empty.
pub async fn connect(port: u16, query: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let answer = read_until(&mut stream, "\r\n\r\n").await?;
    if !answer.starts_with("HTTP/1.1 101") {
        return Err(io::Error::other(answer));
    }
    Ok(stream)
}

/// Opens one and joins the event channel.
pub async fn join(port: u16, token: &str) -> io::Result<TcpStream> {
    let mut stream = connect(port, &format!("&token={token}")).await?;
    stream.write_all(&frame(From::Client, TEXT, b"40")).await?;
    read_until(&mut stream, "40{\"sid\"").await?;
    Ok(stream)
}

/// Accepts one as a processor does, and lets the client into its namespace.
pub async fn accept(mut stream: TcpStream) -> io::Result<TcpStream> {
    let head = read_until(&mut stream, "\r\n\r\n").await?;
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    });
    let key = derive_accept_key(key.unwrap_or_default().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {key}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    let open =
        br#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100000000}"#;
    stream.write_all(&frame(From::Server, TEXT, open)).await?;
    // The client's CONNECT; its mask is not taken off.
    let mut connect = [0; 8];
    stream.read_exact(&mut connect).await?;
    stream.write_all(&frame(From::Server, TEXT, br#"40{"sid":"x"}"#)).await?;
    Ok(stream)
}

/// Writes `chunk` without end, and reads nothing.
pub async fn flood(stream: &mut TcpStream, chunk: &[u8]) -> io::Error {
    loop {
        if let Err(error) = stream.write_all(chunk).await {
            return error;
        }
    }
}

/// Everything up to `end` and what came with it.
async fn read_until(stream: &mut TcpStream, end: &str) -> io::Result<String> {
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&read);
        if text.contains(end) {
            return Ok(text.into_owned());
        }
    }
}
