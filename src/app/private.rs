//! Files that nobody but the daemon's user may read.
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// A new file, or an emptied one, of mode 0600.
pub fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A folder (and those above it) of mode 0700; one that is there stays as it is.
pub fn folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a whole file, or leaves the one that is there: made aside, synced, and put in place by one rename.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", uuid::Uuid::new_v4().simple()));
    let aside = Path::new(&name);
    let mut file = create(aside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(aside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(aside);
    }
    written
}
