//! Four eyes on the command line: drafts, seals, revisions, emergency stops.
use super::REAL;
use super::desk::Desk;

fn words<'a>(line: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    line.split(' ').chain(more.iter().copied()).collect()
}

#[test]
fn a_draft_is_handed_in_approved_by_another_and_revised_before_its_run() {
    let desk = Desk::filled();
    desk.write("touchline.toml", "[[routes]]\nname = \"fast\"\nchannel = \"worklist\"\nlimit = \"1000/s\"\nprofile = \"instant\"\n");
    desk.write("real.yaml", REAL);
    let draft = desk.json(&words("campaign draft real.yaml --by ann", &[]), 0);
    assert_eq!((draft["status"].as_str(), draft["audience"].as_i64()), (Some("draft"), Some(0)));
    desk.says(&words("campaign draft real.yaml --by bob", &[]), 1, &["the draft of campaign \"real\" is by ann"]);
    desk.says(&words("run real", &[]), 1, &["is draft, not approved"]);
    let submitted = desk.json(&words("campaign submit real --by bob", &[]), 0);
    let seal = submitted["seal"]["seal"].as_str().unwrap().to_owned();
    assert_eq!(submitted["seal"]["parts"]["list"]["count"], 40);
    desk.says(&words("campaign submit real.yaml --by bob", &[]), 0, &["seal ", "over file, list prospects (40)", &seal[..12]]);
    for by in ["ann", "BOB"] {
        desk.says(&words("campaign approve real --hash", &[&seal, "--by", by]), 1, &["another person must approve it"]);
    }
    desk.says(&words("campaign approve real --by cy --hash", &[&seal[..12]]), 0, &["approved", "touchline run real"]);
    // A revision of what is approved and not run yet; without a daemon the run takes it up when it begins.
    desk.write("real.yaml", REAL.replace("2099-12-30T23:59", "2099-12-29T23:59"));
    desk.says(&words("campaign submit real.yaml --by ann", &[]), 0, &["revision 1: open", "schedule: schedule.end"]);
    let diff = desk.json(&words("campaign diff real", &[]), 0);
    assert_eq!((diff["from"].as_str(), diff["to"].as_str(), diff["revisable"].as_bool()), (Some("1"), Some("1.1"), Some(true)));
    desk.says(&words("campaign diff real --from 1 --to 1.1", &[]), 0, &["* schedule: schedule.end", "- schedule:", "+ schedule:"]);
    let open = desk.json(&words("campaign submit real.yaml --by ann", &[]), 0);
    let seal = open["seal"]["seal"].as_str().unwrap().to_owned();
    desk.says(&words("campaign approve real --by cy --hash", &[&seal]), 0, &["revision 1 is approved"]);
    desk.write("wrong.yaml", REAL.replace("title: Real", "title: Unreal"));
    desk.says(&words("campaign submit wrong.yaml --by ann", &[]), 1, &["terms: title: Real -> Unreal", "touchline campaign stop real"]);
    let report = desk.json(&words("run real", &[]), 0);
    assert_eq!((report["revision"].as_i64(), report["counts"]["reached"].as_i64()), (Some(1), Some(40)));
    desk.says(&words("campaign history real", &[]), 0, &["ann: drafted", "bob: submitted", "cy: ", "engine: revision 1 taken up"]);
    assert_eq!(desk.json(&words("campaign archive real --by op --why tidy", &[]), 0)["status"], "archived");
    assert_eq!(desk.json(&words("campaign list", &[]), 0).as_array().unwrap().len(), 0);
    assert_eq!(desk.json(&words("campaign list --archived", &[]), 0).as_array().unwrap().len(), 1);
    let export = desk.json(&words("export results --campaign real --format csv --out out", &[]), 0);
    assert!(export["export"]["folder"].is_string());
}

#[test]
fn one_stops_everything_and_two_restart() {
    let desk = Desk::filled();
    desk.write("real.yaml", REAL.replace("fast", "rm-desk"));
    desk.json(&words("campaign submit real.yaml --by ann", &[]), 0);
    desk.says(&words("campaign stop --all --by op --why fire", &[]), 2, &["--emergency"]);
    desk.says(&words("campaign stop --by op --why fire", &[]), 2, &["<NAME>"]);
    let all = desk.json(&words("campaign stop --all --emergency --by op --why fire", &[]), 0);
    assert_eq!((all[0]["name"].as_str(), all[0]["emergency"].as_bool()), (Some("real"), Some(true)));
    desk.says(&words("campaign resume real --by bob --why go", &[]), 1, &["two different persons", "touchline campaign restart real"]);
    desk.says(&words("campaign restart real --by op --why out", &[]), 0, &["EMERGENCY STOP", "One more person", "--by ANOTHER"]);
    assert_eq!(desk.json(&words("campaign restart real --by OP --why out", &[]), 0)["restart"], "again");
    let lifted = desk.json(&words("campaign restart real --by bob --why seen", &[]), 0);
    assert_eq!((lifted["restart"].as_str(), lifted["emergency"].as_bool()), (Some("lifted"), Some(false)));
    let held = desk.json(&words("campaign stop real --emergency --by op --why again", &[]), 0);
    assert_eq!(held["emergency"], true);
    assert_eq!(desk.json(&words("campaign stop real --by op --why enough", &[]), 0)["status"], "stopped");
}

#[test]
fn doctor_warns_where_one_person_is_enough() {
    let desk = Desk::filled();
    // Its exit code depends on the calendars too, which end with their year.
    let told = || String::from_utf8(desk.run(&["doctor"]).stdout).unwrap();
    let plain = told().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains("ok approval a campaign that contacts people needs its author and another person"), "{plain}");
    desk.write("touchline.toml", "[approval]\nfour_eyes = false\n");
    assert!(
        told().split_whitespace().collect::<Vec<_>>().join(" ").contains("warning approval") && told().contains("four eyes are turned off"),
        "{}",
        told()
    );
}
