//! Imports the SRS of a public ceremony from a `.ptau` file (the snarkjs format).
//!
//! Invariant: a file is accepted for one of two reasons only. Its BLAKE2b-512 is that of a published file of the
//! "Perpetual powers of tau" ceremony, or the caller has said that they trust the ceremony that made it. Either way
//! every point taken from it is checked.
//!
//! Format: `ptau`, version u32 = 1, number of sections u32; each section type u32, size u64, bytes. Section 1: bytes
//! per coordinate u32 = 32, the modulus, power u32. Section 2: s^i·G1, section 3: s^i·G2; affine, coordinates
//! little-endian in Montgomery form, which is this curve library's form in memory.

use std::io::{Read, Seek, SeekFrom};

use halo2_proofs::halo2curves::bn256::{G1Affine, G2Affine};
use halo2_proofs::halo2curves::serde::SerdeObject;

use super::srs::{Srs, SrsError};

/// BLAKE2b-512 of the prepared files `powersOfTau28_hez_final_K.ptau`, as published in the README of snarkjs.
const PUBLISHED: &[(u32, &str)] = &[
    (
        8,
        "d6a8fb3a04feb600096c3b791f936a578c4e664d262e4aa24beed1b7a9a96aa5eb72864d628db247e9293384b74b36ffb52ca8d148d6e1b8b51e279fdf57b583",
    ),
    (
        9,
        "94f108a80e81b5d932d8e8c9e8fd7f46cf32457e31462deeeef37af1b71c2c1b3c71fb0d9b59c654ec266b042735f50311f9fd1d4cadce47ab234ad163157cb5",
    ),
    (
        10,
        "6cfeb8cda92453099d20120bdd0e8a5c4e7706c2da9a8f09ccc157ed2464d921fd0437fb70db42104769efd7d6f3c1f964bcf448c455eab6f6c7d863e88a5849",
    ),
    (
        11,
        "47c282116b892e5ac92ca238578006e31a47e7c7e70f0baa8b687f0a5203e28ea07bbbec765a98dcd654bad618475d4661bfaec3bd9ad2ed12e7abc251d94d33",
    ),
    (
        12,
        "ded2694169b7b08e898f736d5de95af87c3f1a64594013351b1a796dbee393bd825f88f9468c84505ddd11eb0b1465ac9b43b9064aa8ec97f2b73e04758b8a4a",
    ),
    (
        13,
        "58efc8bf2834d04768a3d7ffcd8e1e23d461561729beaac4e3e7a47829a1c9066d5320241e124a1a8e8aa6c75be0ba66f65bc8239a0542ed38e11276f6fdb4d9",
    ),
    (
        14,
        "eeefbcf7c3803b523c94112023c7ff89558f9b8e0cf5d6cdcba3ade60f168af4a181c9c21774b94fbae6c90411995f7d854d02ebd93fb66043dbb06f17a831c1",
    ),
    (
        15,
        "982372c867d229c236091f767e703253249a9b432c1710b4f326306bfa2428a17b06240359606cfe4d580b10a5a1f63fbed499527069c18ae17060472969ae6e",
    ),
    (
        16,
        "6a6277a2f74e1073601b4f9fed6e1e55226917efb0f0db8a07d98ab01df1ccf43eb0e8c3159432acd4960e2f29fe84a4198501fa54c8dad9e43297453efec125",
    ),
    (
        17,
        "6247a3433948b35fbfae414fa5a9355bfb45f56efa7ab4929e669264a0258976741dfbe3288bfb49828e5df02c2e633df38d2245e30162ae7e3bcca5b8b49345",
    ),
    (
        18,
        "7e6a9c2e5f05179ddfc923f38f917c9e6831d16922a902b0b4758b8e79c2ab8a81bb5f29952e16ee6c5067ed044d7857b5de120a90704c1d3b637fd94b95b13e",
    ),
    (
        19,
        "bca9d8b04242f175189872c42ceaa21e2951e0f0f272a0cc54fc37193ff6648600eaf1c555c70cdedfaf9fb74927de7aa1d33dc1e2a7f1a50619484989da0887",
    ),
    (
        20,
        "89a66eb5590a1c94e3f1ee0e72acf49b1669e050bb5f93c73b066b564dca4e0c7556a52b323178269d64af325d8fdddb33da3a27c34409b821de82aa2bf1a27b",
    ),
    (
        21,
        "9aef0573cef4ded9c4a75f148709056bf989f80dad96876aadeb6f1c6d062391f07a394a9e756d16f7eb233198d5b69407cca44594c763ab4a5b67ae73254678",
    ),
    (
        22,
        "0d64f63dba1a6f11139df765cb690da69d9b2f469a1ddd0de5e4aa628abb28f787f04c6a5fb84a235ec5ea7f41d0548746653ecab0559add658a83502d1cb21b",
    ),
    (
        23,
        "3063a0bd81d68711197c8820a92466d51aeac93e915f5136d74f63c394ee6d88c5e8016231ea6580bec02e25d491f319d92e77f5c7f46a9caa8f3b53c0ea544f",
    ),
    (
        24,
        "fa404d140d5819d39984833ca5ec3632cd4995f81e82db402371a4de7c2eae8687c62bc632a95b0c6aadba3fb02680a94e09174b7233ccd26d78baca2647c733",
    ),
];

