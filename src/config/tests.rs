//! What the settings must tell of themselves and of what is wrong with them.
use super::*;

fn read(text: &str) -> Result<Config, Vec<String>> {
    from_figment(&Figment::from(Toml::string(text)))
}

#[test]
fn the_reference_file_says_what_the_defaults_are() {
    let reference = read(DEFAULT_FILE).unwrap();
    let defaults = read("").unwrap();
    assert_eq!(serde_json::to_value(&reference).unwrap(), serde_json::to_value(&defaults).unwrap());
    // Every key is in the file, also those that have no default and stand there as a comment.
    for (section, keys) in [
        ("store", keys_of::<StoreConfig>()),
        ("mail", keys_of::<MailConfig>()),
        ("engine", keys_of::<EngineConfig>()),
        ("log", keys_of::<LogConfig>()),
        ("serve", keys_of::<ServeConfig>()),
        ("webhooks", keys_of::<WebhooksConfig>()),
        ("receipts.sms-east", keys_of::<ReceiptsConfig>()),
        ("worklist", keys_of::<WorklistConfig>()),
        ("oidc", keys_of::<OidcConfig>()),
        ("approval", keys_of::<ApprovalConfig>()),
        ("personal_data", keys_of::<PersonalDataConfig>()),
        ("retention", keys_of::<Retention>()),
        ("callbacks", keys_of::<CallbacksConfig>()),
        ("[routes", keys_of::<RouteSpec>()),
    ] {
        let part = DEFAULT_FILE.split_once(&format!("[{section}]")).unwrap().1;
        let part = part.split("\n[").next().unwrap();
        for key in keys {
            let stands = |l: &str| l.trim_start_matches(['#', ' ']).starts_with(&format!("{key} ="));
            let secret = format!("TOUCHLINE_{}_{}", section.to_uppercase(), key.to_uppercase());
            assert!(part.lines().any(stands) || ["password", "key"].contains(&key.as_str()) && part.contains(&secret), "{section}.{key}");
        }
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let text = "[stor]\nurl = 'x'\n[engine]\nbatch = 'many'\nlinger = 3\ncredit = 0\n[mail]\nuser = 'u'\nport = 99999\n[log]\nlevel = 'loud'\n\
                [[routes]]\nname = 'a'\nchannel = 'call'\nlimit = 'fast'\n";
    let faults = read(text).unwrap_err().join("\n");
    for part in [
        "stor: unknown section, did you mean store?",
        "engine.batch: invalid type: found string \"many\", expected u32",
        "engine.linger: unknown key",
        "engine.credit: expected 1 to 1000000, found 0",
        "mail.port: invalid value",
        "TOUCHLINE_MAIL_PASSWORD",
        "log.level: unknown variant",
        "expected a rate such as",
    ] {
        assert!(faults.contains(part), "{part} is not in\n{faults}");
    }
}

#[test]
fn secrets_do_not_print() {
    let config = read("[mail]\nuser = 'u'\npassword = 'hunter2'\n").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
    assert_eq!(config.mail.password.as_ref().map(Secret::reveal), Some("hunter2"));
    assert!(!read("[mail]\npassword = 4711\n").unwrap_err().join("").contains("4711"));
    assert!(!read("[store]\nurl = 'mysql://u:hunter2@db'\n").unwrap_err().join("").contains("hunter2"));
}
