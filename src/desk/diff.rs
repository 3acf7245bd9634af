//! What differs between two versions of a campaign: by meaning, and line by line.
use super::approve::kept;
use super::{DeskError, DeskResult};
use crate::domain::changes::{Change, compare};
use crate::domain::time::Timestamp;
use crate::store::{RevisionStatus, Status, Store, StoreError};
use serde::{Deserialize, Serialize};

/// A version of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Version {
    /// `2`, `2.1` (a revision), or `draft`.
    pub version: String,
    /// Where it stands: of a run its status, of a revision its own.
    pub status: String,
    /// The hash of the file.
    pub hash: String,
    /// Who wrote it or handed it in.
    pub by: String,
    /// When.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The file.
    #[serde(skip)]
    pub source: String,
}

/// Every version of a campaign that is on record, oldest first: runs, their revisions, and the draft.
pub async fn versions(store: &dyn Store, name: &str) -> DeskResult<Vec<Version>> {
    let mut runs: Vec<_> = store.campaigns().await?.into_iter().filter(|r| r.name == name && !r.id.is_rehearsal()).collect();
    runs.sort_by_key(|r| (r.status == Status::Draft, r.version));
    let mut versions = Vec::new();
    for run in runs {
        if !run.is_handed_in() && run.status != Status::Draft {
            continue;
        }
        let Some(text) = store.texts(run.id).await?.pop() else { continue };
        let label = if run.status == Status::Draft { "draft".to_owned() } else { run.version.to_string() };
        versions.push(Version { version: label, status: run.status.to_string(), hash: text.hash, by: text.by, at: text.at, source: text.source });
        for revision in store.revisions(run.id).await? {
            versions.push(Version {
                version: format!("{}.{}", run.version, revision.number),
                status: revision.status.to_string(),
                hash: revision.hash,
                by: revision.authors.into_iter().next().unwrap_or_default(),
                at: revision.submitted_at,
                source: revision.source,
            });
        }
    }
    if versions.is_empty() {
        // The store knows the names that are near.
        store.campaign(name, Some(false)).await?;
        return Err(StoreError::NotFound { what: "campaign", name: name.to_owned(), hint: String::new() }.into());
    }
    Ok(versions)
}

/// What differs.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Diff {
    /// From which version.
    pub from: String,
    /// To which version, or `file`.
    pub to: String,
    /// By meaning; `None`: one of the two is no campaign file for this program.
    pub changes: Option<Vec<Change>>,
    /// Whether a run could take all of it up on its way.
    pub revisable: bool,
    /// Line by line.
    pub lines: Vec<DiffLine>,
}

impl Diff {
    /// Between two texts.
    pub fn between(from: (&str, &str), to: (&str, &str)) -> Self {
        let changes = match (kept(from.0, from.1), kept(to.0, to.1)) {
            (Ok(old), Ok(new)) => Some(compare(&old, &new)),
            _ => None,
        };
        Self {
            from: from.0.to_owned(),
            to: to.0.to_owned(),
            revisable: changes.as_ref().is_some_and(|c| c.iter().all(|c| c.revisable)),
            changes,
            lines: diff(from.1, to.1),
        }
    }
}

/// The text of a version of a campaign; `None`: of the one in force, or else of the newest.
pub async fn text(store: &dyn Store, name: &str, version: Option<&str>) -> DeskResult<Version> {
    let versions = versions(store, name).await?;
    let row = store.campaign(name, Some(false)).await?;
    let wanted = version.map_or_else(|| row.label(), str::to_owned);
    let found = versions.iter().find(|v| v.version == wanted);
    found
        .or_else(|| versions.last().filter(|_| version.is_none()))
        .cloned()
        .ok_or_else(|| StoreError::NotFound { what: "version", name: format!("{name} {wanted}"), hint: String::new() }.into())
}

