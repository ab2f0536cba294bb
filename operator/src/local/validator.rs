//! The key that a person's own ledger is signed with, in a file of the state folder that nobody else may read.

use std::io::{Error, ErrorKind, Write as _};
use std::path::Path;

use ed25519_dalek::SigningKey;
use rand::rngs::OsRng;

/// Reads the key, or makes it where there is none.
///
/// # Errors
/// A file that cannot be read or made, or holds no key.
pub(super) fn key(path: &Path) -> Result<SigningKey, Error> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(mut file) => {
            let key = SigningKey::generate(&mut OsRng);
            writeln!(file, "{}", hex::encode(key.to_bytes()))?;
            Ok(key)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(path)?;
            let mut bytes = [0; 32];
            hex::decode_to_slice(text.trim(), &mut bytes).map_err(|error| {
                let what = format!("no key of 32 bytes in hexadecimal: {error}");
                Error::new(ErrorKind::InvalidData, what)
            })?;
            Ok(SigningKey::from_bytes(&bytes))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("validator.key");
        let made = key(&path).unwrap();
        assert_eq!(key(&path).unwrap().to_bytes(), made.to_bytes());
        std::fs::write(&path, "short\n").unwrap();
        let error = key(&path).unwrap_err().to_string();
        assert!(error.contains("no key of 32 bytes"), "{error}");
    }
}
