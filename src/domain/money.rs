//! Money: integer minor units with a currency. Costs finer than a minor unit are integers in millionths of the unit.
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// An ISO 4217 code of three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The renminbi, our default.
    pub const CNY: Self = Self(*b"CNY");
    /// The code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
    /// Digits after the decimal point of the minor unit (ISO 4217: 0 for JPY, KRW, VND ..., 3 for KWD, BHD ..., else 2).
    pub fn digits(self) -> u32 {
        match self.code() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            _ => 2,
        }
    }
}

impl std::str::FromStr for Currency {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(format!("expected a currency of three capital letters such as CNY, found {text:?}")),
        }
    }
}
impl TryFrom<String> for Currency {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
impl From<Currency> for String {
    fn from(c: Currency) -> Self {
        c.code().to_owned()
    }
}
impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}
impl std::fmt::Debug for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in minor units (cents, fen) of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units.
    pub minor: i64,
    /// Of which currency.
    pub currency: Currency,
}

impl Money {
    /// From a decimal amount; refuses digits finer than the minor unit, and amounts beyond 64 bits.
    pub fn from_decimal(amount: Decimal, currency: Currency) -> Result<Self, String> {
        use rust_decimal::prelude::ToPrimitive;
        let scaled =
            amount.checked_mul(Decimal::from(10_i64.pow(currency.digits()))).ok_or_else(|| format!("{amount} {currency} is out of range"))?;
        if !scaled.fract().is_zero() {
            return Err(format!("{amount} has more than {} decimal places, the most that {currency} has", currency.digits()));
        }
        scaled.to_i64().map(|minor| Self { minor, currency }).ok_or_else(|| format!("{amount} {currency} is out of range"))
    }
    /// As a decimal amount with the currency's digits.
    pub fn decimal(self) -> Decimal {
        Decimal::new(self.minor, self.currency.digits())
    }
    /// From millionths of the unit, rounded to the nearest minor unit.
    pub fn round(micros: i64, currency: Currency) -> Self {
        let per_minor = 1_000_000 / 10_i64.pow(currency.digits());
        Self { minor: micros.saturating_add(per_minor / 2).div_euclid(per_minor), currency }
    }
    /// In millionths of the unit (saturating).
    pub fn micros(self) -> i64 {
        self.minor.saturating_mul(1_000_000 / 10_i64.pow(self.currency.digits()))
    }
}

impl std::str::FromStr for Money {
    type Err = String;
    /// `50000.00 CNY`.
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("expected an amount and a currency such as 50000.00 CNY, found {text:?}");
        let (amount, currency) = text.trim().split_once(char::is_whitespace).ok_or_else(fault)?;
        let amount: Decimal = amount.replace('_', "").parse().map_err(|_| fault())?;
        Self::from_decimal(amount, currency.trim().parse()?)
    }
}
impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

/// Millionths of a unit as a decimal with at least two places and no needless zeros beyond them: `0.045`, `12.00`.
pub fn micros_to_decimal(micros: i64) -> Decimal {
    let mut amount = Decimal::new(micros, 6).normalize();
    if amount.scale() < 2 {
        amount.rescale(2);
    }
    amount
}
