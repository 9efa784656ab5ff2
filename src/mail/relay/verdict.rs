//! From what happened to what it means: each recipient's verdict, in words.

use crate::mail::queue::{Attempt, Destination, Outcome, Verdict, Words};
use crate::wire::smtp::reply::{EnhancedCode, Reply};
use crate::wire::smtp::sender::{BodyError, Failure, Unfit};

use super::line::Broken;
use super::session::{Hitch, trouble};
use super::transaction::{End, Sent};
use super::{Host, Trouble};

/// Characters of a peer's words that are kept.
const MOST_WORDS: usize = 500;

/// The words of a verdict.
pub(super) fn words_of(verdict: &Verdict) -> &Words {
    match verdict {
        Verdict::Relayed { words, .. } | Verdict::Deferred(words) | Verdict::Failed(words) => words,
    }
}

/// The outcome of an attempt that no host had a transaction for.
pub(super) fn of_hitch(attempt: &Attempt, hitch: &Hitch, host: Option<&Host>) -> Outcome {
    match hitch {
        Hitch::Trouble(trouble) => {
            let words = of_trouble(trouble, host);
            let destination = match trouble {
                lasting if lasting.lasts() => Destination::Reached,
                Trouble { rule: "no-room", .. } => Destination::Crowded,
                Trouble { is_ours: true, .. } => Destination::Unready(words.clone()),
                _ => Destination::Away(words.clone()),
            };
            for_all(attempt, verdict_of_trouble(trouble, words), destination)
        }
        // Before any message: the host's own condition, whatever the code says (RFC 5321 §3.8, §4.3.2).
        Hitch::Refused(reply) => for_all(attempt, deferred(of_reply(reply, host)), Destination::Busy),
    }
}

/// The outcome of an attempt that had its transaction.
pub(super) fn of_transaction(attempt: &Attempt, sent: &Sent, host: &Host) -> Outcome {
    let end = of_end(sent, host);
    let verdict = |answer: &Option<Reply>| match answer {
        Some(reply) if !reply.is_positive() => of_refusal(reply, host),
        _ => end.clone(),
    };
    let recipients = attempt.recipients.iter().zip(&sent.answers);
    let recipients = recipients.map(|(recipient, answer)| (recipient.number, verdict(answer))).collect();
    Outcome { recipients, destination: destination(&sent.end) }
}

fn destination(end: &End) -> Destination {
    match end {
        // Our own message is at fault.
        End::Broken(Broken::Failed(Failure::Body(_))) => Destination::Reached,
        End::Broken(_) => Destination::Busy,
        End::Answered(reply) | End::SenderRefused(reply) if reply.code == 421 => Destination::Busy,
        _ => Destination::Reached,
    }
}

/// What became of those that the peer had nothing to say against.
fn of_end(sent: &Sent, host: &Host) -> Verdict {
    match &sent.end {
        End::Answered(reply) if reply.is_positive() => {
            Verdict::Relayed { words: of_reply(reply, Some(host)), takes_dsn: sent.takes_dsn }
        }
        End::Answered(reply) | End::SenderRefused(reply) => by_class(reply, host),
        End::NoRecipient => by_trouble(&Trouble::new("bad-reply", "4.5.0", "the server left a recipient out"), host),
        // RFC 5321 §4.2.1: a 5xx in the middle of a message is its answer, come early.
        End::Broken(Broken::Failed(Failure::Ended(reply))) if sent.begun && reply.is_permanent_failure() => {
            by_class(reply, host)
        }
        End::Broken(Broken::Failed(Failure::Ended(reply))) => deferred(of_reply(reply, Some(host))),
        End::Broken(Broken::Failed(Failure::Body(BodyError::Shorter | BodyError::Longer))) => unreadable(host),
        End::Broken(broken) => by_trouble(&trouble(broken), host),
        End::Unfit(unfit) => by_trouble(&of_unfit(unfit), host),
        End::Unreadable(error) => {
            tracing::error!(%error, "a message in the queue cannot be read");
            unreadable(host)
        }
        End::BadAddress(error) => {
            let text = format!("an address of the envelope cannot be written in SMTP: {error}");
            by_trouble(&Trouble::new("bad-address", "5.1.3", text), host)
        }
    }
}

