use cbc::Encryptor;
use cbc::cipher::BlockModeEncrypt;
use cbc::cipher::block_padding::Pkcs7;
use hex_literal::hex;
use proptest::prelude::*;

use super::super::playlist::KeyMethod;
use super::*;

fn tag(method: KeyMethod) -> playlist::Key {
    playlist::Key { method, uri: Some("https://h/key".to_owned()), iv: None, format: None }
}

fn encrypt(key: &Key, iv: [u8; BLOCK], plain: &[u8]) -> Bytes {
    let mut body = vec![0; (plain.len() / BLOCK + 1) * BLOCK];
    body[..plain.len()].copy_from_slice(plain);
    match key {
        Key::Aes128(key) => Encryptor::<Aes128>::new(key.into(), (&iv).into())
            .encrypt_padded::<Pkcs7>(&mut body, plain.len())
            .map(<[u8]>::len),
        Key::Aes256(key) => Encryptor::<Aes256>::new(key.into(), (&iv).into())
            .encrypt_padded::<Pkcs7>(&mut body, plain.len())
            .map(<[u8]>::len),
    }
    .expect("there is room for the padding");
    body.into()
}

fn packets(count: usize) -> Vec<u8> {
    let mut packet = [1; 188];
    packet[0] = 0x47;
    packet.repeat(count)
}

