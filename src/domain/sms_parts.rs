//! How many SMS parts a text takes.
/// Parts of a text. (Written in the law room.)
pub fn parts(text: &str) -> u16 {
    u16::try_from(text.chars().count().div_ceil(70).max(1)).unwrap_or(u16::MAX)
}
