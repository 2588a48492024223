//! Unpacks deflated data, never to more than was declared.

use std::sync::{Mutex, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};

/// Decompressors that rest. Each is a few dozen KB, so they are shared by the threads of the JVM, of which there may be
/// hundreds, and not kept by each.
static RESTING: Mutex<Vec<Decompress>> = Mutex::new(Vec::new());

/// How many rest at most: about as many as load classes at the same time.
const RESTING_MOST: usize = 8;

/// Unpacks `data`, which must become exactly `size` bytes. At a fault, says how it shows.
pub(crate) fn inflate(data: &[u8], size: usize) -> Result<Vec<u8>, &'static str> {
    // One byte more than declared, so that data which goes on is told from data which ends.
    let (unpacked, ended) = run(data, size + 1)?;
    match unpacked.len().cmp(&size) {
        std::cmp::Ordering::Less => Err("it ends before its declared size"),
        std::cmp::Ordering::Greater => Err("it goes on beyond its declared size"),
        std::cmp::Ordering::Equal if ended => Ok(unpacked),
        std::cmp::Ordering::Equal => Err("it does not end at its declared size"),
    }
}

/// Unpacks the first bytes of `data`, `most` at the most.
pub(crate) fn inflate_head(data: &[u8], most: usize) -> Result<Vec<u8>, &'static str> {
    run(data, most).map(|(unpacked, _)| unpacked)
}

fn run(data: &[u8], most: usize) -> Result<(Vec<u8>, bool), &'static str> {
    let mut decompress = resting().pop().unwrap_or_else(|| Decompress::new(false));
    let mut unpacked = Vec::new();
    unpacked.try_reserve_exact(most).map_err(|_| "there is no memory for its declared size")?;
    let status = decompress.decompress_vec(data, &mut unpacked, FlushDecompress::Finish);
    decompress.reset(false);
    let mut resting = resting();
    if resting.len() < RESTING_MOST {
        resting.push(decompress);
    }
    drop(resting);
    // Reserving may give more than asked for.
    let ended = matches!(status.map_err(|_| "it is not deflated data")?, Status::StreamEnd) && unpacked.len() <= most;
    unpacked.truncate(most);
    Ok((unpacked, ended))
}

fn resting() -> std::sync::MutexGuard<'static, Vec<Decompress>> {
    // A decompressor is put back after its reset only, so the list is right even if a thread ended while it held the lock.
    RESTING.lock().unwrap_or_else(PoisonError::into_inner)
}