fn unreadable(host: &Host) -> Verdict {
    by_trouble(&Trouble::new("body-unreadable", "4.3.0", "this operator cannot read the message at the moment"), host)
}

fn of_unfit(unfit: &Unfit) -> Trouble {
    let (rule, status) = match unfit {
        Unfit::TooLarge { .. } => ("too-large-there", "5.3.4"),
        Unfit::EightBit => ("no-8bit-there", "5.6.3"),
        Unfit::Utf8 => ("no-utf8-there", "5.6.7"),
        Unfit::NotReady | Unfit::NoRecipient => ("bad-reply", "4.5.0"),
    };
    Trouble::new(rule, status, unfit.to_string())
}

/// A refusal at RCPT.
fn of_refusal(reply: &Reply, host: &Host) -> Verdict {
    // RFC 5321 §4.5.3.1.10: 552 was once said for "too many recipients", and is then to be read as 452. One that says
    // otherwise (5.2.2, a full mailbox) is believed.
    let too_many = |code: EnhancedCode| code.subject == 5 && code.detail == 3;
    if reply.code == 552 && reply.enhanced.is_none_or(too_many) {
        return deferred(of_reply(reply, Some(host)));
    }
    by_class(reply, host)
}

/// RFC 5321 §4.2.1: the first digit decides.
fn by_class(reply: &Reply, host: &Host) -> Verdict {
    let words = of_reply(reply, Some(host));
    if reply.is_permanent_failure() { Verdict::Failed(words) } else { deferred(words) }
}

fn by_trouble(trouble: &Trouble, host: &Host) -> Verdict {
    verdict_of_trouble(trouble, of_trouble(trouble, Some(host)))
}

fn verdict_of_trouble(trouble: &Trouble, words: Words) -> Verdict {
    if trouble.lasts() { Verdict::Failed(words) } else { Verdict::Deferred(words) }
}

/// A deferral's status is of class 4, whatever was said (RFC 3464 §2.3.4 for reports of a delay).
fn deferred(mut words: Words) -> Verdict {
    words.status.replace_range(..1, "4");
    Verdict::Deferred(words)
}

fn for_all(attempt: &Attempt, verdict: Verdict, destination: Destination) -> Outcome {
    let recipients = attempt.recipients.iter().map(|recipient| (recipient.number, verdict.clone())).collect();
    Outcome { recipients, destination }
}

fn of_trouble(trouble: &Trouble, host: Option<&Host>) -> Words {
    Words {
        code: None,
        status: trouble.status.to_owned(),
        text: clean(&trouble.text),
        host: host.map(|host| host.name.clone()),
        rule: Some(trouble.rule.to_owned()),
    }
}

fn of_reply(reply: &Reply, host: Option<&Host>) -> Words {
    let status = reply.enhanced.unwrap_or(EnhancedCode::new((reply.code / 100) as u8, 0, 0));
    Words {
        code: Some(reply.code),
        status: status.to_string(),
        text: clean(&reply.text()),
        host: host.map(|host| host.name.clone()),
        rule: None,
    }
}

/// One line of bounded length without control characters.
fn clean(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 4 * MOST_WORDS {
            break;
        }
    }
    match line.char_indices().nth(MOST_WORDS) {
        Some((end, _)) => format!("{}…", &line[..end - line[..end].chars().next_back().map_or(0, char::len_utf8)]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_words_are_one_clean_line_of_bounded_length() {
        assert_eq!(clean("no\r\n such\tuser\u{7} \u{1b}[31mhere"), "no such user [31mhere");
        for long in ["x".repeat(5000), "é ".repeat(5000)] {
            let line = clean(&long);
            assert_eq!(line.chars().count(), MOST_WORDS);
            assert!(line.ends_with('…'));
        }
        assert_eq!(clean(&"x".repeat(MOST_WORDS)), "x".repeat(MOST_WORDS));
    }

    #[test]
    fn too_many_recipients_is_no_refusal_of_the_recipient() {
        let host = Host { name: "mx".into(), port: 25 };
        let plain = Reply::plain(552, "too many");
        assert!(matches!(of_refusal(&plain, &host), Verdict::Deferred(words) if words.status == "4.0.0"));
        let full = Reply::new(552, (5, 2, 2), "mailbox full");
        assert!(matches!(of_refusal(&full, &host), Verdict::Failed(words) if words.status == "5.2.2"));
    }
}
