//! Four eyes: submission, the refusals, the approval, and a revision of a run under way.
use super::bank::{CUSTOMERS, NAME, campaign};
use super::http::{House, Sent, now, until};
use reqwest::Method;
use serde_json::{Value, json};

async fn submit(house: &House, who: &str, text: &str, status: u16) -> Value {
    house.ask(who, Method::POST, "/v1/campaigns", Sent::Yaml(text), status).await
}

async fn standing(house: &House) -> Value {
    house.get("eve", &format!("/v1/campaigns/{NAME}")).await
}

/// First with faults, then with a text that is taken back, then right; approved by another than the author.
pub async fn hand_in_and_approve(house: &House) {
    let good = campaign("40/s");
    let wrong = good.replace("list: prospects", "list: prospekts").replace("rate: 40/s", "rate: fast");
    let problem = submit(house, "ann", &wrong, 422).await;
    let places: Vec<(i64, i64)> =
        problem["faults"].as_array().unwrap().iter().map(|f| (f["line"].as_i64().unwrap(), f["column"].as_i64().unwrap())).collect();
    let column = |line: usize, what: &str| i64::try_from(wrong.lines().nth(line - 1).unwrap().find(what).unwrap()).unwrap() + 1;
    assert_eq!(places, [(5, column(5, "prospekts")), (8, column(8, "fast"))], "line and column of both faults: {problem}");
    submit(house, "olga", &good, 403).await;

    // Handed in with a text that is wrong; approved; then the text is changed: what was signed does not hold for it.
    let first = good.replace("Thank you for your time.", "Thank you four your time.");
    let submitted = submit(house, "ann", &first, 201).await;
    assert_eq!(
        (&submitted["campaign"]["status"], &submitted["campaign"]["audience"]),
        (&json!("submitted"), &json!(CUSTOMERS)),
        "handed in, its audience frozen: {submitted}"
    );
    let old_seal = submitted["seal"]["seal"].clone();
    house.verb("olga", "start", json!({"why": "too soon"}), 409).await;
    let problem = house.verb("ann", "approve", json!({"seal": old_seal}), 409).await;
    assert!(problem["detail"].as_str().unwrap().contains("another person"), "an author with both roles is refused by name: {problem}");
    house.verb("olga", "approve", json!({"seal": old_seal}), 403).await;
    let approved = house.verb("bob", "approve", json!({"seal": old_seal, "why": "read"}), 200).await;
    assert_eq!(approved["campaign"]["status"], "approved", "{approved}");
    let problem = submit(house, "ann", &good, 409).await;
    assert!(problem["detail"].as_str().unwrap().contains("texts"), "an approved text is not exchanged by a revision: {problem}");
    house.verb("olga", "stop", json!({"why": "a word is misspelt"}), 200).await;
    until("the run with the wrong text is closed", async || (house.report().await["status"] == "stopped").then_some(())).await;

    let submitted = submit(house, "ann", &good, 201).await;
    let seal = submitted["seal"]["seal"].clone();
    assert_eq!((&submitted["campaign"]["version"], &submitted["campaign"]["status"]), (&json!(2), &json!("submitted")), "{submitted}");
    assert_ne!(seal, old_seal, "another text, another seal");
    house.verb("olga", "start", json!({"why": "it was approved, was it not"}), 409).await;
    let problem = house.verb("bob", "approve", json!({"seal": old_seal}), 409).await;
    assert!(problem["detail"].as_str().unwrap().contains("seal"), "the seal of the file before does not approve this one: {problem}");
    let again = submit(house, "ann", &good, 200).await;
    assert_eq!(again["continued"], true, "the same file again is the run that there is: {again}");
    house.verb("ann", "approve", json!({"seal": seal}), 409).await;
    house.verb("bob", "approve", json!({"seal": seal, "why": "read again"}), 200).await;
    let standing = standing(house).await;
    assert_eq!((&standing["approvals"][0]["by"], &standing["authors"]), (&json!("bob"), &json!(["ann"])), "{standing}");
}

/// The pace of the run under way is changed by an approved revision, and taken up.
pub async fn revise(house: &House) {
    let problem = submit(house, "ann", &campaign("200/s").replace("connected_seconds: 10", "connected_seconds: 20"), 409).await;
    assert!(problem["detail"].as_str().unwrap().contains("journey.call"), "a journey under way stays as it is: {problem}");
    let first = submit(house, "ann", &campaign("200/s"), 201).await;
    let second = submit(house, "ann", &campaign("300/s"), 201).await;
    let keys: Vec<&Value> = second["changes"].as_array().unwrap().iter().map(|c| &c["key"]).collect();
    assert_eq!(keys, ["limits.rate"], "{second}");
    let diff = house.get("bob", &format!("/v1/campaigns/{NAME}/diff")).await;
    assert_eq!((&diff["changes"][0]["to"], &diff["revisable"]), (&json!("300/s"), &json!(true)), "what waits for its approval: {diff}");
    house.verb("ann", "approve", json!({"seal": second["seal"]["seal"]}), 409).await;
    house.verb("bob", "approve", json!({"seal": first["seal"]["seal"]}), 409).await;
    house.verb("bob", "approve", json!({"seal": second["seal"]["seal"], "why": "we are late"}), 200).await;
    let number = second["revision"]["number"].clone();
    until("the revision is taken up", async || (standing(house).await["revision"] == number).then_some(())).await;
    let (begun, before) = (now(), house.attempts().await);
    until("it goes faster than it might before", async || {
        let report = house.report().await;
        let (seconds, made) = ((now() - begun).num_milliseconds() as f64 / 1000.0, report["attempts"]["total"].as_i64().unwrap() - before);
        assert_ne!(report["counts"]["pending"], 0, "it ended at the old pace: {made} attempts in {seconds} s");
        (seconds > 1.0 && made as f64 > 2.0 * 40.0 * seconds).then_some(())
    })
    .await;
    let file = house.get("eve", &format!("/v1/campaigns/{NAME}/file")).await;
    assert!(file.as_str().unwrap().contains("300/s"), "the file in force is the revision's: {file}");
}
