//! Passwords at the command line: typed without echo, or read from standard input; never an argument, which every user of
//! the machine can see in the list of processes.

use std::io::{IsTerminal, Read};

use clap::Args;
use console::Term;

use super::client::ClientError;
use crate::serve::http::types::PasswordChoice;

/// The longest password that is read.
const LONGEST: u64 = 1024;

/// Where a password comes from.
#[derive(Args, Clone, Debug, Default)]
#[group(multiple = false)]
pub(super) struct PasswordSource {
    /// Have the server make a strong password and show it once
    #[arg(long)]
    generate_password: bool,
    /// Read the password from standard input (its first line)
    #[arg(long)]
    password_stdin: bool,
    /// Ask for the password on the terminal, without echo
    #[arg(long)]
    password_prompt: bool,
}

impl PasswordSource {
    /// The password that was asked for, if one was.
    ///
    /// # Errors
    /// [`ClientError::Local`] if it cannot be read, or was typed differently the second time.
    pub(super) fn choice(&self) -> Result<Option<PasswordChoice>, ClientError> {
        if self.generate_password {
            Ok(Some(PasswordChoice::Generate))
        } else if self.password_stdin {
            from_standard_input().map(PasswordChoice::Set).map(Some)
        } else if self.password_prompt {
            from_terminal().map(PasswordChoice::Set).map(Some)
        } else {
            Ok(None)
        }
    }

    /// As [`PasswordSource::choice`], and asks on the terminal if nothing was said.
    ///
    /// # Errors
    /// As [`PasswordSource::choice`]; also when there is no terminal to ask on.
    pub(super) fn choice_or_prompt(&self) -> Result<PasswordChoice, ClientError> {
        match self.choice()? {
            Some(choice) => Ok(choice),
            None => from_terminal().map(PasswordChoice::Set),
        }
    }
}

fn from_standard_input() -> Result<String, ClientError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST + 2).read_to_string(&mut text);
    read.map_err(|problem| ClientError::Local(format!("cannot read the password from standard input: {problem}")))?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(ClientError::Local("standard input holds no password".into()));
    }
    Ok(password.to_owned())
}

fn from_terminal() -> Result<String, ClientError> {
    if !std::io::stdin().is_terminal() {
        return Err(ClientError::Local(
            "there is no terminal to ask for the password on; say --password-stdin or --generate-password".into(),
        ));
    }
    let term = Term::stderr();
    let ask = |question: &str| {
        let _not_shown = term.write_str(question);
        let answer = term.read_secure_line();
        answer.map_err(|problem| ClientError::Local(format!("cannot read from the terminal: {problem}")))
    };
    let password = ask("New password: ")?;
    if password.is_empty() {
        return Err(ClientError::Local("no password typed".into()));
    }
    if ask("The same again: ")? != password {
        return Err(ClientError::Local("the two passwords differ; nothing was changed".into()));
    }
    Ok(password)
}

/// Asks for `expected` to be typed, before something that cannot be undone.
///
/// # Errors
/// [`ClientError::Local`] if something else is typed or there is no terminal.
pub(super) fn confirm(question: &str, expected: &str) -> Result<(), ClientError> {
    if !std::io::stdin().is_terminal() {
        return Err(ClientError::Local("there is no terminal to confirm on; say --yes if you mean it".into()));
    }
    let term = Term::stderr();
    let _not_shown = term.write_str(question);
    let typed = term.read_line().map_err(|problem| ClientError::Local(format!("cannot read the answer: {problem}")))?;
    if typed.trim() == expected { Ok(()) } else { Err(ClientError::Local("not confirmed; nothing was changed".into())) }
}
