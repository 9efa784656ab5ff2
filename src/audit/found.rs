//! What a start found wrong with the day files, told.

use crate::store::traces::TraceOpening;

use super::Stream;

/// Tells what does not come from a crash alone, each sort in a line of the log; says how many things that is.
pub(super) fn tell(stream: Stream, opening: &TraceOpening) -> u64 {
    let TraceOpening { torn: _, damaged, sealed_late, missing, strange, heads_rebuilt } = opening;
    let days = |days: &[crate::store::traces::Day]| days.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let damaged: Vec<_> =
        damaged.iter().map(|damage| format!("{} from octet {} to {}", damage.day, damage.from, damage.to)).collect();
    let heads = if *heads_rebuilt { "heads.altered" } else { "" };
    let found = [
        ("missing", missing.len(), days(missing), "files of days are gone, and were not forgotten"),
        (
            "strange",
            strange.len(),
            days(strange),
            "files lie under days that the heads do not name, or that were forgotten",
        ),
        ("damaged", damaged.len(), damaged.join(", "), "stretches of the open day do not read"),
        ("sealed-late", sealed_late.len(), days(sealed_late), "days had lost their ends"),
        ("heads", usize::from(*heads_rebuilt), heads.to_owned(), "the heads were gone or altered, and were made again"),
    ];
    for (kind, count, what, words) in found.iter().filter(|(_, count, ..)| *count > 0) {
        let stream = stream.name();
        tracing::error!(
            event = "traces.found",
            stream,
            kind,
            count,
            what,
            "the traces are not as they were written: {words}"
        );
    }
    found.iter().map(|(_, count, ..)| *count as u64).sum()
}
