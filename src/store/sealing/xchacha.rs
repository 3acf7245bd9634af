//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): HChaCha20 makes a key of its own for each value out of the key and the first 16 bytes
//! of the nonce; ring's ChaCha20-Poly1305 (RFC 8439, in assembler) does the rest. The crate `chacha20poly1305`, against which the tests
//! hold this file, is generic and is compiled anew without optimisation in every debug build: there it takes 100 µs a value, this 2.
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::error::Unspecified;
use zeroize::Zeroizing;

/// Bytes of a key, of a nonce and of a tag.
pub(super) const KEY: usize = 32;
pub(super) const NONCE: usize = 24;
pub(super) const TAG: usize = 16;

/// Encrypts in place; the tag is returned.
pub(super) fn seal(key: &[u8; KEY], nonce: &[u8; NONCE], associated: &[u8], text: &mut [u8]) -> Result<[u8; TAG], Unspecified> {
    let (key, nonce) = inner(key, nonce)?;
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(associated), text)?;
    tag.as_ref().try_into().map_err(|_| Unspecified)
}

/// Decrypts what ends with its tag.
pub(super) fn open(key: &[u8; KEY], nonce: &[u8; NONCE], associated: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>, Unspecified> {
    let (key, nonce) = inner(key, nonce)?;
    let length = key.open_in_place(nonce, Aad::from(associated), &mut sealed)?.len();
    sealed.truncate(length);
    Ok(sealed)
}

/// The key and the nonce of RFC 8439 for one value.
fn inner(key: &[u8; KEY], nonce: &[u8; NONCE]) -> Result<(LessSafeKey, Nonce), Unspecified> {
    let (head, tail) = nonce.split_first_chunk::<16>().ok_or(Unspecified)?;
    let subkey = hchacha20(key, head);
    let mut short = [0; 12];
    short.last_chunk_mut::<8>().ok_or(Unspecified)?.copy_from_slice(tail);
    Ok((LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, subkey.as_slice())?), Nonce::assume_unique_for_key(short)))
}

/// The block function of ChaCha20 (20 rounds) without the last addition; the first and the last row of the state are the result.
fn hchacha20(key: &[u8; KEY], nonce: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    let words = |bytes: &[u8]| -> [u32; 4] {
        let (four, _) = bytes.as_chunks::<4>();
        std::array::from_fn(|i| four.get(i).copied().map_or(0, u32::from_le_bytes))
    };
    let (low, high) = key.split_at(16);
    // "expand 32-byte k"
    let [mut a0, mut a1, mut a2, mut a3] = [0x6170_7865_u32, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
    let [mut b0, mut b1, mut b2, mut b3] = words(low);
    let [mut c0, mut c1, mut c2, mut c3] = words(high);
    let [mut d0, mut d1, mut d2, mut d3] = words(nonce);
    macro_rules! quarter {
        ($a:ident $b:ident $c:ident $d:ident) => {
            $a = $a.wrapping_add($b);
            $d = ($d ^ $a).rotate_left(16);
            $c = $c.wrapping_add($d);
            $b = ($b ^ $c).rotate_left(12);
            $a = $a.wrapping_add($b);
            $d = ($d ^ $a).rotate_left(8);
            $c = $c.wrapping_add($d);
            $b = ($b ^ $c).rotate_left(7);
        };
    }
    for _ in 0..10 {
        quarter!(a0 b0 c0 d0);
        quarter!(a1 b1 c1 d1);
        quarter!(a2 b2 c2 d2);
        quarter!(a3 b3 c3 d3);
        quarter!(a0 b1 c2 d3);
        quarter!(a1 b2 c3 d0);
        quarter!(a2 b3 c0 d1);
        quarter!(a3 b0 c1 d2);
    }
    let mut out = Zeroizing::new([0; 32]);
    for (place, word) in out.as_chunks_mut::<4>().0.iter_mut().zip([a0, a1, a2, a3, d0, d1, d2, d3]) {
        *place = word.to_le_bytes();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20poly1305::aead::{Aead, KeyInit, Payload};
    use chacha20poly1305::{XChaCha20Poly1305, XNonce};

    #[test]
    fn the_key_of_a_value_is_that_of_the_draft() {
        // draft-irtf-cfrg-xchacha-03, section 2.2.1
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let nonce = [0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0, 0x31, 0x41, 0x59, 0x27];
        let hex: String = hchacha20(&key, &nonce).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");
    }

    #[test]
    fn it_writes_and_reads_what_another_implementation_does() {
        for length in [0_usize, 1, 14, 63, 64, 65, 1_000] {
            let key: [u8; 32] = std::array::from_fn(|i| (i * 7 + length) as u8);
            let nonce: [u8; 24] = std::array::from_fn(|i| (i * 11 + length) as u8);
            let text: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let other = XChaCha20Poly1305::new_from_slice(&key).unwrap();
            let theirs = other.encrypt(&XNonce::from(nonce), Payload { msg: &text, aad: b"place" }).unwrap();
            let mut ours = text.clone();
            let tag = seal(&key, &nonce, b"place", &mut ours).unwrap();
            ours.extend_from_slice(&tag);
            assert_eq!(ours, theirs);
            assert_eq!(open(&key, &nonce, b"place", theirs.clone()).unwrap(), text);
            assert!(open(&key, &nonce, b"elsewhere", theirs).is_err());
        }
    }
}
