//! Checkpoints: up to where in the log the index is durable.

use std::fs;
use std::io;
use std::path::Path;

use super::durable;
use super::index::Position;

/// Notes a checkpoint durably: one line of text, closed by its checksum.
pub(super) fn write(path: &Path, position: Position) -> io::Result<()> {
    durable::write(path, encode(position).as_bytes())
}

/// Reads the checkpoint. A missing or damaged one is none: the whole log is replayed.
pub(super) fn read(path: &Path) -> Option<Position> {
    decode(&fs::read_to_string(path).ok()?)
}

fn encode(Position { segment, offset, sequence }: Position) -> String {
    let line = format!("caducee-checkpoint 1 {segment} {offset} {sequence}");
    let crc = crc32c::crc32c(line.as_bytes());
    format!("{line} {crc:08x}\n")
}

fn decode(text: &str) -> Option<Position> {
    let (line, crc) = text.strip_suffix('\n')?.rsplit_once(' ')?;
    if u32::from_str_radix(crc, 16).ok()? != crc32c::crc32c(line.as_bytes()) {
        return None;
    }
    let mut words = line.strip_prefix("caducee-checkpoint 1 ")?.split(' ');
    let position = Position {
        segment: words.next()?.parse().ok()?,
        offset: words.next()?.parse().ok()?,
        sequence: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_a_damaged_one_is_none() {
        let position = Position { segment: 3, offset: 99, sequence: 12345 };
        let text = encode(position);
        assert_eq!(decode(&text), Some(position));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert_eq!(String::from_utf8(changed).ok().and_then(|text| decode(&text)), None, "byte {at}");
            assert_eq!(decode(&text[..at]), None);
        }
    }
}
