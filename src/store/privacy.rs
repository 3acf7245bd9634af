//! What a store does for personal data beside sealing them: erasing, forgetting what has been kept long enough, sealing anew.
use crate::domain::ids::CustomerId;

/// Why a customer whose reference was erased is not taken in.
pub const ERASED_REFERENCE: &str = "the customer of this reference was erased at their wish and is not taken in again; if they have come back by \
    their own will, say so first: `touchline erase --readmit --customer REF --why TEXT`";
/// Why a new customer with an erased customer's telephone number is not taken in.
pub const ERASED_PHONE: &str = "the telephone number is that of a customer who was erased at their wish; if it is another person's now, or they have come \
    back by their own will, say so first: `touchline erase --readmit --phone NUMBER --why TEXT`";
/// Why a reference in the form of a pseudonym is not taken in.
pub const PSEUDONYM: &str = "expected the bank's reference, found one of the form erased-NUMBER, which stands for customers who were erased";

/// What an erased customer is called from then on.
pub fn pseudonym(customer: CustomerId) -> String {
    format!("erased-{customer}")
}

/// Whether a reference is an erased customer's.
pub fn is_pseudonym(reference: &str) -> bool {
    reference.strip_prefix("erased-").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