/// Made by `printf 'GGGGabcdefghijklmnop' | openssl enc -aes-128-cbc -K 00..0f -iv 0..07`, and the like.
#[test]
fn what_openssl_encrypted_is_read() {
    let plain = b"GGGGabcdefghijklmnop";
    let iv = u128::to_be_bytes(7);
    let short = Key::new(Method::Aes128, &hex!("000102030405060708090a0b0c0d0e0f")).unwrap();
    let body = Bytes::from_static(&OPENSSL_128);
    assert_eq!(short.decrypt(&iv, body).unwrap().as_ref(), plain);
    let long = hex!("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let long = Key::new(Method::Aes256, &long).unwrap();
    let body = Bytes::from_static(&OPENSSL_256);
    assert_eq!(long.decrypt(&iv, body).unwrap().as_ref(), plain);
}

const OPENSSL_128: [u8; 32] = hex!("c887815309f1c28895028d6dd0f4c5008948a02d44008a538e910ed9c046072b");
const OPENSSL_256: [u8; 32] = hex!("85efa084ba2359e4d3d738bf5373634b9923323944c4ca9b0363675d3f16e9dc");

#[test]
fn without_a_vector_the_media_sequence_number_is_it_big_endian() {
    let key = tag(KeyMethod::Aes128);
    let plan = Plan::new(&key, 0x0102).unwrap();
    assert_eq!(plan.iv, hex!("00000000000000000000000000000102"));
    assert_eq!((plan.method, plan.key_uri), (Method::Aes128, "https://h/key"));
}

#[test]
fn a_vector_is_a_hexadecimal_number_of_at_most_128_bits() {
    let with = |iv: &str| {
        let key = playlist::Key { iv: Some(iv.to_owned()), ..tag(KeyMethod::Aes128) };
        Plan::new(&key, 9).map(|plan| plan.iv)
    };
    let full = hex!("9c7db8778570d05c3177c349fd9236aa");
    assert_eq!(with("0x9c7db8778570d05c3177c349fd9236aa"), Ok(full));
    assert_eq!(with("0X9C7DB8778570D05C3177C349FD9236AA"), Ok(full));
    assert_eq!(with("0x5"), Ok(u128::to_be_bytes(5)));
    for wrong in ["", "0x", "5", "0x+5", "0xg", "0x019c7db8778570d05c3177c349fd9236aa"] {
        assert_eq!(with(wrong), Err(CryptError::BadIv), "{wrong:?}");
    }
}

#[test]
fn what_is_not_decrypted_is_named() {
    let line = |key: playlist::Key| Plan::new(&key, 0).expect_err("it is refused").to_string();
    assert_eq!(
        line(tag(KeyMethod::Other("AES-256-CTR".into()))),
        "encryption METHOD=AES-256-CTR is not supported"
    );
    let fairplay = "com.apple.streamingkeydelivery".into();
    assert_eq!(
        line(playlist::Key { format: Some(fairplay), ..tag(KeyMethod::SampleAes) }),
        "protected by FairPlay (METHOD=SAMPLE-AES, KEYFORMAT=\"com.apple.streamingkeydelivery\"): not supported"
    );
    assert_eq!(line(playlist::Key { uri: None, ..tag(KeyMethod::Aes128) }), "EXT-X-KEY has no URI");
    let identity = playlist::Key { format: Some("identity".into()), ..tag(KeyMethod::Aes128) };
    assert!(Plan::new(&identity, 0).is_ok());
    assert_eq!(Plan::new(&tag(KeyMethod::SampleAes), 0).map(|plan| plan.method), Ok(Method::SampleAes));
    let long = tag(KeyMethod::Other("AES-256".into()));
    assert_eq!(Plan::new(&long, 0).map(|plan| plan.method), Ok(Method::Aes256));
}

#[test]
fn keys_of_another_length_are_refused_and_none_is_shown() {
    let wrong = Key::new(Method::Aes128, b"<html>not found</html>");
    assert_eq!(wrong, Err(CryptError::KeyLength { expected: 16, actual: 22 }));
    assert_eq!(Key::new(Method::Aes256, &[0; 16]), Err(CryptError::KeyLength { expected: 32, actual: 16 }));
    let key = Key::new(Method::Aes128, &[0xab; 16]).unwrap();
    assert_eq!(format!("{key:?}"), "Aes128(…)");
}

/// Keys saved with an editor, printed by a template, stored as text.
#[test]
fn a_key_is_read_in_every_form_that_servers_send_it() {
    let raw: [u8; 16] = hex!("000102030405060708090a0b0c0d0e20");
    for body in [
        &raw[..],
        &[&raw[..], b"\n"].concat(),
        &[&raw[..], b"\r\n"].concat(),
        &[&raw[..], b" \t\n\n"].concat(),
        b"000102030405060708090a0b0c0d0e20",
        b"0x000102030405060708090A0B0C0D0E20\r\n",
        b"AAECAwQFBgcICQoLDA0OIA==\n",
    ] {
        let key = Key::new(Method::Aes128, body);
        assert_eq!(key, Ok(Key::Aes128(raw)), "{}", body.escape_ascii());
        assert_eq!(Key::new(Method::SampleAes, body), key);
    }
    let long: [u8; 32] = [0x61; 32];
    for body in [&long[..], &[&long[..], b"\r\n"].concat(), "61".repeat(32).as_bytes()] {
        assert_eq!(Key::new(Method::Aes256, body), Ok(Key::Aes256(long)), "{}", body.escape_ascii());
    }
    for body in [&[b' '; 15][..], b"", b"0123456789abcdefg", &[7; 24], "6".repeat(31).as_bytes()] {
        let actual = body.len();
        assert_eq!(Key::new(Method::Aes128, body), Err(CryptError::KeyLength { expected: 16, actual }));
    }
}

#[test]
fn a_body_of_broken_length_or_padding_is_refused() {
    let key = Key::Aes128([7; 16]);
    for length in [0, 1, 15, 17] {
        let refused = key.decrypt(&[0; 16], Bytes::from(vec![0; length]));
        assert_eq!(refused, Err(CryptError::BodyLength { length }));
    }
    let body = encrypt(&key, [0; 16], &[0x47; 188]);
    let cut = body.slice(..body.len() - BLOCK);
    assert_eq!(key.decrypt(&[0; 16], cut), Err(CryptError::Padding));
}

#[test]
fn a_body_that_nobody_else_holds_is_decrypted_where_it_lies() {
    let key = Key::Aes128([7; 16]);
    let mut received = BytesMut::with_capacity(1 << 12);
    received.extend_from_slice(&encrypt(&key, [1; 16], &[0x47; 1880]));
    let body = received.freeze();
    let at = body.as_ptr();
    let plain = key.decrypt(&[1; 16], body).unwrap();
    assert_eq!(plain.as_ptr(), at);
    assert_eq!(plain.as_ref(), [0x47; 1880]);
    let shared = encrypt(&key, [1; 16], &[0x47; 1880]);
    let kept = shared.clone();
    assert_eq!(key.decrypt(&[1; 16], shared).unwrap().as_ref(), [0x47; 1880]);
    assert_ne!(kept.as_ref()[..188], [0x47; 188], "who else holds it sees no change");
}

#[test]
fn a_key_that_was_changed_under_its_address_is_noticed_before_the_body_is_touched() {
    let (old, new) = (Key::Aes128([1; 16]), Key::Aes128([2; 16]));
    for plain in [&[0x47; 188][..], b"\0\0\0\x18ftypmp42\0\0\0\0", b"ID3\x04\0\0\0\0\0\0", b"\xff\xf1\x50"] {
        let body = encrypt(&new, [9; 16], plain);
        assert!(new.fits(&[9; 16], &body));
        assert!(!old.fits(&[9; 16], &body));
    }
    // SRS: 752 bytes are four packets and 47 blocks, and nothing is added.
    let mut bare = encrypt(&new, [9; 16], &packets(4)).to_vec();
    bare.truncate(752);
    assert!(new.fits(&[9; 16], &bare) && !old.fits(&[9; 16], &bare));
    for short in [&[][..], &[0; 15], &[0; 17]] {
        assert!(!new.fits(&[9; 16], short));
    }
}

#[test]
fn a_segment_without_padding_is_whole_with_either_key_length() {
    for key in [Key::Aes128([7; 16]), Key::Aes256([7; 32])] {
        for count in [4, 8, 400] {
            let plain = packets(count);
            let bare = encrypt(&key, [1; 16], &plain).slice(..plain.len());
            assert_eq!(key.decrypt(&[1; 16], bare).unwrap().as_ref(), plain, "{key:?}");
        }
    }
    let bare = encrypt(&Key::Aes128([7; 16]), [1; 16], &packets(4)).slice(..752);
    assert_eq!(Key::Aes128([8; 16]).decrypt(&[1; 16], bare), Err(CryptError::Padding), "another key");
}

proptest! {
    #[test]
    fn what_was_encrypted_comes_back(
        plain in prop::collection::vec(any::<u8>(), 0..600),
        long in any::<bool>(),
        key in any::<[u8; 32]>(),
        sequence in any::<u64>(),
    ) {
        let key = if long { Key::Aes256(key) } else { Key::new(Method::Aes128, &key[..16]).unwrap() };
        let iv = u128::from(sequence).to_be_bytes();
        let body = encrypt(&key, iv, &plain);
        let decrypted = key.decrypt(&iv, body).unwrap();
        prop_assert_eq!(decrypted.as_ref(), plain.as_slice());
    }

    #[test]
    fn any_body_is_decrypted_or_refused(body in prop::collection::vec(any::<u8>(), 0..200), key: [u8; 16]) {
        let key = Key::Aes128(key);
        let whole = !body.is_empty() && body.len().is_multiple_of(BLOCK);
        key.fits(&[0; 16], &body);
        match key.decrypt(&[0; 16], Bytes::from(body.clone())) {
            Ok(plain) => prop_assert!(whole && plain.len() <= body.len() && body.len() - plain.len() <= BLOCK),
            Err(CryptError::BodyLength { length }) => prop_assert!(!whole && length == body.len()),
            Err(error) => prop_assert!(whole && error == CryptError::Padding),
        }
    }
}