/// The modulus of bn254's coordinates, little-endian.
const COORDINATE_MODULUS: [u8; 32] = [
    0x47, 0xfd, 0x7c, 0xd8, 0x16, 0x8c, 0x20, 0x3c, 0x8d, 0xca, 0x71, 0x68, 0x91, 0x6a, 0x81, 0x97, 0x5d,
    0x58, 0x81, 0x81, 0xb6, 0x45, 0x50, 0xb8, 0x29, 0xa0, 0x31, 0xe1, 0x72, 0x4e, 0x64, 0x30,
];

const G1_BYTES: u64 = 64;
const G2_BYTES: u64 = 128;

/// Why a ceremony file was refused.
#[derive(Debug, thiserror::Error)]
pub enum PtauError {
    /// Reading failed, or the file ends early.
    #[error("cannot read the ceremony file: {0}")]
    Read(#[from] std::io::Error),
    /// It is no bn254 ceremony file.
    #[error("not a bn254 ceremony file: {0}")]
    Format(&'static str),
    /// Its hash is none of the published ones.
    #[error(
        "BLAKE2b-512 {hash} is not a published file of the Perpetual powers of tau ceremony \
         (powersOfTau28_hez_final_08 to _24); if you trust the ceremony that made it, say so"
    )]
    Unlisted {
        /// The file's hash.
        hash: String,
    },
    /// The file has fewer points than asked for.
    #[error("the file serves circuits up to k = {have}, k = {need} was asked for")]
    TooSmall {
        /// The file's power.
        have: u32,
        /// The power asked for.
        need: u32,
    },
    /// A point is bad.
    #[error(transparent)]
    Srs(#[from] SrsError),
}

/// Reads the first 2^k powers. `trust_unlisted` accepts a file of a ceremony that is not on the published list.
///
/// # Errors
/// Anything that is wrong with the file; nothing is ever taken from it unchecked.
pub fn import_ptau(file: &mut (impl Read + Seek), k: u32, trust_unlisted: bool) -> Result<Srs, PtauError> {
    let hash = hash(file)?;
    let listed = PUBLISHED.iter().any(|(_, published)| *published == hash);
    if !listed && !trust_unlisted {
        return Err(PtauError::Unlisted { hash });
    }
    let sections = sections(file)?;
    let find = |kind: u32| {
        sections
            .iter()
            .find(|s| s.kind == kind)
            .ok_or(PtauError::Format("a section is missing"))
    };
    let power = power(file, find(1)?)?;
    if k > power {
        return Err(PtauError::TooSmall { have: power, need: k });
    }
    let (g1, g2) = (find(2)?, find(3)?);
    if g1.size / G1_BYTES < 1 << k || g2.size / G2_BYTES < 2 {
        return Err(PtauError::Format("a section is too short"));
    }
    let mut points = Vec::new();
    file.seek(SeekFrom::Start(g1.at))?;
    for index in 0..1usize << k {
        let mut bytes = [0u8; G1_BYTES as usize];
        file.read_exact(&mut bytes)?;
        points.push(G1Affine::from_raw_bytes(&bytes).ok_or(SrsError::Point(index))?);
    }
    let mut bytes = [0u8; G2_BYTES as usize];
    file.seek(SeekFrom::Start(g2.at + G2_BYTES))?;
    file.read_exact(&mut bytes)?;
    let s_g2 = G2Affine::from_raw_bytes(&bytes).ok_or(SrsError::Powers("s·G2 is not in its group"))?;
    Ok(Srs::from_powers(points, s_g2)?)
}

fn hash(file: &mut (impl Read + Seek)) -> Result<String, PtauError> {
    let mut state = blake2b_simd::State::new();
    let mut buffer = vec![0u8; 1 << 20];
    file.seek(SeekFrom::Start(0))?;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(state.finalize().to_hex().to_string());
        }
        state.update(&buffer[..n]);
    }
}

