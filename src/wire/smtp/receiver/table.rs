//! The verbs, in one table: when each may come, how long its line may be, what is checked, what it does.

use super::super::command::{Command, MailFrom, RcptTo, Verb};
use super::super::path::ForwardPath;
use super::super::reply::Reply;
use super::auth::{AUTH_LINE, auth, check_auth};
use super::intake::Intake;
use super::{Asked, Hello, Phase, Question, Receiver, Refusal, Settings};

/// Longest command line in octets, CRLF included, where no extension makes it longer. RFC 5321 §4.5.3.1.4.
pub(super) const SHORT_LINE: usize = 512;

/// Longest line that any command may have here.
pub(super) fn longest_line(settings: &Settings) -> usize {
    let auth = settings.role.submission().map_or(0, |_| AUTH_LINE);
    settings.limits.command_line.max(SHORT_LINE).max(auth)
}

/// How long the line of a verb may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// [`SHORT_LINE`].
    Short,
    /// `limits.command_line`: extensions make it longer.
    Extended,
    /// [`AUTH_LINE`].
    Auth,
}

impl Length {
    fn limit(self, settings: &Settings) -> usize {
        match self {
            Length::Short => SHORT_LINE,
            Length::Extended => settings.limits.command_line.max(SHORT_LINE),
            Length::Auth => AUTH_LINE,
        }
    }
}

/// What must have happened before a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Nothing.
    Always,
    /// No transaction is open.
    Outside,
    /// `EHLO` or `HELO`.
    Greeted,
    /// An accepted `MAIL`.
    InTransaction,
}

type Check = fn(&Receiver, &Command) -> Result<(), Refusal>;
type Proceed = fn(&mut Receiver, Command);

/// What is known of a verb.
struct Row {
    verb: Verb,
    /// May be said in plain text. (MSSanté §3: no mail command is answered before TLS.)
    before_tls: bool,
    when: When,
    length: Length,
    /// Brings a message nearer. Others are counted: they keep a connection busy for nothing.
    useful: bool,
    /// Without effect.
    check: Check,
    /// With effect.
    proceed: Proceed,
}

const fn row(verb: Verb, when: When, check: Check, proceed: Proceed) -> Row {
    Row { verb, before_tls: false, when, length: Length::Short, useful: true, check, proceed }
}

impl Row {
    const fn before_tls(mut self) -> Row {
        self.before_tls = true;
        self
    }

    const fn idle(mut self) -> Row {
        self.useful = false;
        self
    }

    const fn long(mut self, length: Length) -> Row {
        self.length = length;
        self
    }
}

static TABLE: [Row; 14] = [
    row(Verb::Ehlo, When::Always, no_check, ehlo).before_tls().idle(),
    row(Verb::Helo, When::Always, no_check, helo).before_tls().idle(),
    row(Verb::StartTls, When::Always, check_starttls, starttls).before_tls(),
    row(Verb::Auth, When::Outside, check_auth, auth).long(Length::Auth),
    row(Verb::Mail, When::Greeted, check_mail, mail).long(Length::Extended),
    row(Verb::Rcpt, When::InTransaction, check_rcpt, rcpt).long(Length::Extended),
    row(Verb::Data, When::InTransaction, check_data, data),
    row(Verb::Bdat, When::Always, no_check, bdat),
    row(Verb::Rset, When::Always, no_check, rset).before_tls().idle(),
    row(Verb::Vrfy, When::Always, no_check, vrfy).long(Length::Extended).idle(),
    row(Verb::Expn, When::Always, not_offered, nothing).idle(),
    row(Verb::Help, When::Always, no_check, help).before_tls().idle(),
    row(Verb::Noop, When::Always, no_check, noop).before_tls().idle(),
    row(Verb::Quit, When::Always, no_check, quit).before_tls(),
];

impl Receiver {
    /// Follows one command line, without its CRLF.
    pub(super) fn command(&mut self, line: &[u8]) {
        if let Err(refusal) = self.try_command(line) {
            self.refuse(refusal);
        }
    }

