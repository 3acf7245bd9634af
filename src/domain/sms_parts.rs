//! In how many parts a text message travels, which is what carriers count and bill. Alphabets and lengths: 3GPP TS 23.038 and TS 23.040.

/// How a text is encoded on the radio path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The GSM 7-bit default alphabet with its extension table: 160 septets in one message, 153 in each part of several.
    Gsm7,
    /// UCS-2: 70 UTF-16 code units in one message, 67 in each part of several.
    Ucs2,
}

impl Encoding {
    /// Units (septets or UTF-16 code units) that one message alone holds.
    pub fn single(self) -> usize {
        match self {
            Self::Gsm7 => 160,
            Self::Ucs2 => 70,
        }
    }
    /// Units that each part holds when there are several: six octets go to the header that joins them.
    pub fn joined(self) -> usize {
        match self {
            Self::Gsm7 => 153,
            Self::Ucs2 => 67,
        }
    }
    /// Units that a character takes; a character is never split between parts.
    fn width(self, c: char) -> usize {
        match self {
            Self::Gsm7 if EXTENSION.contains(c) => 2,
            Self::Gsm7 => 1,
            Self::Ucs2 => c.len_utf16(),
        }
    }
}

/// The default alphabet without letters and digits of ASCII, and without the escape.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
/// The extension table: an escape goes before each, so that they take two septets.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// The encoding that a text needs: GSM-7 when every character is in its alphabet, else UCS-2 for the whole text.
pub fn encoding(text: &str) -> Encoding {
    let gsm = |c: char| c.is_ascii_alphanumeric() || BASIC.contains(c) || EXTENSION.contains(c);
    if text.chars().all(gsm) { Encoding::Gsm7 } else { Encoding::Ucs2 }
}

/// The parts in which a text travels. An empty text is still one message; 65,535 stands for that many or more.
pub fn parts(text: &str) -> u16 {
    let encoding = encoding(text);
    if text.chars().map(|c| encoding.width(c)).sum::<usize>() <= encoding.single() {
        return 1;
    }
    let mut parts = 1_u16;
    let mut used = 0;
    for width in text.chars().map(|c| encoding.width(c)) {
        if used + width > encoding.joined() {
            parts = parts.saturating_add(1);
            used = 0;
        }
        used += width;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn repeated(c: char, times: usize) -> String {
        std::iter::repeat_n(c, times).collect()
    }

    #[test]
    fn the_alphabet_is_the_standards() {
        // 128 places: 62 letters and digits, the escape, and what stands in BASIC.
        assert_eq!(BASIC.chars().count(), 128 - 62 - 1);
        assert_eq!(EXTENSION.chars().count(), 10);
        for text in ["", "Hello", "é@£ \n€", "Straße Ñandù ¿Qué?", "~{}[]\\|^"] {
            assert_eq!(encoding(text), Encoding::Gsm7, "{text:?}");
        }
        // Not in the alphabet although they look like it: ç and á in lower case, the backtick, the tab, the escape, curly quotes.
        for text in ["ç", "á", "`", "\t", "\u{1b}", "’", "您好", "😀", "Hello 您"] {
            assert_eq!(encoding(text), Encoding::Ucs2, "{text:?}");
        }
    }

    #[test]
    fn the_edges_are_where_the_standard_has_them() {
        for (c, length, expected) in [
            ('a', 0, 1),
            ('a', 160, 1),
            ('a', 161, 2),
            ('a', 306, 2),
            ('a', 307, 3),
            ('a', 459, 3),
            ('a', 460, 4),
            ('€', 80, 1),
            ('€', 81, 2),
            // 76 of them fill 152 septets of a part; the 153rd stays empty, for an escape never ends a part.
            ('€', 152, 2),
            ('€', 153, 3),
            ('您', 70, 1),
            ('您', 71, 2),
            ('您', 134, 2),
            ('您', 135, 3),
            ('😀', 35, 1),
            ('😀', 36, 2),
            // 33 pairs fill 66 units of a part; the 67th stays empty, for a pair is never split.
            ('😀', 66, 2),
            ('😀', 67, 3),
        ] {
            assert_eq!(parts(&repeated(c, length)), expected, "{length} of {c:?}");
        }
    }

    #[test]
    fn a_wide_character_at_the_edge_moves_to_the_next_part() {
        // 305 septets and one of two: 153 + 152 used, and the last does not fit into the one left.
        assert_eq!(parts(&(repeated('a', 305) + "€")), 3);
        assert_eq!(parts(&(repeated('a', 304) + "€")), 2);
        assert_eq!(parts(&(repeated('您', 133) + "😀")), 3);
        assert_eq!(parts(&(repeated('您', 132) + "😀")), 2);
        // One character outside the alphabet makes the whole text UCS-2.
        assert_eq!(parts(&(repeated('a', 69) + "您")), 1);
        assert_eq!(parts(&(repeated('a', 70) + "您")), 2);
        assert_eq!(parts(&repeated('a', 153 * 70_000)), u16::MAX);
    }

    proptest! {
        /// Bounds that hold for every text: no fewer parts than units need, no more than with one unit lost in each part.
        #[test]
        fn parts_are_as_few_as_whole_characters_allow(text in "[a-z€您😀]{0,400}") {
            let encoding = encoding(&text);
            let units: usize = match encoding {
                Encoding::Gsm7 => text.chars().map(|c| if c == '€' { 2 } else { 1 }).sum(),
                Encoding::Ucs2 => text.encode_utf16().count(),
            };
            let (single, joined) = if encoding == Encoding::Gsm7 { (160, 153) } else { (70, 67) };
            let parts = usize::from(parts(&text));
            if units <= single {
                prop_assert_eq!(parts, 1);
            } else {
                prop_assert!(parts >= units.div_ceil(joined) && parts <= units.div_ceil(joined - 1), "{units} units in {parts} parts");
            }
        }
    }
}
