//! The work of an intake: the import, on a thread of its own, so that no thread that answers requests parses rows.
use super::{Intake, IntakeState, Intakes, under_way};
use crate::app::Failure;
use crate::domain::ids::CustomerId;
use crate::intake::{ImportRequest, IntakeError, Mapping, Report, import};
use std::path::PathBuf;

/// Starts it.
pub(super) fn start(intakes: &Intakes, intake: Intake, mapping: Mapping, key: String) -> std::io::Result<()> {
    let intakes = intakes.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name(format!("intake-{}", intake.number))
        .spawn(move || runtime.block_on(take_in(&intakes, intake, &mapping, &key)))?;
    Ok(())
}

async fn take_in(intakes: &Intakes, mut intake: Intake, mapping: &Mapping, key: &str) {
    let number = intake.number;
    let (body, rejects) = (intakes.body(&intake), intakes.rejects_of(key));
    let tell = |customers: &[CustomerId]| {
        if let Some(daemon) = &intakes.daemon {
            daemon.withdrawn(customers.iter().copied());
        }
    };
    let request = ImportRequest {
        kind: intake.kind,
        file: &body,
        mapping,
        name: intake.list.as_deref(),
        rejects: &rejects,
        now: intake.begun_at,
        again: intake.again,
        withdrawn: Some(&tell),
    };
    let folder = intakes.folder.clone();
    let mut progress = |sums: &crate::intake::Sums| {
        if let Some(own) = under_way().iter_mut().find(|u| u.number == number && u.folder == folder) {
            own.sums = *sums;
        }
    };
    let ended = import(intakes.store.as_ref(), request, &mut progress).await;
    // What the import says of files names places of this machine.
    let places = [(body.display().to_string(), "the body".to_owned()), (rejects.display().to_string(), format!("/v1/intakes/{number}/rejects"))];
    let retell = |text: String| places.iter().fold(text, |text, (place, name)| text.replace(place, name));
    match ended {
        Ok(report) => {
            intake.state = IntakeState::Done;
            intake.sums = report.sums;
            let rejects = report.rejects.is_some().then(|| PathBuf::from(format!("/v1/intakes/{number}/rejects")));
            let notes = report.notes.iter().cloned().map(retell).collect();
            intake.report = Some(Report { rejects, notes, ..report });
        }
        Err(fault) => {
            intake.state = IntakeState::Failed;
            intake.sums = under_way().iter().find(|u| u.number == number && u.folder == intakes.folder).map_or(intake.sums, |u| u.sums);
            if let IntakeError::Faults(faults) = &fault {
                intake.faults.clone_from(faults);
            }
            intake.fault = Some(match fault {
                IntakeError::Store(fault) => {
                    let failure = Failure::from(fault);
                    if failure.code == 3 {
                        tracing::error!(intake = number, fault = %failure.text, "the store failed an intake");
                        "the store is out of reach; what was taken stays taken: send the same file again, and it goes on".to_owned()
                    } else {
                        failure.text
                    }
                }
                other => retell(other.to_string()),
            });
        }
    }
    intake.ended_at = Some(intakes.clock.now());
    if let Err(fault) = std::fs::remove_file(&body) {
        tracing::error!(intake = number, %fault, "the file of an intake could not be removed from the data folder; remove it by hand");
    }
    if let Err(fault) = intakes.write(&intake) {
        tracing::error!(intake = number, %fault, "the record of an intake could not be written; its rows are in the store");
    }
    intakes.is_over(number);
}
