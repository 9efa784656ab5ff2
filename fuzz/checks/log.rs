//! The log: whatever a segment's bytes are, a walk covers them all, once; and a whole frame is found again behind damage.

use caducee::store::embedded::frame::{BODY_PREFIX, FRAME_HEADER, Header, Kind, NoHeader, Salt, read_records};
use caducee::store::embedded::{Examined, SEGMENT_HEADER, examine};

const SALT: Salt = [7; 16];

/// One input of the fuzzer. The bytes are read as they are, as a commit's payload, and as what lies in whole frames, of
/// which one is then damaged.
pub fn check(data: &[u8]) {
    let raw = segment(data);
    if let Some(pieces) = examine(&raw, &SALT) {
        assert_covers(&pieces, &raw);
    }
    for kind in [Kind::Body, Kind::Commit, Kind::Moved] {
        let header = Header { kind, length: data.len() as u32, synced: 0, sequence: 1 << 32, payload_crc: 0 };
        if let Some((version, operations)) = read_records(&header, data) {
            assert_eq!(version < header.sequence, kind == Kind::Moved);
            assert!(operations.iter().all(|operation| operation.key().len() <= data.len()));
        }
    }
    let (frames, ends) = framed(data);
    let whole = segment(&frames);
    let pieces = examine(&whole, &SALT).expect("frames of this version are walked over");
    assert_covers(&pieces, &whole);
    assert_eq!(pieces.iter().map(|piece| piece.to).collect::<Vec<_>>(), ends);
    assert!(pieces.iter().all(|piece| piece.header.is_some()));
    damage(&whole, &ends, data);
}

/// Whether a payload holds what is a header under the salt: a store's salt is random and told to nobody, so that takes
/// luck of one in 2⁶⁴ an octet; the fuzzer, which watches the checksums being compared, does it on purpose.
fn holds_a_header(whole: &[u8], ends: &[u32]) -> bool {
    let starts = [SEGMENT_HEADER].into_iter().chain(ends.iter().copied());
    let starts: Vec<usize> = starts.map(|start| start as usize).collect();
    let is_header = |at: &usize| {
        let bytes = whole[*at..].first_chunk().expect("a window has a header's length");
        !matches!(Header::decode(bytes, &SALT), Err(NoHeader::Invalid))
    };
    let windows = SEGMENT_HEADER as usize..(whole.len() + 1).saturating_sub(FRAME_HEADER);
    windows.filter(|at| !starts.contains(at)).any(|at| is_header(&at))
}

/// Flips one bit: the frame that it lies in is lost, and no other.
fn damage(whole: &[u8], ends: &[u32], data: &[u8]) {
    let length = whole.len() - SEGMENT_HEADER as usize;
    if length == 0 {
        return;
    }
    let seed = data.iter().fold(data.len(), |seed, byte| seed.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let at = SEGMENT_HEADER as usize + seed % length;
    let mut damaged = whole.to_vec();
    damaged[at] ^= 1 << (seed % 8);
    // Before or behind the flip: the fuzzer sees both compared.
    if holds_a_header(whole, ends) || holds_a_header(&damaged, ends) {
        return;
    }
    // A bit of the version's byte cannot make a newer frame: the header's checksum stands before it.
    let pieces = examine(&damaged, &SALT).expect("damage is not taken for a newer version");
    assert_covers(&pieces, &damaged);
    let lost = pieces.iter().filter(|piece| piece.header.is_none()).collect::<Vec<_>>();
    assert_eq!(lost.len(), 1);
    assert!((lost[0].from as usize..lost[0].to as usize).contains(&at));
    assert_eq!(pieces.iter().map(|piece| piece.to).collect::<Vec<_>>(), ends);
}

fn segment(frames: &[u8]) -> Vec<u8> {
    [vec![0; SEGMENT_HEADER as usize], frames.to_vec()].concat()
}

/// The input cut into frames by its own bytes; and where each ends in the segment.
fn framed(mut data: &[u8]) -> (Vec<u8>, Vec<u32>) {
    let (mut out, mut ends) = (Vec::new(), Vec::new());
    while let Some((&first, rest)) = data.split_first() {
        let (payload, later) = rest.split_at(rest.len().min(usize::from(first)));
        data = later;
        let kind = match first % 4 {
            0 | 2 if payload.len() >= BODY_PREFIX => Kind::Body,
            3 => Kind::Moved,
            _ => Kind::Commit,
        };
        let payload_crc = crc32c::crc32c(payload);
        let header = Header { kind, length: payload.len() as u32, synced: 0, sequence: ends.len() as u64, payload_crc };
        out.extend_from_slice(&header.encode(&SALT));
        out.extend_from_slice(payload);
        ends.push(SEGMENT_HEADER + out.len() as u32);
    }
    (out, ends)
}

fn assert_covers(pieces: &[Examined], segment: &[u8]) {
    let mut at = SEGMENT_HEADER;
    for piece in pieces {
        assert_eq!(piece.from, at);
        assert!(piece.to > piece.from);
        let least = if piece.header.is_some() { FRAME_HEADER as u32 } else { 1 };
        assert!(piece.to - piece.from >= least);
        at = piece.to;
    }
    assert_eq!(at as usize, segment.len().max(SEGMENT_HEADER as usize));
}
