//! One file of the spool.
//!
//! ```text
//!  "BREVBLOB"  version u8 = 1  flags u8 = 0  u16 = 0  length of the header u32
//!  header      JSON of [`Blob`]: what must be known to take the blob in when no index knows it
//!  SHA-256 of all of the above
//!  body
//!  "BLOBSEAL"  octets of the body u64  SHA-256 of the body
//! ```
//!
//! Numbers are big-endian; a file with a flag is refused. So is a body in the clear; one under a key is a content of
//! [`crypto::rest`](crate::crypto::rest), told by its first octets, whose header is the JSON.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::crypto::rest::{Head, KeyId, Opened, RestKey, Sealer};
use crate::crypto::sha256;
use crate::ident::Sha256;
use crate::port::{Blob, StoreError};
use crate::store::cipher::{self, Keys, MAX_JSON, Unopened};
use crate::store::store_error;
use crate::store::verified::Verified;

const MAGIC: &[u8; 8] = b"BREVBLOB";
const SEAL: &[u8; 8] = b"BLOBSEAL";
const VERSION: u8 = 1;
const FIXED: usize = 16;
const TRAILER: usize = 8 + 8 + 32;

/// Where the body of a file is written to.
pub(super) enum Out {
    /// In the clear.
    Clear(BufWriter<File>),
    /// Under a key.
    Sealed(Box<Sealer<BufWriter<File>>>),
}

impl Out {
    /// Writes everything that stands before the body.
    pub(super) fn begin(blob: &Blob, key: Option<&RestKey>, file: File) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(64 * 1024, file);
        if let Some(key) = key {
            return Ok(Self::Sealed(Box::new(cipher::seal(key, blob, file)?)));
        }
        file.write_all(&head(blob)?)?;
        Ok(Self::Clear(file))
    }

    /// Writes everything that stands behind the body.
    pub(super) fn end(self, octets: u64, digest: Sha256) -> io::Result<File> {
        let file = match self {
            Self::Clear(mut file) => file.write_all(&trailer(octets, digest)).map(|()| file)?,
            Self::Sealed(sealer) => sealer.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }

    fn inner(&mut self) -> &mut dyn Write {
        match self {
            Self::Clear(file) => file,
            Self::Sealed(sealer) => sealer,
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner().flush()
    }
}

/// Everything that stands before the body.
fn head(blob: &Blob) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(blob)?;
    let length = u32::try_from(json.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut head = Vec::with_capacity(FIXED + json.len() + 32);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&[VERSION, 0, 0, 0]);
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&json);
    let digest = sha256(&head);
    head.extend_from_slice(&digest.0);
    Ok(head)
}

/// Everything that stands behind the body.
fn trailer(octets: u64, digest: Sha256) -> Vec<u8> {
    [SEAL.as_slice(), &octets.to_be_bytes(), &digest.0].concat()
}

/// A file that was opened.
pub(super) struct Found {
    /// Its head.
    pub(super) blob: Blob,
    /// Its body.
    pub(super) body: Body,
    /// The key that it is under; none in the clear.
    pub(super) key: Option<KeyId>,
    /// Itself.
    pub(super) file: File,
}

/// Opens a file. Damage is [`StoreError::Damaged`].
pub(super) fn open(path: &Path, keys: &Keys) -> Result<Found, StoreError> {
    let found = File::open(path).map_err(Unopened::Io).and_then(|file| {
        let again = file.try_clone().map_err(Unopened::Io)?;
        if let Some(key) = key(&file).map_err(Unopened::Io)? {
            let (blob, body) = cipher::open(keys, file)?;
            return Ok(Found { blob, body: Body::Sealed(Box::new(body)), key: Some(key), file: again });
        }
        let (blob, body) = clear(file).map_err(Unopened::Io)?;
        Ok(Found { blob, body: Body::Clear(Box::new(body)), key: None, file: again })
    });
    found.map_err(|unopened| match unopened {
        Unopened::Locked(error) => error,
        Unopened::Io(error) if error.kind() == io::ErrorKind::NotFound => StoreError::Missing("blob"),
        Unopened::Io(error) if error.kind() == io::ErrorKind::InvalidData => StoreError::Damaged(format!("{}: {error}", path.display())),
        Unopened::Io(error) => store_error("opening", path, &error),
    })
}

/// The key that a file is under; none in the clear.
pub(super) fn key(file: &File) -> io::Result<Option<KeyId>> {
    let mut octets = [0; Head::OCTETS];
    let begins = file.read_exact_at(octets.get_mut(..FIXED).unwrap_or_default(), 0);
    begins.map_err(short)?;
    if !Head::begins(&octets) {
        return Ok(None);
    }
    file.read_exact_at(&mut octets, 0).map_err(short)?;
    Head::read(octets).map(|head| Some(head.key()))
}

