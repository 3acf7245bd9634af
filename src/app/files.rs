//! Files in and out, as use cases over the store: imports, exports, verification, corrections.
use super::{App, Failure};
use crate::domain::campaign::ExportFormat;
use crate::finance::mail::Password;
use crate::finance::{CorrectionReport, ExportReport, ExportRequest, MailConfig, Mailed, VerifyReport, What, correct, export, mail, verify};
use crate::intake::{ImportRequest, Kind, Mapping, Report, Sums, import, rejects_path};
use crate::store::CampaignRow;
use std::path::{Path, PathBuf};

/// Reads a text file of a person's; the encoding must be UTF-8 (a byte-order mark is taken off).
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file("cannot read", path, &e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::no(format!("{}: expected UTF-8, found another encoding at byte {at}; save the file as UTF-8", path.display()))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Reads a mapping file: it, and its text.
pub fn load_mapping(path: &Path) -> Result<(Mapping, String), Failure> {
    let text = read_text(path)?;
    let mapping = Mapping::load(&path.display().to_string(), &text).map_err(|faults| Failure {
        code: 1,
        text: faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        detail: serde_json::json!({ "faults": faults.iter().map(ToString::to_string).collect::<Vec<_>>() }),
    })?;
    Ok((mapping, text))
}

/// A file that is to be taken in.
#[derive(Clone, Copy, Debug)]
pub struct FileIn<'a> {
    /// What it holds.
    pub kind: Kind,
    /// The file.
    pub file: &'a Path,
    /// Its mapping.
    pub mapping: &'a Path,
    /// The list that is made of its rows.
    pub name: Option<&'a str>,
    /// The folder for rejected rows; without it beside the file.
    pub rejects: Option<&'a Path>,
    /// Though it was imported in full before.
    pub again: bool,
}

impl App {
    /// Imports a file by a mapping.
    pub async fn import(&self, wanted: FileIn<'_>, progress: &mut (dyn FnMut(&Sums) + Send)) -> Result<Report, Failure> {
        let FileIn { kind, file, mapping, name, rejects, again } = wanted;
        let (mapping, _) = load_mapping(mapping)?;
        let rejects = rejects_path(file, rejects);
        let request = ImportRequest { kind, file, mapping: &mapping, name, rejects: &rejects, now: self.now(), again, withdrawn: None };
        Ok(import(self.store.as_ref(), request, progress).await?)
    }

    /// Exports a run.
    pub async fn export(&self, row: &CampaignRow, what: What, format: ExportFormat, out: &Path) -> Result<ExportReport, Failure> {
        let campaign = self.campaign_of(row)?;
        let request = ExportRequest { run: row.id, campaign: &campaign, what, format, out: out.to_owned(), as_of: self.now() };
        Ok(export(self.store.as_ref(), request).await?)
    }

    /// Exports the newest run of a name: the real one, or else the rehearsal (`rehearsal`: that one in any case). What rests on facts
    /// is attributed anew before, since facts may have come in since the run ended.
    pub async fn export_named(
        &self,
        name: &str,
        rehearsal: bool,
        what: What,
        format: ExportFormat,
        out: &Path,
    ) -> Result<(CampaignRow, ExportReport), Failure> {
        let row = self.run_named(name, rehearsal.then_some(true)).await?;
        if what != What::Touches {
            self.outcome(&row, self.now()).await?;
        }
        let report = self.export(&row, what, format, out).await?;
        Ok((row, report))
    }

    /// Recomputes an export from its files and the ledger.
    pub async fn verify(&self, folder: &Path) -> Result<VerifyReport, Failure> {
        Ok(verify(Some(self.store.as_ref()), folder).await?)
    }

    /// Writes what changed since an export as a correction of it.
    pub async fn correct(&self, number: i64, out: &Path) -> Result<CorrectionReport, Failure> {
        Ok(correct(self.store.as_ref(), number, out, self.now()).await?)
    }

    /// Mails an export, by the settings' server.
    pub async fn mail(&self, to: &str, report: &ExportReport) -> Result<Mailed, Failure> {
        let settings = &self.config.mail;
        let Some(host) = settings.host.clone() else {
            return Err(Failure::use_("the export is to be mailed, but no server is set: set mail.host in the configuration or TOUCHLINE_MAIL_HOST"));
        };
        let config = MailConfig {
            host,
            port: Some(settings.port),
            tls: settings.tls,
            ca_file: settings.ca_file.clone(),
            username: settings.user.clone(),
            password: settings.password.as_ref().map(|p| Password(p.reveal().to_owned())),
            from: settings.from.clone(),
            timeout_s: settings.timeout_s,
            attach_limit_bytes: settings.attach_limit_bytes,
        };
        Ok(mail(&config, to, report, self.now()).await?)
    }

    /// Where exports go unless told.
    pub fn exports_folder(&self) -> PathBuf {
        self.config.data_folder().join("exports")
    }
}