/// Compares versions of a campaign, or one with a file. Left out: `from` is the version in force (of a finished campaign its last), and `to`
/// what is newer than it (the draft, the revision that waits); where nothing is newer, the last two versions are compared.
pub async fn compare_versions(store: &dyn Store, name: &str, from: Option<&str>, to: Option<&str>, file: Option<&str>) -> DeskResult<Diff> {
    let versions = versions(store, name).await?;
    let find = |wanted: &str| {
        versions.iter().find(|v| v.version == wanted).ok_or_else(|| {
            let known: Vec<&str> = versions.iter().map(|v| v.version.as_str()).collect();
            DeskError::Refused(format!("campaign {name:?} has no version {wanted:?}; expected one of {}", known.join(", ")))
        })
    };
    let in_force = match store.campaign(name, Some(false)).await {
        Ok(row) if row.is_handed_in() => versions.iter().position(|v| v.version == row.label()),
        Ok(_) => None,
        Err(fault) => return Err(fault.into()),
    };
    let replaced = RevisionStatus::Replaced.name();
    let newer = versions.iter().enumerate().rev().find(|(i, v)| Some(*i) > in_force && v.status != replaced).map(|(_, v)| v);
    let current = in_force.and_then(|i| versions.get(i)).or(versions.last());
    let before = in_force.and_then(|i| versions.iter().take(i).rfind(|v| v.status != replaced));
    let (from, to) = match (from, to, file) {
        (from, None, Some(file)) => {
            let from = from.map(find).transpose()?.or(current);
            return from.map(|v| Diff::between((&v.version, &v.source), ("file", file))).ok_or_else(|| nothing(name));
        }
        (Some(from), Some(to), _) => (Some(find(from)?), Some(find(to)?)),
        (Some(from), None, None) => (Some(find(from)?), newer.or(current)),
        (None, Some(to), _) => (current, Some(find(to)?)),
        (None, None, None) if newer.is_some() && in_force.is_some() => (current, newer),
        (None, None, None) => (before, current),
    };
    match (from, to) {
        (Some(from), Some(to)) => Ok(Diff::between((&from.version, &from.source), (&to.version, &to.source))),
        _ => Err(nothing(name)),
    }
}

fn nothing(name: &str) -> DeskError {
    DeskError::Refused(format!("campaign {name:?} has one version alone; name a file to compare it with"))
}

/// A line of a diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "op", content = "line", rename_all = "snake_case")]
pub enum DiffLine {
    /// In both.
    Same(String),
    /// Only in the old text.
    Removed(String),
    /// Only in the new text.
    Added(String),
}

/// Cells of the table above which the middle of a diff is shown as a whole removed and a whole added (32 MiB of table).
const DIFF_CELLS: usize = 8_000_000;

/// The line diff from one version of a file to another: a longest common subsequence after the common head and tail.
pub fn diff(old_source: &str, new_source: &str) -> Vec<DiffLine> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old_source.lines().collect(), new_source.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let room = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let same = |lines: &[&str]| lines.iter().map(|l| DiffLine::Same((*l).to_owned())).collect::<Vec<_>>();
    let mut result = same(old.get(..head).unwrap_or_default());
    let middle_old = old.get(head..old.len() - tail).unwrap_or_default();
    let middle_new = new.get(head..new.len() - tail).unwrap_or_default();
    result.extend(lcs(middle_old, middle_new));
    result.extend(same(old.get(old.len() - tail..).unwrap_or_default()));
    result
}

fn lcs(old: &[&str], new: &[&str]) -> Vec<DiffLine> {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > DIFF_CELLS {
        let removed = old.iter().map(|l| DiffLine::Removed((*l).to_owned()));
        return removed.chain(new.iter().map(|l| DiffLine::Added((*l).to_owned()))).collect();
    }
    // table[i * width + j]: length of the longest common subsequence of old[i..] and new[j..].
    let mut table = vec![0_u32; (old.len() + 1) * width];
    let at = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let best = if a == b { at(&table, i + 1, j + 1) + 1 } else { at(&table, i + 1, j).max(at(&table, i, j + 1)) };
            if let Some(cell) = table.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                lines.push(DiffLine::Same((*a).to_owned()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none() || at(&table, i + 1, j) >= at(&table, i, j + 1) => {
                lines.push(DiffLine::Removed((*a).to_owned()));
                i += 1;
            }
            (_, Some(b)) => {
                lines.push(DiffLine::Added((*b).to_owned()));
                j += 1;
            }
            _ => return lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_keeps_what_is_common_and_names_what_changed() {
        let lines = diff("a\nb\nc\nd\n", "a\nc\nx\nd\n");
        let expected = [
            DiffLine::Same("a".into()),
            DiffLine::Removed("b".into()),
            DiffLine::Same("c".into()),
            DiffLine::Added("x".into()),
            DiffLine::Same("d".into()),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn old_and_new_can_be_read_back_from_a_diff() {
        let (old, new) = ("one\ntwo\ntwo\nthree\nfour", "zero\ntwo\nthree\nthree\nfour\nfive");
        let lines = diff(old, new);
        let side = |left: bool| {
            lines
                .iter()
                .filter_map(|l| match l {
                    DiffLine::Same(t) => Some(t.as_str()),
                    DiffLine::Removed(t) => left.then_some(t.as_str()),
                    DiffLine::Added(t) => (!left).then_some(t.as_str()),
                })
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(side(true), old);
        assert_eq!(side(false), new);
        assert!(diff("", "").is_empty());
        assert_eq!(diff("a\na", "a").len(), 2);
    }
}
