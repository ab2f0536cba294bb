//! A volume of a test's own for the operator's store.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// A volume of memory; it is gone with this, and with the cluster whose folder it is in.
pub struct Volume(PathBuf);

impl Volume {
    /// Mounts one of this many MiB.
    pub fn new(folder: PathBuf, size: u32) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}m"), "tmpfs"])
            .arg(&folder);
        assert!(mount.status().unwrap().success());
        Self(folder)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("lost+found")
    }

    /// Writes until there is no room for a byte.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    /// Gives the room back.
    pub fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