    fn try_command(&mut self, line: &[u8]) -> Result<(), Refusal> {
        // RFC 6531 §3.3 allows UTF-8 in addresses; control characters have no place in any command.
        let text = std::str::from_utf8(line).map_err(|_| Refusal::bad_characters())?;
        if text.chars().any(char::is_control) {
            return Err(Refusal::bad_characters());
        }
        let verb = Verb::of(text).ok_or_else(|| unknown(text))?;
        let row = TABLE.iter().find(|row| row.verb == verb).ok_or_else(Refusal::unknown_command)?;
        if !self.session.tls && !row.before_tls {
            let is_login = verb == Verb::Auth && self.settings.role.submission().is_some();
            return Err(if is_login { Refusal::auth_needs_tls() } else { Refusal::tls_required() });
        }
        self.allowed_now(row)?;
        if line.len() + 2 > row.length.limit(&self.settings) {
            return Err(Refusal::long_command());
        }
        let command = Command::parse(verb, text, self.extensions()).map_err(|error| match verb {
            Verb::Bdat => Refusal::bad_chunk(),
            _ => Refusal::syntax(&error),
        })?;
        (row.check)(self, &command)?;
        self.count_idle(row)?;
        (row.proceed)(self, command);
        Ok(())
    }

    fn allowed_now(&self, row: &Row) -> Result<(), Refusal> {
        match row.when {
            When::Greeted if self.session.hello.is_none() => Err(Refusal::bad_sequence("Say EHLO first")),
            // RFC 4954 §4: not within a transaction.
            When::Outside if self.transaction.is_some() => Err(Refusal::bad_sequence("Not within a transaction")),
            When::InTransaction if self.transaction.is_none() => Err(Refusal::bad_sequence("Say MAIL first")),
            _ => Ok(()),
        }
    }

    fn count_idle(&mut self, row: &Row) -> Result<(), Refusal> {
        if row.useful {
            return Ok(());
        }
        self.session.idle_commands = self.session.idle_commands.saturating_add(1);
        let too_many = self.session.idle_commands > self.settings.limits.idle_commands;
        if too_many && self.one_error_more() { Err(Refusal::too_many_errors()) } else { Ok(()) }
    }
}

