//! Heads that others have kept, held against those that are there.

use std::path::Path;

use crate::cli::client::ClientError;
use crate::serve::http::types::{TraceHead, TraceHeads, VerifiedTraces};

/// What `traces heads --json` gave once.
pub(super) fn read(path: &Path) -> Result<TraceHeads, ClientError> {
    let local = |error: &dyn std::fmt::Display| ClientError::Local(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| local(&error))?;
    let left: TraceHeads = serde_json::from_str(&text).map_err(|error| local(&error))?;
    if left.heads.is_empty() {
        return Err(local(&"there is no head in it: nothing can be held against it"));
    }
    Ok(left)
}

/// Tells of each head that was left with others and is not there any more, or is another one, among what a verification found.
pub(super) fn hold(left: &TraceHeads, there: &TraceHeads, found: &mut VerifiedTraces) {
    let is_of_another_key = left.public_key != there.public_key;
    for stream in &mut found.streams {
        let of_stream = |heads: &'_ &TraceHead| heads.stream == stream.stream;
        let lacking = left.heads.iter().filter(of_stream).filter_map(|head| lacks(head, there));
        stream.problems.extend(lacking.collect::<Vec<_>>());
        if is_of_another_key {
            stream.problems.push("the heads that were left with others are signed with another key".into());
        }
    }
    found.good = found.streams.iter().all(|stream| stream.problems.is_empty() && stream.more_problems == 0);
}

fn lacks(left: &TraceHead, there: &TraceHeads) -> Option<String> {
    let same_day = |head: &&TraceHead| (&head.stream, &head.day) == (&left.stream, &left.day);
    let (day, hash) = (&left.day, &left.hash);
    match there.heads.iter().find(same_day) {
        None => Some(format!("{day}: there is no head any more, and others have {hash}")),
        Some(head) if head.hash != left.hash => {
            Some(format!("{day}: the head is {}, and others have {hash}", head.hash))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http::types::VerifiedStream;

    fn head(stream: &str, day: &str, hash: &str) -> TraceHead {
        let text = str::to_owned;
        let (stream, day, hash) = (text(stream), text(day), text(hash));
        TraceHead { stream, day, lines: 1, hash, signature: String::new(), forgotten: false }
    }

    fn heads(key: &str, heads: &[TraceHead]) -> TraceHeads {
        TraceHeads { public_key: key.into(), public_key_pem: String::new(), heads: heads.to_vec() }
    }

    #[test]
    fn a_head_that_others_have_and_that_is_gone_or_another_shows() {
        let stream = |name: &str| VerifiedStream {
            stream: name.into(),
            days: 1,
            blocks: 1,
            lines: 1,
            problems: Vec::new(),
            more_problems: 0,
        };
        let verified = || VerifiedTraces { good: true, streams: vec![stream("functional"), stream("technical")] };
        let there = heads("k", &[head("functional", "2026-11-24", "aa"), head("technical", "2026-11-24", "bb")]);
        let problems = |left: &TraceHeads| {
            let mut found = verified();
            hold(left, &there, &mut found);
            let problems: Vec<String> = found.streams.into_iter().flat_map(|stream| stream.problems).collect();
            assert_eq!(found.good, problems.is_empty());
            problems
        };
        assert_eq!(problems(&heads("k", &there.heads[..1])), [""; 0]);
        let gone = problems(&heads("k", &[head("functional", "2026-11-23", "aa")]));
        assert_eq!(gone, ["2026-11-23: there is no head any more, and others have aa"]);
        let other = problems(&heads("k", &[head("technical", "2026-11-24", "aa")]));
        assert_eq!(other, ["2026-11-24: the head is bb, and others have aa"]);
        assert_eq!(problems(&heads("other", &there.heads)).len(), 2);
    }
}
