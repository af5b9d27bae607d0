//! The handshake (Adobe RTMP 1.0, section 5.2), simple and with digest.
//!
//! The work is `rml_rtmp`'s, which answers the form that the peer chose. This wrapper hands it no byte
//! beyond the handshake's own, so that what it buffers is bounded, and leaves the rest to the chunk layer.
//! (Its random fill is the one thing in this crate that is not a function of the input.)

use bytes::Bytes;
use rml_rtmp::handshake::{Handshake as Inner, HandshakeProcessResult, PeerType};

use crate::Error;

/// Version byte and two packets of 1536 bytes: what each side sends.
pub const LEN: usize = 1 + 2 * 1536;

/// One side of the handshake.
pub struct Handshake {
    inner: Inner,
    /// Bytes of the peer's half that have not come yet.
    missing: usize,
}

impl Handshake {
    /// The side that connects; also what it sends first (C0 and C1).
    pub fn client() -> Result<(Self, Bytes), Error> {
        let mut inner = Inner::new(PeerType::Client);
        let first = inner.generate_outbound_p0_and_p1().map_err(|error| failed(&error))?;
        Ok((Self { inner, missing: LEN }, first.into()))
    }

    /// The side that listens.
    pub fn server() -> Self {
        Self { inner: Inner::new(PeerType::Server), missing: LEN }
    }

    /// Takes what belongs to the handshake from the front of `input`; returns what is to be sent.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Bytes, Error> {
        let (own, rest) = input.split_at(input.len().min(self.missing));
        *input = rest;
        self.missing -= own.len();
        match self.inner.process_bytes(own).map_err(|error| failed(&error))? {
            HandshakeProcessResult::InProgress { response_bytes }
            | HandshakeProcessResult::Completed { response_bytes, .. } => Ok(response_bytes.into()),
        }
    }

    /// All of the peer's half has been received.
    pub fn is_done(&self) -> bool {
        self.missing == 0
    }
}

fn failed(error: &rml_rtmp::handshake::HandshakeError) -> Error {
    Error::Handshake(error.to_string().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides over a wire that delivers `step` bytes at a time.
    fn shake(step: usize) {
        let (mut client, first) = Handshake::client().unwrap();
        let mut server = Handshake::server();
        let mut to_server = first.to_vec();
        let mut to_client = Vec::new();
        while !(client.is_done() && server.is_done()) {
            for part in std::mem::take(&mut to_server).chunks(step) {
                to_client.extend(server.receive(&mut &part[..]).unwrap());
            }
            for part in std::mem::take(&mut to_client).chunks(step) {
                to_server.extend(client.receive(&mut &part[..]).unwrap());
            }
        }
    }

    #[test]
    fn both_sides_agree_however_the_bytes_are_cut() {
        [1, 2, 1535, 1536, 1537, 3072, 3073, 9000].into_iter().for_each(shake);
    }

    #[test]
    fn bytes_behind_the_handshake_are_left_alone() {
        let mut server = Handshake::server();
        let mut input = vec![0; LEN + 5];
        input[0] = 3;
        let mut rest = &input[..];
        let answer = server.receive(&mut rest).unwrap();
        assert_eq!((answer.len(), rest.len(), server.is_done()), (LEN, 5, true));
        // Without a digest the answer is the simple one: S2 repeats C1.
        assert_eq!(answer[1 + 1536..], input[1..1537]);
    }

    #[test]
    fn an_http_request_is_not_a_handshake() {
        let mut server = Handshake::server();
        assert!(matches!(server.receive(&mut &b"GET / HTTP/1.1\r\n"[..]), Err(Error::Handshake(_))));
    }
}