fn unknown(line: &str) -> Refusal {
    const BROWSERS: [&str; 7] = ["GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "PRI"];
    let word = line.split(' ').next().unwrap_or_default();
    if BROWSERS.contains(&word) { Refusal::other_protocol() } else { Refusal::unknown_command() }
}

fn no_check(_: &Receiver, _: &Command) -> Result<(), Refusal> {
    Ok(())
}

fn not_offered(_: &Receiver, _: &Command) -> Result<(), Refusal> {
    Err(Refusal::not_offered())
}

fn nothing(_: &mut Receiver, _: Command) {}

fn ehlo(receiver: &mut Receiver, command: Command) {
    let Command::Ehlo(name) = command else { return };
    greeted(receiver, name, true);
    let mut lines = vec![receiver.settings.host.clone().into(), "PIPELINING".into()];
    lines.push(format!("SIZE {}", receiver.settings.limits.message).into());
    if !receiver.session.tls {
        lines.push("STARTTLS".into());
    }
    lines.extend(receiver.auth_offer().map(Into::into));
    lines.extend(receiver.future_release_offer().map(Into::into));
    lines.extend(["8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES"].map(Into::into));
    receiver.say(&Reply::listing(250, lines));
}

fn helo(receiver: &mut Receiver, command: Command) {
    let Command::Helo(name) = command else { return };
    greeted(receiver, name, false);
    let host = receiver.settings.host.clone();
    receiver.say(&Reply::plain(250, host));
}

/// RFC 5321 §4.1.4: a second `EHLO` resets as `RSET` does.
fn greeted(receiver: &mut Receiver, name: String, extended: bool) {
    receiver.drop_transaction();
    receiver.session.hello = Some(Hello { name, extended });
}

/// RFC 3207 §4: not twice. A transaction cannot be open, for none begins without TLS.
fn check_starttls(receiver: &Receiver, _: &Command) -> Result<(), Refusal> {
    if receiver.session.tls { Err(Refusal::tls_already()) } else { Ok(()) }
}

fn starttls(receiver: &mut Receiver, _: Command) {
    receiver.ask(Asked::StartTls, Question::StartTls);
}

fn check_mail(receiver: &Receiver, command: &Command) -> Result<(), Refusal> {
    let Command::Mail(MailFrom { path, params }) = command else { return Ok(()) };
    let limits = &receiver.settings.limits;
    if !receiver.is_let_in() {
        return Err(Refusal::auth_required());
    }
    if receiver.transaction.is_some() {
        return Err(Refusal::bad_sequence("A transaction is open already"));
    }
    if receiver.session.transactions >= limits.transactions || receiver.now >= limits.session_timeout {
        return Err(Refusal::session_over());
    }
    if !params.smtp_utf8 && path.mailbox().is_some_and(|mailbox| !mailbox.is_ascii()) {
        return Err(Refusal::utf8_address());
    }
    // RFC 1870 §6.1: a declared size is refused before the message comes.
    if params.size.is_some_and(|size| size > limits.message) {
        return Err(Refusal::too_big());
    }
    Ok(())
}

fn mail(receiver: &mut Receiver, command: Command) {
    let Command::Mail(mail) = command else { return };
    let asked = Asked::Mail { utf8: mail.params.smtp_utf8, eight_bit: mail.params.body.is_eight_bit() };
    receiver.ask(asked, Question::Mail(mail));
}

fn check_rcpt(receiver: &Receiver, command: &Command) -> Result<(), Refusal> {
    let (Command::Rcpt(RcptTo { path, .. }), Some(transaction)) = (command, &receiver.transaction) else {
        return Ok(());
    };
    if transaction.intake.is_some() {
        return Err(Refusal::bad_sequence("The message has begun"));
    }
    // What began in time may end, but not by as many recipients as the peer likes.
    let limits = &receiver.settings.limits;
    if receiver.now >= limits.session_timeout.saturating_add(limits.message_timeout) {
        return Err(Refusal::session_over());
    }
    // As many refused ones again are heard: a list of old addresses must not keep the good ones out.
    let most = limits.recipients;
    if transaction.accepted >= most || transaction.refused >= most {
        return Err(Refusal::too_many_recipients());
    }
    match path {
        ForwardPath::Mailbox(mailbox) if !transaction.utf8 && !mailbox.is_ascii() => Err(Refusal::utf8_address()),
        _ => Ok(()),
    }
}

fn rcpt(receiver: &mut Receiver, command: Command) {
    let Command::Rcpt(rcpt) = command else { return };
    receiver.ask(Asked::Rcpt, Question::Rcpt(rcpt));
}

fn check_data(receiver: &Receiver, _: &Command) -> Result<(), Refusal> {
    match &receiver.transaction {
        Some(transaction) if transaction.intake.is_some() => Err(Refusal::data_after_bdat()),
        Some(transaction) if transaction.accepted == 0 => Err(Refusal::no_recipients()),
        _ => Ok(()),
    }
}

fn data(receiver: &mut Receiver, _: Command) {
    let rules = receiver.content_rules();
    let since = receiver.now;
    if let Some(transaction) = &mut receiver.transaction {
        transaction.intake = Some(Intake::dotted(rules, since));
    }
    receiver.ask(Asked::Open, Question::Open);
}

/// RFC 3030 §2. Whatever is wrong, the octets of the chunk are not commands: they are read and thrown away first.
fn bdat(receiver: &mut Receiver, command: Command) {
    let Command::Bdat { size, last } = command else { return };
    let refusal = match &receiver.transaction {
        None => Some(Refusal::bad_sequence("Say MAIL first")),
        Some(transaction) if transaction.accepted == 0 => Some(Refusal::no_recipients()),
        Some(_) => None,
    };
    if let Some(refusal) = refusal {
        receiver.phase = Phase::Swallow { left: size, refusal };
        return;
    }
    receiver.begin_chunk(size, last);
}

fn rset(receiver: &mut Receiver, _: Command) {
    receiver.drop_transaction();
    receiver.say(&Reply::new(250, (2, 0, 0), "Ok"));
}

/// RFC 5321 §3.5.3: nothing is said about who exists.
fn vrfy(receiver: &mut Receiver, _: Command) {
    receiver.say(&Reply::new(252, (2, 1, 5), "Send some mail, it will be tried"));
}

fn help(receiver: &mut Receiver, _: Command) {
    let text = "Commands: EHLO STARTTLS MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT (RFC 5321)";
    receiver.say(&Reply::new(214, (2, 0, 0), text));
}

fn noop(receiver: &mut Receiver, _: Command) {
    receiver.say(&Reply::new(250, (2, 0, 0), "Ok"));
}

fn quit(receiver: &mut Receiver, _: Command) {
    let bye = Reply::new(221, (2, 0, 0), format!("{} says goodbye", receiver.settings.host));
    receiver.say(&bye);
    receiver.drop_transaction();
    receiver.close_politely();
}
