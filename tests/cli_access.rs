//! `touchline token` and `touchline audit` on a file: what is printed, what is kept, what the log says of the command line, and whether
//! it tells of a foreign hand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use std::path::Path;
use std::process::Command;

fn touchline(data: &Path, args: &[&str]) -> (i32, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
    command.current_dir(data).env("USER", "olga").arg("--json").arg("--data").arg(data).args(args);
    let out = command.output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    (out.status.code().unwrap(), serde_json::from_str(&text).unwrap_or(Value::Null), String::from_utf8(out.stderr).unwrap())
}

async fn sql(data: &Path, statement: &'static str) -> Result<(), sqlx::Error> {
    let mut conn = SqliteConnection::connect(&format!("sqlite:{}", data.join("touchline.sqlite").display())).await?;
    sqlx::query(statement).execute(&mut conn).await?;
    conn.close().await
}

#[tokio::test]
async fn tokens_are_made_once_and_the_log_tells_of_a_foreign_hand() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (code, made, err) = touchline(data, &["token", "new", "--name", "gateway", "--role", "system", "--scope", "access", "--expires", "30d"]);
    assert_eq!(code, 0, "{err}");
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("tl_1_"), "{made}");
    let (_, list, _) = touchline(data, &["token", "list"]);
    assert_eq!((list[0]["grant"]["name"].as_str(), list[0]["made_by"].as_str()), (Some("gateway"), Some("olga")));
    assert!(!list.to_string().contains(secret));
    for (args, said) in [
        (vec!["token", "new", "--name", "x", "--role", "emperor"], "emperor"),
        (vec!["token", "new", "--name", "x", "--role", "rm"], "branch"),
        (vec!["token", "new", "--name", "x", "--role", "author", "--expires", "400d"], "365"),
        (vec!["token", "new", "--name", "x", "--role", "author", "--scope", "everything"], "everything"),
        (vec!["token", "revoke", "99"], "99"),
    ] {
        let (code, _, err) = touchline(data, &args);
        assert!(code != 0 && err.contains(said), "{args:?}: {code} {err}");
    }
    let (code, revoked, _) = touchline(data, &["token", "revoke", "1"]);
    assert_eq!((code, revoked["revoked_by"].as_str()), (0, Some("olga")));
    let (_, log, _) = touchline(data, &["audit", "list", "--actor", "olga"]);
    let did: Vec<String> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|e| format!("{} {} {}", e["operation"].as_str().unwrap(), e["target"].as_str().unwrap(), e["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(
        (did.first().unwrap().as_str(), did.last().unwrap().as_str(), did.len()),
        ("token new name=gateway done", "token revoke id=1 done", 7)
    );
    assert!(did.contains(&"token revoke id=99 failed".to_owned()), "{did:?}");
    let (code, verdict, _) = touchline(data, &["audit", "verify"]);
    assert_eq!((code, verdict["entries"].as_i64()), (0, Some(7)));
    let head = verdict["head"].as_str().unwrap().to_owned();
    assert_eq!(touchline(data, &["audit", "head"]).1["head"], head.as_str());
    for refused in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit WHERE number = 7"] {
        assert!(sql(data, refused).await.unwrap_err().to_string().contains("only added to"), "{refused}");
    }
    // Whoever may write the file may drop the triggers; the chain tells.
    for drop in ["DROP TRIGGER audit_is_not_changed", "DROP TRIGGER audit_is_not_removed"] {
        sql(data, drop).await.unwrap();
    }
    sql(data, "DELETE FROM audit WHERE number = 7").await.unwrap();
    assert_eq!(touchline(data, &["audit", "verify"]).0, 0, "a cut end leaves a chain that holds");
    let (code, verdict, _) = touchline(data, &["audit", "verify", "--head", &head]);
    assert!(code == 1 && verdict["fault"].as_str().unwrap().contains("cut off"), "{verdict}");
    sql(data, "UPDATE audit SET actor = 'mallory' WHERE number = 3").await.unwrap();
    let (code, verdict, _) = touchline(data, &["audit", "verify"]);
    assert!(code == 1 && verdict["fault"].as_str().unwrap().starts_with("entry 3:") && verdict["entries"] == 2, "{verdict}");
    assert_eq!(touchline(data, &["audit", "verify", "--head", "17"]).0, 2);
}
