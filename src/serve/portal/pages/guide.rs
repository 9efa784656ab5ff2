//! The page of settings, and how mail programs take a workstation's file in.

use maud::{Markup, html};

use super::super::texts;

/// What a mail program is to be told.
pub(in super::super) struct Settings {
    pub(in super::super) host: String,
    /// 0: not offered.
    pub(in super::super) imap: u16,
    /// 0: not offered.
    pub(in super::super) submission: u16,
    pub(in super::super) user: String,
}

/// Settings, then one list of steps for each kind of program.
pub(in super::super) fn guide(settings: &Settings) -> Markup {
    html! {
        section {
            h2 { (texts::GUIDE_SETTINGS) }
            dl {
                dt { (texts::GUIDE_HOST) } dd { (settings.host) }
                @if settings.imap != 0 { dt { (texts::GUIDE_IMAP) } dd { (settings.imap) } }
                @if settings.submission != 0 { dt { (texts::GUIDE_SUBMISSION) } dd { (settings.submission) } }
                dt { (texts::GUIDE_USER) } dd { (settings.user) }
                dt { (texts::GUIDE_AUTH) } dd { (texts::GUIDE_AUTH_VALUE) }
            }
        }
        @for (program, steps) in texts::GUIDES {
            section {
                h2 { (program) }
                ol { @for step in steps { li { (step) } } }
            }
        }
    }
}
