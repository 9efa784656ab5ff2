//! Day files of traces: whatever the bytes are, a walk covers them all, once; and a whole block is found again behind damage.

use caducee::store::traces::{
    BLOCK_HEADER, BlockFormat, BlockHead, BlockHeader, BlockKind, Day, ExaminedBlock, examine,
};

/// One input of the fuzzer. The bytes are read as they are, and as what lies in whole blocks, of which one is then damaged.
pub fn check(data: &[u8]) {
    assert_covers(&examine(data), data);
    if let Some(header) = data.first_chunk().and_then(BlockHeader::decode) {
        assert_eq!(header.encode()[..], data[..BLOCK_HEADER], "what reads as a header is written the same");
    }
    let (file, ends) = blocks(data);
    let pieces = examine(&file);
    assert_covers(&pieces, &file);
    assert_eq!(pieces.iter().map(|piece| piece.to as usize).collect::<Vec<_>>(), ends);
    assert!(pieces.iter().all(|piece| piece.is_whole));
    damage(&file, &ends, data);
}

/// Flips one bit: the block that it lies in is lost, and no other.
fn damage(file: &[u8], ends: &[usize], data: &[u8]) {
    // A payload that holds a header is the fuzzer's: a sealed one is noise.
    if file.is_empty() || holds_a_header(file, ends) {
        return;
    }
    let seed = data.iter().fold(data.len(), |seed, byte| seed.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let at = seed % file.len();
    let mut damaged = file.to_vec();
    damaged[at] ^= 1 << (seed % 8);
    if holds_a_header(&damaged, ends) {
        return;
    }
    let pieces = examine(&damaged);
    assert_covers(&pieces, &damaged);
    let lost: Vec<_> = pieces.iter().filter(|piece| !piece.is_whole).collect();
    assert_eq!(lost.len(), 1);
    assert!((lost[0].from as usize..lost[0].to as usize).contains(&at));
    assert_eq!(pieces.iter().map(|piece| piece.to as usize).collect::<Vec<_>>(), ends);
}

fn holds_a_header(file: &[u8], ends: &[usize]) -> bool {
    let is_start = |at: &usize| *at == 0 || ends.contains(at);
    let is_header = |at: &usize| file[*at..].first_chunk().and_then(BlockHeader::decode).is_some();
    (0..file.len()).filter(|at| !is_start(at)).any(|at| is_header(&at))
}

/// The input cut into blocks by its own bytes; and where each ends.
fn blocks(mut data: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut out, mut ends) = (Vec::new(), Vec::new());
    while let Some((&first, rest)) = data.split_first() {
        let (payload, later) = rest.split_at(rest.len().min(usize::from(first)));
        data = later;
        let kind = if first % 2 == 0 { BlockKind::Lines } else { BlockKind::Seal };
        let number = ends.len() as u32;
        let day = Day::from_number(u32::from(first) * 1000);
        let head =
            BlockHead { kind, day, number, before: 0, first: 1, last: u64::MAX, count: 1, previous: [first; 32] };
        let format = if first % 3 == 0 { BlockFormat::One } else { BlockFormat::Two };
        let (length, payload_crc) = (payload.len() as u32, crc32c::crc32c(payload));
        let header = BlockHeader { format, length, payload_crc, head, hash: [7; 32], signature: [first; 64] };
        out.extend_from_slice(&header.encode());
        out.extend_from_slice(payload);
        ends.push(out.len());
    }
    (out, ends)
}

fn assert_covers(pieces: &[ExaminedBlock], file: &[u8]) {
    let mut at = 0;
    for piece in pieces {
        assert_eq!(piece.from, at);
        assert!(piece.to > piece.from);
        assert!(piece.header.is_some() || !piece.is_whole);
        at = piece.to;
    }
    assert_eq!(at as usize, file.len());
}
