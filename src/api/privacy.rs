//! Erasing customers.
use super::{Body, Caller, House, Operation, Reply, ok};
use crate::desk::erase::{self, Erased};
use crate::domain::access::Role;
use actix_web::web::Path;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Why a customer is erased.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseOrder {
    /// Who asked for it and how (a letter's number), without personal data; kept with the erasure.
    #[schemars(length(min = 1, max = 500))]
    pub why: String,
}

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/v1/customers/{reference}/erase", "eraseCustomer")
            .says("customers", "Erase a customer for good")
            .about(
                "Contact details, attributes and all words about the customer go; the ledger keeps the number under a pseudonym, so that every sum \
                 stands. Exports made before stay as they are and verify as before. The reference and the telephone number are barred from \
                 being imported again unasked. Doing it twice changes nothing.",
            )
            .allow(&[Role::Compliance])
            .path_text("reference", "The bank's reference of the customer.", "C0001234")
            .takes::<EraseOrder>(json!({"why": "letter 2026-114 of 20 November"}))
            .gives::<Erased>(
                200,
                "Erased.",
                json!({"pseudonym": "erased-1234", "already": false, "receipts": 2, "sources": 1, "tasks": 0, "checkpoints": 0}),
            )
            .refuses(404, "There is no such customer, or it is not one of yours.")
            .to(erase_customer),
    ]
}

async fn erase_customer(house: House, caller: Caller, reference: Path<String>, order: Body<EraseOrder>) -> Reply {
    let erased = erase::erase(house.store.as_ref(), &caller, &reference, &order.0.why, house.now()).await?;
    ok(&erased)
}
