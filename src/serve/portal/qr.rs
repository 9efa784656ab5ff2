//! A QR code as inline SVG: no image to fetch, no style of its own, so that it fits under the page's policy.

use maud::{Markup, html};
use qrcodegen::{QrCode, QrCodeEcc};

/// The quiet zone that readers need, in modules (ISO/IEC 18004 §5.3.8).
const QUIET: i32 = 4;

/// The code of a text; nothing where the text is too long for one.
pub(super) fn svg(text: &str, label: &str) -> Option<Markup> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let side = code.size() + 2 * QUIET;
    let dark = |x: &i32, y: i32| code.get_module(*x, y);
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| dark(x, y)) {
            path.push_str(&format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET));
        }
    }
    Some(html! {
        svg class="qr" role="img" aria-label=(label) viewBox=(format!("0 0 {side} {side}")) shape-rendering="crispEdges" {
            rect width="100%" height="100%" fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    })
}
