//! Frames: the self-describing pieces of the log.

use crate::store::schema::BodyId;

/// Length of a frame's header in bytes.
pub const FRAME_HEADER: usize = 32;
/// Length of what a body frame says before its ciphertext: body, chunk number, whether it is the last.
pub const BODY_PREFIX: usize = 16;

/// What a body frame says before its ciphertext.
pub(crate) fn body_prefix(body: BodyId, index: u32, last: bool) -> [u8; BODY_PREFIX] {
    let mut prefix = [0; BODY_PREFIX];
    prefix[..8].copy_from_slice(&body.0.to_le_bytes());
    prefix[8..12].copy_from_slice(&index.to_le_bytes());
    prefix[12] = u8::from(last);
    prefix
}
