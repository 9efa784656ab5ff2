//! The page of what is told at the notification address.

use maud::{Markup, html};

use super::super::notices::PACES;
use super::super::texts;
use super::{form, said};
use crate::accounts::notice::NoticeSettings;

/// Where notices go, and how often they tell of new messages.
pub(in super::super) fn ask(settings: &NoticeSettings, token: &str, done: Option<&str>) -> Markup {
    let fields = html! {
        fieldset {
            legend { (texts::NOTICES_LEGEND) }
            @for (name, pace, label) in PACES {
                p {
                    input type="radio" name="rythme" id=(name) value=(name) checked[settings.pace == Some(pace)];
                    " "
                    label for=(name) { (label) }
                }
            }
        }
        p { button type="submit" { (texts::NOTICES_CHOOSE) } }
    };
    html! {
        (said(done))
        p { (texts::NOTICES_TEXT) }
        @match (&settings.to, settings.pace) {
            (Some(address), Some(_)) => {
                p { (texts::notices_to(address)) }
                (form("/avis", token, &fields))
            }
            _ => p { (texts::NOTICES_NOWHERE) }
        }
    }
}
