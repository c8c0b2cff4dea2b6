//! Letters that are signs: Wingdings and Symbol, which Outlook writes for its smileys and arrows, and raised and lowered
//! text, which would change numbers when it is set on the line: m² is not m2, and 10⁶ not 106.

/// A font whose letters are signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Font {
    /// Wingdings.
    Wingdings,
    /// Wingdings 2.
    Wingdings2,
    /// Symbol.
    Symbol,
    /// Another one of the kind, such as Webdings.
    Other,
}

/// Text off the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// Above.
    Super,
    /// Below.
    Sub,
}

/// What stands for a sign that has no known meaning.
pub(super) const UNKNOWN: char = '□';

const WINGDINGS: &str =
    "J🙂 K😐 L🙁 à→ ß← á↑ â↓ è➔ ó⇔ ð⇨ ü✓ û✗ þ☑ ý☒ x☒ o☐ q❑ r❒ n■ l● m❍ §▪ Ø➢ v❖ ¨◻ w◆ u◆ (☎ *✉ +✉ F☞ E☜ A✌ C👍 D👎 I✋ R☼ T❄ «★ ¿🕐 ·🕐 z⌘ {❀ ~• ö✕";
const WINGDINGS_2: &str = "P✓ O✗ R☑ S☒ T☒ U☒ Q☒ £☐ ¢☐ ¤☐ ¡○ ¿• ò★ \u{96}• \u{97}● \u{98}●";
const SYMBOL: &str = "aα bβ gγ dδ eε zζ hη qθ iι kκ lλ mμ nν xξ oο pπ rρ sσ Vς tτ uυ jϕ fφ cχ yψ wω AΑ BΒ GΓ DΔ EΕ ZΖ HΗ QΘ IΙ KΚ LΛ MΜ NΝ XΞ OΟ PΠ RΡ SΣ TΤ UΥ FΦ CΧ YΨ WΩ \
                      ·• ®→ ¬← \u{ad}↑ ¯↓ «↔ Þ⇒ Û⇔ ³≥ £≤ ±± °° ´× ¸÷ ¹≠ »≈ ¥∞ å∑ Ö√ ¼… Î∈ Æ∅ \"∀ $∃ ~∼ @≅ ¢′ ²″";

/// The font whose signs a family means.
pub(super) fn font(family: &str) -> Option<Font> {
    let first = family.split(',').next().unwrap_or_default().trim_matches(['"', '\'', ' ']).to_lowercase().replace(' ', "");
    match first.as_str() {
        "wingdings" => Some(Font::Wingdings),
        "wingdings2" => Some(Font::Wingdings2),
        "symbol" => Some(Font::Symbol),
        "wingdings3" | "webdings" | "zapfdingbats" => Some(Font::Other),
        _ => None,
    }
}

/// The text as its readers saw it, and whether one of its signs has no known meaning.
pub(super) fn signs(text: &str, font: Font) -> (String, bool) {
    let table = match font {
        Font::Wingdings => WINGDINGS,
        Font::Wingdings2 => WINGDINGS_2,
        Font::Symbol => SYMBOL,
        Font::Other => "",
    };
    let mut unknown = false;
    let text = text.chars().map(|c| {
        // Word writes the font's own place as a private character: U+F04A for J.
        let own = u32::from(c);
        let c = if (0xf020..=0xf0ff).contains(&own) { char::from_u32(own - 0xf000).unwrap_or(c) } else { c };
        let keeps =
            c.is_whitespace() || c == '\u{a0}' || u32::from(c) > 0xff || (font == Font::Symbol && (c.is_ascii_digit() || c.is_ascii_punctuation()));
        let meant = table.split_whitespace().find_map(|pair| pair.strip_prefix(c)).and_then(|sign| sign.chars().next());
        match meant {
            Some(sign) => sign,
            None if keeps => c,
            None => {
                unknown = true;
                UNKNOWN
            }
        }
    });
    (text.collect(), unknown)
}

/// Raised or lowered text on the line: in the characters that Unicode has for it, else behind a mark. Letters after a
/// number, as in 1ˢᵗ, stand as they are.
pub(super) fn on_the_line(text: &str, script: Script) -> String {
    const RAISED: &str = "0⁰1¹2²3³4⁴5⁵6⁶7⁷8⁸9⁹+⁺-⁻−⁻=⁼(⁽)⁾nⁿ";
    const LOWERED: &str = "0₀1₁2₂3₃4₄5₅6₆7₇8₈9₉+₊-₋−₋=₌(₍)₎";
    let table = if script == Script::Super { RAISED } else { LOWERED };
    let sign = |c: char| table.chars().step_by(2).zip(table.chars().skip(1).step_by(2)).find(|(plain, _)| *plain == c).map(|(_, sign)| sign);
    let has_digits = text.chars().any(char::is_numeric);
    if !has_digits && text.chars().count() > 1 {
        return text.to_owned();
    }
    if let Some(signs) = text.chars().map(|c| if c.is_whitespace() { Some(c) } else { sign(c) }).collect::<Option<String>>() {
        return signs;
    }
    match script {
        Script::Super if has_digits => format!("^({text})"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_say_what_their_readers_saw() {
        assert_eq!(signs("J à \u{f04c}", Font::Wingdings), ("🙂 → 🙁".to_owned(), false));
        assert_eq!(signs("\u{b7} a 2", Font::Symbol), ("• α 2".to_owned(), false));
        assert_eq!(signs("a", Font::Other), ("□".to_owned(), true));
        assert_eq!(font("Wingdings, serif"), Some(Font::Wingdings));
        assert_eq!(font("\"Segoe UI Symbol\""), None);
    }

    #[test]
    fn numbers_keep_their_meaning_off_the_line() {
        assert_eq!(on_the_line("2", Script::Super), "²");
        assert_eq!(on_the_line("-12", Script::Super), "⁻¹²");
        assert_eq!(on_the_line("2", Script::Sub), "₂");
        assert_eq!(on_the_line("st", Script::Super), "st");
        assert_eq!(on_the_line("2a", Script::Super), "^(2a)");
    }
}
