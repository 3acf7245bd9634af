//! Holidays and make-up working days, by country and year. A year without a table is unknown, never guessed.
use chrono::{Datelike, NaiveDate, Weekday};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What a date is to the people who live by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DayKind {
    /// People work: an ordinary weekday, or a weekend day made up for.
    Working,
    /// Saturday or Sunday, neither a public holiday nor made up for.
    Weekend,
    /// A public holiday or the day off in lieu of one, also when it falls on a weekend.
    Holiday,
}

/// The days of one country that are not what their weekday says, for the years that are announced.
#[derive(Clone, Debug)]
pub struct Calendar {
    country: &'static str,
    years: Vec<i32>,
    days: BTreeMap<NaiveDate, (DayKind, String)>,
}

impl Calendar {
    /// The country, as presets name it (`cn`).
    pub fn country(&self) -> &str {
        self.country
    }
    /// The years whose tables are loaded.
    pub fn years(&self) -> &[i32] {
        &self.years
    }
    /// What the date is; `None`: its year is not loaded.
    pub fn kind(&self, date: NaiveDate) -> Option<DayKind> {
        self.years.contains(&date.year()).then(|| self.days.get(&date).map_or_else(|| by_weekday(date), |(kind, _)| *kind))
    }
    /// The name of the holiday that the date belongs to (of a make-up working day: of the holiday that it makes up for).
    pub fn name(&self, date: NaiveDate) -> Option<&str> {
        self.days.get(&date).map(|(_, name)| name.as_str())
    }

    /// Reads a table: comment lines (one of them `# years: ...`), a header, then `date,kind,name`.
    fn parse(country: &'static str, table: &str) -> Result<Self, String> {
        let fault = |line: usize, what: &str| format!("holiday table {country}, line {line}: {what}");
        let mut calendar = Self { country, years: Vec::new(), days: BTreeMap::new() };
        for (line, text) in table.lines().enumerate().map(|(i, l)| (i + 1, l.trim())) {
            if let Some(years) = text.strip_prefix("# years:") {
                calendar.years = years.split_whitespace().map(str::parse).collect::<Result<_, _>>().map_err(|_| fault(line, "expected years"))?;
            }
            if text.is_empty() || text.starts_with('#') || text == "date,kind,name" {
                continue;
            }
            let mut fields = text.splitn(3, ',');
            let (Some(date), Some(kind), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
                return Err(fault(line, "expected date,kind,name"));
            };
            let date: NaiveDate = date.parse().map_err(|_| fault(line, "expected a date as YYYY-MM-DD"))?;
            let kind = match kind {
                "holiday" => DayKind::Holiday,
                "workday" => DayKind::Working,
                _ => return Err(fault(line, "expected kind holiday or workday")),
            };
            if !calendar.years.contains(&date.year()) {
                return Err(fault(line, "its year is not among `# years:`"));
            }
            if calendar.days.insert(date, (kind, name.to_owned())).is_some() {
                return Err(fault(line, "the date stands there twice"));
            }
        }
        if calendar.years.is_empty() { Err(fault(1, "no `# years:` line")) } else { Ok(calendar) }
    }
}

/// What a date is by its weekday alone.
pub fn by_weekday(date: NaiveDate) -> DayKind {
    if matches!(date.weekday(), Weekday::Sat | Weekday::Sun) { DayKind::Weekend } else { DayKind::Working }
}

static TABLES: [(&str, &str); 2] = [("cn", include_str!("holidays/cn.csv")), ("us", include_str!("holidays/us.csv"))];

static CALENDARS: LazyLock<Result<Vec<Calendar>, String>> =
    LazyLock::new(|| TABLES.iter().map(|(country, table)| Calendar::parse(country, table)).collect());

/// Every calendar that is shipped; the error names the table and the line that cannot be read.
pub fn calendars() -> Result<&'static [Calendar], &'static str> {
    CALENDARS.as_ref().map(Vec::as_slice).map_err(String::as_str)
}

/// The calendar of a country (`cn`); `None`: none is shipped.
pub fn calendar(country: &str) -> Option<&'static Calendar> {
    calendars().ok()?.iter().find(|c| c.country == country)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn every_table_can_be_read() {
        let known: Vec<_> = calendars().unwrap().iter().map(|c| (c.country(), c.years().to_vec())).collect();
        assert_eq!(known, [("cn", vec![2024, 2025, 2026]), ("us", vec![2024, 2025, 2026, 2027])]);
    }

    #[test]
    fn a_made_up_sunday_is_worked_and_a_weekend_holiday_is_a_holiday() {
        let cn = calendar("cn").unwrap();
        assert_eq!(cn.kind(day("2026-02-14")), Some(DayKind::Working), "Saturday before the Spring Festival");
        assert_eq!(cn.kind(day("2026-02-15")), Some(DayKind::Holiday), "a Sunday within it");
        assert_eq!(cn.kind(day("2026-03-01")), Some(DayKind::Weekend));
        assert_eq!(cn.kind(day("2024-02-29")), Some(DayKind::Working), "leap day, a Thursday");
        assert_eq!(cn.name(day("2026-02-14")), Some("Spring Festival"));
        assert_eq!(calendar("us").unwrap().kind(day("2026-07-03")), Some(DayKind::Holiday), "observed");
    }

    #[test]
    fn a_year_without_a_table_is_unknown() {
        let cn = calendar("cn").unwrap();
        assert_eq!(cn.kind(day("2027-01-01")), None);
        assert_eq!(cn.kind(day("2023-12-31")), None);
        assert!(calendar("fr").is_none());
    }

    #[test]
    fn a_broken_table_names_its_line() {
        for (table, expected) in [
            ("date,kind,name\n", "line 1: no `# years:`"),
            ("# years: 2024\n2024-02-30,holiday,x\n", "line 2: expected a date"),
            ("# years: 2024\n2024-02-28,feast,x\n", "line 2: expected kind"),
            ("# years: 2024\n2025-01-01,holiday,x\n", "line 2: its year"),
            ("# years: 2024\n2024-01-01,holiday,x\n2024-01-01,holiday,x\n", "line 3: the date stands there twice"),
        ] {
            let fault = Calendar::parse("xx", table).unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
