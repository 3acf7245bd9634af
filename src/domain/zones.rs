//! Which zones a subscriber of a country may live in, by the calling code of the number.
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::sync::LazyLock;

static CODES: LazyLock<Result<BTreeMap<u16, Vec<Tz>>, String>> = LazyLock::new(|| parse(include_str!("calling_codes.csv")));

/// Reads `code,zone zone ...` lines; `#` starts a comment.
fn parse(table: &str) -> Result<BTreeMap<u16, Vec<Tz>>, String> {
    let mut codes = BTreeMap::new();
    for (line, text) in table.lines().enumerate().filter(|(_, text)| !text.is_empty() && !text.starts_with('#')) {
        let fault = |what: &str| format!("table of calling codes, line {}: {what}", line + 1);
        let (code, zones) = text.split_once(',').ok_or_else(|| fault("expected code,zones"))?;
        let code: u16 = code.parse().map_err(|_| fault("expected a calling code"))?;
        let zones: Vec<Tz> = zones
            .split(' ')
            .map(|zone| zone.parse().map_err(|_| fault(&format!("{zone:?} is no zone of the IANA database"))))
            .collect::<Result<_, _>>()?;
        if codes.insert(code, zones).is_some() {
            return Err(fault("the code stands there twice"));
        }
    }
    Ok(codes)
}

/// The whole table; the error names the line that cannot be read.
pub fn calling_codes() -> Result<&'static BTreeMap<u16, Vec<Tz>>, &'static str> {
    CODES.as_ref().map_err(String::as_str)
}

/// Every zone in which a subscriber with this country calling code may live; `None`: the code is not in the table.
pub fn of_calling_code(code: u16) -> Option<&'static [Tz]> {
    calling_codes().ok()?.get(&code).map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read_and_has_the_codes_that_matter() {
        let codes = calling_codes().unwrap();
        for code in [1, 44, 86, 91, 49, 33, 351, 420, 61] {
            assert!(codes.get(&code).is_some_and(|zones| !zones.is_empty()), "{code}");
        }
        assert!(of_calling_code(1).unwrap().contains(&Tz::Pacific__Honolulu));
        assert_eq!(of_calling_code(351).unwrap(), [Tz::Atlantic__Azores, Tz::Atlantic__Madeira, Tz::Europe__Lisbon]);
        assert_eq!(of_calling_code(999), None);
    }

    #[test]
    fn a_broken_table_names_its_line() {
        assert!(parse("# x\n49,Europe/Berlni\n").unwrap_err().contains("line 2: \"Europe/Berlni\""));
        assert!(parse("49,Europe/Berlin\n49,Europe/Berlin\n").unwrap_err().contains("twice"));
    }
}