/// Reads what stands before and behind the body of a file in the clear.
fn clear(file: File) -> io::Result<(Blob, Verified<Behind>)> {
    let mut fixed = [0; FIXED];
    file.read_exact_at(&mut fixed, 0).map_err(short)?;
    let [magic @ .., version, flags, r0, r1, l0, l1, l2, l3] = fixed;
    if magic != *MAGIC {
        return Err(damaged("it is no blob"));
    }
    if version != VERSION || flags != 0 || [r0, r1] != [0, 0] {
        return Err(damaged("its version or flags are not known"));
    }
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    if length > MAX_JSON {
        return Err(damaged("its header is too long"));
    }
    let mut head = fixed.to_vec();
    head.resize(FIXED + length, 0);
    let mut digest = [0; 32];
    file.read_exact_at(head.get_mut(FIXED..).unwrap_or_default(), FIXED as u64).map_err(short)?;
    file.read_exact_at(&mut digest, head.len() as u64).map_err(short)?;
    if sha256(&head).0 != digest {
        return Err(damaged("its header is not what was written"));
    }
    let blob = serde_json::from_slice(head.get(FIXED..).unwrap_or_default())?;

    let start = (head.len() + digest.len()) as u64;
    let octets = file.metadata()?.len().checked_sub(start + TRAILER as u64).ok_or_else(|| damaged("it is cut off"))?;
    let mut trailer = [0; TRAILER];
    file.read_exact_at(&mut trailer, start + octets).map_err(short)?;
    let (seal, rest) = trailer.split_at(SEAL.len());
    let (length, digest) = rest.split_at(8);
    if seal != SEAL || length != octets.to_be_bytes() {
        return Err(damaged("it is cut off"));
    }
    let digest = Sha256(digest.try_into().map_err(|_| damaged("it is cut off"))?);
    let mut file = BufReader::with_capacity(64 * 1024, file);
    file.seek(SeekFrom::Start(start))?;
    Ok((blob, Verified::new(Behind { file, start }, octets, digest)))
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn short(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { damaged("it is cut off") } else { error }
}

/// A body under reading.
pub(super) enum Body {
    /// In the clear.
    Clear(Box<Verified<Behind>>),
    /// Under a key.
    Sealed(Box<Opened<File>>),
}

impl Body {
    /// Its length.
    pub(super) fn octets(&self) -> u64 {
        match self {
            Self::Clear(body) => body.octets(),
            Self::Sealed(body) => body.octets(),
        }
    }
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(body) => body.read(into),
            Self::Sealed(body) => body.read(into),
        }
    }
}

impl Seek for Body {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Clear(body) => body.seek(to),
            Self::Sealed(body) => body.seek(to),
        }
    }
}

/// What stands behind the head of a file: places count from there.
pub(super) struct Behind {
    file: BufReader<File>,
    start: u64,
}

impl Read for Behind {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into)
    }
}

impl Seek for Behind {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // Its end is not the file's: the trailer stands there. Who reads it knows the place from its front.
        let SeekFrom::Start(at) = to else { return Err(io::ErrorKind::Unsupported.into()) };
        self.file.seek(SeekFrom::Start(self.start.saturating_add(at)))?;
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::{BlobId, BlobKind};
    use std::fs;

    /// A body of 1,000 octets whose octet at 900 is not what was written.
    fn spoiled(dir: &Path) -> Body {
        let blob = Blob { id: BlobId(uuid::Uuid::nil()), kind: BlobKind::Mail, header: "{}".into() };
        let body = vec![7; 1_000];
        let mut file = head(&blob).unwrap();
        let start = file.len();
        file.extend_from_slice(&body);
        file.extend_from_slice(&trailer(1_000, sha256(&body)));
        file[start + 900] ^= 1;
        let path = dir.join("spoiled");
        fs::write(&path, file).unwrap();
        open(&path, &Keys::default()).unwrap().body
    }

    #[test]
    fn a_reader_that_knows_the_length_gets_no_wrong_octet_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let error = spoiled(dir.path()).read_exact(&mut [0; 1_000]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn jumping_about_does_not_hide_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut body = spoiled(dir.path());
        body.read_exact(&mut [0; 300]).unwrap();
        body.seek(SeekFrom::Start(100)).unwrap();
        body.read_exact(&mut [0; 300]).unwrap();
        body.seek(SeekFrom::Start(0)).unwrap();
        assert_eq!(io::copy(&mut body, &mut io::sink()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(body.read(&mut [0; 10]).is_err(), "again");
    }

    #[test]
    fn a_file_of_a_later_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(spoiled(dir.path()));
        let path = dir.path().join("spoiled");
        let mut bytes = fs::read(&path).unwrap();
        bytes[9] = 1;
        fs::write(&path, bytes).unwrap();
        let error = open(&path, &Keys::default()).err().unwrap().to_string();
        assert!(error.ends_with("its version or flags are not known"), "{error}");
    }
}