struct Section {
    kind: u32,
    at: u64,
    size: u64,
}

fn sections(file: &mut (impl Read + Seek)) -> Result<Vec<Section>, PtauError> {
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut head = [0u8; 12];
    file.read_exact(&mut head)?;
    let count = u32_at(&head, 8);
    if head[..4] != *b"ptau" || u32_at(&head, 4) != 1 || count > 64 {
        return Err(PtauError::Format("another magic, version or number of sections"));
    }
    let (mut sections, mut at) = (Vec::new(), 12u64);
    for _ in 0..count {
        let mut head = [0u8; 12];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        let size = u64::from(u32_at(&head, 4)) | u64::from(u32_at(&head, 8)) << 32;
        at += 12;
        sections.push(Section {
            kind: u32_at(&head, 0),
            at,
            size,
        });
        at = at
            .checked_add(size)
            .filter(|at| *at <= end)
            .ok_or(PtauError::Format("a section goes past the end"))?;
    }
    Ok(sections)
}

fn power(file: &mut (impl Read + Seek), header: &Section) -> Result<u32, PtauError> {
    let mut bytes = [0u8; 40];
    file.seek(SeekFrom::Start(header.at))?;
    file.read_exact(&mut bytes)?;
    if u32_at(&bytes, 0) != 32 || bytes[4..36] != COORDINATE_MODULUS {
        return Err(PtauError::Format("another curve"));
    }
    Ok(u32_at(&bytes, 36))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .iter()
        .take(4)
        .rev()
        .fold(0, |acc, &b| acc << 8 | u32::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2_proofs::poly::commitment::ParamsProver;
    use std::io::Cursor;

    /// A ceremony file with the development SRS's points.
    fn file(k: u32) -> Vec<u8> {
        let srs = Srs::development(k);
        let g1: Vec<u8> = srs.0.get_g().iter().flat_map(SerdeObject::to_raw_bytes).collect();
        let g2 = [srs.0.g2(), srs.0.s_g2()]
            .iter()
            .flat_map(SerdeObject::to_raw_bytes)
            .collect::<Vec<u8>>();
        let header = [
            &32u32.to_le_bytes()[..],
            &COORDINATE_MODULUS,
            &k.to_le_bytes(),
            &k.to_le_bytes(),
        ]
        .concat();
        let mut bytes = [&b"ptau"[..], &1u32.to_le_bytes(), &3u32.to_le_bytes()].concat();
        for (kind, section) in [(1u32, header), (2, g1), (3, g2)] {
            bytes.extend(kind.to_le_bytes());
            bytes.extend((section.len() as u64).to_le_bytes());
            bytes.extend(section);
        }
        bytes
    }

    #[test]
    fn imports_the_points_of_a_trusted_ceremony() {
        let srs = import_ptau(&mut Cursor::new(file(5)), 4, true).unwrap();
        assert_eq!(srs.write(), Srs::development(5).downsize(4).unwrap().write());
    }

    #[test]
    fn refuses_a_ceremony_that_nobody_vouches_for() {
        assert!(matches!(
            import_ptau(&mut Cursor::new(file(4)), 4, false),
            Err(PtauError::Unlisted { .. })
        ));
        assert!(PUBLISHED.iter().all(|(_, h)| h.len() == 128) && PUBLISHED.len() == 17);
    }

    #[test]
    fn refuses_damaged_files_and_never_panics() {
        let good = file(4);
        assert!(matches!(
            import_ptau(&mut Cursor::new(&good), 5, true),
            Err(PtauError::TooSmall { have: 4, need: 5 })
        ));
        for len in 0..good.len() {
            assert!(
                import_ptau(&mut Cursor::new(&good[..len]), 4, true).is_err(),
                "{len} bytes"
            );
        }
        for at in 0..good.len() {
            // The powers are compared only with what is asked for, sections must hold it all the same; the first G2
            // point is not used, for the generator is known.
            let unused = (60..68).contains(&at) || (good.len() - 256..good.len() - 128).contains(&at);
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(
                import_ptau(&mut Cursor::new(&bad), 4, true).is_err(),
                !unused,
                "byte {at}"
            );
        }
    }
}
